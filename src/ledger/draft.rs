//! What a writer wants appended, and the place it gets. The bytes are made in [`super::prepared`].

use serde_json::{Map, Value};

use super::{Actor, Commitments, Entry, EntryError, EntryType, Place, Prepared};
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
        Prepared::new(self, SourceId::new(uuid::Uuid::max())).map(|_prepared| ())
    }
}

/// Gives a draft its place: makes the bytes, and from them the leaf. Pure.
///
/// # Errors
/// See [`EntryError`]; a draft that passed [`Draft::check`] fails only on a position that is not its own.
pub fn sequence(stamped: &Stamped, position: &Position) -> Result<Entry, EntryError> {
    let Stamped { draft, source, source_index } = stamped;
    let prepared = Prepared::new(draft, *source)?;
    let given = &position.stream_indices;
    if draft.streams.len() != given.len() {
        return Err(EntryError::StreamIndices { wanted: draft.streams.len(), given: given.len() });
    }
    let mut indices: Vec<_> = draft.streams.iter().zip(given).collect();
    indices.sort_unstable();
    let mut bytes = Vec::new();
    let place =
        Place { index: position.index, previous: position.previous, at: position.at, source_index: *source_index };
    prepared.write(&mut bytes, &place, indices.into_iter().map(|(_stream, index)| *index));
    Entry::from_bytes(bytes)
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
