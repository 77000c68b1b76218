//! P6: retention ends; holds win; the chain survives.

use std::io::Write as _;

use muniment::archive::{
    Append as _, AppendError, Appended, ArchiveError, Disposal, RecordFilter, SealedField, Slice, Stored, Submission,
};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Commitment, FieldName, Ids as _, RecordId, seal};
use serde_json::json;

use crate::support::archive::TestArchive;
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, detail, gap, outcome, post_of};

const ALL: Slice = Slice { after: None, newest_first: true, limit: 500 };

/// Retention ends at once, as if the years had passed.
async fn retention_ended(test: &TestArchive) {
    test.database.tamper("update content.retention set minimum = '0'").await;
}

async fn dispose(test: &TestArchive, records: &[RecordId]) -> Result<Appended, ArchiveError> {
    let disposal = Disposal {
        records: records.to_vec(),
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await
}

fn refusal(result: Result<Appended, ArchiveError>) -> String {
    match result {
        Err(ArchiveError::Append(AppendError::Refused { source, .. })) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn kept(test: &TestArchive, text: &str) -> NewRecord {
    let record = NewRecord::new(test);
    let capture = post_of(test, &record, &[advisor(1)], text);
    let id = capture.draft.id;
    test.archive.append(capture).await.unwrap();
    test.archive.append(outcome(test, &record, id, &[advisor(1)])).await.unwrap();
    record
}

/// Does the text stand anywhere, in any table, in any spelling?
async fn is_anywhere(test: &TestArchive, text: &str) -> bool {
    let mut connection = test.database.superuser().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
          where schemaname in ('ledger', 'content', 'people', 'projection')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for table in tables {
        let query = format!("select exists (select from {table} t where position($1 in to_jsonb(t)::text) > 0)");
        let found: bool =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(text).fetch_one(&mut connection).await.unwrap();
        if found {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn p6_disposal_removes_content_and_keys_and_leaves_the_chain_and_the_commitment() {
    let test = TestArchive::new().await;
    let doomed = kept(&test, "xyzzy must go").await;
    let stays = kept(&test, "plugh must stay").await;
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
    assert!(is_anywhere(&test, "xyzzy").await);

    retention_ended(&test).await;
    let appended = dispose(&test, &[doomed.id]).await.unwrap();
    test.archive.project(appended.index + 1).await.unwrap();

    assert!(!is_anywhere(&test, "xyzzy").await);
    assert!(is_anywhere(&test, "plugh").await);
    assert!(test.archive.record_key(doomed.id).await.unwrap().is_none());
    let entries = assert_sound(&test).await;
    let capture = entries.iter().find(|entry| entry.record() == Some(doomed.id)).unwrap();
    assert!(test.archive.content(capture).await.unwrap().is_none());
    let muniment::ledger::Committed::Listed(listed) = capture.committed() else { panic!("listed") };
    assert!(listed.get("0.text").is_some(), "the commitment stays");
    let entry = test.archive.entry(appended.index).await.unwrap().unwrap();
    assert_eq!(entry.detail()["contents"], json!(5));
    assert!(entry.detail().contains_key("backups_expire_at"));
    assert_eq!(entry.streams()[0].id, advisor(1), "it stands in the custodian's stream");

    let row = test.archive.record(doomed.id).await.unwrap().unwrap();
    assert_eq!(row.disposed, Some(appended.index));
    assert_eq!(test.archive.records(&RecordFilter::default(), ALL).await.unwrap().len(), 2);
    assert!(test.archive.record_key(stays.id).await.unwrap().is_some());
}

#[tokio::test]
async fn p6_what_a_disposal_deletes_is_vacuumed_at_once_and_not_when_much_has_gone() {
    let test = TestArchive::new().await;
    let mut connection = test.database.superuser().await;
    let eager: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
          where reloptions @> array['autovacuum_vacuum_threshold=0', 'autovacuum_vacuum_scale_factor=0']
            and relkind = 'r' order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(eager, ["content.blobs", "content.keys", "content.sealed"]);
}

#[tokio::test]
async fn p6_nothing_is_disposed_of_within_its_retention() {
    let test = TestArchive::new().await;
    let record = kept(&test, "young").await;
    assert!(refusal(dispose(&test, &[record.id]).await).contains("within its retention"));
    assert!(test.archive.record_key(record.id).await.unwrap().is_some());
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_hold_wins_until_it_is_released() {
    let test = TestArchive::new().await;
    let record = kept(&test, "wanted by a court").await;
    retention_ended(&test).await;
    for (scope, target) in [("record", record.id.to_string()), ("stream", advisor(1).to_string())] {
        let hold = test.ids.fresh().to_string();
        let mut placed = gap(&test, "unused");
        placed.draft.entry_type = EntryType::Hold;
        placed.draft.detail = detail(json!({ "hold": hold, "scope": scope, "targets": [target] }));
        test.archive.append(placed).await.unwrap();
        assert!(refusal(dispose(&test, &[record.id]).await).contains("under a hold"), "{scope}");

        let mut released = gap(&test, "unused");
        released.draft.entry_type = EntryType::Release;
        released.draft.detail = detail(json!({ "hold": hold }));
        test.archive.append(released).await.unwrap();
    }
    dispose(&test, &[record.id]).await.unwrap();
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_hold_and_a_disposal_at_once_end_one_way_or_the_other() {
    for _round in 0..5 {
        let test = TestArchive::new().await;
        let record = kept(&test, "contested").await;
        retention_ended(&test).await;
        let mut hold = gap(&test, "unused");
        hold.draft.entry_type = EntryType::Hold;
        let target = record.id.to_string();
        hold.draft.detail =
            detail(json!({ "hold": test.ids.fresh().to_string(), "scope": "record", "targets": [target] }));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = test.open_again(elsewhere.path()).await.unwrap();
        let records = [record.id];
        let (disposed, held) = tokio::join!(dispose(&test, &records), other.append(hold));
        let held = held.unwrap();
        match &disposed {
            Ok(disposed) => assert!(disposed.index < held.index, "the hold came too late"),
            Err(_) => {
                assert!(refusal(disposed).contains("under a hold"));
                assert!(test.archive.record_key(record.id).await.unwrap().is_some());
            }
        }
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn p6_what_was_disposed_of_does_not_come_back() {
    let test = TestArchive::new().await;
    let record = kept(&test, "gone").await;
    retention_ended(&test).await;
    dispose(&test, &[record.id]).await.unwrap();
    let again = test.archive.append(post_of(&test, &record, &[advisor(1)], "back again")).await;
    assert!(matches!(again, Err(AppendError::Refused { .. })), "{again:?}");
    let capture = muniment::record::EntryId::new(test.ids.fresh());
    let late = test.archive.append(outcome(&test, &record, capture, &[advisor(1)])).await;
    assert!(matches!(late, Err(AppendError::Refused { .. })), "{late:?}");
    assert!(refusal(dispose(&test, &[record.id]).await).contains("no key to destroy"));
    assert!(refusal(dispose(&test, &[]).await).contains("between 1 and 100"));
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_blob_files_are_swept_after_the_disposal_and_that_is_on_record() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut submission = post_of(&test, &record, &[advisor(1)], "with a film");
    let (id, field) = (submission.draft.id, FieldName::attachment(0, 0));
    let film = vec![7; 3 << 20];
    submission.draft.commitments.insert(field.clone(), Commitment::to(&record.key.salt(id, &field), &film));
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&seal(&record.key.sealing_key(id, &field), &film).unwrap()).unwrap();
    let (digest, size) = writer.finish().unwrap();
    submission.sealed.push(SealedField { name: field.clone(), ciphertext: Stored::Blob { digest, size } });
    let appended = test.archive.append(submission).await.unwrap();
    let entry = test.archive.entry(appended.index).await.unwrap().unwrap();
    assert_eq!(test.archive.read_blob(&entry, &field, Vec::new()).await.unwrap(), film);

    retention_ended(&test).await;
    dispose(&test, &[record.id]).await.unwrap();
    test.archive.blobs().check(digest, size).unwrap();
    assert_eq!(test.archive.sweep().await.unwrap(), 1);
    assert!(test.archive.blobs().check(digest, size).is_err());
    assert_eq!(test.archive.sweep().await.unwrap(), 0, "nothing is left to sweep");
    let entries = assert_sound(&test).await;
    let swept = entries.last().unwrap();
    assert_eq!((&swept.detail()["phase"], &swept.detail()["blobs"]), (&json!("swept"), &json!(1)));
    let plain: Submission = gap(&test, "outage");
    test.archive.append(plain).await.unwrap();
}

#[tokio::test]
async fn p6_a_disposal_that_was_lost_on_the_way_happens_once() {
    for persisted in [false, true] {
        let database = Database::fresh().await;
        let relay = Relay::before(&database).await;
        let through = relay.through(database.service());
        let test =
            TestArchive::on(database, |options| muniment::archive::Options { service: through, ..options }).await;
        let record = kept(&test, "to be destroyed once").await;
        retention_ended(&test).await;
        if persisted {
            relay.cut_answer(b"ledger.dispose")
        } else {
            relay.cut_request(b"ledger.dispose")
        }
        let disposed = dispose(&test, &[record.id]).await.unwrap();
        assert_eq!((relay.cuts(), disposed.index), (1, 3));
        assert_eq!(assert_sound(&test).await.len(), 4);
    }
}
