//! Filters: each finds what it says and nothing else, however odd the question.

use muniment::archive::{AccountRow, Append as _, RecordFilter, Slice, Submission, WordQuery};
use muniment::ledger::EntryType;
use muniment::record::{AccountId, EntryId, Ids as _, RecordId, Timestamp};
use serde_json::{Map, Value, json};

use crate::support::archive::TestArchive;
use crate::support::submissions::{NewRecord, advisor, capture_detail, detail, outcome, post_of, sealed};

const ALL: Slice = Slice { after: None, newest_first: false, limit: 500 };

async fn project(test: &TestArchive) {
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
}

async fn found(test: &TestArchive, filter: RecordFilter) -> Vec<RecordId> {
    test.archive.records(&filter, ALL).await.unwrap().into_iter().map(|row| row.record).collect()
}

fn words(text: &str) -> RecordFilter {
    RecordFilter { words: Some(WordQuery::parse(text, false).unwrap()), ..RecordFilter::default() }
}

/// A capture with these details changed and these fields.
async fn capture(test: &TestArchive, change: &[(&str, Value)], fields: &[(&str, &[u8])]) -> (NewRecord, EntryId) {
    let record = NewRecord::new(test);
    let mut facts: Map<String, Value> = capture_detail(test.ids.fresh());
    facts.extend(change.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let submission = sealed(test, &record, EntryType::Capture, facts, &[advisor(1)], fields);
    let id = submission.draft.id;
    test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap();
    (record, id)
}

#[tokio::test]
async fn words_are_found_in_any_order_as_phrases_and_without_others() {
    let test = TestArchive::new().await;
    let (one, _) = capture(&test, &[], &[("0.text", "Guaranteed returns, buy now".as_bytes())]).await;
    let (two, _) = capture(&test, &[], &[("0.text", "Past returns guaranteed nothing".as_bytes())]).await;
    project(&test).await;
    assert_eq!(found(&test, words("returns guaranteed")).await, [one.id, two.id]);
    assert_eq!(found(&test, words("\"guaranteed returns\"")).await, [one.id]);
    assert_eq!(found(&test, words("returns -nothing")).await, [one.id]);
    assert_eq!(found(&test, words("nothing or buy")).await, [one.id, two.id]);
    for odd in ["'", "\"", "& | !", "\\", "%", "\0", "a:*b)(", "\u{10ffff}", "-", "or or or", "a'b\\c", "'*", "İıſ"]
    {
        // Whatever it means, it is a question and never a statement.
        if let Ok(query) = WordQuery::parse(odd, false) {
            let _any = found(&test, RecordFilter { words: Some(query), ..RecordFilter::default() }).await;
        }
        let text = RecordFilter { text: Some(odd.to_owned()), ..RecordFilter::default() };
        let _any = found(&test, text).await;
        let conversation = RecordFilter { conversation: Some(odd.to_owned()), ..RecordFilter::default() };
        assert!(found(&test, conversation).await.is_empty());
        let network =
            RecordFilter { network: Some(format!("{odd}' or true --").replace('\0', "")), ..RecordFilter::default() };
        assert!(found(&test, network).await.is_empty());
    }
}

#[tokio::test]
async fn records_are_found_by_flag_by_kind_and_by_what_the_origin_said() {
    let test = TestArchive::new().await;
    let (flagged, _) = capture(&test, &[("flags", json!(["off_channel", "redacted"]))], &[("0.text", b"a")]).await;
    let (several, _) =
        capture(&test, &[("kinds", json!(["post", "reply"]))], &[("0.text", b"b"), ("1.text", b"c")]).await;
    let (answered, id) = capture(&test, &[], &[("0.text", b"d")]).await;
    test.archive.append(outcome(&test, &answered, id, &[advisor(1)])).await.unwrap();
    let seen = NewRecord::new(&test);
    let mut facts = capture_detail(test.ids.fresh());
    facts.remove("method");
    let observed = sealed(&test, &seen, EntryType::Observation, facts, &[advisor(1)], &[("0.text", b"e")]);
    test.archive.append(Submission { key: Some(seen.wrapped()), ..observed }).await.unwrap();
    project(&test).await;

    let flag = |flag: &str| RecordFilter { flag: Some(flag.to_owned()), ..RecordFilter::default() };
    assert_eq!(found(&test, flag("off_channel")).await, [flagged.id]);
    assert!(found(&test, flag("spooled")).await.is_empty());
    let kind = |kind: &str| RecordFilter { kind: Some(kind.to_owned()), ..RecordFilter::default() };
    assert_eq!(found(&test, kind("reply")).await, [several.id]);
    // A condition on a part and the kind must hold of one and the same part.
    assert!(
        found(&test, RecordFilter { words: Some(WordQuery::parse("b", false).unwrap()), ..kind("reply") })
            .await
            .is_empty()
    );
    assert_eq!(
        found(&test, RecordFilter { words: Some(WordQuery::parse("c", false).unwrap()), ..kind("reply") }).await,
        [several.id]
    );
    let state = |state: &str| RecordFilter { state: Some(state.to_owned()), ..RecordFilter::default() };
    assert_eq!(found(&test, state("accepted")).await, [answered.id]);
    assert_eq!(found(&test, state("none")).await, [flagged.id, several.id], "an observation is never answered");
}

#[tokio::test]
async fn times_bound_a_list_on_both_sides() {
    let test = TestArchive::new().await;
    for number in 0..5 {
        capture(&test, &[], &[("0.text", format!("{number}").as_bytes())]).await;
        // Two groups never bear one time.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    project(&test).await;
    let all = test.archive.records(&RecordFilter::default(), ALL).await.unwrap();
    let span =
        |since: Option<Timestamp>, until: Option<Timestamp>| RecordFilter { since, until, ..RecordFilter::default() };
    let ids = |from: usize, to: usize| all[from..to].iter().map(|row| row.record).collect::<Vec<_>>();
    assert_eq!(found(&test, span(Some(all[1].at), Some(all[3].at))).await, ids(1, 3));
    assert_eq!(found(&test, span(Some(all[4].at), None)).await, ids(4, 5));
    assert_eq!(found(&test, span(None, Some(all[1].at))).await, ids(0, 1));
    let later = Timestamp::from_unix_micros(all[4].at.unix_micros() + 1).unwrap();
    assert!(found(&test, span(Some(later), None)).await.is_empty());
    assert_eq!(found(&test, span(None, Some(later))).await, ids(0, 5));
}

#[tokio::test]
async fn an_account_has_its_records_and_says_when_it_was_first_and_last_seen() {
    let test = TestArchive::new().await;
    let account = AccountId::new(test.ids.fresh());
    let facts = json!({ "subject": "account", "change": "added", "id": account.to_string(),
                        "advisor": advisor(1).to_string(), "network": "bluesky" });
    let record = NewRecord::new(&test);
    let fields: &[(&str, &[u8])] = &[("id", b"did:plc:ada"), ("handle", b"ada.example")];
    let identity = sealed(&test, &record, EntryType::Identity, detail(facts), &[advisor(1)], fields);
    test.archive.append(Submission { key: Some(record.wrapped()), ..identity }).await.unwrap();
    project(&test).await;
    let seen = |row: &AccountRow| (row.first_seen_at, row.last_seen_at);
    assert_eq!(seen(&test.archive.accounts(ALL, None).await.unwrap()[0]), (None, None));

    let party = br#"{"id":"did:plc:ada","handle":"renamed.example"}"#;
    let (first, _) = capture(&test, &[], &[("0.text", b"a"), ("0.account", party)]).await;
    let (last, _) = capture(&test, &[], &[("0.text", b"b"), ("0.account", party)]).await;
    // The handle has moved on to somebody else, and on another network the id means nothing.
    capture(&test, &[], &[("0.account", br#"{"id":"did:plc:eve","handle":"ada.example"}"#)]).await;
    capture(&test, &[("network", json!("mastodon"))], &[("0.account", party)]).await;
    project(&test).await;
    let filter = RecordFilter { account: Some(account), ..RecordFilter::default() };
    assert_eq!(found(&test, filter).await, [first.id, last.id]);
    let at = async |record: RecordId| Some(test.archive.record(record).await.unwrap().unwrap().at);
    let row = &test.archive.accounts(ALL, Some(advisor(1))).await.unwrap()[0];
    assert_eq!(seen(row), (at(first.id).await, at(last.id).await));
}

#[tokio::test]
async fn an_account_known_by_its_handle_alone_is_found_however_the_handle_was_written() {
    let test = TestArchive::new().await;
    let account = AccountId::new(test.ids.fresh());
    let facts = json!({ "subject": "account", "change": "added", "id": account.to_string(),
                        "advisor": advisor(1).to_string(), "network": "bluesky" });
    let record = NewRecord::new(&test);
    let identity = sealed(&test, &record, EntryType::Identity, detail(facts), &[advisor(1)], &[("handle", b"@Ada")]);
    test.archive.append(Submission { key: Some(record.wrapped()), ..identity }).await.unwrap();
    let (first, _) = capture(&test, &[], &[("0.account", br#"{"id":"did:plc:ada","handle":"ADA"}"#)]).await;
    let (last, _) = capture(&test, &[], &[("0.account", br#"{"id":"","handle":"@ada"}"#)]).await;
    capture(&test, &[], &[("0.account", br#"{"id":"","handle":"@adam"}"#)]).await;
    project(&test).await;
    let filter = RecordFilter { account: Some(account), ..RecordFilter::default() };
    assert_eq!(found(&test, filter).await, [first.id, last.id]);
    let at = async |record: RecordId| Some(test.archive.record(record).await.unwrap().unwrap().at);
    let row = test.archive.account(account).await.unwrap().unwrap();
    assert_eq!((row.first_seen_at, row.last_seen_at), (at(first.id).await, at(last.id).await));
    // Both are begun at by an index, in the order of their places.
    let mut connection = test.database.superuser().await;
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select c.record from projection.communications c
          where lower(ltrim(c.account_handle, '@')) = 'ada' order by c.entry_index limit 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn an_item_is_found_by_its_id_whether_sent_answered_or_edited() {
    let test = TestArchive::new().await;
    let answered = NewRecord::new(&test);
    let submission = post_of(&test, &answered, &[advisor(1)], "new");
    let id = submission.draft.id;
    test.archive.append(submission).await.unwrap();
    test.archive.append(outcome(&test, &answered, id, &[advisor(1)])).await.unwrap();
    let item: &[u8] = b"at://did:plc:someone/app.bsky.feed.post/1";
    let (edit, _) =
        capture(&test, &[("kinds", json!(["edit"]))], &[("0.text", b"newer"), ("0.edited_from", item)]).await;
    let (deletion, _) = capture(&test, &[("kinds", json!(["deletion"]))], &[("0.item", item)]).await;
    project(&test).await;
    let filter = RecordFilter { item: Some(String::from_utf8(item.to_vec()).unwrap()), ..RecordFilter::default() };
    assert_eq!(found(&test, filter).await, [answered.id, edit.id, deletion.id]);
}

#[tokio::test]
async fn no_answer_is_longer_than_a_thousand_records() {
    let test = TestArchive::new().await;
    capture(&test, &[], &[("0.text", b"one")]).await;
    project(&test).await;
    let text = "insert into projection.records
                select more.*
                  from projection.records r, generate_series(1, 1500) n
                 cross join lateral jsonb_populate_record(r, jsonb_build_object(
                       'record', gen_random_uuid(), 'entry', gen_random_uuid(), 'entry_index', 1000 + n)) more";
    test.database.tamper(text).await;
    let asked = Slice { limit: u32::MAX, ..ALL };
    assert_eq!(test.archive.records(&RecordFilter::default(), asked).await.unwrap().len(), 1_000);
}
