//! The formats prove themselves before anything depends on them: disposal, withholding, two custodians.

use muniment::bundle::{Disclosed, Disclosure, ShownField, Verdict, verify_disclosure};
use muniment::ledger::EntryType;
use muniment::record::{FieldName, MasterKey, Part, RecordKey, SealError, WrapError, seal, unseal};
use serde_json::{Value, json};

use super::dump::check;
use super::ledger::{Ledger, advisor, post, record, record_key, time, uuid_v7};

/// One record is disposed of: its wrapped key is destroyed. The chain, the tree and every proof stay as they were; its content is
/// unreadable with everything that is left, the firm's master key included.
#[test]
fn p6_after_disposal_the_ledger_verifies_and_the_text_is_unreadable() {
    let mut ledger = Ledger::new();
    let master = MasterKey::new([0x33; 32]);
    let text = FieldName::part(0, Part::Text);
    let mut sealed = Vec::new();
    let mut wrapped = Vec::new();
    for n in 0..4 {
        let id = ledger.capture(n, &[advisor(1)], &post(n));
        let (_name, value) = post(n).into_iter().find(|(name, _value)| *name == text).unwrap();
        sealed.push((id, seal(&record_key(n).sealing_key(id, &text), &value).unwrap()));
        wrapped.push(Some(master.wrap_key(record(n), &record_key(n), [n as u8; 12]).unwrap()));
    }
    ledger.publish();
    let before = ledger.entries.iter().map(|entry| entry.bytes().to_vec()).collect::<Vec<_>>();

    wrapped[2] = None;
    let disposal = json!({
        "backups_expire_at": time(86_400 * 35, 0), "contents": 4, "phase": "destroyed",
        "records": [record(2).to_string()], "rule": "six_years",
    });
    let disposal = ledger.draft(EntryType::Disposal, disposal);
    ledger.append(disposal);
    ledger.publish();

    let directory = tempfile::tempdir().unwrap();
    ledger.dump(directory.path());
    assert_eq!(check(directory.path(), &[ledger.vkey()], &[]).report.verdict, Verdict::Verified);
    assert!(before.iter().zip(&ledger.entries).all(|(before, entry)| before == entry.bytes()));

    for (n, (id, sealed)) in (0..).zip(&sealed) {
        let open = |key: &RecordKey| unseal(&key.sealing_key(*id, &text), sealed);
        match &wrapped[n as usize] {
            Some(wrapped) => {
                let value = open(&master.unwrap_key(record(n), wrapped).unwrap()).unwrap();
                assert_eq!(value, post(n)[1].1);
            }
            None => {
                // Every key that is left: of the other records, and whatever the master key opens under this record's id.
                for other in wrapped.iter().flatten() {
                    assert_eq!(master.unwrap_key(record(n), other).err(), Some(WrapError::Refused));
                }
                for other in (0..4).filter(|other| *other != n) {
                    assert!(matches!(open(&record_key(other)), Err(SealError::Refused)));
                }
            }
        }
    }
    // Nor can the text be confirmed by guessing: the commitment's salt went with the key.
    let guess = String::from_utf8(post(2)[1].1.clone()).unwrap();
    let entry = String::from_utf8(ledger.entries[2].bytes().to_vec()).unwrap();
    assert!(!entry.contains(&guess) && ledger.entries[2].record() == Some(record(2)));
    assert!(!sealed[2].1.windows(8).any(|window| guess.as_bytes().windows(8).any(|words| words == window)));
}

/// One record is shown with a field withheld: the rest verifies, and no visible field can be altered.
#[test]
fn p2_a_record_with_a_field_withheld_verifies_and_an_altered_visible_field_fails() {
    let ledger = Ledger::of_a_day(20);
    let entry = ledger.entries.iter().find(|entry| entry.record() == Some(record(2))).unwrap();
    let names: Vec<_> = post(2).into_iter().map(|(name, _value)| name).collect();
    for withheld in &names {
        let shown = post(2).into_iter().filter(|(name, _value)| name != withheld).map(|(name, value)| ShownField {
            salt: record_key(2).salt(entry.id(), &name),
            name,
            value,
        });
        let shown: Vec<_> = shown.collect();
        let visible = shown.len();
        let disclosed =
            Disclosed { entry: entry.clone(), proof: ledger.proof(entry.index()), shown, commitments: None };
        let json = Disclosure::new(record(2), vec![disclosed]).unwrap().to_json();
        let report = verify_disclosure(json.as_bytes(), &[ledger.vkey()]);
        assert_eq!(report.verdict, Verdict::Verified, "{withheld}: {:?}", report.failures);
        assert_eq!(report.entries[0].withheld, std::slice::from_ref(withheld));
        for field in 0..visible {
            let mut value: Value = serde_json::from_str(&json).unwrap();
            let shown = &mut value["entries"][0]["shown"][field];
            match shown.get("text").and_then(Value::as_str).map(ToOwned::to_owned) {
                Some(text) => shown["text"] = format!("{text}!").into(),
                None => shown["base64"] = "/wAB".into(),
            }
            let report = verify_disclosure(value.to_string().as_bytes(), &[ledger.vkey()]);
            assert!(matches!(report.verdict, Verdict::Failed { .. }));
            assert_eq!(report.entries[0].shown.len(), visible - 1);
        }
    }
}

/// One message belongs to two advisors: it is one entry, at a place of its own in each of the two streams, and both are whole.
#[test]
fn p2_a_message_of_two_advisors_leaves_both_streams_contiguous() {
    let mut ledger = Ledger::new();
    ledger.capture(0, &[advisor(1)], &post(0));
    ledger.capture(1, &[advisor(2)], &post(1));
    ledger.capture(2, &[advisor(2)], &post(2));
    ledger.capture(3, &[advisor(2), advisor(1)], &post(3));
    ledger.capture(4, &[advisor(1)], &post(4));
    ledger.capture(5, &[advisor(2)], &post(5));
    ledger.publish();
    let places = |who| {
        let streams = ledger.entries.iter().flat_map(|entry| entry.streams());
        streams.filter(|position| position.id == who).map(|position| position.index).collect::<Vec<_>>()
    };
    assert_eq!((places(advisor(1)), places(advisor(2))), (vec![0, 1, 2], vec![0, 1, 2, 3]));
    let shared: Vec<_> = ledger.entries[3].streams().iter().map(|position| (position.id, position.index)).collect();
    assert_eq!(shared, [(advisor(1), 1), (advisor(2), 2)]);

    let directory = tempfile::tempdir().unwrap();
    ledger.dump(directory.path());
    assert_eq!(check(directory.path(), &[ledger.vkey()], &[]).report.verdict, Verdict::Verified);

    // Found out later: an attribution entry takes the next place in the new stream and names the old entry.
    let attribution = json!({"cause": "account_linked", "entry": ledger.entries[0].id().to_string(), "index": 0});
    let mut attribution = ledger.draft(EntryType::Attribution, attribution);
    attribution.record = Some(record(0));
    attribution.streams = vec![advisor(2)];
    ledger.append(attribution);
    ledger.publish();
    ledger.dump(directory.path());
    assert_eq!(check(directory.path(), &[ledger.vkey()], &[]).report.verdict, Verdict::Verified);
    assert_eq!(ledger.entries[6].streams()[0].index, 4);
    assert_eq!(ledger.entries[6].id().uuid(), uuid_v7(6));
}
