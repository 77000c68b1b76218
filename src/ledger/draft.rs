//! From a draft to an entry: the bytes that are hashed are made here and nowhere else.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::scan::STREAMS_MAX;
use super::{Actor, Commitments, Entry, EntryError, EntryType, LISTED_MAX};
use crate::record::{AdvisorId, Digest, EntryId, RecordId, SourceId, Timestamp};

/// What a writer wants appended: everything but its place.
#[derive(Debug, Clone)]
pub struct Draft {
    /// A UUIDv7 made by the writer; the same id again is the same entry.
    pub id: EntryId,
    /// What it says.
    pub entry_type: EntryType,
    /// Who caused it.
    pub actor: Actor,
    /// Raw clock of the writer.
    pub captured_at: Timestamp,
    /// The record it belongs to.
    pub record: Option<RecordId>,
    /// The advisors it belongs to, each once, in any order.
    pub streams: Vec<AdvisorId>,
    /// What it commits to, with however many fields.
    pub commitments: Commitments,
    /// The keys its type has; see [`super::detail`].
    pub detail: Map<String, Value>,
}

/// A draft with its writer's own gap-free count.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// What is to be appended.
    pub draft: Draft,
    /// Which writer.
    pub source: SourceId,
    /// How many the writer stamped before.
    pub source_index: u64,
}

/// A place in the ledger.
#[derive(Debug, Clone)]
pub struct Position {
    /// How many entries come before.
    pub index: u64,
    /// Leaf hash of the entry before; zeros at index 0.
    pub previous: Digest,
    /// When it got its place; never earlier than the entry before.
    pub at: Timestamp,
    /// For each of the draft's streams, in the draft's order, how many entries it holds already.
    pub stream_indices: Vec<u64>,
}

impl Draft {
    /// Would this become an entry? Asked before a draft is queued, so that nothing can fail under the head lock.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn check(&self) -> Result<(), EntryError> {
        let position = Position {
            index: super::INTEGER_MAX,
            previous: Digest::ZERO,
            at: self.captured_at,
            stream_indices: vec![super::INTEGER_MAX; self.streams.len()],
        };
        write_entry(self, SourceId::new(uuid::Uuid::max()), super::INTEGER_MAX, &position).map(|_entry| ())
    }
}

/// Gives a draft its place: makes the bytes, and from them the leaf. Pure.
///
/// # Errors
/// See [`EntryError`]; a draft that passed [`Draft::check`] fails only on a position that is not its own.
pub fn sequence(stamped: &Stamped, position: &Position) -> Result<Entry, EntryError> {
    write_entry(&stamped.draft, stamped.source, stamped.source_index, position)
}

fn write_entry(draft: &Draft, source: SourceId, source_index: u64, position: &Position) -> Result<Entry, EntryError> {
    let mut text = String::with_capacity(1024 + draft.commitments.len().min(LISTED_MAX) * 64);
    // Writing to a string cannot fail.
    let _written =
        write!(text, r#"{{"actor":"{}","at":"{}","captured_at":"{}","#, draft.actor, position.at, draft.captured_at);
    write_commitments(&mut text, &draft.commitments);
    text.push_str(r#","detail":"#);
    write_detail(&mut text, draft.entry_type, &draft.detail)?;
    let _written =
        write!(text, r#","id":"{}","index":{},"previous":"{}""#, draft.id, position.index, position.previous);
    if let Some(record) = draft.record {
        let _written = write!(text, r#","record":"{record}""#);
    }
    let _written = write!(text, r#","source":"{source}","source_index":{source_index},"streams":["#);
    write_streams(&mut text, &draft.streams, &position.stream_indices)?;
    let _written = write!(text, r#"],"type":"{}","v":1}}"#, draft.entry_type);
    // What is appended is what a verifier will read: it goes through the same reader first.
    Entry::from_bytes(text.into_bytes())
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

fn write_streams(text: &mut String, streams: &[AdvisorId], indices: &[u64]) -> Result<(), EntryError> {
    if streams.len() != indices.len() {
        return Err(EntryError::StreamIndices { wanted: streams.len(), given: indices.len() });
    }
    let mut sorted: Vec<_> = streams.iter().zip(indices).collect();
    sorted.sort_unstable();
    if streams.len() > STREAMS_MAX || sorted.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
        return Err(EntryError::Streams);
    }
    for (at, (id, index)) in sorted.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _written = write!(text, r#"{comma}{{"id":"{id}","index":{index}}}"#);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::record::{Commitment, DeviceId, Salt};

    fn draft() -> Draft {
        let Value::Object(detail) = json!({
            "attachments": 0, "direction": "outbound", "exchange": "0198c0de-0000-7000-8000-0000000000e1",
            "kinds": ["post"], "method": "post", "network": "bluesky", "rules": Digest::ZERO, "size": 42,
            "transport": "http",
        }) else {
            panic!("an object")
        };
        Draft {
            id: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            entry_type: EntryType::Capture,
            actor: Actor::Device(DeviceId::new(Uuid::from_u128(1))),
            captured_at: "2026-11-21T20:00:00.000001Z".parse().unwrap(),
            record: Some("0198c0de-0000-7000-8000-000000000002".parse().unwrap()),
            streams: vec![AdvisorId::new(Uuid::from_u128(9)), AdvisorId::new(Uuid::from_u128(3))],
            commitments: [("0.text".parse().unwrap(), Commitment::to(&Salt::new([1; 32]), b"hello"))]
                .into_iter()
                .collect(),
            detail,
        }
    }

    fn position() -> Position {
        let at = "2026-11-21T20:00:00.000009Z".parse().unwrap();
        Position { index: 7, previous: Digest([0xab; 32]), at, stream_indices: vec![90, 30] }
    }

    #[test]
    fn a_sequenced_draft_reads_back_as_it_was_meant() {
        let draft = draft();
        let stamped = Stamped { draft: draft.clone(), source: SourceId::new(Uuid::from_u128(5)), source_index: 6 };
        let entry = sequence(&stamped, &position()).unwrap();

        let again = Entry::parse(entry.bytes()).unwrap();
        assert_eq!((again.id(), again.index(), again.previous()), (draft.id, 7, Digest([0xab; 32])));
        assert_eq!(again.detail(), &draft.detail);
        assert!(again.committed().is_to(&draft.commitments));
        let streams: Vec<_> = again.streams().iter().map(|s| (s.id.uuid().as_u128(), s.index)).collect();
        assert_eq!(streams, [(3, 30), (9, 90)]);

        let value: Value = serde_json::from_slice(entry.bytes()).unwrap();
        assert_eq!(crate::record::canonical(&value).unwrap(), entry.bytes());
    }

    #[test]
    fn a_draft_that_cannot_become_an_entry_is_refused_before_it_is_queued() {
        draft().check().unwrap();
        let twice = Draft { streams: vec![AdvisorId::new(Uuid::from_u128(3)); 2], ..draft() };
        assert!(matches!(twice.check(), Err(EntryError::Streams)));
        for (key, value) in [
            ("size", json!(-1)),
            ("size", json!(1_u64 << 53)),
            ("kinds", json!(["song"])),
            ("network", json!("Blue\"sky")),
            ("network", json!("été")),
            ("unknown", json!(1)),
            ("exchange", json!("0198C0DE-0000-7000-8000-0000000000E1")),
            ("flags", json!(null)),
        ] {
            let mut wrong = draft();
            wrong.detail.insert(key.to_owned(), value.clone());
            assert!(wrong.check().is_err(), "{key}: {value}");
        }
        let mut missing = draft();
        missing.detail.remove("rules");
        assert!(matches!(missing.check(), Err(EntryError::Detail { key, .. }) if key == "rules"));
    }
}
