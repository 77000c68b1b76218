//! One entry: its exact bytes, and what they say.
//!
//! Invariant: an `Entry` holds bytes in canonical form and fields read from those bytes; there is no other way to make one.

use std::str::FromStr;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::cursor::Cursor;
use super::detail::{Token, each_element};
use super::scan::{ScannedCommitted, committed, each_detail, scan};
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

impl From<(u128, u64)> for StreamPosition {
    fn from((id, index): (u128, u64)) -> Self {
        Self { id: AdvisorId::new(Uuid::from_u128(id)), index }
    }
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
    /// Read from the bytes when they are first asked for: a writer never asks, and appending must not wait for it.
    committed: OnceLock<Committed>,
    detail: OnceLock<Map<String, Value>>,
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
        let leaf = leaf_hash(&bytes);
        Self::hashed(bytes, leaf)
    }

    /// Reads an entry whose leaf is known already.
    pub(crate) fn hashed(bytes: Vec<u8>, leaf: Digest) -> Result<Self, EntryError> {
        let scanned = scan(&bytes)?;
        let time = |bytes: &[u8; 27]| read_text(bytes).ok_or(EntryError::Form { at: 0, expected: "a time" });
        let actor = read_text(scanned.actor).ok_or(EntryError::Form { at: 0, expected: "an actor" })?;
        let streams = scanned.streams.iter().map(StreamPosition::from).collect();
        Ok(Self {
            leaf,
            id: EntryId::new(Uuid::from_u128(scanned.id)),
            index: scanned.index,
            previous: scanned.previous,
            at: time(scanned.at)?,
            captured_at: time(scanned.captured_at)?,
            source: SourceId::new(Uuid::from_u128(scanned.source)),
            source_index: scanned.source_index,
            entry_type: scanned.entry_type,
            actor,
            record: scanned.record.map(|id| RecordId::new(Uuid::from_u128(id))),
            streams,
            committed: OnceLock::new(),
            detail: OnceLock::new(),
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
    pub fn committed(&self) -> &Committed {
        self.committed.get_or_init(|| read_committed(&self.bytes))
    }

    /// What its type adds.
    #[must_use]
    pub fn detail(&self) -> &Map<String, Value> {
        self.detail.get_or_init(|| read_detail(&self.bytes))
    }
}

impl AsRef<[u8]> for Entry {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// The bytes below were scanned when the entry was made, so nothing in them can fail to be read.

fn read_committed(bytes: &[u8]) -> Committed {
    match committed(bytes) {
        Ok(ScannedCommitted::Listed(inside)) => Committed::Listed(read_commitments(inside)),
        Ok(ScannedCommitted::Root { count, root }) => {
            Committed::Root(CommitmentsRoot { count, root: read_text(root).unwrap_or(CommitmentsRoot::NONE) })
        }
        Err(_) => Committed::Listed(Commitments::new()),
    }
}

fn read_text<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn read_commitments(inside: &[u8]) -> Commitments {
    let mut cursor = Cursor::new(inside);
    let member = || {
        cursor.skip(",");
        let field = read_text(cursor.field_name().ok()?)?;
        cursor.expect(":").ok()?;
        Some((field, read_text(cursor.commitment().ok()?)?))
    };
    std::iter::from_fn(member).collect()
}

fn read_detail(bytes: &[u8]) -> Map<String, Value> {
    let mut map = Map::new();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let read = scan(bytes).and_then(|scanned| {
        each_detail(scanned.detail, |key, token| {
            let value = match token {
                Token::Bool(value) => Value::Bool(value),
                Token::Count(value) => Value::from(value),
                Token::Text(bytes) => Value::String(text(bytes)),
                Token::List(inside) => each_element(inside).map(text).collect(),
            };
            map.insert(text(key), value);
        })
    });
    debug_assert!(read.is_ok());
    map
}
