//! An archive of a firm's real size, made quickly: real entries in one chain, real keys, real sealed content, laid into the tables
//! by `copy`. Everything holds over it: verification, proofs, projections.
//!
//! What each record is follows from its number alone ([`Firm::spec`]), so a test knows what must be found without having kept it.
//! Shared with `benches/search.rs`.

mod bulk;
mod copy;
mod said;
mod spec;

use std::collections::HashMap;

use muniment::ledger::{Actor, Commitments, Draft, EntryType, Position, Stamped, sequence};
use muniment::record::{
    AdvisorId, Commitment, DeviceId, Digest, EntryId, FieldName, MasterKey, RecordId, RecordKey, SourceId, Timestamp,
    seal,
};
use serde_json::{Map, Value, json};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

pub(crate) use bulk::project;
use copy::Tables;
pub(crate) use spec::{Firm, NETWORKS, Spec, account_handle};

/// Entries that go to the database together.
const BATCH: u64 = 5_000;

/// Fills an empty, migrated database, as a superuser with triggers off; answers with how many entries there are.
pub(crate) async fn fill(owner: &PgConnectOptions, master: &MasterKey, firm: Firm) -> u64 {
    let (sender, mut batches) = tokio::sync::mpsc::channel(2);
    let master = master.clone();
    // Sealing and hashing on one core, the database on the other.
    let making = tokio::task::spawn_blocking(move || {
        let mut writer = Writer::new(master);
        writer.people(&firm);
        writer.fill_up(&firm);
        for number in 0..firm.records {
            writer.record(&firm, number);
            if (number + 1) % firm.period == 0 {
                writer.fill_up(&firm);
            }
            if writer.batched >= BATCH {
                sender.blocking_send(writer.take()).unwrap();
            }
        }
        if writer.batched > 0 {
            sender.blocking_send(writer.take()).unwrap();
        }
        (writer.index, writer.previous, writer.at)
    });
    let mut connection: PgConnection = owner.connect().await.unwrap();
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut connection).await.unwrap();
    while let Some(batch) = batches.recv().await {
        batch.send(&mut connection).await;
    }
    let (size, leaf, at) = making.await.unwrap();
    sqlx::query("update ledger.head set size = $1, leaf = $2, at = to_timestamp($3::double precision / 1000000)")
        .bind(i64::try_from(size).unwrap())
        .bind(leaf.as_bytes().as_slice())
        .bind(at as f64)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql("analyze ledger.entries, content.sealed, content.keys").execute(&mut connection).await.unwrap();
    size
}

/// The record that an entry belongs to.
#[derive(Clone, Copy)]
struct Kept<'a> {
    record: RecordId,
    key: &'a RecordKey,
    is_new: bool,
}

/// Entries one after the other, and the rows that go with them.
struct Writer {
    master: MasterKey,
    source: SourceId,
    index: u64,
    previous: Digest,
    at: i64,
    streams: HashMap<AdvisorId, u64>,
    tables: Tables,
    batched: u64,
}

impl Writer {
    fn new(master: MasterKey) -> Self {
        let source = SourceId::new(spec::id(0, spec::Of::Source, 0));
        let (previous, tables) = (Digest::ZERO, Tables::default());
        Self { master, source, index: 0, previous, at: 0, streams: HashMap::new(), tables, batched: 0 }
    }

    /// What was written since, ready to be sent.
    fn take(&mut self) -> Tables {
        self.tables.source(self.source.uuid(), self.index);
        self.batched = 0;
        std::mem::take(&mut self.tables)
    }

    /// Appends an entry; `key` is that of its record, new or not.
    fn entry(
        &mut self,
        (id, at, entry_type): (EntryId, i64, EntryType),
        actor: Actor,
        of: Option<Kept<'_>>,
        streams: &[AdvisorId],
        detail: Map<String, Value>,
        fields: &[(FieldName, &[u8])],
    ) {
        self.at = at;
        let at = Timestamp::from_unix_micros(at).unwrap();
        let mut commitments = Commitments::new();
        let mut sealed = Vec::with_capacity(fields.len());
        for ((name, value), of) in fields.iter().zip(std::iter::repeat(of).flatten()) {
            let key = of.key;
            commitments.insert(name.clone(), Commitment::to(&key.salt(id, name), value));
            sealed.push((name.as_str(), seal(&key.sealing_key(id, name), value).unwrap()));
        }
        let draft = Draft {
            id,
            entry_type,
            actor,
            captured_at: at,
            record: of.map(|of| of.record),
            streams: streams.to_vec(),
            commitments,
            detail,
        };
        let stream_indices: Vec<u64> =
            streams.iter().map(|stream| self.streams.get(stream).copied().unwrap_or(0)).collect();
        let stamped = Stamped { draft, source: self.source, source_index: self.index };
        let position = Position { index: self.index, previous: self.previous, at, stream_indices };
        let entry = sequence(&stamped, &position).unwrap();
        self.previous = entry.leaf();
        self.tables.entry(self.index, id.uuid(), self.previous.as_bytes(), entry.bytes());
        for (stream, stream_index) in streams.iter().zip(position.stream_indices) {
            self.tables.stream(stream.uuid(), stream_index, self.index);
            self.streams.insert(*stream, stream_index + 1);
        }
        if let Some(of) = of {
            let record = of.record.uuid();
            if of.is_new {
                let mut nonce = [0; 12];
                nonce[..8].copy_from_slice(&self.index.to_be_bytes());
                let wrapped = self.master.wrap_key(of.record, of.key, nonce).unwrap();
                self.tables.key(record, self.index, wrapped.as_bytes());
            }
            match sealed.as_slice() {
                [] => self.tables.plain(record, self.index),
                sealed => self.tables.sealed(self.index, record, sealed),
            }
        }
        self.index += 1;
        self.batched += 1;
    }

    /// The source, advisors, their devices and accounts, and the settings, all at the beginning.
    fn people(&mut self, firm: &Firm) {
        let source = detail(json!({ "subject": "source", "change": "added", "id": self.source.to_string() }));
        let id = |number| EntryId::new(spec::id(firm.from, spec::Of::Person, number));
        self.entry((id(0), firm.from, EntryType::Identity), by("archive"), None, &[], source, &[]);
        let mut number = 1;
        let mut person =
            |writer: &mut Self, of: &[AdvisorId], entry_type, facts: Value, fields: &[(FieldName, &[u8])]| {
                let record = RecordId::new(spec::id(firm.from, spec::Of::Record, u64::MAX - number));
                let key = RecordKey::new(spec::secret(u64::MAX - number));
                writer.entry(
                    (id(number), firm.from, entry_type),
                    by("cli"),
                    Some(Kept { record, key: &key, is_new: true }),
                    of,
                    detail(facts),
                    fields,
                );
                number += 1;
            };
        let settings = json!({ "change": "in_force", "rules": Digest::ZERO.to_string(), "software": "muniment-0.1.0" });
        person(
            self,
            &[],
            EntryType::Settings,
            settings,
            &[("settings".parse().unwrap(), b"{\"archive.retention\":\"6y\"}")],
        );
        for of in 0..firm.advisors {
            let advisor = firm.advisor(of);
            let facts = |subject: &str, id: String| json!({ "subject": subject, "change": "added", "id": id, "advisor": advisor.to_string() });
            let name = format!("Advisor {of}");
            let identity = EntryType::Identity;
            person(
                self,
                &[advisor],
                identity,
                facts("advisor", advisor.to_string()),
                &[(FieldName::NAME, name.as_bytes())],
            );
            for device in firm.devices(of) {
                let mut facts = facts("device", device.to_string());
                facts["digest"] = json!(Digest::of(&[device.uuid().as_bytes()]).to_string());
                person(self, &[advisor], identity, facts, &[(FieldName::NAME, b"a device")]);
            }
            for network in NETWORKS {
                let mut facts = facts("account", firm.account(of, network).to_string());
                facts["network"] = json!(network);
                let (known, handle) = (spec::account_id(of), spec::account_handle(of, network));
                let fields: [(FieldName, &[u8]); 2] =
                    [("handle".parse().unwrap(), handle.as_bytes()), ("id".parse().unwrap(), known.as_bytes())];
                person(self, &[advisor], identity, facts, &fields);
            }
        }
    }

    /// Entries that are of no record and in no list, up to the end of the run.
    fn fill_up(&mut self, firm: &Firm) {
        let Some(run) = firm.run else { return };
        loop {
            let id = EntryId::new(spec::id(self.at, spec::Of::Filler, self.index));
            let at = self.at.max(firm.from);
            self.entry((id, at, EntryType::Review), by("archive"), None, &[], Map::new(), &[]);
            if self.index.is_multiple_of(run) {
                return;
            }
        }
    }

    /// A record with what the network answered, and now and then a gap.
    fn record(&mut self, firm: &Firm, number: u64) {
        let spec = firm.spec(number);
        let key = RecordKey::new(spec::secret(number));
        let advisor = [firm.advisor(spec.advisor)];
        let actor = Actor::Device(spec.device);
        let fields: Vec<(FieldName, Vec<u8>)> = spec.fields(firm);
        let fields: Vec<(FieldName, &[u8])> =
            fields.iter().map(|(name, value)| (name.clone(), value.as_slice())).collect();
        let entry_type = if spec.outbound { EntryType::Capture } else { EntryType::Observation };
        let kept = Kept { record: spec.record, key: &key, is_new: true };
        self.entry((spec.entry, spec.at, entry_type), actor.clone(), Some(kept), &advisor, spec.detail(), &fields);
        if let Some(state) = spec.state {
            let mut facts = json!({ "capture": spec.entry.to_string(), "state": state });
            match state {
                "unknown" => facts["cause"] = json!("no_answer"),
                _ => facts["status"] = json!(if state == "accepted" { 200 } else { 403 }),
            }
            let item = spec::item(number);
            let said: &[(FieldName, &[u8])] = &[("0.item".parse().unwrap(), item.as_bytes())];
            let said = if state == "accepted" { said } else { &[] };
            let id = EntryId::new(spec::id(spec.at, spec::Of::Outcome, number));
            let kept = Kept { is_new: false, ..kept };
            self.entry((id, spec.at + 1, EntryType::Outcome), actor, Some(kept), &advisor, detail(facts), said);
        }
        if let Some(cause) = spec.gap {
            let at = Timestamp::from_unix_micros(spec.at).unwrap().to_string();
            let facts =
                json!({ "cause": cause, "count": 1, "device": spec.device.to_string(), "from": at, "until": at });
            let id = EntryId::new(spec::id(spec.at, spec::Of::Gap, number));
            self.entry((id, spec.at + 2, EntryType::Gap), by("proxy"), None, &advisor, detail(facts), &[]);
        }
    }
}

fn by(service: &'static str) -> Actor {
    Actor::Service(service.try_into().unwrap())
}

fn detail(value: Value) -> Map<String, Value> {
    let Value::Object(detail) = value else { panic!("{value} is not an object") };
    detail
}

impl Firm {
    pub(crate) fn devices(&self, advisor: u64) -> [DeviceId; 2] {
        [0, 1].map(|which| DeviceId::new(spec::id(self.from, spec::Of::Device, advisor * 2 + which)))
    }
}
