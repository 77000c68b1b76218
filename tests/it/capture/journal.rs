//! The journal keeps what it said it keeps: on a disk that fails at every step, and when its process is killed at any moment.

use std::sync::Arc;

use bytes::Bytes;
use muniment::capture::spool::{Bounds, Directory, Disk, Journal, JournalError, SpoolKey, Tail};
use proptest::prelude::*;

use super::disk::{FAULTS, FaultDisk};
use super::support::{CountedEntropy, ManualClock};

fn open(disk: &(impl Disk + Clone + 'static), bounds: Bounds) -> Journal {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Journal::open(
        disk,
        SpoolKey::derive(&[1; 32]),
        bounds,
        Arc::<ManualClock>::default(),
        Arc::<CountedEntropy>::default(),
    )
    .unwrap()
}

/// Everything the journal holds, in order; with whether anything is damaged.
async fn drain(journal: &Journal) -> (Vec<Vec<u8>>, bool) {
    let (mut payloads, mut damaged) = (Vec::new(), false);
    while let Some(number) = journal.oldest().await.unwrap() {
        let reading = journal.read(number).await.unwrap().unwrap();
        damaged |= reading.is_damaged();
        payloads.extend(reading.payloads);
        journal.remove(number).await.unwrap();
    }
    (payloads, damaged)
}

/// Whether `kept` holds all of `promised`, in order, and besides them only what was offered.
fn holds(kept: &[Vec<u8>], promised: &[Vec<u8>], offered: &[Vec<u8>]) -> bool {
    let subsequence = |part: &[Vec<u8>], whole: &[Vec<u8>]| {
        let mut whole = whole.iter();
        part.iter().all(|one| whole.any(|other| other == one))
    };
    subsequence(promised, kept) && subsequence(kept, offered)
}

const SMALL: Bounds = Bounds { total: 1 << 20, segment: 400 };

/// Offers payloads one after the other; gives back what was offered and what was promised.
async fn offer(journal: &Journal, payloads: std::ops::Range<u8>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut offered, mut promised) = (Vec::new(), Vec::new());
    for number in payloads {
        let payload = vec![number; 100];
        offered.push(payload.clone());
        if journal.append(Bytes::from(payload.clone())).await.is_ok() {
            promised.push(payload);
        }
    }
    (offered, promised)
}

#[tokio::test]
async fn p1_every_spool_step_that_fails_loses_nothing_that_was_promised() {
    let steps = {
        let disk = FaultDisk::default();
        offer(&open(&disk, SMALL), 0..12).await;
        disk.steps()
    };
    assert!(steps > 20, "the scenario makes {steps} steps");
    for step in 0..steps {
        for fault in FAULTS {
            let disk = FaultDisk::failing(step, fault);
            let journal = open(&disk, SMALL);
            let (offered, promised) = offer(&journal, 0..12).await;
            assert!(promised.len() + 1 >= offered.len(), "one fault at {step} refused more than one payload");
            drop(journal);
            for after in [disk.after_kill(), disk.after_power_cut(|_| 0), disk.after_power_cut(|loose| loose / 3)] {
                let (kept, damaged) = drain(&open(&after, SMALL)).await;
                assert!(holds(&kept, &promised, &offered), "step {step} {fault:?}: kept {kept:?}");
                assert!(!damaged, "step {step} {fault:?}: a torn tail is no damage");
            }
        }
    }
}

#[tokio::test]
async fn p1_a_removal_that_fails_keeps_the_segment_or_brings_it_back() {
    let first_removal = {
        let disk = FaultDisk::default();
        offer(&open(&disk, SMALL), 0..4).await;
        disk.steps()
    };
    for step in [first_removal, first_removal + 1] {
        for fault in FAULTS {
            let disk = FaultDisk::failing(step, fault);
            let journal = open(&disk, SMALL);
            let (offered, promised) = offer(&journal, 0..4).await;
            let oldest = journal.oldest().await.unwrap().unwrap();
            let held = journal.read(oldest).await.unwrap().unwrap().payloads;
            assert!(journal.remove(oldest).await.is_err());
            drop(journal);
            let (kept, _) = drain(&open(&disk.after_power_cut(|_| 0), SMALL)).await;
            let again: Vec<_> = kept.into_iter().filter(|one| !held.contains(one)).collect();
            let all = [held, again].concat();
            assert!(holds(&all, &promised, &offered), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_journal_goes_on_when_there_is_room() {
    let disk = FaultDisk::default();
    let journal = open(&disk, SMALL);
    journal.append(Bytes::from_static(b"before")).await.unwrap();
    disk.set_full(true);
    for _ in 0..20 {
        let error = journal.append(Bytes::from_static(b"refused")).await.unwrap_err();
        assert!(matches!(error, JournalError::Disk(std::io::ErrorKind::StorageFull)), "{error}");
    }
    assert!(disk.segments().unwrap().len() <= 2, "refused appends leave no files behind");
    disk.set_full(false);
    journal.append(Bytes::from_static(b"after")).await.unwrap();
    let (kept, damaged) = drain(&journal).await;
    assert_eq!(kept, [b"before".to_vec(), b"after".to_vec()]);
    assert!(!damaged);
}

#[tokio::test]
async fn a_journal_at_its_bound_refuses_and_takes_again_once_drained() {
    let journal = open(&FaultDisk::default(), Bounds { total: 1000, segment: 400 });
    let (offered, promised) = offer(&journal, 0..20).await;
    assert!(promised.len() < offered.len() && journal.backlog().bytes <= 1000 + 128);
    let error = journal.append(Bytes::from(vec![0; 100])).await.unwrap_err();
    assert!(matches!(error, JournalError::Full(1000)) && error.to_string().contains("archive.spool"));
    assert_eq!(drain(&journal).await.0, promised);
    assert_eq!(journal.backlog().frames, 0);
    journal.append(Bytes::from(vec![0; 100])).await.unwrap();
}

#[tokio::test]
async fn a_payload_over_the_frame_bound_is_refused_before_it_is_queued() {
    let journal = open(&FaultDisk::default(), Bounds::default());
    let error = journal.append(Bytes::from(vec![0; (16 << 20) + 1])).await.unwrap_err();
    assert!(matches!(error, JournalError::Frame(_)), "{error}");
}

#[tokio::test]
async fn a_damaged_middle_is_reported_and_what_follows_is_read() {
    let disk = FaultDisk::default();
    offer(&open(&disk, Bounds::default()), 0..5).await;
    disk.damage(128 + 140 * 2 + 60);
    let journal = open(&disk, Bounds::default());
    let oldest = journal.oldest().await.unwrap().unwrap();
    let reading = journal.read(oldest).await.unwrap().unwrap();
    assert_eq!(reading.payloads.iter().map(|payload| payload[0]).collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert_eq!((reading.missing, reading.tail, reading.is_damaged()), (1, Tail::Whole, true));
    journal.set_aside(oldest).await.unwrap();
    assert_eq!((journal.oldest().await.unwrap(), disk.set_aside_count()), (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_appends_share_an_fsync() {
    let disk = FaultDisk::default();
    let journal = Arc::new(open(&disk, Bounds::default()));
    let tasks: Vec<_> = (0..200_u8)
        .map(|number| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move { journal.append(Bytes::from(vec![number; 50])).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut kept = drain(&journal).await.0;
    kept.sort();
    assert_eq!(kept, (0..200_u8).map(|number| vec![number; 50]).collect::<Vec<_>>());
}

#[test]
fn a_second_process_cannot_open_the_same_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Directory::open(directory.path()).unwrap();
    let second = Directory::open(directory.path()).unwrap_err();
    assert!(second.to_string().contains("another muniment process"), "{second}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn p1_any_faults_and_any_power_cut_lose_nothing_that_was_promised(
        faults in prop::collection::vec((0_u64..60, 0_usize..3), 0..6), survive in 0_usize..300, appends in 1_u8..25, segment in 130_u64..900,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bounds = Bounds { total: 1 << 20, segment };
            let disk = FaultDisk::default();
            for (step, fault) in faults { disk.fail_at(step, FAULTS[fault]); }
            let journal = open(&disk, bounds);
            let (offered, promised) = offer(&journal, 0..appends).await;
            drop(journal);
            let after = disk.after_power_cut(|_| survive);
            let (kept, damaged) = drain(&open(&after, bounds)).await;
            prop_assert!(holds(&kept, &promised, &offered));
            prop_assert!(!damaged);
            Ok(())
        })?;
    }
}
