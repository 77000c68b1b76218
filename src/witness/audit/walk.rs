//! The walk along a log: each entry in its order, held against all before it.
//!
//! Invariant: memory holds the edge of the tree and one count for each stream and each source, however long the log is. Pure.

use std::fmt;

use crate::ledger::{Break, Chain, Frontier, Link};
use crate::record::Digest;

/// An entry that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its place.
    pub index: u64,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.index, self.problem)
    }
}

/// A log, as far as it was read.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) frontier: Frontier,
    pub(super) chain: Chain,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { frontier: Frontier::new(), chain: Chain::new() }
    }

    /// Entries that were read.
    pub(super) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// Takes the next entry.
    pub(super) fn take(&mut self, bytes: &[u8], mut told: impl FnMut(Mismatch)) {
        let index = self.frontier.size();
        let (link, leaf) = Link::read_with_leaf(bytes);
        match link {
            Ok(link) => {
                if link.index != index {
                    told(Mismatch { index, problem: format!("says that it is entry {}", link.index) });
                }
                self.chain.follow(&link, leaf, leaf, |broken| told(Mismatch { index, problem: words(broken) }));
            }
            Err(error) => {
                told(Mismatch { index, problem: format!("is none: {error}") });
                self.chain.skip(leaf, leaf);
            }
        }
        self.frontier.push(leaf);
    }
}

fn words(broken: Break) -> String {
    match broken {
        // The one that this is about.
        Break::Stream { stream, expected, found } if found < expected => {
            format!("stream {stream} forks: it comes again at {found} and was at {expected}")
        }
        broken => broken.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Actor, Commitments, Draft, Entry, EntryType, Position, Stamped, sequence};
    use crate::record::{AdvisorId, EntryId, SourceId, Timestamp};
    use serde_json::{Map, Value};
    use uuid::Uuid;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | n)
    }

    /// An entry of one stream, at this place of it.
    fn entry(before: Option<&Entry>, stream_index: u64, seconds: i64) -> Entry {
        let index = before.map_or(0, |before| before.index() + 1);
        let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + seconds * 1_000_000).unwrap();
        let detail = Map::from_iter([
            ("allowed".to_owned(), Value::from(true)),
            ("count".to_owned(), Value::from(0)),
            ("operation".to_owned(), Value::from("records.search")),
        ]);
        let draft = Draft {
            id: EntryId::new(id(u128::from(index))),
            entry_type: EntryType::Access,
            actor: Actor::Service("test".try_into().unwrap()),
            captured_at: at,
            record: None,
            streams: vec![AdvisorId::new(id(7))],
            commitments: Commitments::new(),
            detail,
        };
        let stamped = Stamped { draft, source: SourceId::new(id(9)), source_index: index };
        let previous = before.map_or(Digest::ZERO, Entry::leaf);
        sequence(&stamped, &Position { index, previous, at, stream_indices: vec![stream_index] }).unwrap()
    }

    fn walked(entries: &[Entry]) -> Vec<String> {
        let mut walk = Walk::new();
        let mut all = Vec::new();
        entries.iter().for_each(|entry| walk.take(entry.bytes(), |mismatch| all.push(mismatch.to_string())));
        assert_eq!(walk.size(), entries.len() as u64);
        all
    }

    fn log(stream: &[u64], seconds: &[i64]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (place, at) in stream.iter().zip(seconds) {
            let next = entry(entries.last(), *place, *at);
            entries.push(next);
        }
        entries
    }

    #[test]
    fn a_stream_that_forks_or_has_a_hole_is_told_with_its_place() {
        assert!(walked(&log(&[0, 1, 2, 3], &[1, 1, 2, 3])).is_empty());
        let forked = walked(&log(&[0, 1, 1, 2], &[1, 1, 2, 3]));
        assert_eq!(forked.len(), 1);
        assert!(forked[0].starts_with("entry 2: stream") && forked[0].contains("forks"), "{forked:?}");
        assert_eq!(walked(&log(&[0, 2, 3], &[1, 1, 2])).len(), 1);
        assert!(walked(&log(&[0, 1, 2], &[1, 3, 2]))[0].contains("earlier than the entry before"));
    }

    #[test]
    fn a_chain_that_breaks_and_bytes_that_are_no_entry_are_told() {
        let mut entries = log(&[0, 1, 2], &[1, 2, 3]);
        entries[1] = entry(None, 1, 2);
        let told = walked(&entries);
        assert!(told.iter().any(|told| told.contains("says that it is entry 0")), "{told:?}");
        assert!(told.iter().any(|told| told.contains("does not name the leaf")), "{told:?}");
        let mut walk = Walk::new();
        let mut told = Vec::new();
        walk.take(b"{}", |mismatch| told.push(mismatch.to_string()));
        assert!(told[0].contains("is none"), "{told:?}");
    }
}
