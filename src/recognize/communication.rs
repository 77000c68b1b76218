//! What recognition says about an exchange: communications, outcomes, accounts learned on the way.
//!
//! Plain data that crosses the pipe between a recognition worker and `capture`, so every field is bounded by the worker
//! ([`super::limits`]) and nothing here borrows. Guessable values (ids, handles, texts, unsalted digests) are for sealed
//! content and commitments only; none of them may stand in a ledger entry in the clear.

use serde::{Deserialize, Serialize};

use crate::record::{Digest, Direction, Kind};

/// Who wrote, who is addressed, whose account it is: as the network names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Party {
    /// The network's stable id (a DID; `host/number` on Mastodon). Empty when only the handle is known.
    pub id: String,
    /// What people type: `adv.example`, `adv@social.example`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Profile page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Which bytes of the request are the attachment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentSource {
    /// The whole request body (a raw upload).
    Body,
    /// The multipart part with this number, from 0.
    Part(u32),
}

/// Media carried by an item, uploaded for one, or linked from one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// Join key between the upload and the item that carries it: a CID, a media id, a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// As declared by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// File name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Alternative text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where the network or a third party serves it (link cards, media of read items).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where its bytes are in this request, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<AttachmentSource>,
}

/// One thing said, changed or taken back. Several of one exchange are numbered by their position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Communication {
    /// What it is.
    pub kind: Kind,
    /// Which way it went, seen from the advisor.
    pub direction: Direction,
    /// The words, as plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who wrote it. None on a write whose account is not in the request: the acting account wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Party>,
    /// Who is addressed, as far as the exchange says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Party>,
    /// The network's id of this item, unique within the network. On a new item usually known only from the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The item (or account) that is answered, shared, reacted to, followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The first item of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The private conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Media.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Where people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// When it happened by the network's or client's word, as written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// The item whose earlier version this replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_from: Option<String>,
    /// Followers of the author at that moment, where the exchange says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// Who can see it, in the network's word (`public`, `direct`…).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// More that the rule wants kept (language, quoted item, poll options, collection…); bounded.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// Reads only: the item's own bytes out of the response or message, exactly as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<String>,
    /// Reads only: changes when the item's content changes and not when its counters do.
    /// The same (network, item, version) is kept once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Digest>,
}

impl Communication {
    /// One of which nothing more is known.
    #[must_use]
    pub fn bare(kind: Kind, direction: Direction) -> Self {
        Self {
            kind,
            direction,
            text: None,
            author: None,
            recipients: Vec::new(),
            item: None,
            parent: None,
            root: None,
            conversation: None,
            attachments: Vec::new(),
            permalink: None,
            occurred_at: None,
            edited_from: None,
            followers: None,
            visibility: None,
            detail: serde_json::Map::new(),
            fragment: None,
            version: None,
        }
    }
}

/// How the origin took a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The origin did it.
    Accepted,
    /// The origin said no (a 200 can be a no).
    Refused,
    /// No telling.
    Unknown,
}

/// What the response says about one communication of the write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomeItem {
    /// Which communication, by its number.
    pub number: u32,
    /// The network's id, now known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Where people find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// The network's own time for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

/// What the response says about the whole write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the origin took it.
    pub verdict: Verdict,
    /// Why it was refused, in the network's words, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Ids and permalinks, per communication.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<OutcomeItem>,
}

/// Everything one run of recognition says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recognition {
    /// Digest of the whole rule set that spoke: provenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<Digest>,
    /// The network, where a network rule matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The rule, as `network/rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// An `ignore` rule matched once the body was known: nothing to keep.
    pub ignored: bool,
    /// What was said. For a write that no rule knows: one `unclassified`.
    pub communications: Vec<Communication>,
    /// How the origin took it; only when a response was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The account that acts in this session, where the exchange shows it: bind it to the session key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Party>,
    /// The redacted token that the response hands to this account: bind it to `SessionKey::of_redacted` as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What went wrong, in words that carry no content. The exchange is then kept raw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// A rule that did not do its work on this exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The rule, as `network/rule`.
    pub rule: String,
    /// What happened.
    pub what: ProblemKind,
}

/// What can go wrong inside a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The program ended with an error on this input.
    ProgramFailed,
    /// The program's output was no communication (a missing kind, a field of the wrong type).
    BadOutput,
    /// Outputs passed a limit in number or size; those beyond it were dropped.
    TooMuchOutput,
    /// The named decoder could not read the bytes.
    DecoderFailed,
    /// A kept item of a read has no fragment: its path is missing or points nowhere.
    NoFragment,
    /// The exchange could not be read as JSON.
    BadInput,
    /// The rule that speaks here is switched off: it had not ended in time before.
    SwitchedOff,
}
