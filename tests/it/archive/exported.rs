//! What an export makes of an archive that is not as new: content disposed of, damaged, large, or somebody else's first.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use muniment::archive::{Append as _, BlobWriter, Disposal, SealedField, Stored, Submission};
use muniment::bundle::{BundleReport, Source, Verdict, verify_bundle};
use muniment::capture::{Blobs, SystemEntropy};
use muniment::export::{Asked, ExportError, Exported, Exporter};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{AdvisorId, Clock as _, Commitment, FieldName, RecordId, seal};
use serde_json::{Value, json};

use crate::support::archive::{TestArchive, master, signing};
use crate::support::large::{Firm, fill};
use crate::support::postgres::Database;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, detail, gap, outcome, post_of, sealed};

/// What an export seals is small.
struct NoBlobs;

impl Blobs for NoBlobs {
    fn create(&self) -> io::Result<Box<dyn muniment::capture::BlobWriter>> {
        Err(io::Error::other("an export needs no blob"))
    }
}

fn of(advisors: &[AdvisorId]) -> Asked {
    Asked {
        advisors: advisors.to_vec(),
        records: vec![],
        words: None,
        from: None,
        until: None,
        matter: None,
        purpose: "matter 2026-014".to_owned(),
        withhold: vec![],
        renditions: Vec::new(),
    }
}

async fn export(test: &TestArchive, asked: Asked, to: &Path) -> Result<Exported, ExportError> {
    let (clock, ids) = (Arc::clone(&test.clock), Arc::clone(&test.ids));
    let exporter =
        Exporter::new(&test.archive, clock, ids, Arc::new(SystemEntropy), master(), Arc::new(NoBlobs), signing());
    exporter.run(Actor::Service("test".try_into().unwrap()), asked, to, |_done, _of| {}).await
}

async fn exported(test: &TestArchive, asked: Asked) -> (tempfile::TempDir, Exported) {
    let dir = tempfile::tempdir().unwrap();
    let exported = export(test, asked, &dir.path().join("bundle.zip")).await.unwrap();
    assert_eq!(exported.report.verdict, Verdict::Verified);
    (dir, exported)
}

/// The lines for reading, by record, read from the zip with a tool that is not ours.
fn lines(dir: &Path) -> BTreeMap<String, Value> {
    let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); sys.stdout.buffer.write(z.read([n for n in z.namelist() if n.endswith('records.jsonl')][0]))";
    let read = std::process::Command::new("python3").args(["-c", script]).arg(dir.join("bundle.zip")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let lines = String::from_utf8(read.stdout).unwrap();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["record"].as_str().unwrap().to_owned(), value)
    };
    lines.lines().map(line).collect()
}

async fn kept(test: &TestArchive, streams: &[AdvisorId], text: &str) -> NewRecord {
    let record = NewRecord::new(test);
    let capture = post_of(test, &record, streams, text);
    let id = capture.draft.id;
    test.archive.append(capture).await.unwrap();
    test.archive.append(outcome(test, &record, id, streams)).await.unwrap();
    record
}

#[tokio::test]
async fn what_was_disposed_of_or_is_damaged_stays_in_the_range_and_says_so() {
    let test = TestArchive::new().await;
    let shown = kept(&test, &[advisor(1)], "still there").await;
    let gone = kept(&test, &[advisor(1)], "long gone").await;
    let damaged = kept(&test, &[advisor(1)], "hardly readable").await;
    kept(&test, &[advisor(2)], "of somebody else").await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    let disposal = Disposal {
        records: vec![gone.id],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await.unwrap();
    test.archive.catch_up().await.unwrap();
    let place = test.archive.record_entries(damaged.id).await.unwrap()[0];
    test.database
        .tamper(&format!("update content.sealed set ciphertexts[1] = sha256('x') where entry_index = {place}"))
        .await;

    let (dir, exported) = exported(&test, of(&[advisor(1)])).await;
    assert_eq!((exported.report.records, exported.report.ranges[0].complete), (3, true));
    let lines = lines(dir.path());
    let entry = |record: &NewRecord| lines[&record.id.to_string()]["entries"][0].clone();
    assert_eq!(entry(&shown)["shown"]["0.text"], "still there");
    let why = |record: &NewRecord| entry(record)["withheld"]["0.text"].as_str().unwrap().to_owned();
    assert!(why(&gone).starts_with("disposed of"), "{}", why(&gone));
    assert!(why(&damaged).contains("cannot open"), "{}", why(&damaged));
}

#[tokio::test]
async fn a_record_that_became_the_advisors_later_is_in_the_advisors_range() {
    let test = TestArchive::new().await;
    let first = kept(&test, &[advisor(2)], "seen by the other first").await;
    kept(&test, &[advisor(2)], "not of this advisor").await;
    let of_other = test.archive.stream_run(advisor(2), 0, 10).await.unwrap();
    let told = detail(json!({"cause": "seen_again", "entry": of_other[0].id(), "index": of_other[0].index()}));
    test.archive.append(sealed(&test, &first, EntryType::Attribution, told, &[advisor(1)], &[])).await.unwrap();
    test.archive.append(gap(&test, "pinned_app")).await.unwrap();
    let (dir, exported) = exported(&test, of(&[advisor(1)])).await;
    assert_eq!((exported.report.records, exported.report.ranges[0].records), (1, 1));
    let lines = lines(dir.path());
    assert_eq!(lines[&first.id.to_string()]["entries"][0]["shown"]["0.text"], "seen by the other first");
    assert_sound(&test).await;
}

#[tokio::test]
async fn a_large_attachment_is_a_file_of_the_bundle() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut submission: Submission = post_of(&test, &record, &[advisor(1)], "with a film");
    let (id, field) = (submission.draft.id, FieldName::attachment(0, 0));
    let film: Vec<u8> = (0..3_u32 << 20).map(|n| (n % 251) as u8).collect();
    submission.draft.commitments.insert(field.clone(), Commitment::to(&record.key.salt(id, &field), &film));
    let mut writer: BlobWriter = test.archive.blobs().writer().unwrap();
    writer.write_all(&seal(&record.key.sealing_key(id, &field), &film).unwrap()).unwrap();
    let (digest, size) = writer.finish().unwrap();
    submission.sealed.push(SealedField { name: field, ciphertext: Stored::Blob { digest, size } });
    test.archive.append(submission).await.unwrap();
    let (dir, exported) = exported(&test, of(&[advisor(1)])).await;
    assert_eq!(exported.report.records, 1);
    let zip = std::fs::read(dir.path().join("bundle.zip")).unwrap();
    assert!(memchr::memmem::find(&zip, &film).is_some(), "byte for byte");
}

#[tokio::test]
async fn nothing_is_written_and_nothing_is_put_on_record_where_a_record_is_not_there() {
    let test = TestArchive::new().await;
    kept(&test, &[advisor(1)], "a post").await;
    test.archive.catch_up().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let missing = Asked { advisors: vec![], records: vec![RecordId::new(uuid::Uuid::max())], ..of(&[]) };
    let refused = export(&test, missing, &dir.path().join("bundle.zip")).await;
    assert!(matches!(refused, Err(ExportError::NoSuchRecord(_))), "{refused:?}");
    let entries = test.archive.entries(0..1_000).await.unwrap();
    assert!(entries.iter().all(|entry| entry.entry_type() != EntryType::Export));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "and no scratch file either");
}

/// `MUNIMENT_EXPORT_RECORDS` takes another number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_records_leave_as_one_bundle_that_is_complete() {
    let records = std::env::var("MUNIMENT_EXPORT_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    let firm = Firm { advisors: 2, ..Firm::large(records) };
    let database = Database::fresh().await;
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    let begun = Instant::now();
    let both = of(&[firm.advisor(0), firm.advisor(1)]);
    let (dir, exported) = exported(&test, both).await;
    println!("{records} records exported and checked in {:?}, {} bytes", begun.elapsed(), exported.bytes);
    assert_eq!(exported.report.records, records);
    assert!(exported.report.ranges.iter().all(|range| range.complete));
    let again: BundleReport =
        verify_bundle(&Source::at(&dir.path().join("bundle.zip")), &[signing().verifying_key().clone()]).unwrap();
    assert_eq!(again, exported.report);
}
