//! Reads a run of entries with those fields that projections show.
//!
//! Invariant: nothing that is wrong with one entry keeps the others from being read; what is wrong is part of the answer, as a
//! word. Only a database that does not answer is an error. Whole bodies and attachments are never opened here.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use sqlx::types::Uuid;
use sqlx::{PgConnection, Row as _};

use super::Projector;
use crate::archive::ArchiveError;
use crate::archive::blobs::BlobStore;
use crate::archive::read::{
    Content, Field, SealedRow, check_listed, field_name, open_blob, open_fields, parse_key, unwrap,
};
use crate::archive::row::{count, digest, number};
use crate::archive::submission::BlobDigest;
use crate::ledger::{Committed, Entry};
use crate::record::{CHUNK, FieldName, MasterKey, RecordKey, SealError, TAG, WrappedKey};

/// Sealed bytes read at once; an entry with more comes alone.
const BATCH_BYTES: u64 = 8 << 20;
/// What of a text in the blob store is shown.
const SHOWN: usize = 1 << 20;

/// Why an entry could not be projected whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Problem {
    /// There is no entry at this place.
    EntryMissing,
    /// Its bytes are not an entry, or not the one of this place.
    EntryMalformed,
    /// The record's key is not there, and no disposal says why.
    KeyMissing,
    /// The record's key does not open with the master key.
    KeyRefused,
    /// A field that it commits to is not there.
    ContentMissing,
    /// A field does not open.
    ContentRefused,
    /// A field is not the one it commits to.
    ContentChanged,
    /// A file of the blob store is missing or cannot be read.
    BlobUnreadable,
    /// The database does not take the rows.
    RowRefused,
}

/// What became of an entry's sealed fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentState {
    /// There are none.
    None,
    Readable,
    Unreadable,
    Disposed,
}

/// One place of the ledger.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) index: u64,
    /// `None` where the bytes are no entry.
    pub(super) entry: Option<Entry>,
    /// What could be opened.
    pub(super) content: Content,
    /// Bytes of the value of every field, also of those that were not opened.
    pub(super) sizes: BTreeMap<FieldName, u64>,
    pub(super) state: ContentState,
    pub(super) problem: Option<Problem>,
}

impl Item {
    fn without(index: u64, entry: Option<Entry>, state: ContentState, problem: Option<Problem>) -> Self {
        Self { index, entry, content: Content::default(), sizes: BTreeMap::new(), state, problem }
    }

    /// The same without its content.
    pub(super) fn refused(self, problem: Problem) -> Self {
        let state = if self.state == ContentState::None { self.state } else { ContentState::Unreadable };
        Self::without(self.index, self.entry, state, Some(problem))
    }
}

/// What is stored for one entry, of the fields that are wanted.
#[derive(Debug, Default)]
struct Stored {
    row: SealedRow,
    /// Sealed sizes of all fields.
    sizes: Vec<(FieldName, u64)>,
    problem: Option<Problem>,
}

/// Is this field read for projections? The others are raw bytes, or only of use in full.
fn is_wanted(name: &str) -> bool {
    let raw = name.starts_with("request.")
        || name.starts_with("response.")
        || matches!(name, "message" | "connection" | "redactions" | "settings")
        || name.ends_with(".raw")
        || name.contains(".attachment.");
    !raw
}

/// Bytes of a value by the bytes of its sealed form.
fn opened_size(sealed: u64) -> u64 {
    let chunks = sealed.div_ceil((CHUNK + TAG) as u64).max(1);
    sealed.saturating_sub(chunks.saturating_mul(TAG as u64))
}

/// Reads the range, or as much of it as fits into one batch; at least one place.
pub(super) async fn chunk(
    connection: &mut PgConnection,
    projector: &Projector,
    range: Range<u64>,
) -> Result<Vec<Item>, ArchiveError> {
    let places = places(connection, range).await?;
    let sealing: Vec<&Entry> =
        places.iter().filter_map(|(_, entry)| entry.as_ref().ok()).filter(|e| commits(e)).collect();
    let records: Vec<Uuid> = sealing.iter().filter_map(|entry| entry.record()).map(|record| record.uuid()).collect();
    let indices: Vec<i64> = sealing.iter().map(|entry| number(entry.index())).collect();
    // In this order, a disposal that commits in between is seen as one: content before keys before disposals.
    let stored = stored(connection, &indices).await?;
    let keys = keys(connection, &records).await?;
    let disposals = disposals(connection, &records).await?;
    let (master, blobs) = (projector.master.clone(), projector.blobs.clone());
    // Opening takes the processor, and files block.
    let opened =
        tokio::task::spawn_blocking(move || open_all(places, &keys, &disposals, stored, &master, &blobs)).await;
    opened.map_err(|_ended| ArchiveError::Row { table: "content.sealed", problem: "opening content did not end" })
}

fn commits(entry: &Entry) -> bool {
    match entry.committed() {
        Committed::Listed(listed) => !listed.is_empty(),
        Committed::Root(_) => true,
    }
}

type Place = (u64, Result<Entry, Problem>);

async fn places(connection: &mut PgConnection, range: Range<u64>) -> Result<Vec<Place>, ArchiveError> {
    let (from, until) = (range.start, range.end);
    // The array's stored size, so that nothing is read that does not fit into the batch.
    let sizes = sqlx::query(
        "select e.index, coalesce(pg_column_size(s.ciphertexts), 0)::bigint as size
           from ledger.entries e left join content.sealed s on s.entry_index = e.index
          where e.index >= $1 and e.index < $2 order by e.index",
    )
    .bind(number(from))
    .bind(number(until))
    .fetch_all(&mut *connection)
    .await?;
    let (mut end, mut bytes) = (until, 0_u64);
    for row in &sizes {
        let index = count(row.try_get("index")?);
        bytes = bytes.saturating_add(count(row.try_get("size")?));
        if bytes > BATCH_BYTES && index > from {
            end = index;
            break;
        }
    }
    let rows = sqlx::query("select index, body from ledger.entries where index >= $1 and index < $2 order by index")
        .bind(number(from))
        .bind(number(end))
        .fetch_all(connection)
        .await?;
    let mut places = Vec::with_capacity(rows.len());
    let mut next = from;
    for row in &rows {
        let index = count(row.try_get("index")?);
        places.extend((next..index).map(|missing| (missing, Err(Problem::EntryMissing))));
        let entry = Entry::parse(row.try_get("body")?).ok().filter(|entry| entry.index() == index);
        places.push((index, entry.ok_or(Problem::EntryMalformed)));
        next = index.saturating_add(1);
    }
    places.extend((next..end).map(|missing| (missing, Err(Problem::EntryMissing))));
    Ok(places)
}

async fn keys(
    connection: &mut PgConnection,
    records: &[Uuid],
) -> Result<HashMap<Uuid, Option<WrappedKey>>, ArchiveError> {
    let rows = sqlx::query("select record, wrapped from content.keys where record = any ($1)")
        .bind(records)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("record")?, parse_key(row.try_get("wrapped")?).ok()))).collect()
}

async fn disposals(connection: &mut PgConnection, records: &[Uuid]) -> Result<Vec<Uuid>, ArchiveError> {
    let found = sqlx::query_scalar("select record from content.disposals where record = any ($1)").bind(records);
    Ok(found.fetch_all(connection).await?)
}

/// The wanted fields, and the sizes of all. The pattern is [`is_wanted`] once more, so that bodies stay in the database.
async fn stored(connection: &mut PgConnection, places: &[i64]) -> Result<HashMap<u64, Stored>, ArchiveError> {
    let mut all: HashMap<u64, Stored> = HashMap::new();
    let rows = sqlx::query(
        "select s.entry_index, f.name, octet_length(f.ciphertext)::bigint as size,
                case when f.name !~ '^(request|response)\\.|^(message|connection|redactions|settings)$|\\.raw$|\\.attachment\\.'
                     then f.ciphertext end as ciphertext
           from content.sealed s cross join lateral unnest(s.names, s.ciphertexts) as f (name, ciphertext)
          where s.entry_index = any ($1)",
    )
    .bind(places)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let stored = all.entry(count(row.try_get("entry_index")?)).or_default();
        let Ok(name) = field_name(row.try_get("name")?) else {
            stored.problem = Some(Problem::ContentRefused);
            continue;
        };
        stored.sizes.push((name.clone(), count(row.try_get("size")?)));
        if let Some(ciphertext) = row.try_get::<Option<Vec<u8>>, _>("ciphertext")? {
            stored.row.fields.push((name, ciphertext));
        }
    }
    let rows = sqlx::query("select entry_index, name, digest, size from content.blobs where entry_index = any ($1)")
        .bind(places)
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let stored = all.entry(count(row.try_get("entry_index")?)).or_default();
        let Ok(name) = field_name(row.try_get("name")?) else {
            stored.problem = Some(Problem::ContentRefused);
            continue;
        };
        let size = count(row.try_get("size")?);
        stored.sizes.push((name.clone(), size));
        if is_wanted(name.as_str()) {
            stored.row.blobs.push((name, BlobDigest(digest(row, "digest")?), size));
        }
    }
    Ok(all)
}

fn open_all(
    places: Vec<Place>,
    keys: &HashMap<Uuid, Option<WrappedKey>>,
    disposals: &[Uuid],
    mut stored: HashMap<u64, Stored>,
    master: &MasterKey,
    blobs: &BlobStore,
) -> Vec<Item> {
    let mut opened: HashMap<Uuid, Result<RecordKey, Problem>> = HashMap::new();
    let mut item = |index, entry: Entry| {
        let Some(record) = entry.record().filter(|_record| commits(&entry)) else {
            return Item::without(index, Some(entry), ContentState::None, None);
        };
        let uuid = record.uuid();
        let key = match keys.get(&uuid) {
            None if disposals.contains(&uuid) => {
                return Item::without(index, Some(entry), ContentState::Disposed, None);
            }
            None => Err(Problem::KeyMissing),
            Some(None) => Err(Problem::KeyRefused),
            Some(Some(wrapped)) => opened
                .entry(uuid)
                .or_insert_with(|| unwrap(master, record, wrapped).map_err(|_source| Problem::KeyRefused))
                .as_ref()
                .map_err(|problem| *problem),
        };
        let stored = stored.remove(&index).unwrap_or_default();
        match key.and_then(|key| open(key, &entry, stored, blobs)) {
            Ok((content, sizes)) => {
                Item { index, entry: Some(entry), content, sizes, state: ContentState::Readable, problem: None }
            }
            Err(problem) => Item::without(index, Some(entry), ContentState::Unreadable, Some(problem)),
        }
    };
    let places = places.into_iter();
    places
        .map(|(index, entry)| match entry {
            Ok(entry) => item(index, entry),
            Err(problem) => Item::without(index, None, ContentState::None, Some(problem)),
        })
        .collect()
}

type Opened = (Content, BTreeMap<FieldName, u64>);

/// Opens one entry's fields and compares them with what it commits to. Where more than 256 are folded into a root, a field alone
/// cannot be compared; that it opened under its name says that it was sealed for this entry.
fn open(key: &RecordKey, entry: &Entry, stored: Stored, blobs: &BlobStore) -> Result<Opened, Problem> {
    if let Some(problem) = stored.problem {
        return Err(problem);
    }
    let (mut content, mut commitments) =
        open_fields(key, entry, &stored.row).map_err(|_source| Problem::ContentRefused)?;
    for (name, field) in &mut content.0 {
        let Field::Blob { digest, .. } = field else { continue };
        let mut beginning = Beginning(Vec::new());
        // The whole of it is read, because only the whole proves itself.
        let commitment = open_blob(blobs, key, entry, name, *digest, &mut beginning);
        let commitment = commitment.map_err(|error| match error {
            ArchiveError::Sealed { source: SealError::Refused, .. } => Problem::ContentRefused,
            _ => Problem::BlobUnreadable,
        })?;
        commitments.insert(name.clone(), commitment);
        *field = Field::Value(beginning.0);
    }
    check_listed(entry, &commitments).map_err(|_source| Problem::ContentChanged)?;
    let sizes: BTreeMap<_, _> = stored.sizes.into_iter().map(|(name, sealed)| (name, opened_size(sealed))).collect();
    match entry.committed() {
        Committed::Listed(listed) if listed.iter().any(|(name, _)| !sizes.contains_key(name)) => {
            Err(Problem::ContentMissing)
        }
        Committed::Listed(_) | Committed::Root(_) => Ok((content, sizes)),
    }
}

/// Keeps the beginning of what is written.
struct Beginning(Vec<u8>);

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SHOWN.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sealed_size;

    #[test]
    fn the_size_of_a_value_follows_from_the_size_of_its_sealed_form() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5] {
            assert_eq!(opened_size(sealed_size(size as u64)), size as u64, "{size}");
        }
    }

    #[test]
    fn raw_bytes_are_not_wanted_and_words_are() {
        for wanted in ["0.text", "12.author", "name", "purpose", "host", "reason", "0.attachments", "0.detail"] {
            assert!(is_wanted(wanted), "{wanted}");
        }
        for raw in ["request.body", "response.head", "message", "connection", "0.raw", "3.attachment.0", "settings"] {
            assert!(!is_wanted(raw), "{raw}");
        }
    }
}
