//! What runs beside the appends: checkpoints, projections, verification on a schedule.

use std::sync::Arc;
use std::time::Duration;

use muniment::archive::{Alarm, Append as _, Background, Inconsistency, OnAlarm, Schedule};
use muniment::ledger::EntryType;
use tokio::sync::mpsc;

use crate::support::archive::TestArchive;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, post};

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(3_600);
/// A machine that is busy with other tests is slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn alarms() -> (OnAlarm, mpsc::UnboundedReceiver<Alarm>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(move |alarm| drop(sender.send(alarm))), receiver)
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn what_is_appended_is_soon_published_and_projected() {
    let test = TestArchive::new().await;
    let (alarm, _alarms) = alarms();
    let background = Background::start(&test.archive, Schedule { checkpoint: SOON, verify: NEVER }, alarm);
    let appended = test.archive.append(post(&test, advisor(1), "seen soon")).await.unwrap();
    eventually("published", async || test.archive.inclusion(appended.index, None).await.unwrap().is_some()).await;
    eventually("projected", async || test.archive.projected().await.unwrap() > appended.index).await;
    let last = test.archive.append(post(&test, advisor(1), "just before the end")).await.unwrap();
    background.stop().await;
    assert!(test.archive.inclusion(last.index, None).await.unwrap().is_some(), "stopping publishes what is left");
    assert_sound(&test).await;
}

#[tokio::test]
async fn verification_on_a_schedule_is_on_record_and_raises_the_alarm() {
    let test = TestArchive::new().await;
    for number in 0..5 {
        test.archive.append(post(&test, advisor(1), &format!("{number}"))).await.unwrap();
    }
    let (alarm, mut raised) = alarms();
    let schedule = Schedule { checkpoint: NEVER, verify: SOON };
    let background = Background::start(&test.archive, schedule, alarm);
    let recorded = async || {
        let entries = test.archive.entries(0..1_000).await.unwrap();
        entries.into_iter().rfind(|entry| entry.entry_type() == EntryType::Verification)
    };
    eventually("verified", async || recorded().await.is_some()).await;
    assert_eq!(recorded().await.unwrap().detail()["result"], "verified");
    assert!(raised.try_recv().is_err());

    test.database.tamper("update content.sealed set ciphertexts[1] = sha256('x') where entry_index = 3").await;
    let told = tokio::time::timeout(PATIENCE, raised.recv()).await.unwrap().unwrap();
    assert!(matches!(&told, Alarm::Finding(finding) if finding.from == 3), "{told:?}");
    eventually("failed", async || recorded().await.unwrap().detail()["result"] == "failed").await;
    let entry = recorded().await.unwrap();
    assert_eq!(entry.detail()["first_failure"], 3);
    background.stop().await;
}

#[tokio::test]
async fn p2_a_ledger_that_is_not_what_was_signed_raises_the_alarm_once() {
    let test = TestArchive::new().await;
    for number in 0..5 {
        test.archive.append(post(&test, advisor(1), &format!("{number}"))).await.unwrap();
    }
    test.archive.publish(false).await.unwrap();
    test.database
        .tamper("delete from ledger.checkpoints; update ledger.entries set leaf = sha256(leaf) where index = 2")
        .await;
    let (alarm, mut raised) = alarms();
    let background = Background::start(&test.archive, Schedule { checkpoint: SOON, verify: NEVER }, alarm);
    let told = tokio::time::timeout(PATIENCE, raised.recv()).await.unwrap().unwrap();
    assert!(matches!(told, Alarm::Inconsistent(Inconsistency::Forked { size: 6 })), "{told:?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    background.stop().await;
    assert!(raised.try_recv().is_err(), "once is enough");
}

/// Indices of the entries that say that everything was verified.
async fn verified(test: &TestArchive) -> Vec<u64> {
    let entries = test.archive.entries(0..10_000).await.unwrap();
    let verified = entries.iter().filter(|entry| entry.entry_type() == EntryType::Verification);
    verified.map(muniment::ledger::Entry::index).collect()
}

#[tokio::test]
async fn of_several_processes_one_verifies_and_another_goes_on_when_it_has_died() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "verified by one of them")).await.unwrap();
    // A process that verifies, as the others see it.
    let mut busy = test.database.superuser().await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut busy).await.unwrap();
    sqlx::query("select pg_advisory_lock(1986359913)").execute(&mut busy).await.unwrap();
    let every = Duration::from_millis(1_500);
    let (dirs, mut processes) = ([tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()], Vec::new());
    for dir in &dirs {
        let archive = test.open_again(dir.path()).await.unwrap();
        let schedule = Schedule { checkpoint: NEVER, verify: every };
        processes.push((Background::start(&archive, schedule, alarms().0), archive));
    }
    tokio::time::sleep(every * 2).await;
    assert!(verified(&test).await.is_empty(), "while one is at it, the others wait");
    let mut superuser = test.database.superuser().await;
    sqlx::query("select pg_terminate_backend($1)").bind(backend).execute(&mut superuser).await.unwrap();
    eventually("another goes on", async || !verified(&test).await.is_empty()).await;
    let (began, before) = (std::time::Instant::now(), verified(&test).await.len());
    tokio::time::sleep(every * 4).await;
    let done = verified(&test).await.len() - before;
    // At most once in half of the time, and hardly ever so.
    let most = usize::try_from(began.elapsed().as_millis() / (every.as_millis() / 2)).unwrap() + 1;
    assert!((1..=most.min(7)).contains(&done), "{done} verifications in {:?}", began.elapsed());
    // The one that is left goes on by itself.
    let (last, _archive) = processes.pop().unwrap();
    let (first, archive) = processes.pop().unwrap();
    first.stop().await;
    archive.close().await;
    let before = verified(&test).await.len();
    eventually("the last one goes on", async || verified(&test).await.len() > before).await;
    last.stop().await;
    assert_sound(&test).await;
}
