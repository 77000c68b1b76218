//! What is wrong with one entry holds up no other: it is listed, without its content, and with the reason.

use std::io::Write as _;

use muniment::archive::{Append as _, RecordFilter, SealedField, Slice, Stored, Submission, WordQuery};
use muniment::ledger::EntryType;
use muniment::record::{Commitment, FieldName, Ids as _, RecordId, seal};
use serde_json::json;

use crate::support::archive::TestArchive;
use crate::support::submissions::{NewRecord, advisor, capture_detail, post_of, sealed};

const ALL: Slice = Slice { after: None, newest_first: false, limit: 500 };

/// Three posts; the middle one is the second entry after the archive's own first one.
async fn three_posts(test: &TestArchive) -> [NewRecord; 3] {
    let records = [NewRecord::new(test), NewRecord::new(test), NewRecord::new(test)];
    for (record, text) in records.iter().zip(["alpha", "beta", "gamma"]) {
        let appended = test.archive.append(post_of(test, record, &[advisor(1)], text)).await.unwrap();
        if text == "beta" {
            assert_eq!(appended.index, 2, "the statements below rely on it");
        }
    }
    records
}

async fn project(test: &TestArchive) {
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
    assert_eq!(test.archive.projected().await.unwrap(), size, "nothing holds it up");
}

async fn faults(test: &TestArchive) -> Vec<(i64, String)> {
    let mut connection = test.database.superuser().await;
    sqlx::query_as("select entry_index, problem from projection.faults order by 1")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

async fn holding(test: &TestArchive, words: &str) -> Vec<RecordId> {
    let filter = RecordFilter { words: Some(WordQuery::parse(words, false).unwrap()), ..RecordFilter::default() };
    test.archive.records(&filter, ALL).await.unwrap().into_iter().map(|row| row.record).collect()
}

async fn with_content(test: &TestArchive, content: &str) -> Vec<RecordId> {
    let filter = RecordFilter { content: Some(content.to_owned()), ..RecordFilter::default() };
    test.archive.records(&filter, ALL).await.unwrap().into_iter().map(|row| row.record).collect()
}

#[tokio::test]
async fn content_that_cannot_be_read_is_listed_as_unreadable_and_holds_up_no_other() {
    for (statement, problem) in [
        ("update content.sealed set ciphertexts[1] = ciphertexts[2] where entry_index = 2", "content_refused"),
        ("update content.sealed set ciphertexts[1] = '\\x00' where entry_index = 2", "content_refused"),
        ("update content.sealed set names[1] = 'Not A Name' where entry_index = 2", "content_refused"),
        ("delete from content.sealed where entry_index = 2", "content_missing"),
        (
            "update content.sealed set names = names[2:], ciphertexts = ciphertexts[2:] where entry_index = 2",
            "content_missing",
        ),
        ("delete from content.keys where entry_index = 2", "key_missing"),
        (
            "update content.keys set wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1) where entry_index = 2",
            "key_refused",
        ),
        ("update content.keys set wrapped = decode(repeat('00', 40), 'hex') where entry_index = 2", "key_refused"),
    ] {
        let test = TestArchive::new().await;
        let [first, middle, last] = three_posts(&test).await;
        test.database.tamper(statement).await;
        project(&test).await;
        assert_eq!(faults(&test).await, [(2, problem.to_owned())], "{statement}");
        assert_eq!(with_content(&test, "unreadable").await, [middle.id], "{statement}");
        assert_eq!(with_content(&test, "readable").await, [first.id, last.id]);
        assert_eq!(holding(&test, "alpha").await, [first.id]);
        assert_eq!(holding(&test, "gamma").await, [last.id]);
        assert!(holding(&test, "beta").await.is_empty());
        // Known from the entry itself, which nobody touched.
        let row = test.archive.record(middle.id).await.unwrap().unwrap();
        assert_eq!((row.network.as_str(), row.kinds.as_slice()), ("bluesky", ["post".to_owned()].as_slice()));
    }
}

#[tokio::test]
async fn a_value_that_is_not_what_the_entry_commits_to_is_never_shown() {
    let test = TestArchive::new().await;
    let [_, middle, _] = three_posts(&test).await;
    // Somebody who holds the keys seals another text in place of the one that was committed to.
    let entry = test.archive.entry(2).await.unwrap().unwrap();
    let name: FieldName = "0.text".parse().unwrap();
    let forged = seal(&middle.key.sealing_key(entry.id(), &name), b"never said").unwrap();
    let forged = hex::encode(forged);
    let statement = format!(
        "update content.sealed set ciphertexts[array_position(names, '0.text')] = '\\x{forged}' where entry_index = 2"
    );
    test.database.tamper(&statement).await;
    project(&test).await;
    assert_eq!(faults(&test).await, [(2, "content_changed".to_owned())]);
    assert!(holding(&test, "never said").await.is_empty());
}

#[tokio::test]
async fn an_entry_that_is_damaged_or_gone_is_a_fault_and_holds_up_no_other() {
    for (statement, problem) in [
        ("delete from ledger.entries where index = 2", "entry_missing"),
        ("update ledger.entries set body = '{}' where index = 2", "entry_malformed"),
        (
            "update ledger.entries set body = (select body from ledger.entries where index = 1) where index = 2",
            "entry_malformed",
        ),
    ] {
        let test = TestArchive::new().await;
        let [first, _, last] = three_posts(&test).await;
        test.database.tamper(statement).await;
        project(&test).await;
        assert_eq!(faults(&test).await, [(2, problem.to_owned())], "{statement}");
        assert_eq!(with_content(&test, "readable").await, [first.id, last.id]);
    }
}

#[tokio::test]
async fn whatever_bytes_a_network_or_a_device_sends_are_projected() {
    let test = TestArchive::new().await;
    // Ever new words, until the index of words is full: more than a row's index can hold.
    let endless: String = (0..400_000).map(|number| format!("{number:x} ")).collect();
    let long_word = "x".repeat(200_000);
    let texts: Vec<Vec<u8>> = vec![
        b"nul \0 in the middle".to_vec(),
        b"\xff\xfe not utf-8 \xc3".to_vec(),
        endless.as_bytes()[..200_000].to_vec(),
        long_word.into_bytes(),
        "\u{202e}\u{feff}\u{10ffff} %_\\ ' \" ; drop table".as_bytes().to_vec(),
        Vec::new(),
    ];
    for text in &texts {
        let record = NewRecord::new(&test);
        let fields: &[(&str, &[u8])] = &[
            ("0.text", text),
            ("0.account", b"{\"id\":\"\\u0000\",\"handle\":\"\\u0000\"}"),
            ("0.author", b"{not json"),
            ("0.attachments", b"[{\"name\":\"a\\u0000b\",\"size\":18446744073709551615},{\"source\":{\"part\":3}},{}]"),
            ("0.followers", b"18446744073709551615"),
            ("0.detail", b"\xff"),
            ("0.occurred_at", b"whenever \0"),
            ("65535.text", b"a number like no other"),
            ("999999.text", b"not a number of ours"),
        ];
        let submission =
            sealed(&test, &record, EntryType::Capture, capture_detail(test.ids.fresh()), &[advisor(1)], fields);
        test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap();
    }
    project(&test).await;
    assert_eq!(faults(&test).await, []);
    assert_eq!(with_content(&test, "readable").await.len(), texts.len());
    assert_eq!(holding(&test, "middle").await.len(), 1);
    let compared = test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await.unwrap().unwrap();
    assert!(compared.is_sound(), "{compared:?}");
}

#[tokio::test]
async fn batches_are_bounded_in_bytes_and_large_texts_in_files_are_found() {
    let test = TestArchive::new().await;
    // Each entry is near the bound of what rows hold: sixty of them pass every buffer's bound.
    let filler = vec![b'y'; 200_000];
    for number in 0..60 {
        let record = NewRecord::new(&test);
        let text = format!("filled{number}");
        let names: Vec<String> = (1..18).map(|part| format!("{part}.text")).collect();
        let mut fields: Vec<(&str, &[u8])> = vec![("0.text", text.as_bytes())];
        fields.extend(names.iter().map(|name| (name.as_str(), filler.as_slice())));
        let submission = sealed(&test, &record, EntryType::Capture, capture_detail(test.ids.fresh()), &[], &fields);
        test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap();
    }
    // A text that is a file, of three megabytes: what is searched is its beginning.
    let record = NewRecord::new(&test);
    let mut submission = post_of(&test, &record, &[], "short");
    let name: FieldName = "1.text".parse().unwrap();
    let value = format!("lighthouse {}", "z ".repeat(1_500_000));
    let ciphertext = seal(&record.key.sealing_key(submission.draft.id, &name), value.as_bytes()).unwrap();
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&ciphertext).unwrap();
    let (digest, size) = writer.finish().unwrap();
    let commitment = Commitment::to(&record.key.salt(submission.draft.id, &name), value.as_bytes());
    submission.draft.commitments.insert(name.clone(), commitment);
    submission.sealed.push(SealedField { name, ciphertext: Stored::Blob { digest, size } });
    test.archive.append(submission).await.unwrap();
    project(&test).await;
    assert_eq!(faults(&test).await, []);
    assert_eq!(holding(&test, "filled59").await.len(), 1);
    assert_eq!(holding(&test, "lighthouse").await, [record.id]);
}

#[tokio::test]
async fn a_missing_file_makes_its_record_unreadable_and_a_rebuild_finds_it_again() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut submission = post_of(&test, &record, &[], "short");
    let name: FieldName = "1.text".parse().unwrap();
    let value = b"in a file".to_vec();
    let ciphertext = seal(&record.key.sealing_key(submission.draft.id, &name), &value).unwrap();
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&ciphertext).unwrap();
    let (digest, size) = writer.finish().unwrap();
    let commitment = Commitment::to(&record.key.salt(submission.draft.id, &name), &value);
    submission.draft.commitments.insert(name.clone(), commitment);
    submission.sealed.push(SealedField { name, ciphertext: Stored::Blob { digest, size } });
    let appended = test.archive.append(submission).await.unwrap();
    test.archive.blobs().delete(digest).unwrap();
    project(&test).await;
    let index = i64::try_from(appended.index).unwrap();
    assert_eq!(faults(&test).await, [(index, "blob_unreadable".to_owned())]);
    let compared = test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await.unwrap().unwrap();
    assert!(compared.is_sound(), "the content is at fault, not what is said of it: {compared:?}");

    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&ciphertext).unwrap();
    writer.finish().unwrap();
    let blobs = test.archive.blobs().clone();
    let master = crate::support::archive::master();
    muniment::archive::rebuild(&test.database.owner(), master, blobs, |_, _| ()).await.unwrap();
    assert_eq!(faults(&test).await, []);
    assert_eq!(holding(&test, "\"in a file\"").await, [record.id]);
}

#[tokio::test]
async fn attachments_say_where_their_bytes_are_and_are_found_by_their_description() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let list = json!([
        { "media_type": "image/png", "name": "chart.png", "description": "a steep curve", "source": "body" },
        { "reference": "bafk", "source": { "part": 2 }, "size": 7, "digest": "ab" },
        { "url": "https://cards.example/1" },
    ]);
    let list = serde_json::to_vec(&list).unwrap();
    let fields: &[(&str, &[u8])] =
        &[("0.text", b"look"), ("0.attachments", &list), ("request.body", &[1; 1234]), ("1.text", b"second")];
    let submission = sealed(&test, &record, EntryType::Capture, capture_detail(test.ids.fresh()), &[], fields);
    test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap();
    project(&test).await;
    let mut connection = test.database.superuser().await;
    type Row = (i32, i32, Option<String>, Option<i64>, Option<String>, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "select number, position, field, part, media_type, size from projection.attachments order by number, position",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let body = || Some("request.body".to_owned());
    assert_eq!(
        rows,
        [
            (0, 0, body(), None, Some("image/png".to_owned()), Some(1234)),
            (0, 1, body(), Some(2), None, Some(7)),
            (0, 2, None, None, None, None),
        ]
    );
    assert_eq!(holding(&test, "\"steep curve\"").await, [record.id]);
}
