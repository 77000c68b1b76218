//! Projections: what lists show follows the ledger, and can be made again from it.

use futures_util::future::join_all;
use muniment::archive::{Append as _, BlobStore, LookFilter, RecordFilter, Slice, WordQuery, rebuild};
use muniment::ledger::EntryType;
use muniment::record::{Digest, Ids as _, RecordId};
use serde_json::json;
use sqlx::Row as _;

use crate::support::archive::{TestArchive, master};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, detail, gap, outcome, post, post_of, sealed};

const ALL: Slice = Slice { after: None, newest_first: true, limit: 500 };

async fn projected(test: &TestArchive) {
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
    assert_eq!(test.archive.projected().await.unwrap(), size);
}

async fn found(test: &TestArchive, filter: RecordFilter) -> Vec<RecordId> {
    let rows = test.archive.records(&filter, ALL).await.unwrap();
    rows.into_iter().map(|row| row.record).collect()
}

/// Every projected row as text, table by table.
async fn everything(test: &TestArchive) -> Vec<String> {
    let mut connection = test.database.superuser().await;
    let mut all = Vec::new();
    let people = ["advisors", "devices", "accounts", "officers"];
    for table in ["records", "communications", "record_entries", "outcomes", "made", "gaps"].into_iter().chain(people) {
        let text = format!("select to_jsonb(t)::text as row from projection.{table} t order by 1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
        all.extend(rows.iter().map(|row| format!("{table} {}", row.get::<String, _>("row"))));
    }
    all
}

#[tokio::test]
async fn a_record_is_found_by_every_filter_and_shows_its_outcome() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let capture = post_of(&test, &record, &[advisor(1)], "Guaranteed 100% returns, Жизнь прекрасна");
    let capture_id = capture.draft.id;
    test.archive.append(capture).await.unwrap();
    test.archive.append(post(&test, advisor(2), "nothing of the kind")).await.unwrap();
    test.archive.append(outcome(&test, &record, capture_id, &[advisor(1)])).await.unwrap();
    projected(&test).await;

    let row = test.archive.record(record.id).await.unwrap().unwrap();
    assert_eq!((row.state.as_deref(), row.status, row.entry), (Some("accepted"), Some(200), capture_id));
    assert_eq!(test.archive.record_entries(record.id).await.unwrap(), [1, 3]);
    let parts = test.archive.communications(&[record.id]).await.unwrap();
    assert_eq!(parts[0].text.as_deref(), Some("Guaranteed 100% returns, Жизнь прекрасна"));
    assert_eq!(parts[0].item.as_deref(), Some("at://did:plc:someone/app.bsky.feed.post/1"), "known from the outcome");

    let ours = vec![record.id];
    for filter in [
        RecordFilter { advisor: Some(advisor(1)), ..RecordFilter::default() },
        RecordFilter { state: Some("accepted".to_owned()), ..RecordFilter::default() },
        RecordFilter { text: Some("100%".to_owned()), ..RecordFilter::default() },
        RecordFilter { words: Some(WordQuery::parse("жизнь", false).unwrap()), ..RecordFilter::default() },
        RecordFilter { item: parts[0].item.clone(), kind: Some("post".to_owned()), ..RecordFilter::default() },
    ] {
        assert_eq!(found(&test, filter.clone()).await, ours, "{filter:?}");
    }
    for filter in [
        RecordFilter { network: Some("mastodon".to_owned()), ..RecordFilter::default() },
        RecordFilter { text: Some("100_".to_owned()), ..RecordFilter::default() },
        RecordFilter { until: Some(row.at), ..RecordFilter::default() },
        RecordFilter { kind: Some("reply".to_owned()), ..RecordFilter::default() },
    ] {
        assert!(found(&test, filter.clone()).await.is_empty(), "{filter:?}");
    }
    assert_sound(&test).await;
}

#[tokio::test]
async fn pages_never_skip_and_never_repeat() {
    let test = TestArchive::new().await;
    for number in 0..25 {
        test.archive.append(post(&test, advisor(1), &format!("{number}"))).await.unwrap();
    }
    projected(&test).await;
    for newest_first in [true, false] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let slice = Slice { after, newest_first, limit: 7 };
            let page = test.archive.records(&RecordFilter::default(), slice).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.index);
            seen.extend(page.iter().map(|row| row.index));
        }
        let expected: Vec<u64> = if newest_first { (1..=25).rev().collect() } else { (1..=25).collect() };
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn several_communications_in_one_record_are_numbered_parts() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut facts = crate::support::submissions::capture_detail(test.ids.fresh());
    facts.insert("kinds".to_owned(), json!(["post", "reply"]));
    let account = br#"{"id":"did:plc:a","handle":"adv.example"}"#;
    let fields: &[(&str, &[u8])] =
        &[("0.text", b"first"), ("0.account", account), ("1.text", b"sec\0nd"), ("1.parent", b"at://x")];
    let submission = sealed(&test, &record, EntryType::Capture, facts, &[advisor(1)], fields);
    let submission = muniment::archive::Submission { key: Some(record.wrapped()), ..submission };
    test.archive.append(submission).await.unwrap();
    projected(&test).await;
    let parts = test.archive.communications(&[record.id]).await.unwrap();
    let shown: Vec<_> = parts.iter().map(|p| (p.number, p.kind.as_str(), p.text.as_deref().unwrap())).collect();
    assert_eq!(shown, [(0, "post", "first"), (1, "reply", "sec\u{fffd}nd")]);
    assert_eq!(parts[0].account_handle.as_deref(), Some("adv.example"));
    assert_eq!(parts[1].parent.as_deref(), Some("at://x"));
}

#[tokio::test]
async fn a_gap_is_listed_with_its_cause() {
    let test = TestArchive::new().await;
    test.archive.append(gap(&test, "leaf_refused")).await.unwrap();
    projected(&test).await;
    let gaps = test.archive.gaps(ALL, None).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].cause.as_str(), gaps[0].count), (1, "leaf_refused", 1));
    assert!(test.archive.gaps(ALL, Some(advisor(1))).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rebuild_makes_the_same_rows_again() {
    let test = TestArchive::new().await;
    let by = muniment::ledger::Actor::Service("cli".try_into().unwrap());
    let person = test.archive.add_advisor(by.clone(), "Ada Lovelace").await.unwrap();
    test.archive.add_officer(by, "Olga", &["legal", "compliance"], Digest::of(&[b"token"])).await.unwrap();
    for number in 0..300 {
        let record = NewRecord::new(&test);
        let capture = post_of(&test, &record, &[person.id], &format!("post {number}"));
        let id = capture.draft.id;
        test.archive.append(capture).await.unwrap();
        if number % 10 == 0 {
            test.archive.append(outcome(&test, &record, id, &[person.id])).await.unwrap();
        }
    }
    // More than goes into one step.
    let many = (0..900).map(|number| test.archive.append(post(&test, person.id, &format!("one of many {number}"))));
    assert!(join_all(many).await.iter().all(Result::is_ok));
    projected(&test).await;
    let before = everything(&test).await;
    // Somebody changed what is readable; the ledger does not know.
    test.database.tamper("update projection.communications set text = 'never said'; delete from projection.gaps").await;
    assert_ne!(everything(&test).await, before);

    let blobs = BlobStore::open(&test.dir.path().join("blobs")).unwrap();
    let mut told = Vec::new();
    let rebuilt = rebuild(&test.database.owner(), master(), blobs, |at, of| told.push((at, of))).await.unwrap();
    assert_eq!(everything(&test).await, before);
    assert_eq!(rebuilt.entries, test.archive.head_size().await.unwrap());
    assert!(told.len() > 1 && told.last().unwrap().0 == told.last().unwrap().1, "{told:?}");

    // The running service goes on with the new tables.
    test.archive.append(post(&test, person.id, "after the rebuild")).await.unwrap();
    projected(&test).await;
    let filter = RecordFilter { text: Some("after the rebuild".to_owned()), ..RecordFilter::default() };
    assert_eq!(found(&test, filter).await.len(), 1);
}

#[tokio::test]
async fn what_is_projected_together_gives_the_rows_of_what_is_projected_one_by_one() {
    let test = TestArchive::new().await;
    let begun = test.archive.head_size().await.unwrap();
    for number in 0..6 {
        let record = NewRecord::new(&test);
        let capture = post_of(&test, &record, &[advisor(1)], &format!("post {number}"));
        let id = capture.draft.id;
        test.archive.append(capture).await.unwrap();
        projected(&test).await;
        // None, one or two answers: the newest counts, and each stays known.
        for answer in 0..number % 3 {
            let fields: &[(&str, &[u8])] = match answer {
                0 => &[("0.item", b"at://first"), ("0.permalink", b"https://net.example/first")],
                _ => &[("0.item", b"at://second"), ("0.occurred_at", b"2026-11-22T10:00:00Z")],
            };
            let said = detail(json!({"capture": id, "state": "accepted", "status": 200 + answer}));
            let answered = sealed(&test, &record, EntryType::Outcome, said, &[advisor(1)], fields);
            test.archive.append(answered).await.unwrap();
            projected(&test).await;
        }
    }
    let one_by_one = everything(&test).await;
    assert_eq!(one_by_one.iter().filter(|row| row.starts_with("made ")).count(), 2 * 2 + 2 * 3, "{one_by_one:#?}");
    let blobs = BlobStore::open(&test.dir.path().join("blobs")).unwrap();
    rebuild(&test.database.owner(), master(), blobs, |_at, _of| ()).await.unwrap();
    assert_eq!(everything(&test).await, one_by_one);
    // Also where the rows of the records are there already, so that nothing can be put into new ones.
    let text = format!(
        "update projection.records set outcome = null, state = null, status = null, last_index = entry_index;
         update projection.communications set item = null, permalink = null, occurred_at = null;
         delete from projection.record_entries where entry_index >= {begun};
         delete from projection.outcomes; delete from projection.made; update projection.progress set next_index = {begun}"
    );
    test.database.tamper(&text).await;
    projected(&test).await;
    assert_eq!(everything(&test).await, one_by_one);
}

#[tokio::test]
async fn several_projectors_at_once_do_the_work_once() {
    let test = TestArchive::new().await;
    for number in 0..600 {
        test.archive.append(post(&test, advisor(1), &format!("{number}"))).await.unwrap();
    }
    let size = test.archive.head_size().await.unwrap();
    let (a, b) = tokio::join!(test.archive.project(size), test.archive.project(size));
    a.and(b).unwrap();
    assert_eq!(test.archive.records(&RecordFilter::default(), Slice { limit: 1_000, ..ALL }).await.unwrap().len(), 600);
}

#[tokio::test]
async fn looks_are_listed_by_the_record_that_was_looked_at() {
    let test = TestArchive::new().await;
    let (record, look) = (RecordId::new(test.ids.fresh()), NewRecord::new(&test));
    let facts =
        detail(json!({ "allowed": true, "count": 1, "operation": "records.get", "records": [record.to_string()] }));
    let fields: &[(&str, &[u8])] = &[("purpose", b"annual review")];
    let submission = sealed(&test, &look, EntryType::Access, facts, &[], fields);
    let submission = muniment::archive::Submission { key: Some(look.wrapped()), ..submission };
    test.archive.append(submission).await.unwrap();
    projected(&test).await;
    let looks = test.archive.looks(&LookFilter { record: Some(record), ..LookFilter::default() }, ALL).await.unwrap();
    assert_eq!((looks.len(), looks[0].purpose.as_deref()), (1, Some("annual review")));
}
