//! Disclosures: what is shown holds, what is withheld is named and stays closed, and nothing can be altered.

use muniment::bundle::{
    Check, Disclosed, Disclosure, DisclosureError, DisclosureReport, ShownField, Verdict, verify_disclosure,
};
use muniment::ledger::{Commitments, EntryType};
use muniment::record::{Commitment, FieldName, Part};
use serde_json::Value;

use super::ledger::{Ledger, advisor, field, post, record, record_key};

/// Post 1 and its outcome, with text and raw body shown, author and head withheld.
pub(super) fn sample() -> (Ledger, Disclosure) {
    let ledger = Ledger::of_a_day(20);
    let of_record = ledger.entries.iter().filter(|entry| entry.record() == Some(record(1)));
    let disclosed = of_record.map(|entry| {
        let is_capture = entry.entry_type() == EntryType::Capture;
        let is_shown = |name: &FieldName| is_capture && ["0.text", "request.body"].contains(&name.as_str());
        let shown = post(1).into_iter().filter(|(name, _value)| is_shown(name));
        let salt = |name: &FieldName| record_key(1).salt(entry.id(), name);
        let shown = shown.map(|(name, value)| ShownField { salt: salt(&name), name, value }).collect();
        Disclosed { entry: entry.clone(), proof: ledger.proof(entry.index()), shown, commitments: None }
    });
    let disclosure = Disclosure::new(record(1), disclosed.collect()).unwrap();
    (ledger, disclosure)
}

/// A record whose one entry has more fields than it can list.
pub(super) fn sample_with_a_root() -> (Ledger, Disclosure) {
    let mut ledger = Ledger::new();
    let fields: Vec<_> = (0..300).map(|n| (FieldName::part(n, Part::Text), format!("item {n}").into_bytes())).collect();
    let id = ledger.capture(7, &[advisor(1)], &fields);
    ledger.publish();
    let salt = |name: &FieldName| record_key(7).salt(id, name);
    let all: Commitments =
        fields.iter().map(|(name, value)| (name.clone(), Commitment::to(&salt(name), value))).collect();
    let shown = fields[40..42].iter().map(|(name, value)| ShownField {
        name: name.clone(),
        salt: salt(name),
        value: value.clone(),
    });
    let shown = shown.collect();
    let entry = ledger.entries[0].clone();
    let disclosed = Disclosed { entry, proof: ledger.proof(0), shown, commitments: Some(all) };
    let disclosure = Disclosure::new(record(7), vec![disclosed]).unwrap();
    (ledger, disclosure)
}

pub(super) fn failed(report: &DisclosureReport) -> Vec<Check> {
    let failed = report.checks.iter().filter(|(_check, verdict)| matches!(verdict, Verdict::Failed { .. }));
    failed.map(|(check, _verdict)| *check).collect()
}

fn changed(json: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(json).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn what_is_shown_holds_and_what_is_withheld_is_named() {
    let (ledger, disclosure) = sample();
    let report = verify_disclosure(disclosure.to_json().as_bytes(), &[ledger.vkey()]);
    assert_eq!(report.verdict, Verdict::Verified, "{:?}", report.failures);
    let names = |names: &[FieldName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&report.entries[0].shown), ["0.text", "request.body"]);
    assert_eq!(names(&report.entries[0].withheld), ["0.author", "request.head"]);
    assert_eq!(names(&report.entries[1].withheld), ["0.item"]);
    assert_eq!(report.entries[0].proved_in, Some(20));
}

#[test]
fn nothing_of_a_withheld_field_is_in_the_disclosure() {
    let (_ledger, disclosure) = sample();
    let json = disclosure.to_json();
    let capture = Ledger::of_a_day(20).entries.iter().find(|e| e.record() == Some(record(1))).unwrap().id();
    use base64::Engine as _;
    let salt = record_key(1).salt(capture, &field("0.author"));
    let salt = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(salt.as_bytes());
    for secret in ["@advisor.example", "createRecord", salt.as_str()] {
        assert!(!json.contains(secret), "{secret}");
    }
    assert!(json.contains("Rates are what they are"));
}

#[test]
fn a_disclosure_without_a_key_is_not_called_verified() {
    let (_ledger, disclosure) = sample();
    let report = verify_disclosure(disclosure.to_json().as_bytes(), &[]);
    assert!(matches!(report.verdict, Verdict::NotChecked { .. }));
    assert_eq!(failed(&report), []);
}

#[test]
fn more_than_256_fields_are_disclosed_through_their_root() {
    let (ledger, disclosure) = sample_with_a_root();
    let json = disclosure.to_json();
    let report = verify_disclosure(json.as_bytes(), &[ledger.vkey()]);
    assert_eq!(report.verdict, Verdict::Verified, "{:?}", report.failures);
    assert_eq!((report.entries[0].shown.len(), report.entries[0].withheld.len()), (2, 298));
    let other = changed(&json, |value| {
        let first = value["entries"][0]["commitments"][0]["commitment"].clone();
        value["entries"][0]["commitments"][1]["commitment"] = first;
    });
    assert_eq!(failed(&verify_disclosure(&other, &[ledger.vkey()])), [Check::Shown]);
    let none = changed(&json, |value| drop(value["entries"][0].as_object_mut().unwrap().remove("commitments")));
    assert_eq!(failed(&verify_disclosure(&none, &[ledger.vkey()])), [Check::Shown]);
}

type Change = Box<dyn Fn(&mut Value)>;

#[test]
fn every_alteration_fails_the_check_it_concerns() {
    let (ledger, disclosure) = sample();
    let json = disclosure.to_json();
    let mut other = Ledger::new();
    for n in 100..108 {
        other.capture(n, &[advisor(1)], &post(n));
    }
    other.publish();
    let cases: [(&str, Change, &[Check]); 15] = [
        (
            "a word changed",
            Box::new(|v| v["entries"][0]["shown"][0]["text"] = "Rates are great".into()),
            &[Check::Shown],
        ),
        ("a byte changed", Box::new(|v| v["entries"][0]["shown"][1]["base64"] = "/wAC".into()), &[Check::Shown]),
        ("another salt", Box::new(|v| v["entries"][0]["shown"][0]["salt"] = "A".repeat(43).into()), &[Check::Shown]),
        (
            "text and base64",
            Box::new(|v| v["entries"][0]["shown"][0]["base64"] = "".into()),
            &[Check::Form, Check::Shown],
        ),
        (
            "a field renamed",
            Box::new(|v| v["entries"][0]["shown"][0]["name"] = "0.item".into()),
            &[Check::Shown, Check::Withheld],
        ),
        (
            "a withheld field left out",
            Box::new(|v| drop(v["entries"][0]["withheld"].as_array_mut().unwrap().pop())),
            &[Check::Withheld],
        ),
        (
            "a withheld field made up",
            Box::new(|v| v["entries"][0]["withheld"].as_array_mut().unwrap().push("z".into())),
            &[Check::Withheld],
        ),
        (
            "fields out of order",
            Box::new(|v| v["entries"][0]["shown"].as_array_mut().unwrap().reverse()),
            &[Check::Form],
        ),
        ("entries out of order", Box::new(|v| v["entries"].as_array_mut().unwrap().reverse()), &[Check::Form]),
        ("another record", Box::new(|v| v["record"] = record(2).to_string().into()), &[Check::Record]),
        (
            "proofs exchanged",
            Box::new(|v| v["entries"][0]["proof"] = v["entries"][1]["proof"].clone()),
            &[Check::Inclusion],
        ),
        (
            "another log's proof",
            Box::new(move |v| v["entries"][0]["proof"] = other.proof(4).to_string().into()),
            &[Check::Inclusion],
        ),
        ("no proof", Box::new(|v| v["entries"][0]["proof"] = "".into()), &[Check::Inclusion]),
        ("no entry", Box::new(|v| v["entries"][0]["entry"] = "e30=".into()), &[Check::Entries]),
        ("an unknown key", Box::new(|v| v["note"] = "trust me".into()), &[Check::Form]),
    ];
    for (what, change, expected) in cases {
        let report = verify_disclosure(&changed(&json, change), &[ledger.vkey()]);
        assert_eq!(failed(&report), expected, "{what}: {:?}", report.failures);
        assert_eq!(report.verdict, Verdict::Failed { check: expected[0] }, "{what}");
    }
    let forged = json.replace("— ledger.firm.example ", "— ledger.f0rm.example ");
    assert_eq!(failed(&verify_disclosure(forged.as_bytes(), &[ledger.vkey()])), [Check::Checkpoints]);
    for bad in ["", "{}", "[]", &json[1..], &json.replace("disclosure/1", "disclosure/2"), &format!("{json}x")] {
        assert_eq!(failed(&verify_disclosure(bad.as_bytes(), &[ledger.vkey()])), [Check::Form]);
    }
}

#[test]
fn a_disclosure_that_would_not_verify_is_never_made() {
    let ledger = Ledger::of_a_day(20);
    let entry = ledger.entries[1].clone();
    let disclosed = |name: &str, value: &[u8]| Disclosed {
        entry: entry.clone(),
        proof: ledger.proof(1),
        shown: vec![ShownField {
            name: field(name),
            salt: record_key(0).salt(entry.id(), &field(name)),
            value: value.to_vec(),
        }],
        commitments: None,
    };
    let wrong = Disclosure::new(record(0), vec![disclosed("0.text", b"other")]);
    assert!(matches!(wrong, Err(DisclosureError::NotCommitted { index: 1, .. })));
    let none = Disclosure::new(record(0), vec![disclosed("9.text", b"other")]);
    assert!(matches!(none, Err(DisclosureError::NotCommitted { index: 1, .. })));
    let other = Disclosure::new(record(5), vec![disclosed("0.text", b"")]);
    assert!(matches!(other, Err(DisclosureError::OtherRecord { index: 1, .. })));
}
