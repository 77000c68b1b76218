//! After every test of the ledger: everything checked again, from bytes, by code that shares nothing with the writer but the
//! hash and the reader of entries.

use std::collections::HashMap;
use std::sync::Arc;

use muniment::archive::{Finding, Verification};
use muniment::ledger::{Entry, leaf_hash};
use muniment::record::{AdvisorId, Digest, EntryId};
use sqlx::Row as _;

use super::archive::TestArchive;

/// Fails unless the ledger is sound; answers with its entries.
pub(crate) async fn assert_sound(test: &TestArchive) -> Vec<Entry> {
    let mut connection = test.database.superuser().await;
    let rows = sqlx::query("select index, id, leaf, body from ledger.entries order by index")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut entries = Vec::new();
    let mut previous = Digest::ZERO;
    let mut streams: HashMap<AdvisorId, u64> = HashMap::new();
    let mut sources = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let body: &[u8] = row.get("body");
        let entry = Entry::parse(body).unwrap_or_else(|error| panic!("entry {place}: {error}"));
        assert_eq!(usize::try_from(row.get::<i64, _>("index")).unwrap(), place, "indices are contiguous");
        assert_eq!(entry.index(), u64::try_from(place).unwrap());
        assert_eq!(entry.id(), EntryId::new(row.get("id")));
        assert_eq!(entry.previous(), previous, "entry {place} links to the one before");
        assert_eq!(row.get::<&[u8], _>("leaf"), leaf_hash(body).as_bytes());
        if let Some(before) = entries.last() {
            let before: &Entry = before;
            assert!(entry.at() >= before.at(), "entry {place} is not earlier than the one before");
        }
        for stream in entry.streams() {
            let next = streams.entry(stream.id).or_default();
            assert_eq!(stream.index, *next, "stream {} has no hole", stream.id);
            *next += 1;
        }
        let next = sources.entry(entry.source()).or_insert(0);
        assert_eq!(entry.source_index(), *next, "source {} has no hole", entry.source());
        *next += 1;
        previous = leaf_hash(body);
        entries.push(entry);
    }

    let head = sqlx::query("select size, leaf from ledger.head").fetch_one(&mut connection).await.unwrap();
    assert_eq!(usize::try_from(head.get::<i64, _>("size")).unwrap(), entries.len());
    assert_eq!(head.get::<&[u8], _>("leaf"), previous.as_bytes());

    let rows = sqlx::query("select stream, stream_index, entry_index from ledger.stream_entries")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows.len(), entries.iter().map(|entry| entry.streams().len()).sum::<usize>());
    for row in rows {
        let entry = &entries[usize::try_from(row.get::<i64, _>("entry_index")).unwrap()];
        let stream = AdvisorId::new(row.get("stream"));
        let found = entry.streams().iter().find(|found| found.id == stream).unwrap();
        assert_eq!(found.index, u64::try_from(row.get::<i64, _>("stream_index")).unwrap());
    }
    for (source, next) in sources {
        let last: i64 = sqlx::query_scalar("select max(next_index) from ledger.sources where source = $1")
            .bind(source.uuid())
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(u64::try_from(last).unwrap(), next);
    }
    for entry in &entries {
        let content = test.archive.content(entry).await.unwrap();
        if let (Some(content), muniment::ledger::Committed::Listed(listed)) = (content, entry.committed()) {
            let names: Vec<_> = listed.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(content.0.into_keys().collect::<Vec<_>>(), names, "every commitment has its content");
        }
    }
    let (found, verification) = verify(test).await;
    assert!(verification.sound && found.is_empty(), "{found:#?}");
    assert_eq!(verification.history.entries, entries.len() as u64);
    entries
}

/// Runs the archive's own verification; answers with what it found.
pub(crate) async fn verify(test: &TestArchive) -> (Vec<Finding>, Verification) {
    let found = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let sink = Arc::clone(&found);
    let verification = test.archive.verifier().run(move |finding| sink.lock().push(finding), |_progress| ()).await;
    let found = std::mem::take(&mut *found.lock());
    (found, verification.unwrap())
}
