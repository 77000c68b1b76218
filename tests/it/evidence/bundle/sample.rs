//! A bundle of one advisor's posts over a time, as the archive would export it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use muniment::bundle::{
    BundleHead, BundleQuery, BundleReport, BundleWriter, Circumstance, Disclosed, EarlierCheckpoint, Reasons,
    Rendition, ShownField, Source, verify_bundle,
};
use muniment::ledger::{Actor, Commitments, Committed, Entry, EntryType, Proof};
use muniment::record::{AdvisorId, Commitment, FieldName, OfficerId, RecordId, RecordKey, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::evidence::ledger::{Ledger, advisor, post, record, record_key, time, uuid_v7};

pub(super) const WHY: &str = "attorney-client privilege <asked for advice>";

pub(super) fn bundle_id() -> Uuid {
    uuid_v7(0xb0)
}

/// What is asked of whom.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) advisors: Vec<AdvisorId>,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// Fields that are not shown.
    pub(super) withheld: &'static [&'static str],
    /// The record of which nothing is shown.
    pub(super) hidden: Option<RecordId>,
    pub(super) renditions: Vec<Rendition>,
    /// What stands around the records and is left out.
    pub(super) untold: Option<Circumstance>,
    /// What post `n` says.
    pub(super) said: Said,
}

pub(super) type Said = fn(u64) -> Vec<(FieldName, Vec<u8>)>;

impl Default for Asked {
    fn default() -> Self {
        let (from, until) = (Some(time(4, 0)), Some(time(22, 0)));
        let withheld = &["0.author", "request.head"];
        let (hidden, renditions) = (Some(record(6)), Vec::new());
        Self { advisors: vec![advisor(1)], from, until, withheld, hidden, renditions, untold: None, said: post }
    }
}

/// A ledger of posts by three advisors, some of them messages that two share, with checkpoints on the way.
pub(super) fn day(posts: u64) -> Ledger {
    day_of(posts, post)
}

pub(super) fn day_of(posts: u64, said: Said) -> Ledger {
    let mut ledger = Ledger::new();
    for n in 0..posts {
        let both = [advisor(1 + n % 3), advisor(9)];
        let who = if n % 4 == 3 { &both[..] } else { &both[..1] };
        let capture = ledger.capture(n, who, &said(n));
        ledger.outcome(n, capture, who);
        if n % 5 == 0 {
            ledger.access(n);
        }
        if n == 2 {
            ledger.publish();
        }
    }
    for entry in around() {
        let mut draft = ledger.draft(entry.of, entry.detail);
        draft.record = Some(record(entry.record));
        draft.streams = entry.streams;
        let salt = |name: &FieldName| record_key(entry.record).salt(draft.id, name);
        draft.commitments =
            entry.said.iter().map(|(name, value)| (name.clone(), Commitment::to(&salt(name), value))).collect();
        ledger.append(draft);
    }
    ledger
}

/// An entry about the records.
struct Around {
    of: EntryType,
    record: u64,
    detail: serde_json::Value,
    streams: Vec<AdvisorId>,
    said: Vec<(FieldName, Vec<u8>)>,
}

fn around() -> Vec<Around> {
    let (ada, device) = (advisor(1).to_string(), uuid_v7(0x00de_0000_0001).to_string());
    let name = |name: &str| vec![(FieldName::NAME, name.as_bytes().to_vec())];
    let (from, until) = (time(5, 0).to_string(), time(6, 0).to_string());
    let of = |of, record, detail, said| {
        let streams = if of == EntryType::Gap { vec![advisor(1)] } else { vec![] };
        Around { of, record, detail, streams, said }
    };
    vec![
        of(
            EntryType::Identity,
            3_000_000,
            json!({"change": "added", "id": ada, "subject": "advisor"}),
            name("Ada <A>"),
        ),
        of(
            EntryType::Identity,
            3_000_001,
            json!({"advisor": ada, "change": "added", "id": device, "subject": "device"}),
            name("Ada's laptop"),
        ),
        of(
            EntryType::Gap,
            3_000_002,
            json!({"cause": "outage", "count": 2, "device": device, "from": from, "until": until}),
            vec![("host".parse().unwrap(), b"private.example".to_vec())],
        ),
        of(
            EntryType::Verification,
            3_000_003,
            json!({"failures": 0, "from": 0, "result": "verified", "scope": "all", "until": 9}),
            vec![],
        ),
    ]
}

fn key_of(record: RecordId) -> RecordKey {
    record_key(record.uuid().as_u128() as u64 & 0xffff_ffff)
}

/// What post `n` says in an entry of a type.
fn values(entry: &Entry, n: u64, said: Said) -> Vec<(FieldName, Vec<u8>)> {
    match entry.entry_type() {
        EntryType::Capture => said(n),
        _ => vec![("0.item".parse().unwrap(), format!("at://did:plc:x/app.bsky.feed.post/{n}").into_bytes())],
    }
}

fn disclosed(ledger: &Ledger, entry: &Entry, asked: &Asked) -> (Disclosed, Reasons) {
    let id = entry.record().unwrap();
    let n = id.uuid().as_u128() as u64 & 0xffff_ffff;
    let hidden = asked.hidden == Some(id);
    let is_shown = |name: &FieldName| !hidden && !asked.withheld.contains(&name.as_str());
    let salt = |name: &FieldName| key_of(id).salt(entry.id(), name);
    let shown = values(entry, n, asked.said).into_iter().filter(|(name, _value)| is_shown(name));
    let shown = shown.map(|(name, value)| ShownField { salt: salt(&name), name, value }).collect();
    let (all, commitments) = match entry.committed() {
        Committed::Listed(all) => (all.clone(), None),
        Committed::Root(_) => {
            let all: Commitments = values(entry, n, asked.said)
                .into_iter()
                .map(|(name, value)| (name.clone(), Commitment::to(&salt(&name), &value)))
                .collect();
            (all.clone(), Some(all))
        }
    };
    let reasons = all.iter().filter(|(name, _)| !is_shown(name)).map(|(name, _)| (name.clone(), WHY.to_owned()));
    let disclosed = Disclosed { entry: entry.clone(), proof: ledger.proof(entry.index()), shown, commitments };
    (disclosed, reasons.collect())
}

/// Appends the export and publishes; answers with its entry's disclosure and the query.
fn export(ledger: &mut Ledger, asked: &Asked, records: u64) -> (BundleQuery, Disclosed) {
    let mut query = BundleQuery::new(bundle_id(), ledger.entries.len() as u64);
    query.advisors.clone_from(&asked.advisors);
    query.renditions.clone_from(&asked.renditions);
    (query.from, query.until) = (asked.from, asked.until);
    query.filter.insert("advisor".into(), "1".into());
    let mut draft = ledger.draft(
        EntryType::Export,
        json!({"as_of": query.as_of, "bundle": query.bundle.to_string(), "format": "bundle", "records": records}),
    );
    let own = record(2_000_000);
    draft.actor = Actor::Officer(OfficerId::new(uuid_v7(0x000f_0000_0001)));
    draft.record = Some(own);
    draft.streams.clone_from(&asked.advisors);
    let fields = [(FieldName::QUERY, query.to_json()), (FieldName::PURPOSE, b"matter 2026-014".to_vec())];
    let salt = |name: &FieldName| key_of(own).salt(draft.id, name);
    draft.commitments = fields.iter().map(|(name, value)| (name.clone(), Commitment::to(&salt(name), value))).collect();
    let shown =
        fields.iter().map(|(name, value)| ShownField { name: name.clone(), salt: salt(name), value: value.clone() });
    let shown = shown.collect();
    let entry = ledger.append(draft).clone();
    ledger.publish();
    (query, Disclosed { proof: ledger.proof(entry.index()), entry, shown, commitments: None })
}

/// The records that are asked for, in the order of the ledger.
pub(super) fn wanted(ledger: &Ledger, asked: &Asked) -> Vec<RecordId> {
    let within = |at: Timestamp| asked.from.is_none_or(|from| at >= from) && asked.until.is_none_or(|until| at < until);
    let of = |entry: &&Entry| entry.streams().iter().any(|stream| asked.advisors.contains(&stream.id));
    let captures = ledger.entries.iter().filter(of).filter(|entry| entry.entry_type() == EntryType::Capture);
    captures.filter(|entry| within(entry.at())).filter_map(Entry::record).collect()
}

/// Writes the bundle.
pub(super) fn write(ledger: &mut Ledger, asked: &Asked) -> Vec<u8> {
    let records = wanted(ledger, asked);
    let before = ledger.entries.clone();
    let (query, export) = export(ledger, asked, records.len() as u64);
    let export_index = export.entry.index();
    let (old, note) = ledger.checkpoints.first().cloned().unwrap();
    let size = ledger.entries.len() as u64;
    let earlier = (old < size)
        .then(|| EarlierCheckpoint { note, hashes: ledger.consistency(&Proof::consistency(old, size).unwrap()) });
    let head = BundleHead { query, export, earlier, policy: None };
    let mut writer = BundleWriter::new(Vec::new(), head, Box::new(tempfile::tempfile)).unwrap();
    for record in &records {
        let entries = before.iter().filter(|entry| entry.record() == Some(*record));
        writer.record(*record, entries.map(|entry| disclosed(ledger, entry, asked)).collect()).unwrap();
    }
    for stream in &asked.advisors {
        for entry in run(ledger, asked, *stream, export_index) {
            writer.range_entry(*stream, &entry, &ledger.proof(entry.index()).hashes).unwrap();
        }
    }
    for of in Circumstance::ALL.into_iter().filter(|of| asked.untold != Some(*of)) {
        for entry in before.iter().filter(|entry| of.has(entry.entry_type())) {
            let names = around().into_iter().find(|around| Some(record(around.record)) == entry.record());
            let names = names.filter(|_| of == Circumstance::Identity).map(|around| around.said).unwrap_or_default();
            let salt = |name: &FieldName| key_of(entry.record().unwrap()).salt(entry.id(), name);
            let shown = names.into_iter().map(|(name, value)| ShownField { salt: salt(&name), name, value });
            let hashes = ledger.proof(entry.index()).hashes;
            writer.circumstance(of, entry.clone(), hashes, shown.collect()).unwrap();
        }
    }
    writer.finish(&ledger.key).unwrap().0
}

/// The entries of a stream from the last before the range to the first behind it.
fn run(ledger: &Ledger, asked: &Asked, stream: AdvisorId, export: u64) -> Vec<Entry> {
    let of = |entry: &&Entry| entry.streams().iter().any(|place| place.id == stream);
    let all: Vec<_> = ledger.entries.iter().filter(of).cloned().collect();
    let first = all.iter().rposition(|entry| asked.from.is_some_and(|from| entry.at() < from)).unwrap_or(0);
    let behind = |entry: &Entry| entry.index() >= export || asked.until.is_some_and(|until| entry.at() >= until);
    let last = all.iter().position(behind).unwrap();
    all[first..=last].to_vec()
}

/// The usual one.
pub(super) fn sample() -> (Ledger, Vec<u8>) {
    let mut ledger = day(16);
    let zip = write(&mut ledger, &Asked::default());
    (ledger, zip)
}

pub(super) fn verify(ledger: &Ledger, zip: &[u8]) -> BundleReport {
    verify_bundle(&Source::Bytes(Arc::from(zip)), &[ledger.vkey()]).unwrap()
}

pub(super) fn verify_at(ledger: &Ledger, path: &Path) -> BundleReport {
    verify_bundle(&Source::at(path), &[ledger.vkey()]).unwrap()
}

/// Unpacks with a tool that is not ours; answers with the bag's folder.
pub(super) fn unpack(zip: &[u8], into: &Path) -> std::path::PathBuf {
    let file = into.join("bundle.zip");
    std::fs::write(&file, zip).unwrap();
    let script =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])";
    let done = std::process::Command::new("python3").args(["-c", script]).arg(&file).arg(into).status().unwrap();
    assert!(done.success());
    into.join(format!("bundle-{}", bundle_id()))
}

/// Paths of all files under a folder.
pub(super) fn files(root: &Path) -> BTreeSet<String> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                into.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut all = BTreeSet::new();
    walk(root, root, &mut all);
    all
}
