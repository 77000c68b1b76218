//! What capture takes over at a start: the last captures, as far as they can be read.

use std::io::Write as _;
use std::time::Duration;

use muniment::archive::{Append as _, Field, RecentCapture, SealedField, Stored, Submission};
use muniment::ledger::EntryType;
use muniment::record::{Clock as _, Commitment, EntryId, FieldName, Ids as _, Timestamp, seal};

use crate::support::archive::TestArchive;
use crate::support::submissions::{NewRecord, advisor, capture_detail, outcome, post, post_of, sealed};

const FIELDS: [FieldName; 2] = [FieldName::REQUEST_HEAD, FieldName::REQUEST_BODY];

async fn project(test: &TestArchive) {
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
}

async fn recent(test: &TestArchive, since: Timestamp, limit: u32) -> Vec<RecentCapture> {
    test.archive.recent_captures(since, limit, &FIELDS, Some).await.unwrap()
}

fn entries(captures: &[RecentCapture]) -> Vec<EntryId> {
    captures.iter().map(|capture| capture.entry).collect()
}

#[tokio::test]
async fn captures_that_cannot_be_read_stand_in_the_way_of_no_other() {
    let damages = [
        "update content.sealed set ciphertexts[array_position(names, 'request.body')] = '\\x00' where entry_index = $",
        "update content.sealed set names[array_position(names, 'request.body')] = 'gone' where entry_index = $",
        "delete from content.sealed where entry_index = $",
        "update content.keys set wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1) where entry_index = $",
        "update content.keys set wrapped = decode(repeat('00', 40), 'hex') where entry_index = $",
        "delete from content.keys where entry_index = $",
        "update ledger.entries set body = '{}' where index = $",
        "update ledger.entries set body = (select body from ledger.entries where index = 1) where index = $",
        "delete from ledger.entries where index = $",
    ];
    let test = TestArchive::new().await;
    let mut whole = Vec::new();
    for damage in damages {
        let broken = test.archive.append(post(&test, advisor(1), "said")).await.unwrap();
        whole.push(test.archive.append(post(&test, advisor(1), "said")).await.unwrap().entry);
        project(&test).await;
        test.database.tamper(&damage.replace('$', &broken.index.to_string())).await;
        let found = entries(&recent(&test, Timestamp::EPOCH, 1000).await);
        let newest_first: Vec<_> = whole.iter().rev().copied().collect();
        assert_eq!(found, newest_first, "{damage}");
    }
}

#[tokio::test]
async fn recent_captures_are_requests_within_the_time_newest_first_with_what_was_asked_for() {
    let test = TestArchive::new().await;
    let old = test.archive.append(post(&test, advisor(1), "long ago")).await.unwrap();
    test.clock.step_forward(Duration::from_secs(30));
    let since = test.clock.now();
    let first = test.archive.append(post(&test, advisor(1), "first")).await.unwrap();
    // Its body is a file.
    let record = NewRecord::new(&test);
    let fields: &[(&str, &[u8])] = &[("request.head", b"POST /posts HTTP/1.1"), ("0.text", b"second")];
    let mut large = sealed(&test, &record, EntryType::Capture, capture_detail(test.ids.fresh()), &[advisor(2)], fields);
    let value = vec![b'z'; 300_000];
    let (name, id) = (FieldName::REQUEST_BODY, large.draft.id);
    let ciphertext = seal(&record.key.sealing_key(id, &name), &value).unwrap();
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&ciphertext).unwrap();
    let (digest, size) = writer.finish().unwrap();
    large.draft.commitments.insert(name.clone(), Commitment::to(&record.key.salt(id, &name), &value));
    large.sealed.push(SealedField { name, ciphertext: Stored::Blob { digest, size } });
    let second = test.archive.append(Submission { key: Some(record.wrapped()), ..large }).await.unwrap();
    test.archive.append(outcome(&test, &record, second.entry, &[advisor(2)])).await.unwrap();
    // A message of a channel is no request.
    let message = NewRecord::new(&test);
    let mut said = post_of(&test, &message, &[advisor(1)], "in a channel");
    said.draft.detail.remove("method");
    test.archive.append(said).await.unwrap();
    project(&test).await;

    let found = recent(&test, since, 10).await;
    assert_eq!(entries(&found), [second.entry, first.entry]);
    assert_eq!(entries(&recent(&test, since, 1).await), [second.entry]);
    assert_eq!(entries(&recent(&test, Timestamp::EPOCH, 10).await), [second.entry, first.entry, old.entry]);
    assert_eq!((found[1].at, found[1].retry_of), (first.at, None));
    let asked: Vec<_> = found.iter().map(|one| one.content.0.keys().cloned().collect::<Vec<_>>()).collect();
    let [head, body] = FIELDS;
    assert_eq!(asked, [[body.clone(), head.clone()], [body.clone(), head.clone()]]);
    assert_eq!(found[0].content.text(head.as_str()), Some("POST /posts HTTP/1.1"));
    assert!(matches!(found[0].content.0.get(&body), Some(Field::Blob { digest: of, .. }) if *of == digest));
    assert_eq!(found[1].content.text(body.as_str()), Some("{\"collection\":\"app.bsky.feed.post\"}"));
}
