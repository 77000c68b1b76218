//! A process that appends to a spool is killed (SIGKILL) at random moments, again and again on the same directory.
//!
//! The child is this test binary itself, told by a variable to play the other role.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muniment::capture::spool::{Bounds, Directory, Journal, SpoolKey};

use super::support::{CountedEntropy, ManualClock};

const DIRECTORY: &str = "MUNIMENT_TEST_SPOOL_DIRECTORY";
const FIRST: &str = "MUNIMENT_TEST_SPOOL_FIRST";
const TRIALS: u64 = 40;
const PER_TRIAL: u64 = 1_000_000;

fn open(path: &Path) -> Journal {
    let bounds = Bounds { total: 1 << 30, segment: 64 << 10 };
    let disk = Arc::new(Directory::open(path).unwrap());
    let (clock, entropy) = (Arc::<ManualClock>::default(), Arc::<CountedEntropy>::default());
    Journal::open(disk, SpoolKey::derive(&[3; 32]), bounds, clock, entropy).unwrap()
}

/// Appends numbers from four tasks until somebody kills it; says each one once it is kept.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn append_until_killed(path: &Path, first: u64) {
    let journal = Arc::new(open(path));
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for number in (first + task..first + PER_TRIAL).step_by(4) {
                    let size = 8 + usize::try_from(number * 37 % 700).unwrap();
                    let mut payload = number.to_be_bytes().to_vec();
                    payload.resize(size, 0x5a);
                    journal.append(Bytes::from(payload)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "kept {number}").unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn start_child(path: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "capture::kill::p1_a_spool_killed_at_any_moment_keeps_what_it_promised", "--nocapture"])
        .env(DIRECTORY, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn p1_a_spool_killed_at_any_moment_keeps_what_it_promised() {
    if let (Some(path), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        return append_until_killed(Path::new(&path), first.parse().unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let mut promised = BTreeSet::new();
    for trial in 0..TRIALS {
        let mut child = start_child(directory.path(), trial * PER_TRIAL);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let kept = lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("kept ")?.1.parse().ok());
            kept.collect::<Vec<u64>>()
        });
        // From the middle of the start to the middle of full flow.
        std::thread::sleep(Duration::from_micros(20_000 + trial * 7_919 % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        promised.extend(reader.join().unwrap());
    }
    assert!(promised.len() > 100, "the children kept {} payloads only", promised.len());

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let kept = runtime.block_on(async {
        let journal = open(directory.path());
        let mut kept = Vec::new();
        while let Some(number) = journal.oldest().await.unwrap() {
            let reading = journal.read(number).await.unwrap().unwrap();
            assert!(!reading.is_damaged(), "a killed process leaves a torn tail, not damage: {:?}", reading.tail);
            kept.extend(reading.payloads.iter().map(|payload| u64::from_be_bytes(payload[..8].try_into().unwrap())));
            journal.remove(number).await.unwrap();
        }
        kept
    });
    let distinct: BTreeSet<u64> = kept.iter().copied().collect();
    assert_eq!(distinct.len(), kept.len(), "nothing is there twice");
    let lost: Vec<_> = promised.difference(&distinct).collect();
    assert!(lost.is_empty(), "{} of {} promised payloads are lost: {lost:?}", lost.len(), promised.len());
    // Each task's numbers come back in the order it appended them.
    for task in 0..4 {
        let of_task: Vec<_> = kept.iter().filter(|number| *number % PER_TRIAL % 4 == task).collect();
        assert!(of_task.is_sorted());
    }
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "drained segments are removed");
}
