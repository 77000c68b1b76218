//! Drafts to append, with sealed content as a capture would have it.

use bytes::Bytes;
use muniment::archive::{SealedField, Stored, Submission};
use muniment::ledger::{Actor, Commitments, Draft, EntryType};
use muniment::record::{
    AdvisorId, Clock as _, Commitment, DeviceId, Digest, EntryId, FieldName, Ids as _, RecordId, RecordKey, seal,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::archive::{TestArchive, master};

pub(crate) fn advisor(number: u128) -> AdvisorId {
    AdvisorId::new(Uuid::from_u128(number))
}

/// A detail from `json!({…})`.
pub(crate) fn detail(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// The detail of a post captured on Bluesky.
pub(crate) fn capture_detail(exchange: Uuid) -> Map<String, Value> {
    detail(json!({
        "attachments": 0, "direction": "outbound", "exchange": exchange.to_string(), "kinds": ["post"], "method": "post",
        "network": "bluesky", "rule": "create_post", "rules": Digest::ZERO.to_string(), "size": 42, "transport": "http",
    }))
}

/// A record being made: its id and key.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    pub(crate) id: RecordId,
    pub(crate) key: RecordKey,
}

impl NewRecord {
    pub(crate) fn new(test: &TestArchive) -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        Self { id: RecordId::new(test.ids.fresh()), key: RecordKey::new(key) }
    }

    pub(crate) fn wrapped(&self) -> (RecordId, muniment::record::WrappedKey) {
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce).unwrap();
        (self.id, master().wrap_key(self.id, &self.key, nonce).unwrap())
    }
}

/// A draft of a type, with the fields sealed under the record's key.
pub(crate) fn sealed(
    test: &TestArchive,
    record: &NewRecord,
    entry_type: EntryType,
    detail: Map<String, Value>,
    streams: &[AdvisorId],
    fields: &[(&str, &[u8])],
) -> Submission {
    let id = EntryId::new(test.ids.fresh());
    let mut commitments = Commitments::new();
    let mut sealed = Vec::new();
    for (name, value) in fields {
        let name: FieldName = name.parse().unwrap();
        commitments.insert(name.clone(), Commitment::to(&record.key.salt(id, &name), value));
        let ciphertext = seal(&record.key.sealing_key(id, &name), value).unwrap();
        sealed.push(SealedField { name, ciphertext: Stored::Inline(Bytes::from(ciphertext)) });
    }
    let draft = Draft {
        id,
        entry_type,
        actor: Actor::Device(DeviceId::new(Uuid::from_u128(77))),
        captured_at: test.clock.now(),
        record: Some(record.id),
        streams: streams.to_vec(),
        commitments,
        detail,
    };
    Submission { draft, key: None, sealed }
}

/// A captured post of one advisor, with its record's key.
pub(crate) fn post(test: &TestArchive, advisor: AdvisorId, text: &str) -> Submission {
    post_of(test, &NewRecord::new(test), &[advisor], text)
}

/// A captured post of a given record and of several advisors.
pub(crate) fn post_of(test: &TestArchive, record: &NewRecord, streams: &[AdvisorId], text: &str) -> Submission {
    let fields: &[(&str, &[u8])] = &[
        ("0.text", text.as_bytes()),
        ("0.account", b"did:plc:someone"),
        ("request.head", b"POST /xrpc/com.atproto.repo.createRecord HTTP/1.1"),
        ("request.body", b"{\"collection\":\"app.bsky.feed.post\"}"),
    ];
    let submission = sealed(test, record, EntryType::Capture, capture_detail(test.ids.fresh()), streams, fields);
    Submission { key: Some(record.wrapped()), ..submission }
}

/// What the network answered to a capture.
pub(crate) fn outcome(test: &TestArchive, record: &NewRecord, capture: EntryId, streams: &[AdvisorId]) -> Submission {
    let detail = detail(json!({ "capture": capture.to_string(), "state": "accepted", "status": 200, "items": 1 }));
    let fields: &[(&str, &[u8])] = &[("0.item", b"at://did:plc:someone/app.bsky.feed.post/1")];
    sealed(test, record, EntryType::Outcome, detail, streams, fields)
}

/// A gap, which commits to nothing.
pub(crate) fn gap(test: &TestArchive, cause: &str) -> Submission {
    let now = test.clock.now().to_string();
    let draft = Draft {
        id: EntryId::new(test.ids.fresh()),
        entry_type: EntryType::Gap,
        actor: Actor::Service("proxy".try_into().unwrap()),
        captured_at: test.clock.now(),
        record: None,
        streams: Vec::new(),
        commitments: Commitments::new(),
        detail: detail(json!({ "cause": cause, "count": 1, "from": now, "until": now })),
    };
    Submission::plain(draft)
}
