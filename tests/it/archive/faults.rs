//! Each durable step fails twice: *not persisted*, and *persisted but reported as failed*. After each, everything is checked
//! again from bytes.

use std::sync::Arc;
use std::time::Duration;

use muniment::archive::{Append as _, AppendError, Archive, Submission};
use muniment::record::EntryId;
use sqlx::AssertSqlSafe;

use crate::support::archive::{TestArchive, options};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, gap, post};

/// An archive whose connections all go through a relay.
async fn behind_a_relay(patience: Duration) -> (TestArchive, Relay) {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let through = relay.through(database.service());
    let test = TestArchive::on(database, |options| muniment::archive::Options {
        service: through,
        append_timeout: patience,
        ..options
    })
    .await;
    (test, relay)
}

fn marker(submission: &Submission) -> Vec<u8> {
    submission.draft.id.to_string().into_bytes()
}

#[tokio::test]
async fn p1_an_append_whose_request_was_lost_is_made_again_once() {
    let (test, relay) = behind_a_relay(Duration::from_secs(10)).await;
    let submission = post(&test, advisor(1), "not persisted");
    relay.cut_request(&marker(&submission));
    let appended = test.archive.append(submission).await.unwrap();
    assert_eq!((relay.cuts(), appended.index), (1, 1));
    assert_eq!(assert_sound(&test).await.len(), 2);
}

#[tokio::test]
async fn p1_an_append_whose_answer_was_lost_is_found_and_not_repeated() {
    let (test, relay) = behind_a_relay(Duration::from_secs(10)).await;
    let submission = post(&test, advisor(1), "persisted but reported as failed");
    relay.cut_answer(&marker(&submission));
    let appended = test.archive.append(submission).await.unwrap();
    assert_eq!((relay.cuts(), appended.index), (1, 1));
    assert_eq!(assert_sound(&test).await.len(), 2);
}

#[tokio::test]
async fn p1_an_append_without_an_answer_in_time_is_found_when_it_is_asked_for_again() {
    let (test, relay) = behind_a_relay(Duration::from_millis(700)).await;
    let submission = post(&test, advisor(1), "silence");
    relay.stall_answer(&marker(&submission));
    let unknown = test.archive.append(submission.clone()).await;
    assert!(matches!(unknown, Err(AppendError::Unavailable)), "{unknown:?}");
    let appended = test.archive.append(submission).await.unwrap();
    assert_eq!((relay.cuts(), appended.index), (1, 1));
    assert_eq!(assert_sound(&test).await.len(), 2);
}

#[tokio::test]
async fn p1_a_commit_of_a_locked_group_whose_answer_was_lost_is_found() {
    let (test, relay) = behind_a_relay(Duration::from_secs(10)).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = test.open_again(elsewhere.path()).await.unwrap();
    // The other process moves the head, so the next append locks it first and commits by itself.
    for number in 0..4 {
        other.append(post(&test, advisor(1), &format!("other {number}"))).await.unwrap();
        let submission = post(&test, advisor(1), &format!("ours {number}"));
        match number {
            0 => {}
            1 => relay.cut_request(b"commit"),
            2 => relay.cut_answer(b"commit"),
            _ => relay.cut_answer(&marker(&submission)),
        }
        test.archive.append(submission).await.unwrap();
    }
    assert_eq!(relay.cuts(), 3);
    assert_eq!(assert_sound(&test).await.len(), 10);
}

#[tokio::test]
async fn p1_while_the_database_is_away_nothing_is_acknowledged_and_afterwards_everything_is() {
    let (test, relay) = behind_a_relay(Duration::from_millis(600)).await;
    relay.close();
    let submissions: Vec<_> = (0..10).map(|number| post(&test, advisor(1), &format!("{number}"))).collect();
    let refused =
        futures_util::future::join_all(submissions.iter().map(|submission| test.archive.append(submission.clone())));
    assert!(refused.await.iter().all(|result| matches!(result, Err(AppendError::Unavailable))));
    relay.open();
    // What a spool would do: the same ids again.
    for submission in submissions {
        test.archive.append(submission).await.unwrap();
    }
    assert_eq!(assert_sound(&test).await.len(), 11);
}

#[tokio::test]
async fn p1_cuts_at_random_moments_under_load_lose_and_double_nothing() {
    let (test, relay) = behind_a_relay(Duration::from_secs(20)).await;
    let relay = Arc::new(relay);
    let cutter = tokio::spawn({
        let relay = Arc::clone(&relay);
        async move {
            for round in 0_u64..25 {
                tokio::time::sleep(Duration::from_millis(7 + round * 5 % 23)).await;
                match round % 3 {
                    0 => relay.cut_request(b"capture"),
                    1 => relay.cut_answer(b"capture"),
                    _ => {
                        relay.close();
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        relay.open();
                    }
                }
            }
            relay.open();
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_u128 {
        let submission = post(&test, advisor(number % 5), &format!("post {number}"));
        let archive = test.archive.clone();
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::try_from(number).unwrap() * 4)).await;
            let id = submission.draft.id;
            (id, archive.append(submission).await.unwrap())
        });
    }
    let acknowledged = tasks.join_all().await;
    cutter.await.unwrap();
    let entries = assert_sound(&test).await;
    assert_eq!(entries.len(), 201);
    for (id, appended) in acknowledged {
        assert_eq!(entries[usize::try_from(appended.index).unwrap()].id(), id);
    }
}

#[tokio::test]
async fn a_server_process_that_is_shot_in_the_middle_costs_nothing_but_time() {
    let test = TestArchive::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100_u128 {
        let submission = post(&test, advisor(number % 5), &format!("post {number}"));
        let archive = test.archive.clone();
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::try_from(number).unwrap() * 3)).await;
            archive.append(submission).await.unwrap()
        });
    }
    let mut superuser = test.database.superuser().await;
    for _shot in 0..10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let shoot = "select pg_terminate_backend(pid) from pg_stat_activity
                      where datname = current_database() and application_name = 'muniment muniment_append'";
        sqlx::raw_sql(shoot).execute(&mut superuser).await.unwrap();
    }
    tasks.join_all().await;
    assert_eq!(assert_sound(&test).await.len(), 101);
}

async fn opened_on_a_changed_ledger(change: &str) -> (TestArchive, Result<Archive, muniment::archive::ArchiveError>) {
    let test = TestArchive::new().await;
    for number in 0..5 {
        test.archive.append(post(&test, advisor(1), &format!("post {number}"))).await.unwrap();
    }
    test.database.tamper(change).await;
    let again = Archive::open(options(test.database.service(), test.dir.path(), &test.clock, &test.ids)).await;
    (test, again)
}

#[tokio::test]
async fn p2_a_ledger_that_contradicts_itself_is_not_appended_to() {
    for change in [
        "update ledger.head set size = 4",
        "update ledger.head set leaf = sha256('x')",
        "delete from ledger.entries where index = 5",
        "update ledger.entries set body = overlay(body placing '\\x7b' from 10) where index = 5",
    ] {
        let (test, again) = opened_on_a_changed_ledger(change).await;
        assert!(again.is_err(), "{change}");
        // The process that was appending all along notices with its next append, or has lost nothing yet.
        let _answer = test.archive.append(gap(&test, "outage")).await;
    }
}

#[tokio::test]
async fn p2_a_head_that_was_rolled_back_stops_the_writer_for_good() {
    let test = TestArchive::new().await;
    for number in 0..5 {
        test.archive.append(post(&test, advisor(1), &format!("post {number}"))).await.unwrap();
    }
    test.database
        .tamper(
            "delete from ledger.entries where index >= 3; delete from ledger.stream_entries where entry_index >= 3;
             delete from ledger.sources where entry_index >= 3;
             update ledger.head set size = 3, leaf = (select leaf from ledger.entries where index = 2),
                    at = (convert_from((select body from ledger.entries where index = 2), 'UTF8')::json ->> 'at')::timestamptz",
        )
        .await;
    for _again in 0..2 {
        let stopped = test.archive.append(post(&test, advisor(1), "after the fact")).await;
        assert!(matches!(stopped, Err(AppendError::Stopped(_))), "{stopped:?}");
    }
    assert!(test.archive.stopped().is_some());
}

#[tokio::test]
async fn an_id_that_somebody_else_appended_in_the_meantime_is_answered_with_its_place() {
    let test = TestArchive::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = test.open_again(elsewhere.path()).await.unwrap();
    let submission = post(&test, advisor(1), "spooled here, replayed there");
    let (a, b) = tokio::join!(test.archive.append(submission.clone()), other.append(submission.clone()));
    assert_eq!(a.unwrap(), b.unwrap());
    let id: EntryId = submission.draft.id;
    assert_eq!(test.archive.entry_by_id(id).await.unwrap().unwrap().id(), id);
    assert_sound(&test).await;
}

#[tokio::test]
async fn a_lock_that_nobody_lets_go_of_is_pushback_and_not_a_pile() {
    let (test, _relay) = behind_a_relay(Duration::from_secs(2)).await;
    let mut hog = test.database.superuser().await;
    sqlx::raw_sql("begin; select * from ledger.head for update").execute(&mut hog).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _number in 0..5_000 {
        let (submission, archive) = (gap(&test, "outage"), test.archive.clone());
        tasks.spawn(async move { archive.append(submission).await });
    }
    let refused = tasks.join_all().await;
    assert!(refused.iter().any(|result| matches!(result, Err(AppendError::Pushback))));
    assert!(refused.iter().all(|result| matches!(result, Err(AppendError::Pushback | AppendError::Unavailable))));
    sqlx::raw_sql(AssertSqlSafe("rollback".to_owned())).execute(&mut hog).await.unwrap();
    test.archive.append(gap(&test, "outage")).await.unwrap();
    assert_sound(&test).await;
}
