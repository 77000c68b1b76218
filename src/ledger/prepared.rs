//! A draft in canonical form, all but its place: the bytes that are hashed are made here and nowhere else.
//!
//! Invariant: whatever place it is given, a prepared draft becomes an entry that a verifier reads. So everything that costs time
//! or can fail is over before anybody holds the head, and whoever does only puts together pieces of bytes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use serde_json::{Map, Value};

use super::scan::{STREAMS_MAX, scan};
use super::{Commitments, Draft, EntryError, EntryType, INTEGER_MAX, LISTED_MAX};
use crate::record::{AdvisorId, Digest, EntryId, RecordId, SourceId, Timestamp};

/// What a place adds to a prepared draft, but for its places in streams.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// How many entries come before; at most 2^53 - 1.
    pub index: u64,
    /// Leaf hash of the entry before; zeros at index 0.
    pub previous: Digest,
    /// When it got its place; never earlier than the entry before.
    pub at: Timestamp,
    /// How many entries its source has written before; at most 2^53 - 1.
    pub source_index: u64,
}

/// A draft that fits into an entry, spelled out.
#[derive(Debug, Clone)]
pub struct Prepared {
    id: EntryId,
    entry_type: EntryType,
    record: Option<RecordId>,
    /// In the order of the entry.
    streams: Vec<AdvisorId>,
    plain: bool,
    /// The entry at the longest place there is, and what of it a place replaces.
    longest: String,
    at: Range<usize>,
    /// Index and link.
    position: Range<usize>,
    /// The source's count and the streams.
    counts: Range<usize>,
}

impl Prepared {
    /// Spells a draft of this source out.
    ///
    /// # Errors
    /// When there is a place at which it would be no entry; see [`EntryError`].
    pub fn new(draft: &Draft, source: SourceId) -> Result<Self, EntryError> {
        let mut streams = draft.streams.clone();
        streams.sort_unstable();
        if streams.len() > STREAMS_MAX || streams.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(EntryError::Streams);
        }
        // About what it comes to: a name and a digest for each commitment, and an object for each stream.
        let mut text = String::with_capacity(1024 + draft.commitments.len().min(LISTED_MAX) * 80 + streams.len() * 80);
        // Writing to a string cannot fail.
        let _written = write!(text, r#"{{"actor":"{}","at":""#, draft.actor);
        let start = text.len();
        let _written = write!(text, r#"{}","captured_at":"{}","#, draft.captured_at, draft.captured_at);
        let at = start..start + draft.captured_at.text().len();
        write_commitments(&mut text, &draft.commitments);
        text.push_str(r#","detail":"#);
        write_detail(&mut text, draft.entry_type, &draft.detail)?;
        let _written = write!(text, r#","id":"{}","index":"#, draft.id);
        let start = text.len();
        let _written = write!(text, r#"{INTEGER_MAX},"previous":"{}"#, Digest::ZERO);
        let position = start..text.len();
        text.push('"');
        if let Some(record) = draft.record {
            let _written = write!(text, r#","record":"{record}""#);
        }
        let _written = write!(text, r#","source":"{source}","source_index":"#);
        let start = text.len();
        let _written = write!(text, r#"{INTEGER_MAX},"streams":["#);
        for (at, id) in streams.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _written = write!(text, r#"{comma}{{"id":"{id}","index":{INTEGER_MAX}}}"#);
        }
        let counts = start..text.len();
        let _written = write!(text, r#"],"type":"{}","v":1}}"#, draft.entry_type);
        // It goes through the reader that a verifier has.
        scan(text.as_bytes())?;
        let (id, entry_type, record, plain) = (draft.id, draft.entry_type, draft.record, draft.commitments.is_empty());
        Ok(Self { id, entry_type, record, streams, plain, longest: text, at, position, counts })
    }

    /// Appends the bytes of the entry at this place to `bytes`, with an index for each of [`Self::streams`].
    pub fn write(&self, bytes: &mut Vec<u8>, place: &Place, stream_indices: impl Iterator<Item = u64>) {
        let piece = |from, to| self.longest.get(from..to).unwrap_or_default().as_bytes();
        bytes.reserve(self.longest.len());
        bytes.extend_from_slice(piece(0, self.at.start));
        bytes.extend_from_slice(&place.at.text());
        bytes.extend_from_slice(piece(self.at.end, self.position.start));
        // Writing to a vector cannot fail.
        let _written = write!(bytes, r#"{},"previous":"{}"#, place.index, place.previous);
        bytes.extend_from_slice(piece(self.position.end, self.counts.start));
        let _written = write!(bytes, r#"{},"streams":["#, place.source_index);
        for (at, (id, index)) in self.streams.iter().zip(stream_indices).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _written = write!(bytes, r#"{comma}{{"id":"{id}","index":{index}}}"#);
        }
        bytes.extend_from_slice(piece(self.counts.end, self.longest.len()));
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> EntryId {
        self.id
    }

    /// What it says.
    #[must_use]
    pub const fn entry_type(&self) -> EntryType {
        self.entry_type
    }

    /// Who caused it, as the entry spells it.
    #[must_use]
    pub fn actor(&self) -> &str {
        self.longest.get(r#"{"actor":""#.len()..self.at.start - r#"","at":""#.len()).unwrap_or_default()
    }

    /// The record it belongs to.
    #[must_use]
    pub const fn record(&self) -> Option<RecordId> {
        self.record
    }

    /// The streams it belongs to, in the order of their ids.
    #[must_use]
    pub fn streams(&self) -> &[AdvisorId] {
        &self.streams
    }

    /// Does it commit to nothing?
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }
}

fn write_commitments(text: &mut String, commitments: &Commitments) {
    if commitments.len() > LISTED_MAX {
        let root = commitments.root();
        let _written = write!(text, r#""commitments_root":{{"count":{},"root":"{}"}}"#, root.count, root.root);
        return;
    }
    text.push_str(r#""commitments":{"#);
    for (at, (field, commitment)) in commitments.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _written = write!(text, r#"{comma}"{field}":"{commitment}""#);
    }
    text.push('}');
}

/// Writes the members in byte order. Strings go in as they are: the reader refuses what would have needed an escape.
fn write_detail(text: &mut String, entry_type: EntryType, detail: &Map<String, Value>) -> Result<(), EntryError> {
    let error = |key: &str, problem| EntryError::Detail { entry_type, key: key.chars().take(64).collect(), problem };
    let mut members: Vec<_> = detail.iter().collect();
    // A map may keep the order of insertion, if some crate in the build asks for it.
    members.sort_unstable_by_key(|(key, _value)| key.as_bytes());
    text.push('{');
    for (at, (key, value)) in members.into_iter().enumerate() {
        if !crate::record::is_field_name(key.as_bytes()) {
            return Err(error(key, "is not a name"));
        }
        let comma = if at == 0 { "" } else { "," };
        let _written = write!(text, r#"{comma}"{key}":"#);
        match value {
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => {
                let count = number.as_u64().ok_or_else(|| error(key, "is not an integer from 0 to 2^53 - 1"))?;
                let _written = write!(text, "{count}");
            }
            Value::String(word) => write_string(text, word).map_err(|problem| error(key, problem))?,
            Value::Array(list) => {
                text.push('[');
                for (at, element) in list.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    let word = element.as_str().ok_or_else(|| error(key, "holds what is not a string"))?;
                    write_string(text, word).map_err(|problem| error(key, problem))?;
                }
                text.push(']');
            }
            Value::Null | Value::Object(_) => return Err(error(key, "has a shape that no key has")),
        }
    }
    text.push('}');
    Ok(())
}

fn write_string(text: &mut String, word: &str) -> Result<(), &'static str> {
    if !word.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        return Err("holds a character that would need an escape");
    }
    let _written = write!(text, "\"{word}\"");
    Ok(())
}
