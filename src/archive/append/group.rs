//! A group of prepared drafts, sequenced: the arguments of the call that will append them.
//!
//! Pure: from a head, a time and parcels to entries. Nothing here waits, so all of it happens outside the lock; and nothing here
//! can fail, because whatever could was tried when the parcel was made.

use std::collections::HashMap;

use sqlx::types::Uuid;

use super::head::Head;
use super::parcel::{Parcel, SealedRow};
use crate::archive::row::number;
use crate::archive::submission::Appended;
use crate::ledger::{EntryType, Place, leaf_hash};
use crate::record::{AdvisorId, Digest, RecordId, Timestamp};

/// Entries with their content, ready to be appended after `previous`. A place is counted from 1 within the group.
pub(super) struct Group<'a> {
    pub(super) first: u64,
    pub(super) previous: Digest,
    pub(super) appended: Vec<Appended>,
    pub(super) head: Moved,
    pub(super) types: Vec<EntryType>,
    pub(super) actors: Vec<&'a str>,
    pub(super) records: Vec<Option<Uuid>>,
    /// Places of the entries that belong to a record and commit to nothing.
    pub(super) plain: Vec<i32>,
    pub(super) streams: Streams,
    /// Places of the entries that bring their record's key, and the keys.
    pub(super) keyed: Vec<i32>,
    pub(super) wrapped: Vec<&'a [u8]>,
    pub(super) sealed: Vec<SealedRow<'a>>,
    pub(super) blobs: Blobs<'a>,
    /// The entries one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Where the head stands after the group.
pub(super) struct Moved {
    pub(super) size: u64,
    pub(super) leaf: Digest,
    pub(super) at: Timestamp,
    pub(super) source_next: u64,
    pub(super) streams: HashMap<AdvisorId, u64>,
}

/// The streams of all entries in a row, and after how many of them each entry's end.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) ends: Vec<i32>,
    pub(super) streams: Vec<Uuid>,
    pub(super) indices: Vec<i64>,
    pub(super) places: Vec<i32>,
}

#[derive(Default)]
pub(super) struct Blobs<'a> {
    pub(super) digests: Vec<&'a [u8]>,
    pub(super) places: Vec<i32>,
    pub(super) names: Vec<&'a str>,
    pub(super) sizes: Vec<i64>,
}

/// Sequences parcels, one after the other, behind `head`. Every stream they name must be known to the head.
pub(super) fn compose<'a>(head: &Head, now: Timestamp, parcels: impl Iterator<Item = &'a Parcel>) -> Group<'a> {
    // An entry is never earlier than the one before, whatever the clock does.
    let at = now.max(head.at);
    let mut group = Group {
        first: head.size,
        previous: head.leaf,
        appended: Vec::new(),
        head: Moved { size: head.size, leaf: head.leaf, at, source_next: head.source_next, streams: HashMap::new() },
        types: Vec::new(),
        actors: Vec::new(),
        records: Vec::new(),
        plain: Vec::new(),
        streams: Streams::default(),
        keyed: Vec::new(),
        wrapped: Vec::new(),
        sealed: Vec::new(),
        blobs: Blobs::default(),
        bytes: Vec::new(),
        ends: Vec::new(),
    };
    for parcel in parcels {
        group.push(head, parcel);
    }
    group
}

impl<'a> Group<'a> {
    fn push(&mut self, head: &Head, parcel: &'a Parcel) {
        let prepared = &parcel.prepared;
        let nth = i32::try_from(self.appended.len() + 1).unwrap_or(i32::MAX);
        let moved = &mut self.head;
        let streams_from = self.streams.indices.len();
        for stream in prepared.streams() {
            let known = moved.streams.get(stream).or_else(|| head.streams.get(stream));
            let index = known.copied().unwrap_or(0);
            moved.streams.insert(*stream, index + 1);
            self.streams.streams.push(stream.uuid());
            self.streams.indices.push(number(index));
            self.streams.places.push(nth);
        }
        self.streams.ends.push(i32::try_from(self.streams.indices.len()).unwrap_or(i32::MAX));

        let start = self.bytes.len();
        let place = Place { index: moved.size, previous: moved.leaf, at: moved.at, source_index: moved.source_next };
        let indices = self.streams.indices.get(streams_from..).unwrap_or_default();
        prepared.write(&mut self.bytes, &place, indices.iter().map(|index| index.unsigned_abs()));
        self.ends.push(self.bytes.len());
        moved.leaf = leaf_hash(self.bytes.get(start..).unwrap_or_default());
        moved.size += 1;
        moved.source_next += 1;
        let appended = Appended { entry: prepared.id(), index: place.index, leaf: moved.leaf, at: moved.at };
        self.appended.push(appended);
        self.types.push(prepared.entry_type());
        self.actors.push(prepared.actor());
        self.records.push(prepared.record().map(RecordId::uuid));
        if prepared.is_plain() && prepared.record().is_some() {
            self.plain.push(nth);
        }
        self.push_content(nth, number(place.index), parcel);
    }

    fn push_content(&mut self, nth: i32, index: i64, parcel: &'a Parcel) {
        if let Some(wrapped) = &parcel.wrapped {
            self.keyed.push(nth);
            self.wrapped.push(wrapped.as_bytes());
        }
        if let Some(fields) = &parcel.fields {
            self.sealed.push(SealedRow { entry: index, fields });
        }
        for blob in &parcel.blobs {
            self.blobs.digests.push(blob.digest.0.as_bytes());
            self.blobs.places.push(nth);
            self.blobs.names.push(blob.name.as_str());
            self.blobs.sizes.push(number(blob.size));
        }
    }

    /// The exact bytes of each entry.
    pub(super) fn bodies(&self) -> Vec<&[u8]> {
        let mut from = 0;
        let body = |end: &usize| self.bytes.get(std::mem::replace(&mut from, *end)..*end).unwrap_or_default();
        self.ends.iter().map(body).collect()
    }

    /// Bytes of all entries together.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }
}
