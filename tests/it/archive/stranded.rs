//! A network that was cut for long: over the connections there were nobody ever hears a word again, and nobody is told. Whatever waits for an
//! answer just then goes on over new ones within seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use muniment::archive::{Append as _, Archive, Background, Follower, Options, Schedule};
use muniment::ledger::EntryType;
use sqlx::{AssertSqlSafe, PgConnection};
use tempfile::TempDir;

use crate::support::archive::{TestArchive, options};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, post};

/// Nobody waits longer than that for an answer, and then goes on. With time for a busy machine.
const SECONDS: Duration = Duration::from_secs(25);

/// An archive behind a relay, and the same one as another process has it, with a network of its own.
async fn two() -> (TestArchive, Relay, Archive, TempDir) {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let through = relay.through(database.service());
    let test = TestArchive::on(database, |options| Options { service: through, ..options }).await;
    let dir = tempfile::tempdir().unwrap();
    let other = options(test.database.service(), dir.path(), &test.clock, &test.ids);
    (test, relay, Archive::open(other).await.unwrap(), dir)
}

/// Locks, so that whoever asks waits with its question already sent.
async fn hold(test: &TestArchive, statement: &str) -> PgConnection {
    let mut holder = test.database.superuser().await;
    sqlx::raw_sql(AssertSqlSafe(format!("begin; {statement}"))).execute(&mut holder).await.unwrap();
    holder
}

/// Until so many wait for what is locked, in this role.
async fn until_waiting(test: &TestArchive, role: &str, wanted: i64) {
    let mut watcher = test.database.superuser().await;
    let began = Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
              where datname = current_database() and wait_event_type = 'Lock' and application_name = 'muniment ' || $1",
        )
        .bind(role)
        .fetch_one(&mut watcher)
        .await
        .unwrap();
        if waiting >= wanted {
            return;
        }
        assert!(began.elapsed() < SECONDS, "{waiting} of {wanted} wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn let_go(holder: PgConnection) {
    let mut holder = holder;
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
}

/// The follower is left stranded while it waits for what this statement has locked.
async fn follows_again_after(statement: &str) {
    let (test, relay, other, _dir) = two().await;
    let follower = Follower::start(&test.archive);
    let mut followed = follower.followed();
    let first = other.append(post(&test, advisor(1), "before")).await.unwrap();
    followed.wait_for(|far| far.projected > first.index).await.unwrap();
    let holder = hold(&test, statement).await;
    if !statement.contains("ledger.head") {
        other.append(post(&test, advisor(1), "meanwhile")).await.unwrap();
    }
    until_waiting(&test, "muniment_project", 1).await;
    relay.strand();
    let_go(holder).await;
    let last = other.append(post(&test, advisor(1), "after")).await.unwrap();
    let began = Instant::now();
    let follows = followed.wait_for(|far| far.projected > last.index);
    tokio::time::timeout(SECONDS, follows).await.expect("it waits for an answer that never comes").unwrap();
    println!("it follows again after {:?}", began.elapsed());
    follower.stop().await;
    assert_sound(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_in_the_middle_of_a_step_follows_again_within_seconds() {
    follows_again_after("select from projection.progress for update").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_while_it_looks_follows_again_within_seconds() {
    follows_again_after("lock table ledger.head in access exclusive mode").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_at_the_door_who_are_cut_off_are_told_so_and_the_next_are_let_in() {
    // More than there are connections for.
    const MANY: usize = 6;
    let (test, relay, _other, _dir) = two().await;
    let directory = Arc::new(test.archive.directory().unwrap());
    let holder = hold(&test, "lock table projection.progress in access exclusive mode").await;
    let asked: Vec<_> = (0..MANY)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { directory.generation().await })
        })
        .collect();
    until_waiting(&test, "muniment_append", 4).await;
    relay.strand();
    let_go(holder).await;
    let answers = tokio::time::timeout(SECONDS, join_all(asked)).await.expect("they wait for ever");
    let failed = answers.into_iter().filter(|answer| answer.as_ref().unwrap().is_err()).count();
    assert!(failed >= 4, "{failed} were told");
    tokio::time::timeout(SECONDS, directory.generation()).await.expect("nobody is let in").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_door_finds_it_taken_by_those_who_gave_up_waiting() {
    let (test, relay, _other, _dir) = two().await;
    let directory = Arc::new(test.archive.directory().unwrap());
    let holder = hold(&test, "lock table projection.progress in access exclusive mode").await;
    let asked: Vec<_> = (0..4)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { directory.generation().await.map(drop) })
        })
        .collect();
    until_waiting(&test, "muniment_append", 4).await;
    relay.strand();
    // As a request that took too long, or whose device has gone.
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    let_go(holder).await;
    let began = Instant::now();
    while directory.generation().await.is_err() {
        assert!(began.elapsed() < SECONDS, "their connections are never given back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_and_verification_go_on_after_they_were_cut_off() {
    let (test, relay, other, _dir) = two().await;
    let schedule = Schedule { checkpoint: Duration::from_millis(100), verify: Duration::from_secs(1) };
    other.append(post(&test, advisor(1), "before")).await.unwrap();
    let publishes = hold(&test, "lock table ledger.checkpoints in access exclusive mode").await;
    let background = Background::start(&test.archive, schedule, Arc::new(|_alarm| ()));
    until_waiting(&test, "muniment_publish", 1).await;
    // Reads how far checkpoints go before anything else.
    until_waiting(&test, "muniment_append", 1).await;
    relay.strand();
    let_go(publishes).await;
    let last = other.append(post(&test, advisor(1), "after")).await.unwrap();
    let began = Instant::now();
    let is_there = async || {
        let entries = other.entries(0..1_000).await.unwrap();
        let verified = entries.iter().any(|entry| entry.entry_type() == EntryType::Verification);
        verified && other.inclusion(last.index, None).await.unwrap().is_some()
    };
    while !is_there().await {
        assert!(began.elapsed() < SECONDS * 2, "they wait for an answer that never comes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("both go on after {:?}", began.elapsed());
    background.stop().await;
    assert_sound(&test).await;
}
