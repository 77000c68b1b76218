//! An archive in memory, for tests and benches: a real ledger with real entries, and nothing durable about it.
//!
//! Invariant: what [`Append`] and [`Recall`] promise, except that it ends with the process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{KnownAccount, KnownItem, Place, Recall, RecallError, Repeatable, Unfinished};
use crate::archive::{Append, AppendError, Appended, SealedField, Stored, Submission};
use crate::ledger::{Actor, Entry, EntryType, Position, SourceId, Stamped, sequence};
use crate::recognize::Party;
use crate::record::{
    AdvisorId, Clock, Digest, EntryId, FieldName, MasterKey, RecordId, RecordKey, Timestamp, WrappedKey, unseal,
};

/// See the module.
pub struct MemoryJournal {
    clock: Arc<dyn Clock>,
    /// Opens what is sealed, to answer what a projection would.
    master: MasterKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    places: HashMap<EntryId, Appended>,
    streams: HashMap<AdvisorId, u64>,
    keys: HashMap<RecordId, WrappedKey>,
    sealed: HashMap<EntryId, Vec<SealedField>>,
}

impl MemoryJournal {
    /// An empty ledger.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, master: MasterKey) -> Self {
        Self { clock, master, state: Mutex::default() }
    }

    /// Every entry, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.state.lock().entries.clone()
    }

    /// Every entry of a type, in order.
    #[must_use]
    pub fn entries_of(&self, entry_type: EntryType) -> Vec<Entry> {
        self.state.lock().entries.iter().filter(|entry| entry.entry_type() == entry_type).cloned().collect()
    }

    /// What is sealed beside an entry.
    #[must_use]
    pub fn sealed(&self, entry: EntryId) -> Vec<SealedField> {
        self.state.lock().sealed.get(&entry).cloned().unwrap_or_default()
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self, record: RecordId) -> Option<RecordKey> {
        let wrapped = self.state.lock().keys.get(&record)?.clone();
        self.master.unwrap_key(record, &wrapped).ok()
    }

    /// One field of an entry, opened; none when it is not there, not inline or does not open.
    #[must_use]
    pub fn open(&self, entry: &Entry, field: &str) -> Option<Vec<u8>> {
        let key = self.key(entry.record()?)?;
        let sealed = self.sealed(entry.id()).into_iter().find(|sealed| sealed.name.as_str() == field)?;
        match sealed.ciphertext {
            Stored::Inline(bytes) => unseal(&key.sealing_key(entry.id(), &sealed.name), &bytes).ok(),
            Stored::Blob { .. } => None,
        }
    }

    /// The same, as text.
    #[must_use]
    pub fn text(&self, entry: &Entry, field: &str) -> Option<String> {
        String::from_utf8(self.open(entry, field)?).ok()
    }

    fn append_now(&self, submission: Submission) -> Result<Appended, AppendError> {
        submission.check()?;
        let mut state = self.state.lock();
        let Submission { draft, key, sealed } = submission;
        if let Some(first) = state.places.get(&draft.id) {
            return Ok(*first);
        }
        let id = draft.id;
        let last = state.entries.last();
        let position = Position {
            index: state.entries.len() as u64,
            previous: last.map_or(Digest::ZERO, Entry::leaf),
            at: self.clock.now().max(last.map_or(Timestamp::EPOCH, Entry::at)),
            stream_indices: draft.streams.iter().map(|id| state.streams.get(id).copied().unwrap_or(0)).collect(),
        };
        let streams = draft.streams.clone();
        let stamped = Stamped { draft, source: SourceId::new(Uuid::nil()), source_index: position.index };
        let entry = sequence(&stamped, &position).map_err(|source| AppendError::Draft { entry: id, source })?;
        let place = Appended { entry: id, index: position.index, leaf: entry.leaf(), at: position.at };
        for stream in streams {
            *state.streams.entry(stream).or_default() += 1;
        }
        state.keys.extend(key);
        state.sealed.insert(id, sealed);
        state.places.insert(id, place);
        state.entries.push(entry);
        Ok(place)
    }
}

/// A detail's text.
fn said<'a>(entry: &'a Entry, key: &str) -> Option<&'a str> {
    entry.detail().get(key)?.as_str()
}

impl MemoryJournal {
    fn known_account(&self, entry: &Entry) -> Option<KnownAccount> {
        if said(entry, "subject")? != "account" {
            return None;
        }
        Some(KnownAccount {
            id: said(entry, "id")?.parse().ok()?,
            network: said(entry, "network")?.into(),
            party: Party {
                id: self.text(entry, "id").unwrap_or_default(),
                handle: self.text(entry, "handle"),
                name: self.text(entry, "name"),
                ..Party::default()
            },
            advisor: said(entry, "advisor")?.parse().ok()?,
        })
    }

    fn as_repeatable(&self, entry: &Entry) -> Option<Repeatable> {
        let Actor::Device(device) = entry.actor() else { return None };
        let is_there = self.sealed(entry.id()).iter().any(|field| field.name == FieldName::REQUEST_BODY);
        let body = self.open(entry, "request.body").or_else(|| (!is_there).then(Vec::new));
        Some(Repeatable {
            first: said(entry, "retry_of").and_then(|first| first.parse().ok()).unwrap_or(entry.id()),
            at: entry.at(),
            device: *device,
            connection: self.open(entry, "connection")?,
            head: self.open(entry, "request.head")?,
            body: body.map(|body| Digest::of(&[&body])),
        })
    }

    fn known_item(&self, network: &str, item: &str, version: &Digest) -> KnownItem {
        let mut known = KnownItem::default();
        let holds = |entry: &Entry, field: &str, value: &str| self.text(entry, field).as_deref() == Some(value);
        let entries = self.entries();
        for entry in &entries {
            let of_network = said(entry, "network") == Some(network);
            if entry.entry_type() == EntryType::Outcome {
                known.captured |= (0..16).any(|number| holds(entry, &format!("{number}.item"), item));
            } else if entry.entry_type() == EntryType::Observation && of_network && holds(entry, "0.item", item) {
                known.newest = Some(entry.id());
                if holds(entry, "0.version", &version.to_string()) {
                    known.this_version = place(entry, &entries);
                }
            }
        }
        known
    }
}

fn place(entry: &Entry, entries: &[Entry]) -> Option<Place> {
    let id = entry.id().to_string();
    let attributed = entries.iter().filter(|other| said(other, "entry") == Some(&id)).flat_map(Entry::streams);
    let streams = entry.streams().iter().chain(attributed).map(|stream| stream.id).collect();
    Some(Place { entry: entry.id(), record: entry.record()?, index: entry.index(), streams })
}

impl Recall for MemoryJournal {
    fn unfinished(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Unfinished>, RecallError>> {
        let entries = self.entries();
        let outcomes = entries.iter().filter(|entry| entry.entry_type() == EntryType::Outcome);
        let closed: HashSet<&str> = outcomes.filter_map(|entry| said(entry, "capture")).collect();
        let open = entries.iter().filter(|entry| {
            entry.entry_type() == EntryType::Capture
                && entry.captured_at() <= before
                && !closed.contains(entry.id().to_string().as_str())
        });
        let unfinished = open.filter_map(|entry| {
            let streams = entry.streams().iter().map(|stream| stream.id).collect();
            Some(Unfinished { capture: entry.id(), record: entry.record()?, streams })
        });
        let unfinished = unfinished.take(limit as usize).collect();
        Box::pin(async move { Ok(unfinished) })
    }

    fn on_record<'a>(&'a self, entries: &'a [EntryId]) -> BoxFuture<'a, Result<HashSet<EntryId>, RecallError>> {
        let there = self.entries().iter().map(Entry::id).filter(|id| entries.contains(id)).collect();
        Box::pin(async move { Ok(there) })
    }

    fn repeatable(&self, since: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Repeatable>, RecallError>> {
        let captures = self.entries_of(EntryType::Capture);
        let recent = captures.iter().rev().filter(|entry| entry.at() >= since && said(entry, "method").is_some());
        let found = recent.filter_map(|entry| self.as_repeatable(entry)).take(limit as usize).collect();
        Box::pin(async move { Ok(found) })
    }

    fn accounts(&self) -> BoxFuture<'_, Result<Vec<KnownAccount>, RecallError>> {
        let known = self.entries_of(EntryType::Identity).iter().filter_map(|entry| self.known_account(entry)).collect();
        Box::pin(async move { Ok(known) })
    }

    fn same_account<'a>(
        &'a self,
        account: &'a KnownAccount,
    ) -> BoxFuture<'a, Result<Option<KnownAccount>, RecallError>> {
        let advisor = account.advisor.to_string();
        let of_advisor = |entry: &&Entry| said(entry, "advisor") == Some(&advisor);
        let entries: Vec<Entry> = self.state.lock().entries.iter().filter(of_advisor).cloned().collect();
        let mut known = entries.iter().filter_map(|entry| self.known_account(entry));
        let same = known.find(|known| known.is_same_as(account));
        Box::pin(async move { Ok(same) })
    }

    fn written_by<'a>(
        &'a self,
        account: &'a KnownAccount,
        after: Option<u64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Place>, RecallError>> {
        let entries = self.entries();
        let wrote = |entry: &&Entry| {
            let author = || self.text(entry, "0.author").and_then(|text| serde_json::from_str::<Party>(&text).ok());
            matches!(entry.entry_type(), EntryType::Capture | EntryType::Observation)
                && said(entry, "network") == Some(&account.network)
                && after.is_none_or(|after| entry.index() > after)
                && author().is_some_and(|author| author.id == account.party.id)
        };
        let places = entries.iter().filter(wrote).filter_map(|entry| place(entry, &entries));
        let places = places.filter(|place| !place.streams.contains(&account.advisor)).take(limit as usize).collect();
        Box::pin(async move { Ok(places) })
    }

    fn item<'a>(
        &'a self,
        network: &'a str,
        item: &'a str,
        version: &'a Digest,
    ) -> BoxFuture<'a, Result<KnownItem, RecallError>> {
        Box::pin(async move { Ok(self.known_item(network, item, version)) })
    }
}

impl Append for MemoryJournal {
    fn append(&self, submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.append_now(submission) })
    }
}
