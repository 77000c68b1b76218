//! Following the chain: what an entry says of its place, held against the entries before it.
//!
//! Invariant: a chain that never broke is one history. Each entry names the leaf before it, time does not run back, and every
//! stream and every source counts from 0 without a gap. Hashes of rows and the tree are checked elsewhere; here is only what
//! needs the order.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;

use uuid::Uuid;

use super::leaf::scan_with_leaf;
use super::scan::{Scanned, scan};
use super::{Entry, EntryError, StreamPosition};
use crate::record::{AdvisorId, Digest, EntryId, RecordId, SourceId};

/// What an entry says of its place. Cheap to read: nothing else of the entry is kept.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its id.
    pub id: EntryId,
    /// How many entries come before.
    pub index: u64,
    /// Leaf of the entry before.
    pub previous: Digest,
    /// When it got its place; the one spelling sorts as text.
    pub at: [u8; 27],
    /// Which writer.
    pub source: SourceId,
    /// The writer's own count.
    pub source_index: u64,
    /// The streams it belongs to.
    pub streams: StreamPositions,
    /// The record it belongs to.
    pub record: Option<RecordId>,
}

/// The places of an entry in streams. Most entries belong to one, and for that nothing is allocated.
#[derive(Debug, Clone, Default)]
pub enum StreamPositions {
    /// It belongs to none.
    #[default]
    None,
    /// It belongs to one.
    One(StreamPosition),
    /// It belongs to several, in the order of their ids.
    Many(Vec<StreamPosition>),
}

impl FromIterator<StreamPosition> for StreamPositions {
    fn from_iter<I: IntoIterator<Item = StreamPosition>>(all: I) -> Self {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Self::None };
        match all.next() {
            None => Self::One(first),
            Some(second) => Self::Many([first, second].into_iter().chain(all).collect()),
        }
    }
}

impl Deref for StreamPositions {
    type Target = [StreamPosition];

    fn deref(&self) -> &[StreamPosition] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }
}

impl Link {
    /// Reads an entry's bytes and keeps what says its place.
    ///
    /// # Errors
    /// When the bytes are not an entry in canonical form.
    pub fn read(bytes: &[u8]) -> Result<Self, EntryError> {
        scan(bytes).map(|scanned| Self::of(&scanned))
    }

    /// Reads an entry's bytes and hashes them: what says its place, and its leaf.
    pub fn read_with_leaf(bytes: &[u8]) -> (Result<Self, EntryError>, Digest) {
        let (scanned, leaf) = scan_with_leaf(bytes);
        (scanned.map(|scanned| Self::of(&scanned)), leaf)
    }

    fn of(scanned: &Scanned<'_>) -> Self {
        Self {
            id: EntryId::new(Uuid::from_u128(scanned.id)),
            index: scanned.index,
            previous: scanned.previous,
            at: *scanned.at,
            source: SourceId::new(Uuid::from_u128(scanned.source)),
            source_index: scanned.source_index,
            streams: scanned.streams.iter().map(StreamPosition::from).collect(),
            record: scanned.record.map(|id| RecordId::new(Uuid::from_u128(id))),
        }
    }
}

impl From<&Entry> for Link {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id(),
            index: entry.index(),
            previous: entry.previous(),
            at: entry.at().text(),
            source: entry.source(),
            source_index: entry.source_index(),
            streams: entry.streams().iter().copied().collect(),
            record: entry.record(),
        }
    }
}

/// Where an entry does not follow from those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// `previous` is not the leaf of the entry before (zeros at index 0).
    Link,
    /// `at` is earlier than that of the entry before.
    Time,
    /// A stream does not go on where it stopped.
    Stream {
        /// Whose.
        stream: AdvisorId,
        /// Where it should have gone on.
        expected: u64,
        /// Where it goes on.
        found: u64,
    },
    /// A source does not go on where it stopped.
    Source {
        /// Whose.
        source: SourceId,
        /// Where it should have gone on.
        expected: u64,
        /// Where it goes on.
        found: u64,
    },
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("does not name the leaf of the entry before"),
            Self::Time => f.write_str("is earlier than the entry before"),
            Self::Stream { stream, expected, found } => write!(f, "stream {stream} goes on at {found}, not {expected}"),
            Self::Source { source, expected, found } => write!(f, "source {source} goes on at {found}, not {expected}"),
        }
    }
}

/// What the entry before left behind.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Entry 0 comes next.
    Nothing,
    /// Its leaf: as stored and as computed from its bytes. The two differ only for an entry that is reported for it.
    Leaves(Digest, Digest),
    /// It is missing or cannot be read.
    Unknown,
}

/// Follows entries in the order of their index. After a break it goes on from what was found, so each is told once.
#[derive(Debug)]
pub struct Chain {
    before: Before,
    at: [u8; 27],
    streams: HashMap<AdvisorId, u64>,
    sources: HashMap<SourceId, u64>,
}

impl Default for Chain {
    fn default() -> Self {
        Self { before: Before::Nothing, at: [b'0'; 27], streams: HashMap::new(), sources: HashMap::new() }
    }
}

impl Chain {
    /// Nothing followed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry and tells every break. `stored` is the leaf that stands beside the entry, `computed` the one its
    /// bytes have.
    pub fn follow(&mut self, link: &Link, stored: Digest, computed: Digest, mut broken: impl FnMut(Break)) {
        let named = match self.before {
            Before::Nothing => link.previous == Digest::ZERO,
            Before::Leaves(stored, computed) => link.previous == stored || link.previous == computed,
            Before::Unknown => true,
        };
        if !named {
            broken(Break::Link);
        }
        if link.at < self.at {
            broken(Break::Time);
        }
        self.at = link.at;
        for position in link.streams.iter() {
            let next = self.streams.entry(position.id).or_default();
            if *next != position.index {
                broken(Break::Stream { stream: position.id, expected: *next, found: position.index });
            }
            *next = position.index.saturating_add(1);
        }
        let next = self.sources.entry(link.source).or_default();
        if *next != link.source_index {
            broken(Break::Source { source: link.source, expected: *next, found: link.source_index });
        }
        *next = link.source_index.saturating_add(1);
        self.before = Before::Leaves(stored, computed);
    }

    /// Takes note of an entry whose bytes cannot be read; its leaf still counts for the next link.
    pub fn skip(&mut self, stored: Digest, computed: Digest) {
        self.before = Before::Leaves(stored, computed);
    }

    /// Takes note that entries are missing here: the next link cannot be checked.
    pub fn lose(&mut self) {
        self.before = Before::Unknown;
    }

    /// Goes on behind an entry of this leaf and time, with the counts that streams and sources had by then.
    #[must_use]
    pub fn resume(
        leaf: Digest,
        at: [u8; 27],
        streams: impl IntoIterator<Item = (AdvisorId, u64)>,
        sources: impl IntoIterator<Item = (SourceId, u64)>,
    ) -> Self {
        let before = Before::Leaves(leaf, leaf);
        Self { before, at, streams: streams.into_iter().collect(), sources: sources.into_iter().collect() }
    }

    /// Leaf and time of the entry that was taken last; none before the first, and behind one that was lost.
    #[must_use]
    pub const fn last(&self) -> Option<(Digest, [u8; 27])> {
        match self.before {
            Before::Leaves(_stored, computed) => Some((computed, self.at)),
            Before::Nothing | Before::Unknown => None,
        }
    }

    /// How many entries each source stamped.
    pub fn sources(&self) -> impl Iterator<Item = (SourceId, u64)> {
        self.sources.iter().map(|(id, next)| (*id, *next))
    }

    /// How many entries each stream holds.
    pub fn streams(&self) -> impl Iterator<Item = (AdvisorId, u64)> {
        self.streams.iter().map(|(id, next)| (*id, *next))
    }
}
