//! The spool in front of the archive: nothing promised is lost, nothing is there twice, everything in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muniment::archive::Submission;
use muniment::capture::MemoryJournal;
use muniment::capture::spool::{Bounds, Disk, Journal, KeepError, Kept, Spool, SpoolKey, SpoolParts};
use muniment::ledger::{Actor, Commitments, Draft, Entry, EntryType};
use muniment::record::{AdvisorId, Clock, DeviceId, Digest, EntryId, Ids, MasterKey, RecordId};
use muniment::settings::WhenUnavailable;
use muniment::telemetry::Metrics;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::disk::FaultDisk;
use super::support::{ArchiveFault, CountedEntropy, CountedIds, FlakyArchive, ManualClock, assert_sound};

pub(super) struct World {
    pub(super) disk: FaultDisk,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ids: Arc<CountedIds>,
    pub(super) archive: Arc<FlakyArchive>,
    pub(super) ledger: Arc<MemoryJournal>,
}

/// A spool with its replay running.
pub(super) struct Running {
    pub(super) spool: Arc<Spool>,
    pub(super) stop: CancellationToken,
    pub(super) task: tokio::task::JoinHandle<()>,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Arc::<ManualClock>::default();
        let ledger = Arc::new(MemoryJournal::new(Arc::clone(&clock) as Arc<dyn Clock>, MasterKey::new([7; 32])));
        let archive = Arc::new(FlakyArchive::new(Arc::clone(&ledger)));
        Self { disk: FaultDisk::default(), clock, ids: Arc::default(), archive, ledger }
    }

    pub(super) fn start(&self, when_unavailable: WhenUnavailable, bounds: Bounds) -> Running {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let entropy = Arc::<CountedEntropy>::default();
        let journal = Journal::open(disk, SpoolKey::derive(&[1; 32]), bounds, Arc::clone(&clock), entropy).unwrap();
        let spool = Arc::new(Spool::new(SpoolParts {
            archive: Arc::clone(&self.archive) as Arc<_>,
            journal,
            when_unavailable,
            append_timeout: Duration::from_millis(200),
            clock,
            ids: Arc::clone(&self.ids) as Arc<_>,
            metrics: Arc::new(Metrics::new()),
        }));
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (spool, stop) = (Arc::clone(&spool), stop.clone());
            async move { spool.run(stop).await }
        });
        Running { spool, stop, task }
    }

    pub(super) fn capture(&self, exchange: u128) -> Submission {
        let Value::Object(detail) = json!({
            "attachments": 0, "direction": "outbound", "exchange": Uuid::from_u128(exchange), "kinds": ["post"],
            "network": "bluesky", "rules": Digest::ZERO, "size": 1, "transport": "http",
        }) else {
            panic!("an object")
        };
        Submission::plain(Draft {
            id: EntryId::new(self.ids.fresh()),
            entry_type: EntryType::Capture,
            actor: Actor::Device(DeviceId::new(Uuid::from_u128(1))),
            captured_at: self.clock.now(),
            record: None,
            streams: vec![AdvisorId::new(Uuid::from_u128(2))],
            commitments: Commitments::new(),
            detail,
        })
    }

    /// A capture and its outcome, of one record.
    pub(super) fn pair(&self, number: u128) -> [Submission; 2] {
        let mut capture = self.capture(number);
        capture.draft.record = Some(RecordId::new(self.ids.fresh()));
        let mut outcome = capture.clone();
        outcome.draft.id = EntryId::new(self.ids.fresh());
        outcome.draft.entry_type = EntryType::Outcome;
        outcome.draft.detail.clear();
        outcome.draft.detail.insert("capture".to_owned(), capture.draft.id.to_string().into());
        outcome.draft.detail.insert("state".to_owned(), "accepted".into());
        [capture, outcome]
    }

    pub(super) fn captured(&self) -> Vec<u128> {
        self.ledger.entries_of(EntryType::Capture).iter().map(number).collect()
    }

    pub(super) fn gaps(&self) -> Vec<(String, u64)> {
        let said = |entry: &Entry| {
            let detail = entry.detail();
            (detail["cause"].as_str().unwrap().to_owned(), detail["count"].as_u64().unwrap())
        };
        self.ledger.entries_of(EntryType::Gap).iter().map(said).collect()
    }
}

pub(super) fn number(entry: &Entry) -> u128 {
    entry.detail()["exchange"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128()
}

impl Running {
    pub(super) async fn drained(&self) {
        tokio::time::timeout(Duration::from_secs(10), async {
            while self.spool.is_away() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the spool is replayed");
        assert_eq!(self.spool.backlog(), muniment::capture::spool::Backlog::default());
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        assert_eq!(Arc::strong_count(&self.spool), 1);
    }
}

#[tokio::test]
async fn p1_an_outage_is_spooled_and_replayed_in_order_with_its_start_and_end_on_record() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    assert!(matches!(running.spool.keep(world.capture(0)).await, Ok(Kept::Archived(_))));
    world.archive.set_away(true);
    for number in 1..6 {
        assert!(matches!(running.spool.keep(world.capture(number)).await, Ok(Kept::Spooled)));
    }
    world.archive.set_away(false);
    running.drained().await;
    assert!(matches!(running.spool.keep(world.capture(6)).await, Ok(Kept::Archived(_))));
    assert_eq!(world.captured(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(world.gaps(), [("archive_unavailable".to_owned(), 0), ("archive_unavailable".to_owned(), 5)]);
    assert_sound(&world.ledger);
    running.end().await;
}

#[tokio::test]
async fn p1_every_append_that_fails_in_every_way_loses_nothing_and_doubles_nothing() {
    use ArchiveFault::{NotPersisted, PersistedAndHangs, PersistedButReportedFailed, Pushback, Refused};
    for fault in [NotPersisted, PersistedButReportedFailed, PersistedAndHangs, Pushback, Refused] {
        for step in 0..10 {
            let world = World::new();
            world.archive.fail_at(step, fault);
            let running = world.start(WhenUnavailable::Spool, Bounds { total: 1 << 20, segment: 700 });
            let mut promised = Vec::new();
            for number in 0..8 {
                if running.spool.keep(world.capture(number)).await.is_ok() {
                    promised.push(number);
                }
            }
            running.drained().await;
            let captured = world.captured();
            assert_eq!(captured, promised, "{fault:?} at append {step}");
            assert!(promised.len() >= 7);
            assert_sound(&world.ledger);
            running.end().await;
        }
    }
}

#[tokio::test]
async fn p1_what_is_spooled_when_the_power_fails_is_replayed_by_the_next_start() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds { total: 1 << 20, segment: 2000 });
    world.archive.set_away(true);
    for number in 0..10 {
        running.spool.keep(world.capture(number)).await.unwrap();
    }
    running.end().await;
    let world = World { disk: world.disk.after_power_cut(|_| 0), ..world };
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    assert!(running.spool.is_away());
    running.spool.keep(world.capture(10)).await.unwrap();
    world.archive.set_away(false);
    running.drained().await;
    assert_eq!(world.captured(), (0..11).collect::<Vec<_>>());
    assert_eq!(world.gaps().last().unwrap().1, 12, "ten captures and the start of the outage, then one more");
    assert_sound(&world.ledger);
    running.end().await;
}

#[tokio::test]
async fn p1_a_stop_in_the_middle_of_replay_loses_nothing_and_doubles_nothing() {
    for stop_after in 0..12 {
        let world = World::new();
        let bounds = Bounds { total: 1 << 20, segment: 2000 };
        let running = world.start(WhenUnavailable::Spool, bounds);
        world.archive.set_away(true);
        for number in 0..10 {
            running.spool.keep(world.capture(number)).await.unwrap();
        }
        // Some appends pass, one hangs after it was persisted: the process ends there.
        let seen_while_away = 1;
        world.archive.fail_at(seen_while_away + stop_after, ArchiveFault::PersistedAndHangs);
        world.archive.set_away(false);
        tokio::time::sleep(Duration::from_millis(120)).await;
        running.end().await;
        let world = World { disk: world.disk.after_kill(), ..world };
        let running = world.start(WhenUnavailable::Spool, bounds);
        running.drained().await;
        assert_eq!(world.captured(), (0..10).collect::<Vec<_>>(), "stopped after {stop_after}");
        assert_sound(&world.ledger);
        running.end().await;
    }
}

#[tokio::test]
async fn p1_no_outcome_overtakes_its_capture_whichever_append_of_a_replay_fails() {
    for step in 0..14 {
        let world = World::new();
        let running = world.start(WhenUnavailable::Spool, Bounds::default());
        world.archive.set_away(true);
        for number in 0..6 {
            for submission in world.pair(number) {
                running.spool.keep(submission).await.unwrap();
            }
        }
        let appends_before = world.archive.appends();
        world.archive.fail_at(appends_before + step, ArchiveFault::NotPersisted);
        world.archive.set_away(false);
        running.drained().await;
        assert_sound(&world.ledger);
        let place = |id: &str| world.ledger.entries().iter().position(|entry| entry.id().to_string() == id);
        for outcome in world.ledger.entries_of(EntryType::Outcome) {
            let capture = place(outcome.detail()["capture"].as_str().unwrap()).expect("its capture is there");
            assert!((capture as u64) < outcome.index(), "append {step} of the replay failed");
        }
        assert_eq!(world.ledger.entries_of(EntryType::Outcome).len(), 6);
        running.end().await;
    }
}

#[tokio::test]
async fn with_refuse_no_write_is_spooled_but_gaps_are() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Refuse, Bounds::default());
    world.archive.set_away(true);
    // The first was handed to the archive, and who knows.
    let error = running.spool.keep(world.capture(0)).await.unwrap_err();
    assert!(matches!(&error, KeepError::InDoubt(why) if matches!(**why, KeepError::Unavailable)), "{error}");
    for number in 1..3 {
        let error = running.spool.keep(world.capture(number)).await.unwrap_err();
        assert!(matches!(error, KeepError::Unavailable), "{error}");
    }
    world.archive.set_away(false);
    running.drained().await;
    assert_eq!(world.captured(), [0_u128; 0]);
    assert_eq!(world.gaps().len(), 2, "start and end of the outage");
    running.spool.keep(world.capture(9)).await.unwrap();
    assert_eq!(world.captured(), [9]);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_replay_catches_up_under_load_and_causes_stay_before_their_consequences() {
    let world = World::new();
    world.archive.set_delay(Duration::from_millis(1));
    let running = world.start(WhenUnavailable::Spool, Bounds { total: 1 << 26, segment: 1 << 15 });
    let world = Arc::new(world);
    let writers: Vec<_> = (0..16_u128)
        .map(|writer| {
            let (world, spool) = (Arc::clone(&world), Arc::clone(&running.spool));
            tokio::spawn(async move {
                // Each writer waits for one before it offers the next: its numbers must come out in order.
                for number in 0..150 {
                    spool.keep(world.capture(writer * 1000 + number)).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        world.archive.set_away(true);
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.archive.set_away(false);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    running.drained().await;
    let captured = world.captured();
    assert_eq!(captured.iter().collect::<BTreeSet<_>>().len(), 16 * 150);
    assert_eq!(captured.len(), 16 * 150);
    for writer in 0..16 {
        let own: Vec<_> = captured.iter().filter(|number| **number / 1000 == writer).collect();
        assert!(own.is_sorted(), "writer {writer}");
    }
    assert_sound(&world.ledger);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_catches_up_with_writes_that_come_faster_than_the_archive_takes_them() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds { total: 1 << 28, segment: 1 << 14 });
    let world = Arc::new(world);
    // A segment in 30 ms: the journal is much faster than that.
    world.archive.set_delay(Duration::from_millis(30));
    world.archive.set_away(true);
    let enough = CancellationToken::new();
    let writers: Vec<_> = (0..4_u128)
        .map(|writer| {
            let (world, spool, enough) = (Arc::clone(&world), Arc::clone(&running.spool), enough.clone());
            tokio::spawn(async move {
                let mut kept = 0;
                while !enough.is_cancelled() {
                    spool.keep(world.capture(writer * 1_000_000 + kept)).await.unwrap();
                    kept += 1;
                }
                kept
            })
        })
        .collect();
    let is_behind = async {
        while running.spool.backlog().frames < 400 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_behind).await.expect("writes are spooled");
    world.archive.set_away(false);
    // Nobody stops writing.
    let caught_up = async {
        while running.spool.is_away() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), caught_up).await.expect("the spool is replayed");
    enough.cancel();
    let mut kept = 0;
    for writer in writers {
        kept += writer.await.unwrap();
    }
    let captured = world.captured();
    assert_eq!(captured.len() as u128, kept);
    assert_eq!(captured.iter().collect::<BTreeSet<_>>().len() as u128, kept);
    assert_sound(&world.ledger);
    running.end().await;
}
