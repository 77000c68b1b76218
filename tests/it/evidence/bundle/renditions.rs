//! What is made of the records for review tools, opened by software that is not ours.

use std::path::Path;
use std::process::Command;

use muniment::bundle::{Check, Rendition, Verdict};
use muniment::record::{Digest, FieldName, Part};
use serde_json::{Value, json};

use super::sample::{Asked, WHY, day_of, files, unpack, verify, verify_at, write};
use crate::evidence::ledger::{Ledger, advisor};

const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture\r\n--seen";
/// What hostile people put into their names.
const NAME: &str = "Ada \"A\" \u{fe}orn,\r\nBcc: all@firm.example <ada@firm.example>";

/// People with names, threads, an image in a form, and words that no table or header survives unspelled.
fn talk(n: u64) -> Vec<(FieldName, Vec<u8>)> {
    let part = |part, value: String| (FieldName::part(0, part), value.into_bytes());
    let author = match n % 3 {
        0 => json!({"id": "did:plc:ada", "handle": "ada.example", "name": NAME}),
        _ => json!({"id": format!("did:plc:{n}"), "handle": format!("somebody{n}@social.example")}),
    };
    let boundary = "--form-boundary";
    let body = [
        format!("{boundary}\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nhello\r\n{boundary}\r\nContent-Type: image/png\r\n\r\n").into_bytes(),
        IMAGE.to_vec(),
        format!("\r\n{boundary}--\r\n").into_bytes(),
    ]
    .concat();
    let image = json!([
        {"name": "\u{10c}\u{e1}slo\r\n.png", "media_type": "image/png", "source": {"part": 1}, "size": IMAGE.len(), "digest": Digest::of(&[IMAGE]).to_string()},
        {"name": "elsewhere.png", "url": "https://social.example/1"},
    ]);
    let mut said = vec![
        part(Part::Text, format!("\u{10c}\u{e1}slo {n}\u{fe}\u{14}\n\u{202e}second line, \"quoted\" \u{1f600}")),
        part(Part::Author, author.to_string()),
        part(Part::Recipients, json!([{"id": "did:plc:bob", "handle": "bob.example", "name": "Bob"}]).to_string()),
        part(Part::Item, format!("at://item/{n}")),
        part(Part::Root, "at://item/0".to_owned()),
        part(Part::OccurredAt, "2026-11-21T20:00:00Z".to_owned()),
        (FieldName::REQUEST_HEAD, b"POST / HTTP/1.1".to_vec()),
        (FieldName::REQUEST_BODY, body),
    ];
    if n > 0 {
        said.push(part(Part::Parent, format!("at://item/{}", n.saturating_sub(3))));
    }
    if n.is_multiple_of(2) {
        said.push(part(Part::Attachments, image.to_string()));
    }
    said
}

fn talked() -> (Ledger, Vec<u8>) {
    let mut ledger = day_of(16, talk);
    let renditions = vec![Rendition::Eml, Rendition::LoadFile, Rendition::Rsmf];
    // A field of the first communication of one record is withheld, and all of another.
    let asked = Asked {
        renditions,
        said: talk,
        advisors: vec![advisor(1)],
        withheld: &["request.head", "0.root"],
        from: None,
        until: None,
        ..Asked::default()
    };
    let zip = write(&mut ledger, &asked);
    (ledger, zip)
}

/// What a reader that is not ours says: Python's own, or those that `./dev setup test` installs.
fn read(script: &str, root: &Path) -> Vec<Value> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real");
    let done = Command::new(scripts.join("exec")).arg(script).arg(root).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn renditions_follow_from_the_records_and_a_change_of_any_is_found() {
    let (ledger, zip) = talked();
    let report = verify(&ledger, &zip);
    assert_eq!(report.verdict, Verdict::Verified, "{:#?}", report.failures);
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let made: Vec<_> = ["data/eml/", "data/rsmf/", "data/load-file/"]
        .into_iter()
        .flat_map(|folder| files(&root).into_iter().filter(move |path| path.starts_with(folder)).take(2))
        .collect();
    assert_eq!(made.len(), 5, "{made:?}");
    for path in made {
        let kept = std::fs::read(root.join(&path)).unwrap();
        let mut changed = kept.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(root.join(&path), changed).unwrap();
        let report = verify_at(&ledger, &root);
        assert!(matches!(report.verdict_of(Check::Renditions), Some(Verdict::Failed { .. })), "{path}");
        assert!(report.failures.iter().any(|failure| failure.contains(path.as_str())), "{path}");
        std::fs::write(root.join(&path), kept).unwrap();
    }
    assert_eq!(verify_at(&ledger, &root).verdict, Verdict::Verified);
}

#[test]
fn mails_open_in_a_mail_library_with_their_words_and_attachments() {
    let (_ledger, zip) = talked();
    let directory = tempfile::tempdir().unwrap();
    let mails = read("bundle/eml.py", &unpack(&zip, directory.path()));
    assert!(mails.len() >= 5);
    let mut with_image = 0;
    for mail in &mails {
        assert_eq!(mail["defects"], json!([]), "{mail}");
        let name = mail["from_name"].as_str().unwrap();
        let withheld = mail["text"].as_str().unwrap().starts_with(&format!("[withheld: {WHY}]"));
        if withheld {
            assert_eq!((name, &mail["attachments"]), ("[withheld]", &json!([])), "{mail}");
            continue;
        }
        // The library makes one line of a name; the address is ours all the same, and there is no other header.
        assert!(mail["text"].as_str().unwrap().contains("\u{10c}\u{e1}slo "), "{mail}");
        assert!(mail["from_address"].as_str().unwrap().ends_with("@bluesky.invalid"), "{mail}");
        assert_eq!((&mail["to"], &mail["bcc"]), (&json!(["bob.example@bluesky.invalid"]), &json!(null)), "{mail}");
        for attached in mail["attachments"].as_array().unwrap() {
            assert_eq!(attached["sha256"], json!(Digest::of(&[IMAGE]).to_string()), "{mail}");
            assert_eq!(
                (&attached["type"], &attached["name"]),
                (&json!("image/png"), &json!("\u{10c}\u{e1}slo.png")),
                "{mail}"
            );
            with_image += 1;
        }
    }
    assert!(mails.iter().any(|mail| mail["from_name"].as_str().unwrap().starts_with("Ada \"A\"")), "{mails:?}");
    assert!(mails.iter().any(|mail| mail["from_name"] == "[withheld]") && with_image > 1);
}

#[test]
fn the_load_file_has_a_row_a_text_and_a_native_file_for_each_communication() {
    let (_ledger, zip) = talked();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let rows = read("bundle/load_file.py", &root);
    assert_eq!(rows.len(), read("bundle/eml.py", &root).len());
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["BEGBATES"], format!("MUN{:08}", number + 1));
        assert_eq!((&row["text_is_there"], &row["native_digest_is_right"]), (&json!(true), &json!(true)), "{row}");
        assert_eq!((&row["PLATFORM"], &row["OUTCOME"]), (&json!("bluesky"), &json!("accepted")), "{row}");
    }
    assert!(rows.iter().any(|row| row["FROM"].as_str().unwrap().contains("thorn")), "{rows:?}");
}

#[test]
fn the_short_message_format_keeps_to_its_schema_and_to_what_the_schema_cannot_say() {
    let (_ledger, zip) = talked();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let slices = read("bundle/rsmf.py", &root);
    let events: u64 = slices.iter().map(|slice| slice["events"].as_u64().unwrap()).sum();
    assert_eq!(events, read("bundle/eml.py", &root).len() as u64);
    for slice in &slices {
        assert_eq!((&slice["problems"], &slice["version"]), (&json!([]), &json!("2.0.0")), "{slice}");
    }
    let count = |what: &str| slices.iter().map(|slice| slice[what].as_u64().unwrap()).sum::<u64>();
    assert!(count("threaded") > 0 && count("attachments") > 0, "{slices:?}");
}

/// The lines are spelled without a tree of values; another library's canonical form of what they say is the same.
#[test]
fn lines_of_json_are_in_canonical_form() {
    let (_ledger, zip) = talked();
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&zip, directory.path());
    let lines = std::fs::read_to_string(root.join("data/jsonl/records.jsonl")).unwrap();
    assert!(lines.lines().count() > 4 && lines.contains("\\u0014"), "with something to escape");
    for line in lines.lines() {
        let read: Value = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json_canonicalizer::to_string(&read).unwrap(), line);
    }
}
