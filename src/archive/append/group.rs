//! A group of drafts, sequenced: the rows that one commit will insert.
//!
//! Pure: from a head, a time and submissions to entries and rows. Nothing here waits, so all of it happens outside the lock.

use std::collections::HashMap;

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::PgRecordEncoder;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, Postgres};
use sqlx::types::{Type, Uuid};

use super::head::Head;
use crate::archive::row::number;
use crate::archive::submission::{Appended, SealedField, Stored, Submission};
use crate::ledger::{Entry, EntryError, EntryType, Position, Stamped, sequence};
use crate::record::{AdvisorId, Digest, RecordId, SourceId, Timestamp, WrappedKey};

/// A submission on its way: its draft bears our stamp, whose count is set each time the group is composed.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) stamped: Stamped,
    key: Option<(RecordId, WrappedKey)>,
    sealed: Vec<SealedField>,
    /// Bytes that go into rows.
    pub(super) size: usize,
}

impl Parcel {
    pub(super) fn new(submission: Submission, source: SourceId) -> Self {
        let size = submission.inline_size();
        let Submission { draft, key, sealed } = submission;
        Self { stamped: Stamped { draft, source, source_index: 0 }, key, sealed, size }
    }
}

/// Entries with their rows, ready to be inserted after `first`.
pub(super) struct Group<'a> {
    pub(super) first: u64,
    pub(super) previous: Digest,
    pub(super) entries: Vec<Entry>,
    pub(super) appended: Vec<Appended>,
    pub(super) head: Moved,
    pub(super) streams: Columns3<Uuid, i64, i64>,
    pub(super) keys: Columns3<Uuid, i64, &'a [u8]>,
    pub(super) sealed: Vec<SealedRow<'a>>,
    pub(super) blobs: Blobs<'a>,
}

/// Where the head stands after the group.
pub(super) struct Moved {
    pub(super) size: u64,
    pub(super) leaf: Digest,
    pub(super) at: Timestamp,
    pub(super) source_next: u64,
    pub(super) streams: HashMap<AdvisorId, u64>,
}

/// Three columns of equal length.
pub(super) type Columns3<A, B, C> = (Vec<A>, Vec<B>, Vec<C>);

/// A row of `content.sealed`, sent as one: put together from a row for each field, the server would have to sort them first.
#[derive(Default)]
pub(super) struct SealedRow<'a> {
    pub(super) entry: i64,
    pub(super) record: Uuid,
    pub(super) names: Vec<&'a str>,
    pub(super) ciphertexts: Vec<&'a [u8]>,
}

impl Type<Postgres> for SealedRow<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("content.sealed")
    }
}

impl PgHasArrayType for SealedRow<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("content.sealed")
    }
}

impl Encode<'_, Postgres> for SealedRow<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // The columns in the order of the table.
        let mut row = PgRecordEncoder::new(buffer);
        row.encode(self.entry)?.encode(self.record)?.encode(&self.names)?.encode(&self.ciphertexts)?;
        row.finish();
        Ok(IsNull::No)
    }
}

#[derive(Default)]
pub(super) struct Blobs<'a> {
    pub(super) digests: Vec<&'a [u8]>,
    pub(super) entries: Vec<i64>,
    pub(super) records: Vec<Uuid>,
    pub(super) names: Vec<&'a str>,
    pub(super) sizes: Vec<i64>,
}

/// A draft that cannot become an entry here: which one, and why.
pub(super) struct Misfit {
    pub(super) at: usize,
    pub(super) source: EntryError,
}

/// Sequences parcels, one after the other, behind `head`. Every stream they name must be known to the head, and they must be
/// stamped with the counts that follow the head's.
pub(super) fn compose<'a>(
    head: &Head,
    now: Timestamp,
    parcels: impl Iterator<Item = &'a Parcel>,
) -> Result<Group<'a>, Misfit> {
    // An entry is never earlier than the one before, whatever the clock does.
    let at = now.max(head.at);
    let mut group = Group {
        first: head.size,
        previous: head.leaf,
        entries: Vec::new(),
        appended: Vec::new(),
        head: Moved { size: head.size, leaf: head.leaf, at, source_next: head.source_next, streams: HashMap::new() },
        streams: Columns3::default(),
        keys: Columns3::default(),
        sealed: Vec::new(),
        blobs: Blobs::default(),
    };
    for (at, parcel) in parcels.enumerate() {
        group.push(head, parcel).map_err(|source| Misfit { at, source })?;
    }
    Ok(group)
}

impl<'a> Group<'a> {
    fn push(&mut self, head: &Head, parcel: &'a Parcel) -> Result<(), EntryError> {
        let draft = &parcel.stamped.draft;
        let moved = &mut self.head;
        let next = |moved: &Moved, stream: &AdvisorId| {
            moved.streams.get(stream).or_else(|| head.streams.get(stream)).copied().unwrap_or(0)
        };
        let stream_indices: Vec<u64> = draft.streams.iter().map(|stream| next(moved, stream)).collect();
        let position = Position { index: moved.size, previous: moved.leaf, at: moved.at, stream_indices };
        debug_assert_eq!(parcel.stamped.source_index, moved.source_next);
        let entry = sequence(&parcel.stamped, &position)?;

        let index = number(moved.size);
        for (stream, stream_index) in draft.streams.iter().zip(position.stream_indices) {
            self.streams.0.push(stream.uuid());
            self.streams.1.push(number(stream_index));
            self.streams.2.push(index);
            moved.streams.insert(*stream, stream_index + 1);
        }
        moved.size += 1;
        moved.source_next += 1;
        moved.leaf = entry.leaf();
        self.appended.push(Appended { entry: draft.id, index: position.index, leaf: moved.leaf, at: moved.at });
        self.entries.push(entry);
        self.push_content(index, parcel);
        Ok(())
    }

    fn push_content(&mut self, index: i64, parcel: &'a Parcel) {
        if let Some((record, wrapped)) = &parcel.key {
            self.keys.0.push(record.uuid());
            self.keys.1.push(index);
            self.keys.2.push(wrapped.as_bytes());
        }
        let Some(record) = parcel.stamped.draft.record else { return };
        let mut row = SealedRow { entry: index, record: record.uuid(), ..SealedRow::default() };
        for field in &parcel.sealed {
            match &field.ciphertext {
                Stored::Inline(bytes) => {
                    row.names.push(field.name.as_str());
                    row.ciphertexts.push(bytes);
                }
                Stored::Blob { digest, size } => {
                    self.blobs.digests.push(digest.0.as_bytes());
                    self.blobs.entries.push(index);
                    self.blobs.records.push(record.uuid());
                    self.blobs.names.push(field.name.as_str());
                    self.blobs.sizes.push(number(*size));
                }
            }
        }
        if !row.names.is_empty() {
            self.sealed.push(row);
        }
    }

    pub(super) fn types(&self) -> impl Iterator<Item = EntryType> {
        self.entries.iter().map(Entry::entry_type)
    }
}
