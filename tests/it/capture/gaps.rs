//! Gaps: each cause is on record within a minute, repeats are counted, and an outage or a stop loses none.

use std::time::Duration;

use muniment::capture::{Gap, GapCause, Pace, Recorder};
use muniment::ledger::EntryType;

use super::world::{PACE, said, world};

fn of_host(cause: GapCause, host: &str) -> Gap {
    Gap { host: Some(host.to_owned()), ..Gap::new(cause) }
}

#[tokio::test]
async fn p4_every_cause_is_on_record_within_a_minute() {
    assert!(Pace::default().gap_window * 2 <= Duration::from_secs(60));
    let world = world().await;
    for cause in GapCause::ALL {
        world.capture.gap(of_host(*cause, "social.example"));
    }
    tokio::time::sleep(PACE.gap_window).await;
    let mut causes: Vec<_> = world.entries(EntryType::Gap).iter().map(|gap| said(gap, "cause")).collect();
    causes.sort();
    let mut all: Vec<_> = GapCause::ALL.iter().map(|cause| cause.as_str().to_owned()).collect();
    all.sort();
    assert_eq!(causes, all);
    world.end().await;
}

#[tokio::test]
async fn p4_repeats_are_counted_and_none_is_missing() {
    let world = world().await;
    for _ in 0..300 {
        world.capture.gap(of_host(GapCause::LeafRefused, "pinned.example"));
        world.capture.gap(of_host(GapCause::LeafRefused, "other.example"));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    tokio::time::sleep(PACE.gap_window * 2).await;
    let gaps = world.entries(EntryType::Gap);
    let count = |host: &str| -> u64 {
        let of_host = gaps.iter().filter(|gap| world.text(gap, "host") == host);
        of_host.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("pinned.example"), count("other.example")), (300, 300));
    assert!(gaps.len() <= 2 * 8, "{} entries in a second", gaps.len());
    world.end().await;
}

#[tokio::test]
async fn p4_gaps_survive_an_outage_and_a_stop() {
    let world = world().await;
    world.ground.archive.set_away(true);
    world.capture.gap(of_host(GapCause::UnknownProtocol, "a.example"));
    for _ in 0..3 {
        world.capture.gap(of_host(GapCause::UnknownProtocol, "b.example"));
    }
    let ground = world.end().await;
    ground.archive.set_away(false);
    let world = ground.start().await;
    let total = |world: &super::world::World| -> u64 {
        let gaps = world.entries(EntryType::Gap);
        let of_cause = gaps.iter().filter(|gap| said(gap, "cause") == "unknown_protocol");
        of_cause.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum()
    };
    world.until(|world| total(world) == 4).await;
    world.end().await;
}
