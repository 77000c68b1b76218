//! `muniment-verify dump` over sound and tampered dumps: every kind of tampering is found, and named.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use muniment::bundle::{Check, DumpOptions, Failure, HistoryReport, Interval, OutsideCheckpoint, Verdict, verify_dump};
use muniment::ledger::{Checkpoint, Entry, Frontier, SigningKey, VerifyingKey, leaf_hash};
use muniment::record::Digest;
use tempfile::TempDir;

use super::ledger::{Ledger, ORIGIN, write_checkpoints, write_entries};

pub(super) struct Checked {
    pub(super) report: HistoryReport,
    pub(super) failures: Vec<Failure>,
}

impl Checked {
    /// Indices named by the checks that concern single rows.
    pub(super) fn named(&self) -> Vec<u64> {
        let rows = |failure: &&Failure| !matches!(failure.check, Check::Checkpoints | Check::Outside);
        let mut named: Vec<_> = self.failures.iter().filter(rows).flat_map(|f| f.from..=f.to).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    pub(super) fn failed(&self) -> Vec<Check> {
        self.report.failed.keys().copied().collect()
    }
}

pub(super) fn check(directory: &Path, keys: &[VerifyingKey], outside: &[String]) -> Checked {
    let mut failures = Vec::new();
    let outside = outside
        .iter()
        .enumerate()
        .map(|(n, note)| OutsideCheckpoint { name: format!("number {n}"), note: note.clone().into_bytes() });
    let options = DumpOptions {
        policy: None,
        keys: keys.to_vec(),
        outside: outside.collect(),
        scratch: directory.to_owned(),
        threads: NonZeroUsize::new(2).unwrap(),
    };
    let report = verify_dump(directory, &options, |failure| failures.push(failure)).unwrap();
    Checked { report, failures }
}

/// Rows as they stand in the database: index, id, leaf, body.
pub(super) type Rows = Vec<(u64, String, String, Vec<u8>)>;

pub(super) fn rows(ledger: &Ledger) -> Rows {
    let row = |e: &Entry| (e.index(), e.id().to_string(), e.leaf().to_string(), e.bytes().to_vec());
    ledger.entries.iter().map(row).collect()
}

fn tampered(ledger: &Ledger, change: impl FnOnce(&mut Rows)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    ledger.dump(directory.path());
    let mut rows = rows(ledger);
    change(&mut rows);
    rows.sort_by_key(|row| row.0);
    write_entries(directory.path(), rows);
    directory
}

fn edited(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1).into_bytes()
}

/// Rewrites every row from `from` on, so that leaves and links fit again.
pub(super) fn rechain(rows: &mut Rows, from: usize) {
    for at in from..rows.len() {
        let new = if at == 0 { Digest::ZERO.to_string() } else { rows[at - 1].2.clone() };
        let body = &mut rows[at].3;
        let key = b"\"previous\":\"";
        if let Some(place) = body.windows(key.len()).position(|window| window == key) {
            let (start, end) = (place + key.len(), (place + key.len() + 64).min(body.len()));
            body.splice(start..end, new.bytes());
        }
        rows[at].2 = leaf_hash(&rows[at].3).to_string();
    }
}

#[test]
fn a_sound_dump_is_verified_and_says_what_it_covers() {
    let ledger = Ledger::of_a_day(40);
    let directory = tampered(&ledger, |_rows| {});
    let checked = check(directory.path(), &[ledger.vkey()], &[ledger.checkpoints[2].1.clone()]);
    assert_eq!(checked.report.verdict, Verdict::Verified, "{:?}", checked.failures);
    assert_eq!((checked.report.entries, checked.report.covered), (40, 40));
    assert_eq!((checked.report.root, checked.report.checkpoints), (Some(ledger.root()), 6));
    assert!(matches!(checked.report.verdict_of(Check::Content), Some(Verdict::NotChecked { .. })));
}

#[test]
fn a_tail_that_no_checkpoint_covers_is_stated() {
    let ledger = Ledger::of_a_day(40);
    let directory = tampered(&ledger, |_rows| {});
    write_checkpoints(directory.path(), &ledger.checkpoints[..5]);
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((checked.report.verdict, checked.report.entries, checked.report.covered), (Verdict::Verified, 40, 35));
}

#[test]
fn without_a_key_or_a_checkpoint_nothing_is_called_verified() {
    let ledger = Ledger::of_a_day(10);
    let directory = tampered(&ledger, |_rows| {});
    let unsigned = check(directory.path(), &[], &[]);
    assert!(matches!(unsigned.report.verdict, Verdict::NotChecked { .. }));
    assert!(matches!(unsigned.report.verdict_of(Check::Checkpoints), Some(Verdict::NotChecked { .. })));
    fs::remove_file(directory.path().join("checkpoints.tsv")).unwrap();
    let bare = check(directory.path(), &[ledger.vkey()], &[]);
    assert!(matches!(bare.report.verdict, Verdict::NotChecked { .. }));
    write_entries(directory.path(), []);
    let empty = check(directory.path(), &[ledger.vkey()], &[]);
    assert!(matches!(empty.report.verdict, Verdict::NotChecked { .. }));
}

#[test]
fn p2_every_changed_byte_of_a_body_is_found_and_named() {
    let ledger = Ledger::of_a_day(12);
    let size = ledger.entries[5].bytes().len();
    for at in 0..size {
        let directory = tampered(&ledger, |rows| rows[5].3[at] ^= 1 << (at % 8));
        let checked = check(directory.path(), &[ledger.vkey()], &[]);
        assert!(matches!(checked.report.verdict, Verdict::Failed { .. }));
        assert!(checked.failed().contains(&Check::Leaves) && checked.named().contains(&5), "byte {at}");
        // What follows the changed entry is blamed only where the change makes it look wrong (a stream, a time).
        assert!(checked.failures.iter().all(|f| f.check != Check::Chain || f.to <= 6), "byte {at}");
    }
}

#[test]
fn p2_every_changed_byte_of_the_dump_is_found() {
    let ledger = Ledger::of_a_day(3);
    let directory = tampered(&ledger, |_rows| {});
    let path = directory.path().join("entries.tsv");
    let sound = fs::read(&path).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let checked = check(directory.path(), &[ledger.vkey()], &[]);
        assert!(matches!(checked.report.verdict, Verdict::Failed { .. }), "byte {at}");
    }
}

#[test]
fn p2_a_changed_body_with_a_matching_leaf_breaks_the_link() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| {
        rows[8].3 = edited(&rows[8].3, "\"direction\":\"outbound\"", "\"direction\":\"inbound\"");
        rows[8].2 = leaf_hash(&rows[8].3).to_string();
    });
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((checked.named(), checked.failed()), (vec![8, 9], vec![Check::Chain, Check::Checkpoints]));
    assert_eq!(checked.report.changed, Some(Interval { after: 7, before: 14 }));
}

#[test]
fn p2_a_changed_leaf_column_is_named_alone() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| rows[8].2 = Digest::ZERO.to_string());
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((checked.named(), checked.failed()), (vec![8], vec![Check::Leaves]));
}

#[test]
fn p2_a_removed_row_is_named() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| drop(rows.remove(8)));
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert!(checked.failures.iter().any(|f| (f.check, f.from, f.to) == (Check::Rows, 8, 8)));
    assert_eq!(checked.report.covered, 7);
}

#[test]
fn p2_an_inserted_row_is_named() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| {
        // A row between 8 and 9, everything after it moved up by one.
        let extra = (9, "0198c0de-0000-7000-8000-00000000ffff".to_owned(), rows[8].2.clone(), rows[8].3.clone());
        rows.iter_mut().skip(9).for_each(|row| row.0 += 1);
        rows.push(extra);
    });
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert!(checked.named().starts_with(&[8, 9]) && checked.failed().contains(&Check::Entries));
}

#[test]
fn p2_reordered_rows_are_named() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| {
        (rows[8].0, rows[11].0) = (11, 8);
    });
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    for index in [8, 11] {
        assert!(checked.named().contains(&index));
    }
    assert!(checked.failed().contains(&Check::Chain));
}

#[test]
fn p2_a_repeated_row_and_a_repeated_id_are_named() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| rows.push(rows[8].clone()));
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((checked.named(), checked.failed()), (vec![8], vec![Check::Rows]));

    let directory = tampered(&ledger, |rows| rows[20].1 = rows[8].1.clone());
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((checked.named(), checked.failed()), (vec![20], vec![Check::Entries, Check::Ids]));
}

#[test]
fn p2_time_running_back_and_a_hole_in_a_stream_are_named() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| {
        let at = ledger.entries[20].at().to_string();
        rows[20].3 = edited(&rows[20].3, &format!("\"at\":\"{at}\""), "\"at\":\"2020-01-01T00:00:00.000000Z\"");
        let stream = ledger.entries[10].streams()[0];
        let (old, new) = (format!("\"index\":{}}}]", stream.index), format!("\"index\":{}}}]", stream.index + 5));
        rows[10].3 = edited(&rows[10].3, &old, &new);
        rechain(rows, 10);
    });
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    let first = |check| checked.failures.iter().find(|f| f.check == check).map(|f| f.from);
    assert_eq!((first(Check::Times), first(Check::Streams)), (Some(20), Some(10)));
    assert_eq!(first(Check::Leaves).or(first(Check::Chain)), None);
}

#[test]
fn p2_a_cut_tail_is_found_by_the_checkpoint_that_covers_it() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |rows| rows.truncate(25));
    let inside = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!(inside.report.changed, Some(Interval { after: 21, before: 28 }));

    // Whoever cuts the entries cuts the checkpoints beside them too: only one held outside shows it.
    write_checkpoints(directory.path(), &ledger.checkpoints[..3]);
    let hidden = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!((hidden.report.verdict, hidden.report.covered), (Verdict::Verified, 21));
    let held = [ledger.checkpoints[1].1.clone(), ledger.checkpoints[4].1.clone()];
    let shown = check(directory.path(), &[ledger.vkey()], &held);
    assert_eq!(shown.report.verdict, Verdict::Failed { check: Check::Outside });
    assert_eq!(shown.report.changed_outside, Some(Interval { after: 14, before: 30 }));
}

/// The strongest attacker: holds the database and the log's key, and leaves a history that is sound in itself.
#[test]
fn p2_a_rewritten_history_is_bounded_by_the_checkpoints_held_outside() {
    let ledger = Ledger::of_a_day(50);
    let directory = tampered(&ledger, |rows| {
        rows[17].3 = edited(&rows[17].3, "\"size\":", "\"size\":9");
        rechain(rows, 17);
    });
    let text = fs::read_to_string(directory.path().join("entries.tsv")).unwrap();
    let leaves = text.lines().map(|line| line.split('\t').nth(2).unwrap().parse().unwrap());
    let (mut frontier, mut forged) = (Frontier::new(), Vec::new());
    for leaf in leaves {
        frontier.push(leaf);
        if frontier.size() % 5 == 0 {
            let (size, root) = (frontier.size(), frontier.root());
            let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root, extensions: vec![] };
            forged.push((size, checkpoint.sign(&[&ledger.key]).unwrap().to_string()));
        }
    }
    write_checkpoints(directory.path(), &forged);
    assert_eq!(check(directory.path(), &[ledger.vkey()], &[]).report.verdict, Verdict::Verified);

    let held: Vec<_> = [0, 1, 4, 6].map(|n| ledger.checkpoints[n].1.clone()).into();
    let checked = check(directory.path(), &[ledger.vkey()], &held);
    assert_eq!(checked.report.verdict, Verdict::Failed { check: Check::Outside });
    assert_eq!(checked.report.changed_outside, Some(Interval { after: 14, before: 35 }));
    assert_eq!(checked.report.changed, None);
}

#[test]
fn p2_a_checkpoint_by_another_key_does_not_count() {
    let ledger = Ledger::of_a_day(14);
    let directory = tampered(&ledger, |_rows| {});
    let stranger = SigningKey::new(ORIGIN, &[1; 32]).unwrap();
    let (size, root) = (14, ledger.root());
    let forged = Checkpoint { origin: ORIGIN.into(), size, root, extensions: vec![] }.sign(&[&stranger]).unwrap();
    write_checkpoints(directory.path(), &[ledger.checkpoints[0].clone(), (14, forged.to_string())]);
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert_eq!(checked.failed(), [Check::Checkpoints]);
    assert_eq!(checked.report.covered, 7);
}

#[test]
fn p2_rows_nobody_can_read_are_named_and_the_rest_is_checked() {
    let ledger = Ledger::of_a_day(30);
    let directory = tampered(&ledger, |_rows| {});
    let path = directory.path().join("entries.tsv");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(n, line)| if n == 8 { "nothing\n".into() } else { format!("{line}\n") })
        .collect();
    fs::write(&path, lines.concat()).unwrap();
    let checked = check(directory.path(), &[ledger.vkey()], &[]);
    assert!(checked.failures.iter().any(|f| (f.check, f.from, f.to) == (Check::Rows, 8, 8)));
    assert!(!checked.failed().contains(&Check::Chain) && !checked.failed().contains(&Check::Leaves));
    assert_eq!(checked.report.entries, 30);
}

#[test]
fn a_file_that_is_not_there_is_an_error_and_not_a_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let options = DumpOptions {
        policy: None,
        keys: vec![],
        outside: vec![],
        scratch: directory.path().into(),
        threads: NonZeroUsize::MIN,
    };
    let error = verify_dump(&directory.path().join("nowhere"), &options, |_failure| {}).unwrap_err();
    assert!(error.to_string().contains("entries.tsv"), "{error}");
}
