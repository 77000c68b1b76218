//! Runs over thousands of records: killed at any moment, and beside captures that go on.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muniment::ledger::EntryType;
use muniment::record::RecordId;
use muniment::retain::schedule::Schedule;
use muniment::retain::{NewHold, Retain, What};
use serde_json::Value;

use super::command::{commands, with};
use super::dispose::order;
use super::{by, entry};
use crate::support::archive::{TestArchive, master};
use crate::support::large::{Firm, fill};
use crate::support::postgres::Server;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{advisor, post};

/// 2015 to 2018.
const FROM: i64 = 1_420_070_400_000_000;
const UNTIL: i64 = 1_546_300_800_000_000;

fn firm(records: u64) -> Firm {
    Firm { advisors: 5, from: FROM, until: UNTIL, ..Firm::large(records) }
}

/// Which record was destroyed by how many disposals.
fn destroyed(entries: &[muniment::ledger::Entry]) -> BTreeMap<String, u32> {
    let mut destroyed = BTreeMap::new();
    let disposals = entries.iter().filter(|entry| entry.entry_type() == EntryType::Disposal);
    for disposal in disposals.filter(|entry| entry.detail()["phase"] == "destroyed") {
        for record in disposal.detail()["records"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            *destroyed.entry(record.to_owned()).or_insert(0) += 1;
        }
    }
    destroyed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_run_that_is_killed_at_any_moment_is_run_again_and_nothing_goes_twice_or_is_forgotten() {
    let firm = firm(1_500);
    let dir = tempfile::tempdir().unwrap();
    let (_server, database) = Server::durable(&dir.path().join("server")).await;
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    let retain = Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>);
    let what = What::Custodians(vec![firm.advisor(2)]);
    let hold = NewHold { matter: None, name: None, reason: "subpoena".to_owned(), what, since: None, until: None };
    retain.place(entry(&test), by(), hold).await.unwrap();
    let cli = commands(&test, "");
    let due = cli.run(&with(&["--json", "dispose"])).json();
    let (due, held) = (due["due"].as_u64().unwrap(), due["held"].as_u64().unwrap());
    assert!(due > 800 && held > 100 && due + held == 1_500, "{due} {held}");

    let arguments = with(&["--json", "dispose", "--confirm", "--reason", "a run that is killed"]);
    let mut killed = 0;
    for trial in 0..12_u64 {
        let mut child = cli.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(300 + trial * 67)).await;
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        // SIGKILL, wherever it is.
        let _ended = child.kill();
        child.wait().unwrap();
    }
    assert!(killed >= 2, "only {killed} were killed on their way");
    let rest = cli.run(&arguments).json();
    assert_eq!((rest["held"].as_u64(), rest["left"].as_array().map(Vec::len)), (Some(held), Some(0)), "{rest}");
    let entries = assert_sound(&test).await;
    let destroyed = destroyed(&entries);
    assert!(destroyed.values().all(|times| *times == 1), "nothing twice");
    assert_eq!(destroyed.len() as u64, due, "nothing forgotten");
    for record in destroyed.keys() {
        let record: RecordId = record.parse().unwrap();
        assert!(test.archive.record_key(record).await.unwrap().is_none());
    }
    test.archive.catch_up().await.unwrap();
    let (found, verification) = verify(&test).await;
    assert!(verification.sound, "{found:#?}");
}

/// `MUNIMENT_DISPOSE_RECORDS` takes another number; figures are printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_captures_go_on_while_thousands_of_records_are_disposed_of() {
    let records = std::env::var("MUNIMENT_DISPOSE_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    let dir = tempfile::tempdir().unwrap();
    let (_server, database) = Server::durable(&dir.path().join("server")).await;
    fill(&database.owner(), &master(), firm(records)).await;
    let test = Arc::new(TestArchive::on(database, |options| options).await);
    let schedule = Arc::new(Schedule::built_in().unwrap());
    let retain = Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>).with_schedule(schedule);
    let (stop, beside) = (Arc::new(AtomicBool::new(false)), Arc::clone(&test));
    let capturing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let capture = post(&beside, advisor(9), "meanwhile");
                let begun = Instant::now();
                beside.append(capture).await;
                waits.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            waits.sort_unstable();
            waits
        }
    });
    let begun = Instant::now();
    let survey = retain.dispose(&*test.clock, Some(&order()), |_survey| {}).await.unwrap();
    let taken = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let waits = capturing.await.unwrap();
    let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!(
        "{} records disposed of in {taken:?} ({:.0}/s); beside them {} captures, each durable after {middle:?} (median), {longest:?} at most",
        survey.disposed,
        survey.disposed as f64 / taken.as_secs_f64(),
        waits.len()
    );
    assert_eq!((survey.disposed, survey.left.len()), (records, 0));
    assert!(waits.len() > 3, "captures went on");
    // The bound of an append is ten seconds; a busy machine may take a second.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    if records <= 10_000 {
        assert_sound(&test).await;
    }
}
