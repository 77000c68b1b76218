//! A small ledger with known keys, ids and times, and its dump as `psql` would write it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use muniment::ledger::{
    Actor, Checkpoint, Commitments, Draft, Entry, EntryType, Frontier, Node, Position, Proof, SigningKey, Stamped,
    TlogProof, VerifyingKey, sequence,
};
use muniment::record::{
    AdvisorId, Commitment, DeviceId, Digest, EntryId, FieldName, OfficerId, Part, RecordId, RecordKey, SourceId,
    Timestamp,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(super) const ORIGIN: &str = "ledger.firm.example";

pub(super) fn uuid_v7(n: u64) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | u128::from(n))
}

pub(super) fn record(n: u64) -> RecordId {
    RecordId::new(uuid_v7(0x00aa_0000_0000 + n))
}

/// The key of record `n`: known bytes, where the service takes random ones.
pub(super) fn record_key(n: u64) -> RecordKey {
    RecordKey::new(Digest::of(&[b"record key", &n.to_be_bytes()]).0)
}

pub(super) fn advisor(n: u64) -> AdvisorId {
    AdvisorId::new(uuid_v7(0x00ad_0000_0000 + n))
}

pub(super) fn field(name: &str) -> FieldName {
    name.parse().unwrap()
}

pub(super) fn detail(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("detail is an object, not {other}"),
    }
}

pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
    pub(super) checkpoints: Vec<(u64, String)>,
    pub(super) key: SigningKey,
    stored: HashMap<Node, Digest>,
    frontier: Frontier,
    streams: BTreeMap<AdvisorId, u64>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            checkpoints: Vec::new(),
            key: SigningKey::new(ORIGIN, &[0x42; 32]).unwrap(),
            stored: HashMap::new(),
            frontier: Frontier::new(),
            streams: BTreeMap::new(),
        }
    }

    pub(super) fn vkey(&self) -> VerifyingKey {
        self.key.verifying_key().clone()
    }

    /// The id that the next entry gets; fields are sealed and committed to under it.
    pub(super) fn next_id(&self) -> EntryId {
        EntryId::new(uuid_v7(self.entries.len() as u64))
    }

    pub(super) fn draft(&self, entry_type: EntryType, detail_of_type: Value) -> Draft {
        Draft {
            id: self.next_id(),
            entry_type,
            actor: Actor::Service("archive".parse().unwrap()),
            captured_at: time(self.entries.len() as u64, 0),
            record: None,
            streams: vec![],
            commitments: Commitments::new(),
            detail: detail(detail_of_type),
        }
    }

    pub(super) fn append(&mut self, draft: Draft) -> &Entry {
        let index = self.entries.len() as u64;
        let stream_indices = draft.streams.iter().map(|id| self.streams.get(id).copied().unwrap_or(0)).collect();
        for id in &draft.streams {
            *self.streams.entry(*id).or_default() += 1;
        }
        let position = Position {
            index,
            previous: self.entries.last().map_or(Digest::ZERO, Entry::leaf),
            at: time(index, 250),
            stream_indices,
        };
        let source = SourceId::new(uuid_v7(0x0050_0000_0000));
        let entry = sequence(&Stamped { draft, source, source_index: index }, &position).unwrap();
        self.frontier.push_with(entry.leaf(), |node, hash| {
            self.stored.insert(node, hash);
        });
        self.entries.push(entry);
        self.entries.last().unwrap()
    }

    /// A capture of record `n` by these advisors: a post, or a message when it belongs to several.
    pub(super) fn capture(&mut self, n: u64, advisors: &[AdvisorId], fields: &[(FieldName, Vec<u8>)]) -> EntryId {
        let (id, key) = (self.next_id(), record_key(n));
        let mut draft = self.draft(
            EntryType::Capture,
            json!({
                "attachments": 0, "direction": "outbound", "exchange": uuid_v7(0x00ec_0000_0000 + n),
                "kinds": [if advisors.len() > 1 { "message" } else { "post" }], "method": "post", "network": "bluesky",
                "rule": "create_record", "rules": Digest::of(&[b"rules"]), "size": 120 + n, "transport": "http",
            }),
        );
        draft.actor = Actor::Device(DeviceId::new(uuid_v7(0x00de_0000_0001)));
        draft.record = Some(record(n));
        draft.streams = advisors.to_vec();
        let commit = |(name, value): &(FieldName, Vec<u8>)| (name.clone(), Commitment::to(&key.salt(id, name), value));
        draft.commitments = fields.iter().map(commit).collect();
        self.append(draft);
        id
    }

    pub(super) fn outcome(&mut self, n: u64, capture: EntryId, advisors: &[AdvisorId]) {
        let (id, key) = (self.next_id(), record_key(n));
        let mut draft = self.draft(
            EntryType::Outcome,
            json!({"capture": capture.to_string(), "items": 1, "size": 88, "state": "accepted", "status": 200}),
        );
        draft.record = Some(record(n));
        draft.streams = advisors.to_vec();
        let item = FieldName::part(0, Part::Item);
        let commitment =
            Commitment::to(&key.salt(id, &item), format!("at://did:plc:x/app.bsky.feed.post/{n}").as_bytes());
        draft.commitments.insert(item, commitment);
        self.append(draft);
    }

    pub(super) fn access(&mut self, n: u64) {
        let (id, key) = (self.next_id(), record_key(1_000_000 + n));
        let mut draft = self.draft(
            EntryType::Access,
            json!({"allowed": true, "count": 1, "operation": "records.get", "records": [record(n).to_string()]}),
        );
        draft.actor = Actor::Officer(OfficerId::new(uuid_v7(0x000f_0000_0001)));
        draft.record = Some(record(1_000_000 + n));
        let salt = key.salt(id, &FieldName::PURPOSE);
        draft.commitments.insert(FieldName::PURPOSE, Commitment::to(&salt, b"quarterly review"));
        self.append(draft);
    }

    /// Signs the head.
    pub(super) fn publish(&mut self) -> String {
        let size = self.frontier.size();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: self.frontier.root(), extensions: vec![] };
        let note = checkpoint.sign(&[&self.key]).unwrap().to_string();
        self.checkpoints.push((size, note.clone()));
        note
    }

    pub(super) fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// That entry `index` is in the last published checkpoint.
    pub(super) fn proof(&self, index: u64) -> TlogProof {
        let (size, checkpoint) = self.checkpoints.last().unwrap().clone();
        let hashes = Proof::inclusion(index, size).unwrap().hashes(&self.stored).unwrap();
        TlogProof { extra: None, index, hashes, checkpoint }
    }

    /// The hashes of a proof.
    pub(super) fn consistency(&self, proof: &Proof) -> Vec<Digest> {
        proof.hashes(&self.stored).unwrap()
    }

    /// A ledger of `size` entries as a firm's day makes them, with a checkpoint every 7 entries and at the end.
    pub(super) fn of_a_day(size: usize) -> Self {
        let mut ledger = Self::new();
        let added = json!({"change": "added", "id": advisor(1).uuid(), "subject": "advisor"});
        let added = ledger.draft(EntryType::Identity, added);
        ledger.append(added);
        for n in 0.. {
            let who = [advisor(1 + n % 3), advisor(9)];
            let who = if n % 4 == 3 { &who[..] } else { &who[..1] };
            let capture = ledger.capture(n, who, &post(n));
            ledger.outcome(n, capture, who);
            if n % 5 == 0 {
                ledger.access(n);
            }
            if ledger.entries.len() >= size {
                break;
            }
        }
        ledger.cut(size)
    }

    /// The first `size` entries again, with checkpoints.
    fn cut(self, size: usize) -> Self {
        let mut ledger = Self::new();
        for entry in self.entries.into_iter().take(size) {
            ledger.frontier.push_with(entry.leaf(), |node, hash| {
                ledger.stored.insert(node, hash);
            });
            ledger.entries.push(entry);
            if ledger.entries.len().is_multiple_of(7) {
                ledger.publish();
            }
        }
        if !ledger.entries.len().is_multiple_of(7) {
            ledger.publish();
        }
        ledger
    }

    /// Writes `entries.tsv` and `checkpoints.tsv`.
    pub(super) fn dump(&self, directory: &Path) {
        let rows = self
            .entries
            .iter()
            .map(|entry| (entry.index(), entry.id().to_string(), entry.leaf().to_string(), entry.bytes().to_vec()));
        write_entries(directory, rows);
        write_checkpoints(directory, &self.checkpoints);
    }
}

/// The fields of post `n`.
pub(super) fn post(n: u64) -> Vec<(FieldName, Vec<u8>)> {
    vec![
        (FieldName::part(0, Part::Author), b"@advisor.example".to_vec()),
        (FieldName::part(0, Part::Text), format!("Rates are what they are, part {n} \u{2014} ask me").into_bytes()),
        (FieldName::REQUEST_BODY, vec![0xff, 0x00, n as u8]),
        (FieldName::REQUEST_HEAD, b"POST /xrpc/com.atproto.repo.createRecord HTTP/1.1".to_vec()),
    ]
}

pub(super) fn time(seconds: u64, micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(1_795_291_200_000_000 + seconds as i64 * 1_000_000 + micros).unwrap()
}

pub(super) fn write_entries(directory: &Path, rows: impl IntoIterator<Item = (u64, String, String, Vec<u8>)>) {
    let mut text = Vec::new();
    for (index, id, leaf, body) in rows {
        text.extend_from_slice(format!("{index}\t{id}\t{leaf}\t").as_bytes());
        text.extend_from_slice(&copy_escape(&bytea_escape(&body)));
        text.push(b'\n');
    }
    fs::write(directory.join("entries.tsv"), text).unwrap();
}

pub(super) fn write_checkpoints(directory: &Path, checkpoints: &[(u64, String)]) {
    let mut text = Vec::new();
    for (size, note) in checkpoints {
        text.extend_from_slice(format!("{size}\t").as_bytes());
        text.extend_from_slice(&copy_escape(note.as_bytes()));
        text.push(b'\n');
    }
    fs::write(directory.join("checkpoints.tsv"), text).unwrap();
}

/// What `encode(…, 'escape')` does.
fn bytea_escape(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0 | 0x80.. => write!(text, "\\{byte:03o}").unwrap(),
            byte => text.push(char::from(*byte)),
        }
    }
    text.into_bytes()
}

/// What `copy … to` in text format does.
fn copy_escape(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            0x08 => text.extend_from_slice(b"\\b"),
            0x0c => text.extend_from_slice(b"\\f"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0x0b => text.extend_from_slice(b"\\v"),
            byte => text.push(*byte),
        }
    }
    text
}
