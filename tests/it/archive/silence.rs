//! Several append and project, and one falls silent: whoever has the head locked keeps the others waiting for a part of what they are ready
//! to wait, who is in the middle of projecting for a part of what a revocation may take, and what was given up while it waited is not
//! appended behind anybody's back.

use std::time::Duration;
use std::time::Instant;

use muniment::archive::{Append as _, AppendError, Archive, Follower, Options, Password, Submission};
use muniment::ledger::{Actor, EntryType};
use muniment::record::Ids as _;
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::support::archive::{TestArchive, options};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, capture_detail, post, sealed};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_falls_silent_in_the_middle_of_projecting_keeps_no_revocation_from_the_others() {
    let (test, relay, other, _dir) = two().await;
    let by = Actor::Service("cli".try_into().unwrap());
    let person = other.add_advisor(by.clone(), "Ada").await.unwrap();
    let password = Password::fresh().unwrap();
    let device = other.add_device(by.clone(), person.id, "phone", password).await.unwrap();
    let following = Follower::start(&other);
    let mut followed = following.followed();
    let before = followed.wait_for(|far| far.projected > device.entry.index).await.unwrap().people;
    following.stop().await;
    // Who begins to project this never goes on.
    other.append(post(&test, advisor(1), "in the middle of it")).await.unwrap();
    relay.stall_request(b"in the middle of it");
    let silent = Follower::start(&test.archive);
    until(async || relay.cuts() == 1).await;
    let noticed = async {
        other.revoke_device(by, device.id, person.id).await.unwrap();
        let following = Follower::start(&other);
        following.followed().wait_for(|far| far.people > before).await.unwrap();
        following.stop().await;
    };
    // A session that nobody waits for may stand idle for ten seconds.
    tokio::time::timeout(Duration::from_secs(8), noticed).await.expect("the others wait for the silent one");
    silent.stop().await;
    assert_sound(&test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_to_project_than_others_may_wait_is_projected_bit_by_bit() {
    // Readable text of so many bytes in one step, with a quarter of a second between two statements.
    const ENTRIES: usize = 60;
    let test =
        TestArchive::on(Database::fresh().await, |options| Options { append_timeout: PATIENCE, ..options }).await;
    let dir = tempfile::tempdir().unwrap();
    let impatient = options(test.database.service(), dir.path(), &test.clock, &test.ids);
    let impatient = Archive::open(Options { append_timeout: Duration::from_secs(1), ..impatient }).await.unwrap();
    let words: String = (0..4000).map(|number| format!("word{number} ")).collect();
    for number in 0..ENTRIES {
        test.archive.append(post(&test, advisor(1), &format!("{number} {words}"))).await.unwrap();
    }
    // One that takes so long by itself, and one behind it.
    let record = NewRecord::new(&test);
    let names: Vec<String> = (0..24).map(|number| format!("{number}.text")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), words.as_bytes())).collect();
    let mut detail = capture_detail(test.ids.fresh());
    detail.insert("kinds".to_owned(), vec!["post"; names.len()].into());
    let large = sealed(&test, &record, EntryType::Capture, detail, &[advisor(1)], &fields);
    test.archive.append(Submission { key: Some(record.wrapped()), ..large }).await.unwrap();
    test.archive.append(post(&test, advisor(1), "and the last")).await.unwrap();
    let began = Instant::now();
    impatient.catch_up().await.unwrap();
    println!("{ENTRIES} entries in {:?}", began.elapsed());
    assert_eq!(impatient.projected().await.unwrap(), *test.archive.size().borrow());
}
