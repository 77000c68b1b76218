//! Several append, and one falls silent: whoever has the head locked keeps the others waiting for a part of what they are ready to wait,
//! and what was given up while it waited is not appended behind anybody's back.

use std::time::Duration;

use muniment::archive::{Append as _, AppendError, Archive, Options, Submission};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::support::archive::{TestArchive, options};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, post};

/// How long each of them waits for an append. Somebody may be silent with the head locked for a quarter of it.
const PATIENCE: Duration = Duration::from_secs(4);

/// An archive, behind a relay, and the same one as another process has it. Both have noticed that they are not alone, and lock the head
/// before they append.
async fn two() -> (TestArchive, Relay, Archive, TempDir) {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let through = relay.through(database.service());
    let change = |options| Options { service: through, append_timeout: PATIENCE, ..options };
    let test = TestArchive::on(database, change).await;
    let dir = tempfile::tempdir().unwrap();
    let other = options(test.database.service(), dir.path(), &test.clock, &test.ids);
    let other = Archive::open(Options { append_timeout: PATIENCE, ..other }).await.unwrap();
    for round in 0..2 {
        test.archive.append(post(&test, advisor(1), &format!("ours {round}"))).await.unwrap();
        other.append(post(&test, advisor(2), &format!("theirs {round}"))).await.unwrap();
    }
    (test, relay, other, dir)
}

fn marker(submission: &Submission) -> Vec<u8> {
    submission.draft.id.to_string().into_bytes()
}

/// Waits for it, but not for ever.
async fn until(mut what: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if what().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_who_falls_silent_with_the_head_locked_makes_nobody_else_refuse() {
    let (test, relay, other, _dir) = two().await;
    let silent = post(&test, advisor(1), "in the middle of it");
    relay.stall_request(&marker(&silent));
    let waits = tokio::spawn({
        let (archive, silent) = (test.archive.clone(), silent.clone());
        async move { archive.append(silent).await }
    });
    // The head is locked, and the group never comes.
    until(async || relay.cuts() == 1).await;
    let theirs = other.append(post(&test, advisor(2), "meanwhile")).await.unwrap();
    assert!(!waits.is_finished(), "others went on before the silent one even gave up");
    assert!(matches!(waits.await.unwrap(), Err(AppendError::Unavailable)));
    // It comes back by itself, and what it asks for again is there once.
    let ours = test.archive.append(silent).await.unwrap();
    assert!(theirs.index < ours.index);
    other.append(post(&test, advisor(2), "and on")).await.unwrap();
    assert_eq!(assert_sound(&test).await.len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_nobody_waits_for_any_more_is_not_appended_when_the_head_is_free_again() {
    let (test, _relay, other, _dir) = two().await;
    let mut holder = test.database.superuser().await;
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select from ledger.head for update").execute(&mut *held).await.unwrap();
    let given_up = post(&test, advisor(1), "never mind");
    let gives_up = tokio::spawn({
        let (archive, given_up) = (test.archive.clone(), given_up.clone());
        async move { archive.append(given_up).await }
    });
    let waiting = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock' and query like '%for update'";
    // Not in the transaction that holds it, which sees the same activity from beginning to end.
    let mut watcher = test.database.superuser().await;
    until(async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() == 1).await;
    gives_up.abort();
    assert!(gives_up.await.unwrap_err().is_cancelled());
    held.rollback().await.unwrap();
    // Behind it in the queue.
    test.archive.append(post(&test, advisor(1), "something else")).await.unwrap();
    other.append(post(&test, advisor(2), "and on")).await.unwrap();
    assert!(test.archive.which_are_there(&[given_up.draft.id]).await.unwrap().is_empty());
    assert_eq!(assert_sound(&test).await.len(), 8);
}
