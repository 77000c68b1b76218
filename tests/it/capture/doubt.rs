//! Settings say `refuse`, and the archive is away: what could not be written waits, and what was refused without anybody knowing whether
//! it is on record is closed once that is known. All of it by itself, without a restart.

use std::time::Duration;

use muniment::capture::{Receipt, RefusalReason};
use muniment::ledger::EntryType;
use muniment::record::Direction;
use muniment::settings::WhenUnavailable;
use serde_json::json;

use super::support::{ArchiveFault, assert_sound};
use super::world::{Ground, World, said};

async fn refusing() -> World {
    Ground { when_unavailable: WhenUnavailable::Refuse, ..Ground::new() }.start().await
}

async fn post(world: &World, text: &str) -> Receipt {
    world.post(json!({ "text": text })).await.unwrap()
}

/// The outage is over, and on record.
async fn until_back(world: &World) {
    let is_over = |world: &World| {
        let gaps = world.entries(EntryType::Gap);
        gaps.iter().filter(|gap| said(gap, "cause") == "archive_unavailable").count() >= 2
    };
    world.until(is_over).await;
}

/// Each capture and what became of it.
fn assert_closed(world: &World, expected: &[(&str, &str)]) {
    let captures = world.entries(EntryType::Capture);
    let outcomes = world.entries(EntryType::Outcome);
    let of = |capture: &str| outcomes.iter().filter(|outcome| said(outcome, "capture") == capture).collect::<Vec<_>>();
    let closed: Vec<_> = captures
        .iter()
        .map(|capture| match of(&capture.id().to_string())[..] {
            [outcome] => {
                assert_eq!(outcome.record(), capture.record());
                assert_eq!(outcome.streams().len(), capture.streams().len());
                (said(outcome, "state"), said(outcome, "cause"))
            }
            ref other => panic!("{} outcomes", other.len()),
        })
        .collect();
    let closed: Vec<_> = closed.iter().map(|(state, cause)| (state.as_str(), cause.as_str())).collect();
    assert_eq!(closed, expected);
    assert_sound(&world.ground.ledger);
}

#[tokio::test]
async fn p1_a_write_that_was_refused_and_is_on_record_all_the_same_is_closed_as_not_sent_without_a_restart() {
    for fault in [ArchiveFault::PersistedButReportedFailed, ArchiveFault::PersistedAndHangs] {
        let world = refusing().await;
        world.ground.archive.fail_at(world.ground.archive.appends(), fault);
        let refusal = world.post(json!({"text": "hello"})).await.unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::ArchiveUnavailable, "{fault:?}");
        world.until_count(EntryType::Outcome, 1).await;
        // Whoever is refused tries again; no retry names what was refused.
        until_back(&world).await;
        world.answer(post(&world, "hello").await, 200, &json!({"ok": true, "id": "p-1"}));
        world.until_count(EntryType::Outcome, 2).await;
        assert_closed(&world, &[("refused", "not_sent"), ("accepted", "")]);
        assert!(world.entries(EntryType::Capture).iter().all(|capture| said(capture, "retry_of").is_empty()));
        // Nor does the next start close it once more.
        let world = world.end().await.start().await;
        world.answer(post(&world, "and on").await, 200, &json!({"ok": true, "id": "p-2"}));
        world.until_count(EntryType::Outcome, 3).await;
        assert_closed(&world, &[("refused", "not_sent"), ("accepted", ""), ("accepted", "")]);
        world.end().await;
    }
}

#[tokio::test]
async fn p1_a_message_that_was_refused_and_is_on_record_all_the_same_is_closed_as_not_sent() {
    let world = refusing().await;
    world.ground.archive.fail_at(world.ground.archive.appends(), ArchiveFault::PersistedButReportedFailed);
    world.message(Direction::Outbound, r#"{"say":"hello"}"#).await.unwrap_err();
    world.until_count(EntryType::Outcome, 1).await;
    assert_closed(&world, &[("refused", "not_sent")]);
    world.end().await;
}

#[tokio::test]
async fn what_was_refused_and_never_got_there_leaves_a_gap_and_no_outcome() {
    let world = refusing().await;
    world.ground.archive.fail_at(world.ground.archive.appends(), ArchiveFault::NotPersisted);
    world.post(json!({"text": "hello"})).await.unwrap_err();
    until_back(&world).await;
    world.answer(post(&world, "hello").await, 200, &json!({"ok": true, "id": "p-1"}));
    let refused = |world: &World| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "write_refused");
    world.until(refused).await;
    world.until_count(EntryType::Outcome, 1).await;
    assert_closed(&world, &[("accepted", "")]);
    world.end().await;
}

#[tokio::test]
async fn p1_an_answer_that_comes_while_the_archive_is_away_is_on_record_when_it_is_back_without_a_restart() {
    let world = refusing().await;
    let (one, two) = (post(&world, "one").await, post(&world, "two").await);
    world.ground.archive.set_away(true);
    world.answer(one, 200, &json!({"ok": true, "id": "p-1"}));
    // The answer found that out, or this does; either way nothing is sent.
    world.post(json!({"text": "three"})).await.unwrap_err();
    world.answer(two, 200, &json!({"ok": false}));
    world.ground.archive.set_away(false);
    world.until_count(EntryType::Outcome, 2).await;
    until_back(&world).await;
    assert_closed(&world, &[("accepted", ""), ("refused", "")]);
    world.end().await;
}

#[tokio::test]
async fn p1_answers_wait_while_neither_archive_nor_spool_takes_them_and_are_on_record_later_without_a_restart() {
    let world = refusing().await;
    // More than are worked on at once.
    let mut receipts = Vec::new();
    for number in 0..50 {
        receipts.push(post(&world, &format!("post {number}")).await);
    }
    world.ground.archive.set_away(true);
    world.ground.disk.set_full(true);
    for (number, receipt) in receipts.into_iter().enumerate() {
        world.answer(receipt, 200, &json!({"ok": true, "id": format!("p-{number}")}));
    }
    world.post(json!({"text": "not now"})).await.unwrap_err();
    // Each was tried, and tried again, in vain.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.entries(EntryType::Outcome).len(), 0);
    world.ground.disk.set_full(false);
    world.ground.archive.set_away(false);
    world.until_count(EntryType::Outcome, 50).await;
    assert_closed(&world, &[("accepted", ""); 50]);
    world.end().await;
}
