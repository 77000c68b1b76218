//! Bundles: written the same every time, checked by a stranger, and altered by one.

mod mutation;
mod outside;
mod renditions;
mod sample;

use muniment::bundle::{Check, Circumstance, Rendition, Verdict};

use self::sample::{Asked, day, files, sample, unpack, verify, verify_at, wanted, write};
use super::ledger::{advisor, record, time};

#[test]
fn p2_a_bundle_verifies_zipped_and_unpacked() {
    let (ledger, zip) = sample();
    let report = verify(&ledger, &zip);
    assert_eq!(report.verdict, Verdict::Verified, "{:#?}", report.failures);
    let of = |check| report.verdict_of(check).unwrap();
    for check in [Check::Bag, Check::Export, Check::Records, Check::Checkpoint, Check::Statement, Check::Range] {
        assert_eq!(of(check), &Verdict::Verified, "{check}");
    }
    for check in [Check::Redactions, Check::Renditions, Check::Circumstances] {
        assert_eq!(of(check), &Verdict::Verified, "{check}");
    }
    for check in [Check::Quorum, Check::Timestamps] {
        assert!(matches!(of(check), Verdict::NotChecked { .. }), "{check}");
    }
    assert_eq!((report.records, report.ranges.len()), (wanted(&ledger, &Asked::default()).len() as u64, 1));
    let size = ledger.entries.len();
    let words = format!("complete, provided a full-log auditor attests no stream forks up to size {size}");
    assert_eq!(report.provided.as_deref(), Some(words.as_str()));

    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    assert_eq!(verify_at(&ledger, &root), report);
    assert_eq!(verify_at(&ledger, &directory.path().join("bundle.zip")), report);
}

#[test]
fn the_same_records_are_the_same_bytes() {
    let (_ledger, first) = sample();
    let (_ledger, second) = sample();
    assert!(first == second);
}

#[test]
fn without_a_key_nothing_is_called_verified() {
    let (_ledger, zip) = sample();
    let source = muniment::bundle::Source::Bytes(std::sync::Arc::from(zip.as_slice()));
    let report = muniment::bundle::verify_bundle(&source, &[]).unwrap();
    assert!(matches!(report.verdict, Verdict::NotChecked { .. }), "{:?}", report.verdict);
    assert_eq!(report.failures, [""; 0]);
}

#[test]
fn a_bundle_that_says_it_is_complete_for_nobody_is_not_called_complete() {
    let mut ledger = day(6);
    let zip = write(&mut ledger, &Asked { advisors: vec![], ..Asked::default() });
    let report = verify(&ledger, &zip);
    assert_eq!((&report.verdict, report.records), (&Verdict::Verified, 0), "{:?}", report.failures);
    assert!(matches!(report.verdict_of(Check::Range), Some(Verdict::NotChecked { .. })));
    assert_eq!(report.provided, None);
}

#[test]
fn what_stands_around_the_records_is_told_with_names_and_nothing_that_is_closed() {
    let mut ledger = day(16);
    let zip = write(&mut ledger, &Asked { from: None, until: None, ..Asked::default() });
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let coverage: serde_json::Value = serde_json::from_str(&read("data/gaps/coverage.json")).unwrap();
    let ada = &coverage["advisors"][0];
    assert_eq!((&ada["name"], &ada["devices"][0]["name"]), (&"Ada <A>".into(), &"Ada's laptop".into()), "{coverage}");
    assert_eq!(ada["devices"][0]["gaps"][0]["cause"], "outage", "{coverage}");
    let page = read("data/html/circumstances.html");
    for said in ["Ada &lt;A&gt;", "Ada&#39;s laptop", "records.get", "outage", "verified"] {
        assert!(page.contains(said), "{said}");
    }
    let certificate = read("data/certificate/certificate.html");
    for said in
        ["902(13)", "902(14)", "under penalty of perjury", "all of entries 0 up to before 9: verified, 0 failures"]
    {
        assert!(certificate.contains(said), "{said}");
    }
    let digest =
        muniment::record::Digest::of(&[
            &std::fs::read(root.join(format!("data/records/{}/record.json", record(3)))).unwrap()
        ]);
    assert!(certificate.contains(&digest.to_string()), "the digest of each record's file is in the schedule");
    for closed in ["quarterly review", "private.example"] {
        assert!(!zip.windows(closed.len()).any(|window| window == closed.as_bytes()), "{closed}");
    }
}

#[test]
fn a_gap_that_stands_in_a_range_cannot_be_kept_quiet() {
    for (untold, holds) in [(None, true), (Some(Circumstance::Access), true), (Some(Circumstance::Gaps), false)] {
        let mut ledger = day(16);
        let zip = write(&mut ledger, &Asked { untold, from: None, until: None, ..Asked::default() });
        let report = verify(&ledger, &zip);
        assert_eq!(report.verdict == Verdict::Verified, holds, "{untold:?} {:#?}", report.failures);
        assert_eq!(report.verdict_of(Check::Range), Some(&Verdict::Verified));
        assert_eq!(report.verdict_of(Check::Circumstances) == Some(&Verdict::Verified), holds);
    }
}

#[test]
fn a_range_may_begin_with_the_first_entry_and_end_with_the_export() {
    for (from, until) in [(None, None), (None, Some(time(9, 0))), (Some(time(9, 0)), None)] {
        let mut ledger = day(16);
        let asked = Asked { advisors: vec![advisor(1), advisor(9)], from, until, ..Asked::default() };
        let zip = write(&mut ledger, &asked);
        let report = verify(&ledger, &zip);
        assert_eq!(report.verdict, Verdict::Verified, "{from:?} {until:?} {:#?}", report.failures);
        assert_eq!(report.ranges.len(), 2);
    }
}

#[test]
fn nothing_withheld_is_in_any_byte_of_a_bundle() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let mut ledger = day(16);
    let renditions = vec![Rendition::Eml, Rendition::LoadFile, Rendition::Rsmf];
    let zip = write(&mut ledger, &Asked { renditions, ..Asked::default() });
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let mut all = vec![zip.clone()];
    all.extend(files(&root).iter().map(|path| std::fs::read(root.join(path)).unwrap()));
    let capture = |n| ledger.entries.iter().find(|entry| entry.record() == Some(record(n))).unwrap().id();
    let salt = |n, name: &str| super::ledger::record_key(n).salt(capture(n), &name.parse().unwrap());
    let mut secrets: Vec<Vec<u8>> =
        vec![b"@advisor.example".to_vec(), b"createRecord".to_vec(), "part 6 \u{2014} ask me".as_bytes().to_vec()];
    for (n, name) in [(3, "0.author"), (6, "0.text"), (6, "request.body"), (3, "request.head")] {
        secrets.push(salt(n, name).as_bytes().to_vec());
        secrets.push(URL_SAFE_NO_PAD.encode(salt(n, name).as_bytes()).into_bytes());
    }
    for secret in secrets.clone() {
        // At each of the three places in a group that base64 makes another text of it.
        for shift in 0..3 {
            let inner = STANDARD.encode([vec![0; shift], secret.clone()].concat());
            secrets.push(inner.as_bytes()[4..inner.len() - 4].to_vec());
        }
        secrets.push(hex::encode(&secret).into_bytes());
    }
    for secret in &secrets {
        for bytes in &all {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", String::from_utf8_lossy(secret));
        }
    }
    let shown = b"Rates are what they are, part 3";
    assert!(zip.windows(shown.len()).any(|window| window == shown), "what is shown is there");
}

/// What two readers were shown of the same records, put together, is of one and the same entries: nobody can be told two stories.
#[test]
fn overlapping_redactions_of_a_record_in_two_bundles_stay_consistent() {
    let shown = |withheld: &'static [&'static str]| {
        let mut ledger = day(16);
        let zip = write(&mut ledger, &Asked { withheld, hidden: None, ..Asked::default() });
        let report = verify(&ledger, &zip);
        assert_eq!(report.verdict, Verdict::Verified, "{:#?}", report.failures);
        let directory = tempfile::tempdir().unwrap();
        let root = unpack(&zip, directory.path());
        let path = format!("data/records/{}/record.json", record(3));
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(root.join(path)).unwrap()).unwrap()
    };
    let (ours, theirs) = (shown(&["0.author", "request.head"]), shown(&["0.author", "0.text"]));
    let mut seen_in_both = 0;
    for (ours, theirs) in ours["entries"].as_array().unwrap().iter().zip(theirs["entries"].as_array().unwrap()) {
        assert_eq!(ours["entry"], theirs["entry"], "the same bytes, with the same commitments");
        for field in ours["shown"].as_array().unwrap() {
            let other = theirs["shown"].as_array().unwrap().iter().find(|other| other["name"] == field["name"]);
            // Salt and value are the same, or it is withheld there.
            match other {
                Some(other) => assert_eq!(other, field),
                None => assert!(theirs["withheld"].as_array().unwrap().contains(&field["name"])),
            }
            seen_in_both += usize::from(other.is_some());
        }
    }
    assert!(seen_in_both > 1);
    let text = ours.to_string() + &theirs.to_string();
    assert!(text.contains("part 3") && text.contains("createRecord") && !text.contains("@advisor.example"));
}

/// One of a few records.
pub(super) fn small() -> (super::ledger::Ledger, Vec<u8>) {
    let mut ledger = day(5);
    let zip = write(&mut ledger, &Asked::default());
    (ledger, zip)
}
