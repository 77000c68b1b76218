//! Late attribution: a record that came to belong to one more advisor is theirs in every respect: stream, holds, disposal, lists.

use muniment::archive::{Append as _, AppendError, Appended, ArchiveError, Disposal, RecordFilter, Slice};
use muniment::ledger::{Actor, Entry, EntryType};
use muniment::record::{Clock as _, Ids as _};
use serde_json::json;

use crate::support::archive::TestArchive;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, capture_detail, detail, gap, post_of, sealed};

const ALL: Slice = Slice { after: None, newest_first: true, limit: 500 };

async fn attribute(test: &TestArchive, record: &NewRecord, earlier: &Appended, to: u128) -> Appended {
    let facts = json!({ "cause": "account_learned", "account": test.ids.fresh().to_string(),
                        "entry": earlier.entry.to_string(), "index": earlier.index });
    let attribution = sealed(test, record, EntryType::Attribution, detail(facts), &[advisor(to)], &[]);
    test.archive.append(attribution).await.unwrap()
}

/// A hold on all that is an advisor's; answers with its id.
async fn hold(test: &TestArchive, on: u128) -> String {
    let hold = test.ids.fresh().to_string();
    let mut placed = gap(test, "unused");
    placed.draft.entry_type = EntryType::Hold;
    placed.draft.detail = detail(json!({ "hold": hold, "scope": "stream", "targets": [advisor(on).to_string()] }));
    test.archive.append(placed).await.unwrap();
    hold
}

async fn release(test: &TestArchive, hold: &str) {
    let mut released = gap(test, "unused");
    released.draft.entry_type = EntryType::Release;
    released.draft.detail = detail(json!({ "hold": hold }));
    test.archive.append(released).await.unwrap();
}

async fn dispose(test: &TestArchive, record: &NewRecord) -> Result<Appended, ArchiveError> {
    let disposal = Disposal {
        records: vec![record.id],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await
}

fn is_held(result: Result<Appended, ArchiveError>) -> bool {
    match result {
        Err(ArchiveError::Append(AppendError::Refused { source, .. })) => source.to_string().contains("under a hold"),
        _ => false,
    }
}

fn stream_of(entries: &[Entry], number: u128) -> Vec<(u64, u64)> {
    let of = |entry: &Entry| entry.streams().iter().find(|stream| stream.id == advisor(number)).map(|s| s.index);
    entries.iter().filter_map(|entry| Some((entry.index(), of(entry)?))).collect()
}

#[tokio::test]
async fn p6_a_hold_on_the_new_advisor_covers_an_attributed_record_whichever_came_first() {
    for hold_first in [true, false] {
        let test = TestArchive::new().await;
        test.database.tamper("update content.retention set minimum = '0'").await;
        let record = NewRecord::new(&test);
        let earlier = test.archive.append(post_of(&test, &record, &[advisor(1)], "of both")).await.unwrap();
        let other = NewRecord::new(&test);
        test.archive.append(post_of(&test, &other, &[advisor(1)], "of the first only")).await.unwrap();
        let held = if hold_first {
            let held = hold(&test, 2).await;
            attribute(&test, &record, &earlier, 2).await;
            held
        } else {
            attribute(&test, &record, &earlier, 2).await;
            hold(&test, 2).await
        };
        assert!(is_held(dispose(&test, &record).await), "hold first: {hold_first}");
        dispose(&test, &other).await.unwrap();
        let unrelated = hold(&test, 3).await;
        release(&test, &held).await;
        let disposed = dispose(&test, &record).await.unwrap();

        // Whoever counts the new stream finds the attribution, and that the record ended.
        let entries = assert_sound(&test).await;
        let attribution = entries.iter().find(|entry| entry.entry_type() == EntryType::Attribution).unwrap();
        assert_eq!(stream_of(&entries, 2), [(attribution.index(), 0), (disposed.index, 1)]);
        assert_eq!(attribution.detail()["index"], json!(earlier.index));
        release(&test, &unrelated).await;
    }
}

#[tokio::test]
async fn an_attributed_record_is_listed_as_the_new_advisors_and_asked_for_no_more() {
    let test = TestArchive::new().await;
    let of_author = |id: &str, handle: &str| {
        let record = NewRecord::new(&test);
        let author = json!({ "id": id, "handle": handle }).to_string();
        let fields: &[(&str, &[u8])] = &[("0.text", b"hello"), ("0.author", author.as_bytes())];
        let facts = capture_detail(test.ids.fresh());
        let submission = sealed(&test, &record, EntryType::Capture, facts, &[advisor(1)], fields);
        (muniment::archive::Submission { key: Some(record.wrapped()), ..submission }, record)
    };
    let (by_id, record) = of_author("did:later", "@Ada.example");
    let earlier = test.archive.append(by_id).await.unwrap();
    for (id, handle) in [("did:other", "@ada.example"), ("did:third", "@else.example")] {
        test.archive.append(of_author(id, handle).0).await.unwrap();
    }
    let (by_handle, _record) = of_author("", "ada.example");
    let by_handle = test.archive.append(by_handle).await.unwrap();
    let written = async |after| {
        let size = test.archive.head_size().await.unwrap();
        test.archive.project(size).await.unwrap();
        let network = "bluesky";
        let found = test.archive.written_by(network, Some("did:later"), Some("@ada.example"), advisor(2), after, 10);
        found.await.unwrap().into_iter().map(|place| place.index).collect::<Vec<_>>()
    };
    let found = written(None).await;
    assert!(found.contains(&earlier.index) && !found.contains(&(earlier.index + 1)), "the id decides: {found:?}");
    assert!(found.contains(&by_handle.index), "where there is no id the handle does: {found:?}");
    assert!(!written(Some(earlier.index)).await.contains(&earlier.index), "page by page");

    attribute(&test, &record, &earlier, 2).await;
    assert!(!written(None).await.contains(&earlier.index));
    let of_second = RecordFilter { advisor: Some(advisor(2)), ..RecordFilter::default() };
    let listed: Vec<_> = test.archive.records(&of_second, ALL).await.unwrap().iter().map(|row| row.record).collect();
    assert_eq!(listed, [record.id]);
    assert_sound(&test).await;
}
