//! What a program gives, checked: one JSON object to one communication.
//!
//! Unknown members are refused, so that a misspelt field shows in its rule's fixture and not in an empty record.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::communication::{Attachment, AttachmentSource, Communication, Outcome, OutcomeItem, Party, Verdict};
use crate::exchange::Step;
use crate::record::{Digest, Direction, Kind, canonical};

/// A communication as a program gives it. `null` is the same as absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    kind: Kind,
    direction: Option<Direction>,
    text: Option<String>,
    author: Option<PartyDraft>,
    recipients: Option<Vec<PartyDraft>>,
    item: Option<String>,
    parent: Option<String>,
    root: Option<String>,
    conversation: Option<String>,
    attachments: Option<Vec<AttachmentDraft>>,
    permalink: Option<String>,
    occurred_at: Option<String>,
    edited_from: Option<String>,
    followers: Option<u64>,
    visibility: Option<String>,
    detail: Option<Map<String, Value>>,
    /// Reads: path to the item's own JSON, such as `["response","json","feed",0,"post"]`.
    pub(crate) fragment: Option<Vec<Value>>,
    /// Reads: what makes another version of the item; text and attachments when left out.
    version: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartyDraft {
    id: Option<String>,
    handle: Option<String>,
    name: Option<String>,
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachmentDraft {
    reference: Option<String>,
    media_type: Option<String>,
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    source: Option<AttachmentSource>,
}

impl Draft {
    pub(crate) fn parse(value: Value) -> Option<Self> {
        serde_json::from_value(value).ok()
    }

    /// The path of the fragment, if there is one and it is a path.
    pub(crate) fn fragment_path(&self) -> Option<Vec<Step>> {
        self.fragment.as_ref()?.iter().map(step).collect()
    }

    /// The communication; `received` adds what only reads have.
    pub(crate) fn communication(self, default: Direction, received: Option<Option<String>>) -> Communication {
        let mut detail = self.detail.unwrap_or_default();
        detail.retain(|_name, value| !value.is_null());
        let mut communication = Communication {
            text: self.text,
            author: self.author.and_then(PartyDraft::party),
            recipients: self.recipients.into_iter().flatten().filter_map(PartyDraft::party).collect(),
            item: self.item,
            parent: self.parent,
            root: self.root,
            conversation: self.conversation,
            attachments: self.attachments.into_iter().flatten().map(AttachmentDraft::attachment).collect(),
            permalink: self.permalink,
            occurred_at: self.occurred_at,
            edited_from: self.edited_from,
            followers: self.followers,
            visibility: self.visibility,
            detail,
            ..Communication::bare(self.kind, self.direction.unwrap_or(default))
        };
        if let Some(fragment) = received {
            communication.fragment = fragment;
            communication.version = version(&communication, self.version.as_ref());
        }
        communication
    }
}

/// Digest of what the rule says makes a version, else of what a reader would call the content.
fn version(communication: &Communication, said: Option<&Value>) -> Option<Digest> {
    let bytes = match said {
        Some(said) => canonical(&(communication.kind, said)),
        None => canonical(&(communication.kind, &communication.text, &communication.attachments)),
    };
    bytes.ok().map(|bytes| Digest::of(&[&bytes]))
}

fn step(value: &Value) -> Option<Step> {
    match value {
        Value::String(key) => Some(Step::Key(key.clone())),
        Value::Number(index) => index.as_u64().map(Step::Index),
        _ => None,
    }
}

impl PartyDraft {
    fn party(self) -> Option<Party> {
        let party = Party { id: self.id.unwrap_or_default(), handle: self.handle, name: self.name, url: self.url };
        (party != Party::default()).then_some(party)
    }
}

impl AttachmentDraft {
    fn attachment(self) -> Attachment {
        Attachment {
            reference: self.reference,
            media_type: self.media_type,
            name: self.name,
            description: self.description,
            url: self.url,
            source: self.source,
        }
    }
}

/// Somebody, as an `account` program gives it.
pub(crate) fn party(value: Value) -> Option<Party> {
    serde_json::from_value::<PartyDraft>(value).ok().and_then(PartyDraft::party)
}

/// An outcome as a program gives it. Items without a number are numbered by their place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeDraft {
    verdict: Verdict,
    reason: Option<String>,
    items: Option<Vec<Option<ItemDraft>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemDraft {
    number: Option<u32>,
    item: Option<String>,
    permalink: Option<String>,
    occurred_at: Option<String>,
}

/// A reason longer than this is a page.
const MAX_REASON: usize = 500;

pub(crate) fn outcome(value: Value) -> Option<Outcome> {
    let draft: OutcomeDraft = serde_json::from_value(value).ok()?;
    let items = (0..).zip(draft.items.into_iter().flatten()).filter_map(|(place, item)| {
        let item = item?;
        Some(OutcomeItem {
            number: item.number.unwrap_or(place),
            item: item.item,
            permalink: item.permalink,
            occurred_at: item.occurred_at,
        })
    });
    let items = items.filter(|item| item.item.is_some() || item.permalink.is_some() || item.occurred_at.is_some());
    Some(Outcome {
        verdict: draft.verdict,
        reason: draft.reason.map(|reason| reason.chars().take(MAX_REASON).collect()),
        items: items.collect(),
    })
}
