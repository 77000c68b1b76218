//! Two verifiers, ours in Rust and a stranger's in Python from `docs/FORMAT.md` alone, reach the same verdicts: on sound sets, on
//! the test vectors, and on hundreds of sets that were tampered with at random (from a fixed seed, so a failure repeats itself).

use std::collections::BTreeSet;
use std::fs;

use muniment::bundle::verify_disclosure;
use muniment::ledger::{Entry, VerifyingKey, leaf_hash};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::disclosure::{sample, sample_with_a_root};
use super::dump::{Rows, check, rechain, rows};
use super::ledger::{Ledger, write_entries};
use super::python::{many, verify};
use super::vectors::path;

/// Bytes that mean something in one of the formats.
const TELLING: &[u8] = b"0123456789abcdefghij{}[]\":,\\\t\n.";

/// A small generator (SplitMix64): the same cases every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Changes, removes, repeats or moves a byte or a run of them.
    fn disturb(&mut self, bytes: &mut Vec<u8>) {
        let (at, run) = (self.below(bytes.len()), 1 + self.below(40));
        let end = (at + run).min(bytes.len());
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = TELLING[self.below(TELLING.len())],
            2 => drop(bytes.remove(at)),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let other = self.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }

    /// Changes rows as somebody does who knows the format: digits inside values, rows taken away, leaves and links made to fit
    /// again from there on, or the leaf alone, or nothing.
    fn forge(&mut self, rows: &mut Rows) {
        let at = self.below(rows.len());
        if self.below(4) == 0 {
            rows.remove(at);
            for (index, row) in rows.iter_mut().enumerate().skip(at) {
                let (old, new) =
                    (format!("\"index\":{},\"previous\"", row.0), format!("\"index\":{index},\"previous\""));
                row.3 = String::from_utf8(row.3.clone()).unwrap().replace(&old, &new).into_bytes();
                row.0 = index as u64;
            }
        } else {
            let body = &mut rows[at].3;
            let digits: Vec<_> = (0..body.len()).filter(|at| body[*at].is_ascii_digit()).collect();
            let digit = digits[self.below(digits.len())];
            body[digit] = b"0123456789"[self.below(10)];
        }
        match self.below(3) {
            0 => {}
            1 if at < rows.len() => rows[at].2 = leaf_hash(&rows[at].3).to_string(),
            _ => rechain(rows, at),
        }
    }

    /// Changes, removes, repeats or exchanges lines.
    fn disturb_lines(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<_> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let (at, other) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(4) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            _ => lines.truncate(at),
        }
        *bytes = lines.concat();
    }
}

/// What both reports must agree on.
pub(super) fn essence(failures: &Value, report: &Value) -> Value {
    let kind = |verdict: &Value| match verdict {
        Value::String(_) => "verified",
        other if other.get("failed").is_some() => "failed",
        _ => "not checked",
    };
    let checks: Vec<_> = report["checks"].as_array().unwrap().iter().map(|c| json!([c[0], kind(&c[1])])).collect();
    // Runs may be joined in one report and not in the other; what checkpoints say beyond the first may be counted.
    let of_rows = |failure: &&Value| failure["check"] != "checkpoints" && failure["check"] != "outside";
    let named: BTreeSet<_> = failures
        .as_array()
        .unwrap()
        .iter()
        .filter(of_rows)
        .flat_map(|failure| {
            let check = failure["check"].as_str().unwrap().to_owned();
            let (from, to) = (failure["from"].as_u64().unwrap(), failure["to"].as_u64().unwrap());
            // Only missing entries come in runs too long to be spelled out, and those are one run for everybody.
            let all: Vec<u64> = if to - from < 10_000 { (from..=to).collect() } else { vec![from, to] };
            all.into_iter().map(move |index| (check.clone(), index))
        })
        .collect();
    let value = |key: &str| report[key].clone();
    // Of checkpoints, what is counted instead of listed is each verifier's own choice.
    let mut failed = value("failed");
    failed.as_object_mut().unwrap().retain(|check, _count| check != "checkpoints" && check != "outside");
    json!({
        "verdict": kind(&report["verdict"]), "first": report["verdict"]["failed"]["check"], "checks": checks,
        "named": named, "entries": value("entries"), "root": value("root"), "covered": value("covered"),
        "checkpoints": value("checkpoints"), "changed": value("changed"), "changed_outside": value("changed_outside"),
        "failed": failed,
    })
}

fn our_dump(directory: &TempDir, keys: &[VerifyingKey], outside: &[String]) -> Value {
    let checked = check(directory.path(), keys, outside);
    essence(&json!(checked.failures), &json!(checked.report))
}

#[test]
fn p2_both_verifiers_agree_on_hundreds_of_tampered_dumps() {
    let ledger = Ledger::of_a_day(24);
    let (vkey, outside) = (ledger.vkey(), [ledger.checkpoints[1].1.clone(), ledger.checkpoints[3].1.clone()]);
    let mut chance = Chance(1);
    let mut directories = Vec::new();
    for case in 0..300 {
        let directory = tempfile::tempdir().unwrap();
        ledger.dump(directory.path());
        if case % 2 == 1 {
            let mut rows = rows(&ledger);
            for _ in 0..=chance.below(2) {
                chance.forge(&mut rows);
            }
            write_entries(directory.path(), rows);
        } else if case > 0 {
            let name = if chance.below(4) == 0 { "checkpoints.tsv" } else { "entries.tsv" };
            let file = directory.path().join(name);
            let mut bytes = fs::read(&file).unwrap();
            for _ in 0..=chance.below(3) {
                if chance.below(3) == 0 {
                    chance.disturb_lines(&mut bytes)
                } else {
                    chance.disturb(&mut bytes)
                }
                if bytes.is_empty() {
                    break;
                }
            }
            fs::write(file, bytes).unwrap();
        }
        directories.push(directory);
    }
    let cases: Vec<_> = directories
        .iter()
        .map(|directory| json!({"is": "dump", "path": directory.path(), "vkeys": [vkey.to_string()], "outside": outside}))
        .collect();
    let mut verdicts = BTreeSet::new();
    for (case, (directory, theirs)) in directories.iter().zip(many(&cases)).enumerate() {
        let checked = check(directory.path(), std::slice::from_ref(&vkey), &outside);
        let ours = essence(&json!(checked.failures), &json!(checked.report));
        let theirs = essence(&theirs["failures"], &theirs["report"]);
        verdicts.extend(checked.failed());
        assert_eq!(ours, theirs, "case {case}\n{:#?}", checked.failures);
    }
    // The cases are worth something only if they meet many checks.
    assert!(verdicts.len() >= 8, "{verdicts:?}");
}

#[test]
fn p2_both_verifiers_agree_on_what_an_entry_is() {
    let vectors: Value = serde_json::from_slice(&fs::read(path("entries.json")).unwrap()).unwrap();
    let bytes = |list: &str| {
        let list = vectors[list].as_array().unwrap().iter();
        list.map(|entry| entry["bytes"].as_str().unwrap().as_bytes().to_vec()).collect::<Vec<_>>()
    };
    let (sound, refused) = (bytes("entries"), bytes("refused"));
    let mut chance = Chance(2);
    let mut all: Vec<Vec<u8>> = sound.iter().chain(&refused).cloned().collect();
    for _ in 0..6_000 {
        let mut entry = sound[chance.below(sound.len() - 1)].clone();
        chance.disturb(&mut entry);
        all.push(entry);
    }
    let cases: Vec<_> = all.iter().map(|entry| json!({"is": "entry", "bytes": hex::encode(entry)})).collect();
    let mut accepted = 0;
    for (entry, theirs) in all.iter().zip(many(&cases)) {
        let ours = Entry::parse(entry);
        assert_eq!(ours.is_ok(), theirs == true, "{ours:?}\n{}", String::from_utf8_lossy(entry));
        accepted += usize::from(ours.is_ok());
    }
    assert!(accepted > sound.len() + 100, "{accepted} accepted: changes inside a value leave an entry an entry");
}

#[test]
fn p2_both_verifiers_agree_on_hundreds_of_tampered_disclosures() {
    let mut chance = Chance(3);
    let mut cases = Vec::new();
    for (ledger, disclosure) in [sample(), sample_with_a_root()] {
        let sound = disclosure.to_json().into_bytes();
        for case in 0..250 {
            let mut bytes = sound.clone();
            if case > 0 {
                chance.disturb(&mut bytes);
            }
            cases.push((ledger.vkey(), bytes));
        }
    }
    let asked = cases
        .iter()
        .map(|(vkey, bytes)| json!({"is": "disclosure", "bytes": hex::encode(bytes), "vkeys": [vkey.to_string()]}));
    let mut verified = 0;
    for ((vkey, bytes), theirs) in cases.iter().zip(many(&asked.collect::<Vec<_>>())) {
        let ours = json!(verify_disclosure(bytes, std::slice::from_ref(vkey)));
        let checks = |report: &Value| {
            let checks = report["checks"].as_array().unwrap().iter();
            checks
                .map(|check| (check[0].clone(), check[1] == "verified", check[1]["failed"].clone()))
                .collect::<Vec<_>>()
        };
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(checks(&ours), checks(&theirs), "{}\n{}\n{text}", ours["failures"], theirs["failures"]);
        assert_eq!(ours["entries"], theirs["entries"]);
        assert_eq!(ours["verdict"]["failed"], theirs["verdict"]["failed"]);
        verified += usize::from(ours["verdict"] == "verified");
    }
    assert!((2..400).contains(&verified), "{verified}");
}

#[test]
fn both_verifiers_agree_on_the_test_vectors_and_their_exit_codes() {
    let at = |name: &str| path(name).display().to_string();
    let vkey = fs::read_to_string(path("vkey")).unwrap();
    let (vkey, dump, checkpoint) = (vkey.trim(), at("dump"), at("checkpoint"));
    let nowhere = at("nowhere");
    let verifier = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_muniment-verify")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), output.stdout)
    };
    for (arguments, code) in [
        (vec!["dump", &dump, "--vkey", vkey, "--checkpoint", &checkpoint], 0),
        (vec!["dump", &dump], 4),
        (vec!["dump", &dump, "--vkey", "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"], 1),
        (vec!["disclosure", &at("disclosure.json"), "--vkey", vkey], 0),
        (vec!["disclosure", &at("disclosure-root.json"), "--vkey", vkey], 0),
        (vec!["disclosure", &at("disclosure.json")], 4),
        (vec!["disclosure", &at("keys.json"), "--vkey", vkey], 1),
    ] {
        let (theirs, report) = verify(&arguments);
        let (ours, _text) = verifier(&arguments);
        let (with_json, json) = verifier(&[&arguments[..], &["--json"]].concat());
        assert_eq!((ours, with_json, theirs), (code, code, code), "{arguments:?}");
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            json.as_object().unwrap().keys().collect::<BTreeSet<_>>(),
            report.as_object().unwrap().keys().collect()
        );
    }
    assert_eq!(verifier(&["dump", &nowhere]).0, 3);
    assert_eq!(verifier(&["dump"]).0, 2);
    assert_eq!(verifier(&["dump", &dump, "--vkey", "nonsense"]).0, 2);
    let directory = tempfile::tempdir().unwrap();
    Ledger::of_a_day(3).dump(directory.path());
    assert_eq!(our_dump(&directory, &[], &[])["verdict"], "not checked");
}

#[test]
fn the_document_alone_makes_the_same_test_vectors() {
    let report = super::python::vectors();
    for name in ["keys.json", "commitments.json", "tree.json", "tiles.json", "entries.json", "sealing.json"] {
        assert!(report.contains(name), "{report}");
    }
}
