//! A real archive on a real Postgres, tampered with as its superuser: `psql` alone, the dump it makes, `muniment-verify` and the
//! Python verifier name the same entries.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use muniment::archive::Append as _;
use muniment::bundle::{Check, Disclosed, Disclosure, ShownField, Verdict, verify_disclosure};
use muniment::ledger::{Frontier, leaf_hash};
use muniment::record::Digest;
use tempfile::TempDir;

use super::dump::{Checked, check};
use super::python::verify;
use crate::support::archive::{TestArchive, signing};
use crate::support::postgres::Database;
use crate::support::submissions::{NewRecord, advisor, outcome, post_of};

/// What `docs/FORMAT.md` says between these fences of this section.
fn block(section: &str, fence: &str) -> String {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap();
    let section = document.split("\n## ").find(|part| part.starts_with(section)).unwrap().to_owned();
    section.split(fence).nth(1).and_then(|block| block.split("```").next()).unwrap().to_owned()
}

fn psql(database: &Database, directory: &Path, script: &str) -> String {
    let socket = database.server().socket();
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-p", "5432", "-U", "postgres", "-h"]);
    psql.arg(socket.parent().unwrap()).args(["-d", database.name(), "-f", "-"]);
    psql.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Dumps as a stranger does, and lets both verifiers look.
fn dump(database: &Database, outside: &[String]) -> (TempDir, Checked) {
    let directory = tempfile::tempdir().unwrap();
    psql(database, directory.path(), &block("12 ", "```\n"));
    let vkey = signing().verifying_key().clone();
    let checked = check(directory.path(), std::slice::from_ref(&vkey), outside);
    let mut arguments =
        vec!["dump".to_owned(), directory.path().display().to_string(), "--vkey".into(), vkey.to_string()];
    for (n, note) in outside.iter().enumerate() {
        let file = directory.path().join(format!("outside-{n}"));
        fs::write(&file, note).unwrap();
        arguments.extend(["--checkpoint".to_owned(), file.display().to_string()]);
    }
    let (code, theirs) = verify(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code == 0, checked.report.verdict == Verdict::Verified, "{theirs}");
    assert_eq!(theirs["report"]["root"].as_str(), checked.report.root.map(|root| root.to_string()).as_deref());
    (directory, checked)
}

/// The rows `psql` alone names.
fn named_by_psql(database: &Database) -> Vec<u64> {
    let directory = tempfile::tempdir().unwrap();
    let rows = psql(database, directory.path(), &block("16 ", "```sql\n"));
    rows.lines().map(|line| line.parse().unwrap()).collect()
}

/// An archive of 25 entries with a checkpoint after 10 and at the end; answers with the first one.
async fn archive() -> (TestArchive, NewRecord, String) {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut held = None;
    for number in 0..12 {
        let of = if number == 6 { record.clone() } else { NewRecord::new(&test) };
        let streams = [advisor(number % 3), advisor(9)];
        let capture = post_of(&test, &of, &streams, &format!("post {number}"));
        let id = capture.draft.id;
        test.archive.append(capture).await.unwrap();
        test.archive.append(outcome(&test, &of, id, &streams)).await.unwrap();
        if number == 4 {
            held = test.archive.publish(false).await.unwrap();
        }
    }
    test.archive.publish(false).await.unwrap().unwrap();
    (test, record, held.unwrap().note)
}

#[tokio::test]
async fn p2_psql_and_both_verifiers_find_a_real_archive_sound() {
    let (test, record, held) = archive().await;
    let (_directory, checked) = dump(&test.database, &[held]);
    assert_eq!(checked.report.verdict, Verdict::Verified, "{:?}", checked.failures);
    assert_eq!((checked.report.entries, checked.report.covered), (25, 25));
    assert_eq!(named_by_psql(&test.database), [] as [u64; 0]);

    // One record of it, disclosed with a field withheld.
    let mut disclosed = Vec::new();
    for index in 0..25 {
        let entry = test.archive.entry(index).await.unwrap().unwrap();
        if entry.record() != Some(record.id) {
            continue;
        }
        let content = test.archive.content(&entry).await.unwrap().unwrap();
        let shown = content.text("0.text").map(|text| {
            let name = "0.text".parse().unwrap();
            ShownField { salt: record.key.salt(entry.id(), &name), name, value: text.as_bytes().to_vec() }
        });
        let proof = test.archive.inclusion(index, None).await.unwrap().unwrap().proof;
        disclosed.push(Disclosed { entry, proof, shown: shown.into_iter().collect(), commitments: None });
    }
    let disclosure = Disclosure::new(record.id, disclosed).unwrap().to_json();
    let report = verify_disclosure(disclosure.as_bytes(), &[signing().verifying_key().clone()]);
    assert_eq!((report.verdict, report.entries.len()), (Verdict::Verified, 2), "{:?}", report.failures);
    assert_eq!((report.entries[0].shown.len(), report.entries[0].withheld.len()), (1, 3));
}

#[tokio::test]
async fn p2_whatever_a_superuser_changes_is_named_by_psql_and_both_verifiers() {
    let (test, _record, held) = archive().await;
    let template = test.database.name().to_owned();
    test.archive.close().await;
    for (change, by_psql, named) in [
        ("update ledger.entries set body = set_byte(body, 30, 65) where index = 7", vec![7], vec![7]),
        ("update ledger.entries set body = '\\xff00ff' where index = 7", vec![7], vec![7]),
        (
            "update ledger.entries set leaf = set_byte(leaf, 0, get_byte(leaf, 0) # 1) where index = 7",
            vec![7, 8],
            vec![7],
        ),
        (
            "update ledger.entries set body = set_byte(body, 30, 65) where index = 7;
             update ledger.entries set leaf = sha256('\\x00'::bytea || body) where index = 7",
            vec![8],
            vec![7],
        ),
        ("delete from ledger.entries where index = 7", vec![8], vec![7]),
        (
            "update ledger.entries set index = 99 where index = 7; update ledger.entries set index = 7 where index = 8;
             update ledger.entries set index = 8 where index = 99",
            vec![7, 8, 9],
            vec![7, 8],
        ),
    ] {
        let tampered = Database::copy_of(&template).await;
        tampered.tamper(change).await;
        assert_eq!(named_by_psql(&tampered), by_psql, "{change}");
        let (_directory, checked) = dump(&tampered, std::slice::from_ref(&held));
        assert!(named.iter().all(|index| checked.named().contains(index)), "{change}: {:?}", checked.failures);
        assert!(checked.named().iter().all(|index| *index >= 6), "{change}: nothing before it is blamed");
    }
}

/// Rewrites everything from index 12 on, leaves and links included, and drops the checkpoints that would show it.
#[tokio::test]
async fn p2_a_history_rewritten_in_the_database_is_bounded_by_a_checkpoint_held_outside() {
    let (test, _record, held) = archive().await;
    let latest = test.archive.checkpoint(None).await.unwrap().unwrap().note;
    let mut previous = Digest::ZERO;
    let mut frontier = Frontier::new();
    for index in 0..25 {
        let entry = test.archive.entry(index).await.unwrap().unwrap();
        let mut body = String::from_utf8(entry.bytes().to_vec()).unwrap();
        if index == 12 {
            body = body.replacen("\"status\":200", "\"status\":404", 1).replacen("\"size\":42", "\"size\":41", 1);
        }
        body = body.replacen(&entry.previous().to_string(), &previous.to_string(), 1);
        previous = leaf_hash(body.as_bytes());
        frontier.push(previous);
        let change = format!(
            "update ledger.entries set body = convert_to('{body}', 'UTF8'), leaf = '\\x{previous}' where index = {index}"
        );
        test.database.tamper(&change).await;
    }
    assert_eq!(named_by_psql(&test.database), [] as [u64; 0], "the rewritten chain is sound in itself");
    let (_directory, inside) = dump(&test.database, &[]);
    assert_eq!(inside.failed(), [Check::Checkpoints]);

    test.database.tamper("delete from ledger.checkpoints where size > 11").await;
    let (_directory, hidden) = dump(&test.database, &[]);
    assert_eq!(hidden.report.verdict, Verdict::Verified, "with its traces taken away it looks sound from within");
    let (_directory, shown) = dump(&test.database, &[held, latest]);
    assert_eq!(shown.failed(), [Check::Outside]);
    let bounds = shown.report.changed_outside.unwrap();
    assert_eq!((bounds.after, bounds.before), (11, 25));
    assert_ne!(shown.report.root, None);
}
