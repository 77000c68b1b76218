//! One entry: its exact bytes, and what they say.
//!
//! Invariant: an `Entry` holds bytes in canonical form and fields read from those bytes; there is no other way to make one.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::detail::{Token, each_element};
use super::scan::{Cursor, ScannedCommitted, Streams, each_detail, scan};
use super::tree::leaf_hash;
use super::{Actor, Commitments, CommitmentsRoot, Committed, EntryError, EntryType};
use crate::record::{AdvisorId, Digest, EntryId, RecordId, SourceId, Timestamp};

/// A place in one advisor's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition {
    /// Whose stream.
    pub id: AdvisorId,
    /// How many of the advisor's entries come before.
    pub index: u64,
}

/// A ledger entry.
#[derive(Debug, Clone)]
pub struct Entry {
    bytes: Vec<u8>,
    leaf: Digest,
    id: EntryId,
    index: u64,
    previous: Digest,
    at: Timestamp,
    captured_at: Timestamp,
    source: SourceId,
    source_index: u64,
    entry_type: EntryType,
    actor: Actor,
    record: Option<RecordId>,
    streams: Vec<StreamPosition>,
    committed: Committed,
    detail: Map<String, Value>,
}

impl Entry {
    /// Reads an entry from its exact bytes.
    ///
    /// # Errors
    /// When they are not the canonical form of an entry of version 1.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        Self::from_bytes(bytes.to_vec())
    }

    /// Reads an entry and keeps the bytes.
    ///
    /// # Errors
    /// See [`Entry::parse`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, EntryError> {
        let scanned = scan(&bytes)?;
        let form = |expected| move || EntryError::Form { at: 0, expected };
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_source| form("a time")());
        let streams = Streams::new(scanned.streams)
            .map(|(id, index)| StreamPosition { id: AdvisorId::new(Uuid::from_u128(id)), index })
            .collect();
        let committed = match scanned.committed {
            ScannedCommitted::Listed(inside) => Committed::Listed(read_commitments(inside)?),
            ScannedCommitted::Root { count, root } => {
                let root = root.parse().map_err(|_source| form("a root")())?;
                Committed::Root(CommitmentsRoot { count, root })
            }
        };
        Ok(Self {
            leaf: leaf_hash(&bytes),
            id: EntryId::new(Uuid::from_u128(scanned.id)),
            index: scanned.index,
            previous: scanned.previous,
            at: time(scanned.at)?,
            captured_at: time(scanned.captured_at)?,
            source: SourceId::new(Uuid::from_u128(scanned.source)),
            source_index: scanned.source_index,
            entry_type: scanned.entry_type,
            actor: scanned.actor.parse().map_err(|_source| form("an actor")())?,
            record: scanned.record.map(|id| RecordId::new(Uuid::from_u128(id))),
            streams,
            committed,
            detail: read_detail(scanned.detail)?,
            bytes,
        })
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The exact bytes, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// `SHA-256(00 ‖ bytes)`: the next entry's `previous`, and the leaf of the tree.
    #[must_use]
    pub const fn leaf(&self) -> Digest {
        self.leaf
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> EntryId {
        self.id
    }

    /// How many entries come before.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Leaf of the entry before; zeros at index 0.
    #[must_use]
    pub const fn previous(&self) -> Digest {
        self.previous
    }

    /// When it got its place.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Raw clock of the writer.
    #[must_use]
    pub const fn captured_at(&self) -> Timestamp {
        self.captured_at
    }

    /// Which writer.
    #[must_use]
    pub const fn source(&self) -> SourceId {
        self.source
    }

    /// The writer's own count.
    #[must_use]
    pub const fn source_index(&self) -> u64 {
        self.source_index
    }

    /// What it says.
    #[must_use]
    pub const fn entry_type(&self) -> EntryType {
        self.entry_type
    }

    /// Who caused it.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The record it belongs to.
    #[must_use]
    pub const fn record(&self) -> Option<RecordId> {
        self.record
    }

    /// The streams it belongs to, in the order of their ids.
    #[must_use]
    pub fn streams(&self) -> &[StreamPosition] {
        &self.streams
    }

    /// What it commits to.
    #[must_use]
    pub const fn committed(&self) -> &Committed {
        &self.committed
    }

    /// What its type adds.
    #[must_use]
    pub const fn detail(&self) -> &Map<String, Value> {
        &self.detail
    }
}

impl AsRef<[u8]> for Entry {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn read_commitments(inside: &[u8]) -> Result<Commitments, EntryError> {
    let error = || EntryError::Form { at: 0, expected: "a commitment" };
    let mut cursor = Cursor::new(inside);
    let mut all = Commitments::new();
    while !cursor.is_at_end() {
        cursor.skip(",");
        let field = cursor.field_name()?.parse().map_err(|_source| error())?;
        cursor.expect(":")?;
        all.insert(field, cursor.commitment()?.parse().map_err(|_source| error())?);
    }
    Ok(all)
}

fn read_detail(object: &[u8]) -> Result<Map<String, Value>, EntryError> {
    let mut map = Map::new();
    each_detail(object, |key, token| {
        let value = match token {
            Token::Bool(value) => Value::Bool(value),
            Token::Count(value) => Value::from(value),
            Token::Text(text) => Value::from(text),
            Token::List(inside) => each_element(inside).collect(),
        };
        map.insert(key.to_owned(), value);
    })?;
    Ok(map)
}
