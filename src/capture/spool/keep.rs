//! Keeping a submission: in the archive, or in the spool while the archive is away.
//!
//! Invariant: [`Spool::keep`] answers `Ok` only when the submission is durable in one of the two, and everything that was
//! ever spooled reaches the archive before anything newer does. While the archive is away, and until the last spooled
//! submission is in it, everything goes through the spool: so an outcome never overtakes its capture.
//!
//! An error means "not known to be durable". The caller refuses; should the submission turn up after all, it is a record of
//! something that was not sent, which P1 allows.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock};
use tokio::time::timeout;

use super::codec::{self, CodecError};
use super::{Backlog, Journal, JournalError};
use crate::archive::{Append, AppendError, Appended, Submission};
use crate::capture::GapCause;
use crate::ledger::{Actor, Draft, EntryType};
use crate::record::{Clock, EntryId, Ids, Timestamp, Word};
use crate::settings::WhenUnavailable;
use crate::telemetry::Metrics;

/// A disk that does not answer is an unusable disk.
const DISK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a submission is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the archive, at this place.
    Archived(Appended),
    /// In the spool; it gets its place when the archive is back.
    Spooled,
}

/// A submission is not known to be durable.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The archive is away and settings say to refuse then.
    #[error("the archive is away, and archive.when_unavailable is `refuse`")]
    Unavailable,
    /// The archive is away and the spool cannot take it.
    #[error("the archive is away, and {0}")]
    Journal(#[from] JournalError),
    /// The archive is away and the disk of the spool does not answer.
    #[error("the archive is away, and the disk of the spool does not answer")]
    Disk,
    /// The archive has too much to do; later it may pass.
    #[error("the archive has too much to do")]
    Pushback,
    /// The archive takes nothing at all now, and somebody has to look.
    #[error("the archive takes nothing: {0}")]
    Halted(#[source] AppendError),
    /// The archive will never take this one.
    #[error("the archive does not take this entry: {0}")]
    Rejected(#[source] AppendError),
    /// It cannot be written down.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It may be durable all the same: it was handed over, and nobody knows yet what came of it. Never around an error that is for good.
    #[error(transparent)]
    InDoubt(Box<KeepError>),
}

impl KeepError {
    fn in_doubt(self) -> Self {
        match self {
            Self::Rejected(_) | Self::Codec(_) | Self::InDoubt(_) => self,
            error => Self::InDoubt(Box::new(error)),
        }
    }
}

/// What a failed append asks for.
pub(super) enum Reaction {
    /// The archive is away.
    Spool,
    /// Not now.
    Wait(KeepError),
    /// Not ever.
    Give(KeepError),
}

pub(super) fn reaction(error: AppendError) -> Reaction {
    match error {
        AppendError::Unavailable => Reaction::Spool,
        AppendError::Pushback => Reaction::Wait(KeepError::Pushback),
        AppendError::ClockAhead { .. } | AppendError::Stopped(_) | AppendError::Closed => {
            Reaction::Wait(KeepError::Halted(error))
        }
        AppendError::Draft { .. } | AppendError::Content { .. } | AppendError::Refused { .. } => {
            Reaction::Give(KeepError::Rejected(error))
        }
    }
}

/// What the spool is made of.
pub struct SpoolParts {
    /// The archive, or what stands for it.
    pub archive: Arc<dyn Append>,
    /// The journal on disk.
    pub journal: Journal,
    /// What to do with writes while the archive is away.
    pub when_unavailable: WhenUnavailable,
    /// Longest wait for one append.
    pub append_timeout: Duration,
    /// Tells the time of gaps.
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of gaps.
    pub ids: Arc<dyn Ids>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// An outage, from its first failed append to the last replayed one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) from: Timestamp,
    pub(super) spooled: u64,
    /// Of the entry that says that it is over: the same at each try, so that it is said once.
    pub(super) ended: EntryId,
}

/// The archive with a journal in front of it. Replay is driven by [`Spool::run`].
pub struct Spool {
    pub(super) archive: Arc<dyn Append>,
    pub(super) journal: Journal,
    when_unavailable: WhenUnavailable,
    append_timeout: Duration,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    pub(super) metrics: Arc<Metrics>,
    /// Submissions go through the journal. Set by the first append that finds the archive away, cleared by replay under
    /// the write side of `gate`.
    pub(super) away: AtomicBool,
    /// Held for reading while a submission goes into the journal, for writing while replay makes sure that it is empty.
    pub(super) gate: RwLock<()>,
    pub(super) outage: Mutex<Option<Outage>>,
    pub(super) wake: Notify,
    /// Segments whose files were taken away, until that is on record.
    pub(super) lost: AtomicU64,
}

impl Spool {
    /// Takes over what an earlier run left in the journal: it is replayed first.
    #[must_use]
    pub fn new(parts: SpoolParts) -> Self {
        let left = parts.journal.opened_at();
        let outage = left.map(|from| Outage {
            from,
            spooled: parts.journal.backlog().frames,
            ended: EntryId::new(parts.ids.fresh()),
        });
        let lost = parts.journal.lost_segments();
        let spool = Self {
            archive: parts.archive,
            journal: parts.journal,
            when_unavailable: parts.when_unavailable,
            append_timeout: parts.append_timeout,
            clock: parts.clock,
            ids: parts.ids,
            metrics: parts.metrics,
            away: AtomicBool::new(outage.is_some()),
            gate: RwLock::new(()),
            outage: Mutex::new(outage),
            wake: Notify::new(),
            lost: AtomicU64::new(lost),
        };
        spool.measure();
        spool
    }

    /// Makes a submission durable.
    ///
    /// # Errors
    /// See [`KeepError`]: it is then not known to be durable.
    pub async fn keep(&self, submission: impl Borrow<Submission> + Send) -> Result<Kept, KeepError> {
        let mut handed_over = false;
        let kept = self.keep_somewhere(submission.borrow(), &mut handed_over).await;
        kept.map_err(|error| if handed_over { error.in_doubt() } else { error })
    }

    /// `handed_over` where archive or journal had it in hand when they failed.
    async fn keep_somewhere(&self, submission: &Submission, handed_over: &mut bool) -> Result<Kept, KeepError> {
        // More than once: an outage may end, and another begin, while a submission waits for the gate.
        for _ in 0..3 {
            let mut began = None;
            if !self.is_away() {
                match self.append(submission.clone()).await.map_err(reaction) {
                    Ok(appended) => return Ok(Kept::Archived(appended)),
                    Err(Reaction::Wait(error) | Reaction::Give(error)) => return Err(error),
                    Err(Reaction::Spool) => {
                        *handed_over = true;
                        began = self.begin_outage();
                    }
                }
            }
            // Nothing goes into the journal but under the gate: else replay could find it empty and let newer ones pass.
            let _gate = self.gate.read().await;
            if self.is_away() {
                // Both share an fsync, and the start of the outage stands first.
                let ((), kept) = Box::pin(async { tokio::join!(self.note(began), self.spool(submission)) }).await;
                // A frame whose sync failed may be on the disk.
                *handed_over |= matches!(kept, Err(KeepError::Journal(JournalError::Disk(_)) | KeepError::Disk));
                return kept;
            }
        }
        Err(KeepError::Pushback)
    }

    /// Makes a submission durable on this machine, whatever the archive is doing: for what must not be lost at shutdown.
    ///
    /// # Errors
    /// See [`KeepError`].
    pub async fn keep_here(&self, submission: &Submission) -> Result<(), KeepError> {
        self.write(submission).await
    }

    /// Whether submissions go through the journal now.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Acquire)
    }

    /// What waits for the archive.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.journal.backlog()
    }

    /// One append, with a bound on the wait even where the archive has none.
    pub(super) async fn append(&self, submission: Submission) -> Result<Appended, AppendError> {
        timeout(self.append_timeout, self.archive.append(submission)).await.unwrap_or(Err(AppendError::Unavailable))
    }

    async fn spool(&self, submission: &Submission) -> Result<Kept, KeepError> {
        let holds_up_a_write = submission.draft.entry_type == EntryType::Capture;
        if holds_up_a_write && self.when_unavailable == WhenUnavailable::Refuse {
            return Err(KeepError::Unavailable);
        }
        self.write(submission).await?;
        if let Some(outage) = &mut *self.outage.lock() {
            outage.spooled += 1;
        }
        Ok(Kept::Spooled)
    }

    async fn write(&self, submission: &Submission) -> Result<(), KeepError> {
        let payload = codec::encode(submission)?;
        timeout(DISK_TIMEOUT, self.journal.append(payload)).await.map_err(|_elapsed| KeepError::Disk)??;
        self.measure();
        Ok(())
    }

    /// The archive is away: wakes the replay that will find it back. Answers with what goes on record, once per outage.
    fn begin_outage(&self) -> Option<Submission> {
        let from = self.clock.now();
        {
            let mut outage = self.outage.lock();
            if self.away.swap(true, Ordering::AcqRel) {
                return None;
            }
            *outage = Some(Outage { from, spooled: 0, ended: self.fresh_id() });
        }
        tracing::warn!(cause = %GapCause::ArchiveUnavailable, "the archive is away");
        self.metrics.gap(GapCause::ArchiveUnavailable.as_str());
        self.wake.notify_one();
        Some(self.gap(self.fresh_id(), GapCause::ArchiveUnavailable, 0, from))
    }

    async fn note(&self, began: Option<Submission>) {
        if let Some(began) = began
            && let Err(error) = self.write(&began).await
        {
            // The end of the outage is on record in any case.
            tracing::error!(%error, "the start of an outage could not be spooled");
        }
    }

    /// An entry about the spool itself: no host, no device, nothing to seal.
    pub(super) fn gap(&self, id: EntryId, cause: GapCause, count: u64, from: Timestamp) -> Submission {
        let now = self.clock.now();
        let mut detail = serde_json::Map::new();
        detail.insert("cause".to_owned(), cause.as_str().into());
        detail.insert("count".to_owned(), count.into());
        detail.insert("from".to_owned(), from.to_string().into());
        detail.insert("until".to_owned(), now.max(from).to_string().into());
        Submission::plain(Draft {
            id,
            entry_type: EntryType::Gap,
            actor: Actor::Service(Word::CAPTURE),
            captured_at: now,
            record: None,
            streams: Vec::new(),
            commitments: crate::ledger::Commitments::new(),
            detail,
        })
    }

    pub(super) fn fresh_id(&self) -> EntryId {
        EntryId::new(self.ids.fresh())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn measure(&self) {
        let backlog = self.journal.backlog();
        self.metrics.spool(backlog.frames, backlog.bytes);
    }
}
