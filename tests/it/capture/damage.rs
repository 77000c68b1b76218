//! A spool that is full, damaged or holds what the archive never takes: refused or on record, said once, and nothing else is held up.

use std::time::Duration;

use muniment::capture::spool::{Bounds, KeepError};
use muniment::settings::WhenUnavailable;

use super::spool::World;
use super::support::{ArchiveFault, assert_sound};

#[tokio::test]
async fn a_full_spool_and_a_full_disk_refuse() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds { total: 3000, segment: 1000 });
    world.archive.set_away(true);
    let mut promised = Vec::new();
    let mut refused = 0;
    for number in 0..10 {
        match running.spool.keep(world.capture(number)).await {
            Ok(_) => promised.push(number),
            Err(KeepError::Journal(error)) => {
                assert!(error.to_string().contains("full"), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0 && !promised.is_empty());
    world.disk.set_full(true);
    assert!(matches!(running.spool.keep(world.capture(98)).await, Err(KeepError::Journal(_))));
    world.disk.set_full(false);
    world.archive.set_away(false);
    running.drained().await;
    assert_eq!(world.captured(), promised);
    running.end().await;
}

#[tokio::test]
async fn damage_in_the_spool_is_a_gap_and_what_follows_is_replayed() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    world.archive.set_away(true);
    for number in 0..5 {
        running.spool.keep(world.capture(number)).await.unwrap();
    }
    running.end().await;
    // Inside the first capture, behind the start of the outage.
    world.disk.damage(900);
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    world.archive.set_away(false);
    running.drained().await;
    let captured = world.captured();
    assert_eq!(captured.len(), 4, "{captured:?}");
    assert!(captured.is_sorted() && captured.contains(&4));
    assert!(world.gaps().contains(&("spool_damaged".to_owned(), 1)), "{:?}", world.gaps());
    assert_eq!(world.disk.set_aside_count(), 1, "the damaged file is kept");
    running.end().await;
}

#[tokio::test]
async fn damage_and_rejection_are_said_once_though_the_file_can_not_be_moved_for_long() {
    for damaged in [true, false] {
        let world = World::new();
        let running = world.start(WhenUnavailable::Spool, Bounds::default());
        world.archive.set_away(true);
        for number in 0..5 {
            running.spool.keep(world.capture(number)).await.unwrap();
        }
        running.end().await;
        if damaged {
            world.disk.damage(900);
        }
        let running = world.start(WhenUnavailable::Spool, Bounds::default());
        if !damaged {
            world.archive.fail_at(world.archive.appends() + 3, ArchiveFault::Refused);
        }
        world.disk.set_read_only(true);
        world.archive.set_away(false);
        let cause = if damaged { "spool_damaged" } else { "spool_rejected" };
        let said = || world.gaps().iter().filter(|(said, _count)| said == cause).count();
        tokio::time::timeout(Duration::from_secs(10), async {
            while said() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it is on record");
        // Replay tries again, after 100 ms, 200 ms and so on.
        let appends = world.archive.appends();
        tokio::time::timeout(Duration::from_secs(10), async {
            while world.archive.appends() < appends + 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it is tried again");
        world.disk.set_read_only(false);
        running.drained().await;
        assert_eq!(said(), 1, "{cause}: {:?}", world.gaps());
        assert_eq!((world.captured().len(), world.disk.set_aside_count()), (4, 1), "{cause}");
        assert_sound(&world.ledger);
        running.end().await;
    }
}

#[tokio::test]
async fn a_segment_that_was_taken_away_is_a_gap() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds { total: 1 << 20, segment: 600 });
    world.archive.set_away(true);
    for number in 0..6 {
        running.spool.keep(world.capture(number)).await.unwrap();
    }
    running.end().await;
    world.disk.take_away(1);
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    world.archive.set_away(false);
    running.drained().await;
    assert!(world.captured().len() < 6);
    assert!(world.gaps().contains(&("spool_damaged".to_owned(), 1)), "{:?}", world.gaps());
    running.end().await;
}

#[tokio::test]
async fn what_the_archive_never_takes_is_a_gap_and_does_not_hold_up_the_rest() {
    let world = World::new();
    let running = world.start(WhenUnavailable::Spool, Bounds::default());
    world.archive.set_away(true);
    for number in 0..5 {
        running.spool.keep(world.capture(number)).await.unwrap();
    }
    // Append 0 found the archive away; 1 is the first replayed one: the start of the outage.
    world.archive.fail_at(3, ArchiveFault::Refused);
    world.archive.set_away(false);
    running.drained().await;
    assert_eq!(world.captured().len(), 4);
    assert!(world.gaps().contains(&("spool_rejected".to_owned(), 1)), "{:?}", world.gaps());
    assert_eq!(world.disk.set_aside_count(), 1);
    running.end().await;
}
