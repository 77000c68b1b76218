//! Following: what is appended is found soon, by whichever process, once, and also after a fault.

use std::time::{Duration, Instant};

use muniment::archive::{Append as _, Follower, Options, Password, RecordFilter, Slice, WordQuery};
use muniment::ledger::Actor;
use muniment::record::RecordId;

use crate::support::archive::TestArchive;
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, outcome};
use crate::support::submissions::{advisor, post, post_of};

const ALL: Slice = Slice { after: None, newest_first: true, limit: 1_000 };
/// Long enough for a busy machine; what is promised is measured, not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

async fn found(test: &TestArchive, word: &str) -> Vec<RecordId> {
    let filter = RecordFilter { words: Some(WordQuery::parse(word, false).unwrap()), ..RecordFilter::default() };
    test.archive.records(&filter, ALL).await.unwrap().into_iter().map(|row| row.record).collect()
}

/// Waits until the word is found.
async fn wait_for(test: &TestArchive, word: &str) {
    let began = Instant::now();
    while found(test, word).await.is_empty() {
        assert!(began.elapsed() < PATIENCE, "{word} is not found");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_record_is_found_soon_after_its_append() {
    let test = TestArchive::new().await;
    let follower = Follower::start(&test.archive);
    for number in 0..15 {
        let word = format!("word{number}");
        test.archive.append(post(&test, advisor(1), &word)).await.unwrap();
        wait_for(&test, &word).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    follower.stop().await;
}

#[tokio::test]
async fn what_another_process_appends_is_found_as_well() {
    let test = TestArchive::new().await;
    let follower = Follower::start(&test.archive);
    let dir = tempfile::tempdir().unwrap();
    let other = test.open_again(dir.path()).await.unwrap();
    for number in 0..9 {
        let word = format!("elsewhere{number}");
        other.append(post(&test, advisor(1), &word)).await.unwrap();
        wait_for(&test, &word).await;
    }
    follower.stop().await;
    other.close().await;
}

#[tokio::test]
async fn a_follower_says_how_far_it_is() {
    let test = TestArchive::new().await;
    let follower = Follower::start(&test.archive);
    let appended = test.archive.append(post(&test, advisor(1), "far")).await.unwrap();
    let mut followed = follower.followed();
    let reached = tokio::time::timeout(PATIENCE, followed.wait_for(|far| far.projected > appended.index)).await;
    let far = *reached.unwrap().unwrap();
    assert_eq!((far.projected, far.size), (appended.index + 1, appended.index + 1));
    follower.stop().await;
}

#[tokio::test]
async fn every_process_learns_within_five_seconds_that_somebody_was_revoked_elsewhere() {
    let test = TestArchive::new().await;
    let by = Actor::Service("cli".try_into().unwrap());
    let person = test.archive.add_advisor(by.clone(), "Ada").await.unwrap();
    let password = Password::fresh().unwrap();
    let text = password.reveal().to_owned();
    let device = test.archive.add_device(by.clone(), person.id, "laptop", password).await.unwrap();
    let follower = Follower::start(&test.archive);
    let mut followed = follower.followed();
    let before = followed.wait_for(|far| far.projected > device.entry.index).await.unwrap().people;
    // A post changes nothing about people.
    test.archive.append(post(&test, person.id, "hello")).await.unwrap();
    followed.wait_for(|far| far.projected > device.entry.index + 1).await.unwrap();
    assert_eq!(followed.borrow().people, before);

    let dir = tempfile::tempdir().unwrap();
    let other = test.open_again(dir.path()).await.unwrap();
    other.revoke_device(by, device.id, person.id).await.unwrap();
    let noticed = tokio::time::timeout(Duration::from_secs(5), followed.wait_for(|far| far.people != before)).await;
    noticed.unwrap().unwrap();
    let directory = test.archive.directory().unwrap();
    assert_eq!(directory.device(device.id, Password::given(&text)).await.unwrap(), None);
    follower.stop().await;
    other.close().await;
}

#[tokio::test]
async fn a_follower_goes_on_after_the_database_was_away() {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let through = relay.through(database.service());
    let test = TestArchive::on(database, |options| Options { service: through, ..options }).await;
    let follower = Follower::start(&test.archive);
    test.archive.append(post(&test, advisor(1), "before")).await.unwrap();
    wait_for(&test, "before").await;
    relay.close();
    tokio::time::sleep(Duration::from_millis(500)).await;
    relay.open();
    test.archive.append(post(&test, advisor(1), "after")).await.unwrap();
    wait_for(&test, "after").await;
    assert_eq!(found(&test, "before").await.len(), 1);
    follower.stop().await;
    assert_sound(&test).await;
}

#[tokio::test]
async fn a_follower_that_is_killed_again_and_again_projects_everything_once() {
    let test = TestArchive::new().await;
    let appends = (0..300).map(|number| {
        let record = NewRecord::new(&test);
        let capture = post_of(&test, &record, &[advisor(1)], &format!("number{number}"));
        let answer = outcome(&test, &record, capture.draft.id, &[advisor(1)]);
        let archive = test.archive.clone();
        async move {
            archive.append(capture).await.unwrap();
            archive.append(answer).await.unwrap();
        }
    });
    futures_util::future::join_all(appends).await;
    let size = test.archive.head_size().await.unwrap();
    let mut kills = 0;
    while test.archive.projected().await.unwrap() < size {
        let archive = test.archive.clone();
        let task = tokio::spawn(async move { archive.project(size).await });
        // At ever other moments; slowly longer, so that even a busy machine gets on.
        tokio::time::sleep(Duration::from_millis(3 + 7 * (kills % 8) + 3 * kills)).await;
        task.abort();
        // Ended either way: cancelled, or done just before.
        let _ended = task.await;
        kills += 1;
        assert!(kills < 1_000, "it never gets on");
    }
    assert!(kills > 1, "nothing was killed");
    let compared = test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await.unwrap().unwrap();
    assert!(compared.is_sound(), "{compared:?}");
    assert_eq!(found(&test, "number299").await.len(), 1);
}
