//! Conversations in Relativity's Short Message Format 2.0: a mail whose one attachment, `rsmf.zip`, holds a manifest of participants,
//! conversations and events, and the files attached to them.
//!
//! Invariant: a file holds the communications of one day (UTC), in the order of the bundle, and no more than fits into memory: a day with more
//! goes on in the next file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::message::{Message, Person};
use super::mime::{attachment_head, body, date, header, raw_header, short_digest};
use crate::bundle::bag::stored;
use crate::bundle::paths;
use crate::bundle::query::BundleQuery;
use crate::record::{Part, Timestamp, canonical};

/// Events of one file, and bytes of texts and attachments in it.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 8 << 20;
const MANIFEST: &str = "rsmf_manifest.json";

/// A conversation, as far as it goes in one file.
#[derive(Default)]
struct Conversation {
    platform: String,
    is_direct: bool,
    participants: BTreeSet<String>,
    custodian: Option<String>,
    advisors: BTreeSet<String>,
}

/// The file in the making.
#[derive(Default)]
pub(super) struct Slice {
    number: u64,
    day: String,
    participants: BTreeMap<String, Value>,
    conversations: BTreeMap<String, Conversation>,
    events: Vec<Value>,
    /// Ids of events by the item that they are on the network, for what answers them.
    items: BTreeMap<(String, String), String>,
    files: Vec<(String, Vec<u8>)>,
    lines: String,
    bytes: usize,
    between: Option<(Timestamp, Timestamp)>,
}

impl Slice {
    /// Takes a communication. Answers with a file that is full before it.
    pub(super) fn add(&mut self, message: &Message<'_>, query: &BundleQuery) -> Option<(String, String)> {
        // The day of the record, so that what came later of it stays with it.
        let first = message.record.entries.first().unwrap_or(message.shown).entry.at();
        let day = first.to_string().get(..10).unwrap_or_default().to_owned();
        let is_full = self.events.len() >= EVENTS_MAX || self.bytes >= BYTES_MAX;
        let full = if day != self.day || is_full { self.close(query) } else { None };
        self.day = day;
        self.event(message);
        full
    }

    /// Ends the file, if there is anything in it.
    pub(super) fn close(&mut self, query: &BundleQuery) -> Option<(String, String)> {
        let number = self.number + 1;
        let Self { day, participants, conversations, events, files, lines, between, .. } = std::mem::take(self);
        self.number = number;
        let Some((from, until)) = between else {
            self.number = number - 1;
            return None;
        };
        let collection = format!("{}-{number:06}", query.bundle);
        let path = format!("{}{number:06}-{day}.rsmf", paths::RSMF);
        let (count, attachments) = (events.len(), files.len());
        let networks: BTreeSet<_> = conversations.values().map(|conversation| conversation.platform.clone()).collect();
        let manifest = json!({
            "version": "2.0.0",
            "eventcollectionid": collection,
            "participants": participants.into_values().collect::<Vec<_>>(),
            "conversations": conversations.into_iter().map(conversation).collect::<Vec<_>>(),
            "events": events,
        });
        let mut zip = vec![(MANIFEST.to_owned(), canonical(&manifest).unwrap_or_default())];
        zip.extend(files);
        let mut mail = String::new();
        raw_header("Date", &date(until), &mut mail);
        header("Subject", &format!("Conversations of {day}"), &mut mail);
        raw_header("X-RSMF-Version", "2.0.0", &mut mail);
        header("X-RSMF-Generator", "muniment", &mut mail);
        raw_header("X-RSMF-BeginDate", &from.to_string(), &mut mail);
        raw_header("X-RSMF-EndDate", &until.to_string(), &mut mail);
        raw_header("X-RSMF-EventCount", &count.to_string(), &mut mail);
        raw_header("X-RSMF-AttachmentCount", &attachments.to_string(), &mut mail);
        raw_header("X-RSMF-EventCollectionID", &collection, &mut mail);
        header("X-RSMF-Application", &networks.into_iter().collect::<Vec<_>>().join(" "), &mut mail);
        raw_header("X-RSMF-Bundle", &query.bundle.to_string(), &mut mail);
        raw_header("MIME-Version", "1.0", &mut mail);
        let boundary = format!("=_{}", query.bundle.simple());
        raw_header("Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\""), &mut mail);
        mail.push_str(&format!("\r\n--{boundary}\r\n"));
        raw_header("Content-Type", "text/plain; charset=utf-8", &mut mail);
        raw_header("Content-Transfer-Encoding", "base64", &mut mail);
        mail.push_str("\r\n");
        body(lines.as_bytes(), &mut mail);
        mail.push_str(&format!("\r\n--{boundary}\r\n"));
        attachment_head("rsmf.zip", "application/zip", &mut mail);
        mail.push_str("\r\n");
        body(&stored(&zip), &mut mail);
        mail.push_str(&format!("\r\n--{boundary}--\r\n"));
        Some((path, mail))
    }

    fn event(&mut self, message: &Message<'_>) {
        let at = message.sent_at();
        let from = self.between.map_or(at, |(from, _until)| from.min(at));
        let until = self.between.map_or(at, |(_from, until)| until.max(at));
        self.between = Some((from, until));
        let author = match &message.author {
            Some(author) => self.participant(author, &message.network),
            None => self.nobody(message.by()),
        };
        let to: Vec<_> =
            message.recipients.iter().take(1_000).map(|to| self.participant(to, &message.network)).collect();
        let thread = message.thread();
        let key = format!("C{}", short_digest(&[message.network.as_bytes(), b"\0", thread.as_bytes()]));
        let id = message.id();
        let words = message.words();
        self.bytes += words.len() * 2 + to.len() * 500 + 2_000;
        let mut event = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("type".to_owned(), json!(if message.kind == "unclassified" { "unknown" } else { "message" })),
            ("participant".to_owned(), json!(author)),
            ("conversation".to_owned(), json!(key)),
            ("timestamp".to_owned(), json!(at)),
            ("body".to_owned(), json!(words)),
            ("deleted".to_owned(), json!(message.kind == "deletion")),
            ("custom".to_owned(), custom(message)),
        ]);
        match message.direction.as_str() {
            "outbound" => event.insert("direction".to_owned(), json!("outgoing")),
            "inbound" => event.insert("direction".to_owned(), json!("incoming")),
            _ => None,
        };
        // It must be an event of the same conversation in the same file.
        let parent = message.part(Part::Parent).and_then(|parent| self.items.get(&(key.clone(), parent)));
        if let Some(parent) = parent {
            event.insert("parent".to_owned(), json!(parent));
        }
        if let Some(item) = message.part(Part::Item) {
            self.items.entry((key.clone(), item)).or_insert_with(|| id.clone());
        }
        let attached = self.attach(message, &id);
        if !attached.is_empty() {
            event.insert("attachments".to_owned(), Value::Array(attached));
        }
        self.lines.push_str(&format!("{at} {}: {words}\n", message.by()));
        let conversation = self.conversations.entry(key).or_default();
        conversation.platform = if message.network.is_empty() { "unknown".to_owned() } else { message.network.clone() };
        conversation.is_direct |= message.kind == "message";
        if message.direction == "outbound" {
            conversation.custodian.get_or_insert_with(|| author.clone());
        }
        conversation.advisors.extend(message.shown.entry.streams().iter().map(|stream| stream.id.to_string()));
        conversation.participants.insert(author);
        conversation.participants.extend(to);
        self.events.push(Value::Object(event));
    }

    fn participant(&mut self, person: &Person, network: &str) -> String {
        let id = format!("P{}", short_digest(&[network.as_bytes(), b"\0", person.account().as_bytes()]));
        let made = || json!({"id": id, "display": person.display(), "account_id": person.account()});
        self.participants.entry(id.clone()).or_insert_with(made);
        id
    }

    /// Who is not shown, or not known.
    fn nobody(&mut self, display: &str) -> String {
        let id = "P0".to_owned();
        self.participants.entry(id.clone()).or_insert_with(|| json!({"id": id, "display": display}));
        id
    }

    fn attach(&mut self, message: &Message<'_>, id: &str) -> Vec<Value> {
        let mut attached = Vec::new();
        for (place, file) in message.attached.iter().enumerate() {
            let Some(bytes) = file.bytes else { continue };
            let end = file.name.rsplit_once('.').map(|(_name, end)| end);
            let is_plain = |end: &&str| (1..=8).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_alphanumeric());
            let name = format!("{id}.{place}.{}", end.filter(is_plain).unwrap_or("bin"));
            self.bytes += bytes.len();
            attached.push(json!({"id": name, "display": file.name, "size": bytes.len()}));
            self.files.push((name, bytes.to_vec()));
        }
        attached
    }
}

fn conversation((id, said): (String, Conversation)) -> Value {
    let mut value = json!({
        "id": id,
        "platform": said.platform,
        "type": if said.is_direct { "direct" } else { "channel" },
        "participants": said.participants,
        "custom": [{"name": "advisors", "value": said.advisors.into_iter().collect::<Vec<_>>().join(" ")}],
    });
    if let (Some(custodian), Some(object)) = (said.custodian, value.as_object_mut()) {
        object.insert("custodian".to_owned(), json!(custodian));
    }
    value
}

/// What ties an event to the record that it was made from; no value may be empty.
fn custom(message: &Message<'_>) -> Value {
    let entry = &message.shown.entry;
    let facts = [
        ("record", message.record.id.to_string()),
        ("entry", entry.index().to_string()),
        ("leaf", entry.leaf().to_string()),
        ("kind", message.kind.clone()),
        ("outcome", message.outcome.clone()),
        ("occurred_at", message.part(Part::OccurredAt).unwrap_or_default()),
        ("permalink", message.part(Part::Permalink).unwrap_or_default()),
        ("withheld", message.withheld()),
    ];
    let kept = facts.into_iter().filter(|(_name, value)| !value.is_empty());
    kept.map(|(name, value)| json!({"name": name, "value": value})).collect()
}
