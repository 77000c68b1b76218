//! What chance does not find: both verifiers take the same shapes and the same spellings, and refuse all others by the same
//! check. Each case here was once taken by one of them, or named otherwise, or is a rule that the document had left open.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muniment::bundle::{Check, verify_disclosure};
use muniment::ledger::VerifyingKey;
use muniment::record::Digest;
use serde_json::{Value, json};

use super::agreement::essence;
use super::disclosure::{failed, sample, sample_with_a_root};
use super::dump::check;
use super::ledger::Ledger;
use super::python::many;

type Change = fn(&mut Value);

/// The values of an object, in the order in which a derived reader would take them from an array.
fn as_array(object: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| object[*key].clone()).collect()
}

fn in_proof(v: &mut Value, from: &str, to: &str) {
    let proof = v["entries"][0]["proof"].as_str().unwrap();
    assert!(proof.contains(from), "{from} is not in {proof}");
    v["entries"][0]["proof"] = proof.replacen(from, to, 1).into();
}

const ALTERED: &[(&str, Change, &[Check])] = &[
    ("an array for the whole", |v| *v = as_array(v, &["format", "record", "entries"]), &[Check::Form]),
    (
        "an array for an entry",
        |v| v["entries"][0] = as_array(&v["entries"][0], &["entry", "proof", "shown", "withheld"]),
        &[Check::Form],
    ),
    (
        "an array for a shown field",
        |v| v["entries"][0]["shown"][0] = as_array(&v["entries"][0]["shown"][0], &["name", "salt", "text"]),
        &[Check::Form],
    ),
    ("null for what is absent", |v| v["entries"][0]["shown"][0]["base64"] = Value::Null, &[Check::Form]),
    ("null for no commitments", |v| v["entries"][0]["commitments"] = Value::Null, &[Check::Form]),
    ("the record in capitals", |v| v["record"] = v["record"].as_str().unwrap().to_uppercase().into(), &[Check::Form]),
    (
        "the record without hyphens",
        |v| v["record"] = v["record"].as_str().unwrap().replace('-', "").into(),
        &[Check::Form],
    ),
    ("the record in braces", |v| v["record"] = format!("{{{}}}", v["record"].as_str().unwrap()).into(), &[Check::Form]),
    (
        "text in base64",
        |v| {
            let shown = v["entries"][0]["shown"][0].as_object_mut().unwrap();
            let text = shown.remove("text").unwrap();
            shown.insert("base64".into(), STANDARD.encode(text.as_str().unwrap()).into());
        },
        &[Check::Form],
    ),
    (
        "neither text nor base64",
        |v| drop(v["entries"][0]["shown"][0].as_object_mut().unwrap().remove("text")),
        &[Check::Shown],
    ),
    (
        "a salt with padding",
        |v| {
            v["entries"][0]["shown"][0]["salt"] =
                format!("{}=", v["entries"][0]["shown"][0]["salt"].as_str().unwrap()).into()
        },
        &[Check::Shown],
    ),
    ("an entry that is not base64", |v| v["entries"][0]["entry"] = "!".into(), &[Check::Entries]),
    ("commitments beside its own", |v| v["entries"][0]["commitments"] = json!([]), &[Check::Shown]),
    (
        "another root, so that neither signature nor proof holds",
        |v| in_proof(v, "IVPM", "IVPN"),
        &[Check::Checkpoints, Check::Inclusion],
    ),
    (
        "another index and no signature that is known",
        |v| {
            in_proof(v, "index 4\n", "index 5\n");
            in_proof(v, "— ledger.firm", "— ledger.f0rm");
        },
        &[Check::Checkpoints, Check::Inclusion],
    ),
    ("a signed note that is no checkpoint", |v| in_proof(v, "\n20\n", "\n020\n"), &[Check::Inclusion]),
    (
        "a proof longer than 1,000,000 bytes",
        |v| in_proof(v, "index 4\n", &format!("extra {}\nindex 4\n", "A".repeat(1_000_000))),
        &[Check::Inclusion],
    ),
    ("an extra line with nothing in it", |v| in_proof(v, "index 4\n", "extra \nindex 4\n"), &[]),
];

#[test]
fn p2_both_verifiers_take_the_same_shapes_of_a_disclosure() {
    let (ledger, disclosure) = sample();
    let (of_root, with_a_root) = sample_with_a_root();
    let mut cases = Vec::new();
    for (what, change, expected) in ALTERED {
        let mut value: Value = serde_json::from_str(&disclosure.to_json()).unwrap();
        change(&mut value);
        cases.push((*what, ledger.vkey(), value.to_string(), *expected));
    }
    let mut reversed: Value = serde_json::from_str(&with_a_root.to_json()).unwrap();
    reversed["entries"][0]["commitments"].as_array_mut().unwrap().reverse();
    cases.push(("commitments that do not rise", of_root.vkey(), reversed.to_string(), &[Check::Shown]));
    let asked: Vec<_> = cases
        .iter()
        .map(|(_what, vkey, json, _expected)| {
            json!({"is": "disclosure", "bytes": hex::encode(json), "vkeys": [vkey.to_string()]})
        })
        .collect();
    for ((what, vkey, json, expected), theirs) in cases.iter().zip(many(&asked)) {
        let ours = verify_disclosure(json.as_bytes(), std::slice::from_ref(vkey));
        assert_eq!(failed(&ours), *expected, "{what}: {:?}", ours.failures);
        let checks = theirs["checks"].as_array().unwrap().iter();
        let failed: Vec<_> = checks.filter_map(|check| check[1]["failed"]["check"].as_str()).collect();
        assert_eq!(failed, expected.iter().map(|check| check.as_str()).collect::<Vec<_>>(), "{what}: {theirs}");
        assert_eq!(json!(ours)["entries"], theirs["entries"], "{what}");
    }
}

/// A verifier key of these bytes, its id as it should be.
fn vkey(name: &str, typed: &[u8]) -> String {
    let id = Digest::of(&[name.as_bytes(), b"\n", typed]).to_string();
    format!("{name}+{}+{}", &id[..8], STANDARD.encode(typed))
}

#[test]
fn p2_both_verifiers_take_the_same_keys() {
    let sound = Ledger::new().vkey().to_string();
    let typed = STANDARD.decode(sound.splitn(3, '+').nth(2).unwrap()).unwrap();
    let of_type = |key_type: u8, key: &[u8]| [&[key_type], key].concat();
    let key = &typed[1..];
    let mut cases = vec![(sound.clone(), true), (vkey("a,b", &typed), true), (vkey("ä", &typed), true)];
    cases.push((vkey("x", &of_type(4, key)), true));
    cases.push((vkey("x", &of_type(6, &[0; 1312])), true));
    for name in ["", "a b", "a\u{a0}b", "a\u{3000}b", "a\u{7f}b", "a\u{85}b"] {
        cases.push((vkey(name, &typed), false));
    }
    for typed in [of_type(2, key), of_type(6, key), of_type(1, &key[1..]), vec![1], vec![]] {
        cases.push((vkey("x", &typed), false));
    }
    for text in [format!("{sound}="), sound.replace('+', "++"), sound.to_uppercase(), format!("{sound} ")] {
        cases.push((text, false));
    }
    // Small order, no point, and points spelled with a y that is not below 2^255 - 19: by y, with either sign.
    let mut points = 0;
    for key_type in [1, 4] {
        for low in 0..=u8::MAX {
            for (middle, last) in [(0, 0), (0, 0x80), (0xff, 0x7f), (0xff, 0xff)] {
                let mut y = [middle; 32];
                (y[0], y[31]) = (low, last);
                let text = vkey("x", &of_type(key_type, &y));
                let taken = text.parse::<VerifyingKey>().is_ok();
                assert!(!taken || middle == 0 || low < 0xed, "{text} is not how RFC 8032 spells a point");
                points += usize::from(taken);
                cases.push((text, taken));
            }
        }
    }
    assert!((400..1_800).contains(&points), "{points}");
    let asked: Vec<_> = cases.iter().map(|(text, _taken)| json!({"is": "key", "text": text})).collect();
    for ((text, taken), theirs) in cases.iter().zip(many(&asked)) {
        assert_eq!(text.parse::<VerifyingKey>().is_ok(), *taken, "{text}");
        assert_eq!(theirs, *taken, "{text}");
    }
}

/// Lines that stand after the first two entries of a sound dump, and the checks that fail then.
fn odd_lines(ledger: &Ledger) -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let entry = &ledger.entries[2];
    let line = |index: &str, body: &[u8]| {
        [format!("{index}\t{}\t{}\t", entry.id(), entry.leaf()).as_bytes(), body, b"\n"].concat()
    };
    let body = entry.bytes();
    let before = line("2", b"").len() - 1;
    let mut octal = body.to_vec();
    octal.splice(..1, *br"\\173");
    vec![
        ("the entry itself", line("2", body), &[]),
        ("its first byte in octal", line("2", &octal), &[]),
        ("another escape", line("2", &[br"\x7b", &body[1..]].concat()), &["rows"]),
        ("octal above 377", line("2", &[br"\\400", &body[1..]].concat()), &["rows"]),
        ("a raw byte above 7f", line("2", &[body, b"\xff"].concat()), &["entries", "leaves"]),
        ("the longest line", line("2", &vec![b'x'; 524_288 - before]), &["entries", "leaves"]),
        ("a longer line", line("2", &vec![b'x'; 524_289 - before]), &["rows"]),
        ("an index of 2^53", line("9007199254740992", body), &["rows"]),
        ("an index with a leading zero", line("02", body), &["rows"]),
        ("no row at all", b"\n".to_vec(), &["rows"]),
        ("the end that psql writes to a pipe", b"\\.\n".to_vec(), &["rows"]),
    ]
}

#[test]
fn p2_both_verifiers_read_the_same_lines() {
    let ledger = Ledger::of_a_day(3);
    let sound: Vec<u8> = {
        let directory = tempfile::tempdir().unwrap();
        ledger.dump(directory.path());
        fs::read(directory.path().join("entries.tsv")).unwrap()
    };
    let first_two: Vec<u8> = sound.split_inclusive(|b| *b == b'\n').take(2).flatten().copied().collect();
    let mut cases = Vec::new();
    for (what, line, expected) in odd_lines(&ledger) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("entries.tsv"), [first_two.as_slice(), &line].concat()).unwrap();
        cases.push((what, directory, expected, vec![]));
    }
    let note = &ledger.checkpoints.last().unwrap().1;
    let column = note.replace('\n', "\\n");
    let unsigned = note.replace("— ledger.firm", "— ledger.f0rm");
    for (what, line, outside, expected) in [
        ("a checkpoint", format!("3\t{column}\n"), note, &[][..]),
        ("another size in the column", format!("2\t{column}\n"), note, &["checkpoints"]),
        ("a size that is not decimal", format!("03\t{column}\n"), note, &["checkpoints"]),
        ("a size of 2^64", format!("18446744073709551616\t{column}\n"), note, &["checkpoints"]),
        ("no note", "\n".to_owned(), note, &["checkpoints"]),
        ("no signature that is known", format!("3\t{column}\n"), &unsigned, &["outside"]),
        ("no checkpoint", format!("3\t{column}\n"), &"nothing".to_owned(), &["outside"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("entries.tsv"), &sound).unwrap();
        fs::write(directory.path().join("checkpoints.tsv"), line).unwrap();
        cases.push((what, directory, expected, vec![outside.clone()]));
    }
    let asked: Vec<_> = cases
        .iter()
        .map(|(_what, directory, _expected, outside)| {
            json!({"is": "dump", "path": directory.path(), "vkeys": [ledger.vkey().to_string()], "outside": outside})
        })
        .collect();
    for ((what, directory, expected, outside), theirs) in cases.iter().zip(many(&asked)) {
        let ours = check(directory.path(), &[ledger.vkey()], outside);
        let failed: Vec<_> = ours.failed().iter().map(|check| check.as_str()).collect();
        assert_eq!(failed, *expected, "{what}: {:?}", ours.failures);
        let ours = essence(&json!(ours.failures), &json!(ours.report));
        assert_eq!(ours, essence(&theirs["failures"], &theirs["report"]), "{what}");
    }
}
