//! A scripted clock, counted ids and random bytes, and an archive that fails when told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use muniment::archive::{Append, AppendError, Appended, Submission};
use muniment::capture::{Entropy, EntropyError, MemoryJournal};
use muniment::ledger::Entry;
use muniment::record::{AdvisorId, Clock, Digest, Ids, Timestamp};
use parking_lot::Mutex;
use uuid::Uuid;

/// Starts at 2026-11-21T20:00:00Z and does not move.
pub(crate) struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_795_291_200_000_000))
    }
}

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Ids that count, in the form of UUIDv7.
#[derive(Default)]
pub(crate) struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn fresh(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        uuid::Builder::from_unix_timestamp_millis(1_795_291_200_000 + count, &[0; 10]).into_uuid()
    }
}

/// Bytes that never repeat, and are not random.
#[derive(Default)]
pub(crate) struct CountedEntropy {
    count: AtomicU64,
    asked: AtomicU64,
    held: AtomicBool,
}

impl CountedEntropy {
    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// While it is held, who asks waits.
    pub(crate) fn set_held(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }
}

impl Entropy for CountedEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        for _turn in 0..10_000 {
            if !self.held.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        for chunk in bytes.chunks_mut(8) {
            let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&count[..chunk.len()]);
        }
        Ok(())
    }
}

/// Re-verifies a whole ledger from its bytes: chain, ids, streams, and that nothing is there twice.
pub(crate) fn assert_sound(journal: &MemoryJournal) {
    let mut previous = Digest::ZERO;
    let mut streams: HashMap<AdvisorId, u64> = HashMap::new();
    let mut ids = HashSet::new();
    for (index, entry) in journal.entries().iter().enumerate() {
        let again = Entry::parse(entry.bytes()).unwrap();
        assert_eq!((again.index(), again.previous()), (index as u64, previous));
        previous = Digest::of(&[&[0], entry.bytes()]);
        assert_eq!(entry.leaf(), previous);
        assert!(ids.insert(entry.id()), "entry {} is there twice", entry.id());
        for stream in entry.streams() {
            let next = streams.entry(stream.id).or_default();
            assert_eq!(stream.index, *next);
            *next += 1;
        }
    }
}

/// An archive that can be away, and that fails in every way an append can.
pub(crate) struct FlakyArchive {
    pub(crate) journal: Arc<MemoryJournal>,
    state: Mutex<Flaky>,
}

#[derive(Default)]
struct Flaky {
    away: bool,
    appends: u64,
    fail_at: BTreeMap<u64, ArchiveFault>,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchiveFault {
    NotPersisted,
    PersistedButReportedFailed,
    /// Persisted, but the answer never comes.
    PersistedAndHangs,
    Pushback,
    Refused,
}

impl FlakyArchive {
    pub(crate) fn new(journal: Arc<MemoryJournal>) -> Self {
        Self { journal, state: Mutex::default() }
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.state.lock().away = away;
    }

    pub(crate) fn fail_at(&self, append: u64, fault: ArchiveFault) {
        self.state.lock().fail_at.insert(append, fault);
    }

    /// How often it was asked.
    pub(crate) fn appends(&self) -> u64 {
        self.state.lock().appends
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }
}

impl Append for FlakyArchive {
    fn append(&self, submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let (away, fault, delay) = {
                let mut state = self.state.lock();
                let fault = {
                    let number = state.appends;
                    state.fail_at.remove(&number)
                };
                state.appends += 1;
                (state.away, fault, state.delay)
            };
            if away {
                return Err(AppendError::Unavailable);
            }
            let entry = submission.draft.id;
            // As the archive does: the place in the queue is taken at once, the commit takes its time.
            let appended = match fault {
                None | Some(ArchiveFault::PersistedButReportedFailed | ArchiveFault::PersistedAndHangs) => {
                    Some(self.journal.append(submission).await?)
                }
                Some(_) => None,
            };
            tokio::time::sleep(delay).await;
            match (fault, appended) {
                (None, Some(appended)) => Ok(appended),
                (Some(ArchiveFault::Pushback), _) => Err(AppendError::Pushback),
                (Some(ArchiveFault::Refused), _) => Err(AppendError::Content { entry, problem: "a test says so" }),
                (Some(ArchiveFault::PersistedAndHangs), _) => std::future::pending().await,
                _ => Err(AppendError::Unavailable),
            }
        })
    }
}
