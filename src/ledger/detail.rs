//! What each type of entry may say about itself: the keys of `detail`, and the shape of each value.
//!
//! Invariant: everything plain in an entry is ours: ids we made, words from our own lists, counts, times, and digests of
//! high-entropy bytes. What a network, an advisor or an officer wrote is a commitment. The table here is the table in
//! `docs/FORMAT.md`; a test holds the two together.

use super::cursor::Cursor;
use super::spelling::{is_time, parse_digest, parse_uuid};
use super::{EntryError, EntryType};
use crate::record::is_word;

/// One value as it stands in `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Bool(bool),
    Count(u64),
    Text(&'a [u8]),
    /// What stands between the brackets.
    List(&'a [u8]),
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// An integer from 0 to 2^53 - 1.
    Count,
    /// A uuid.
    Uuid,
    /// 64 lower-case hex digits.
    Digest,
    /// A time.
    Time,
    /// A word of our own: `[a-z0-9][a-z0-9_.-]{0,63}`.
    Word,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of words, at most 512.
    Words,
    /// A list of these words, at most 512.
    ListOf(&'static [&'static str]),
    /// A list of uuids, at most 512.
    Uuids,
}

/// One key of `detail`.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// Must it be there?
    pub required: bool,
}

const fn must(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: true }
}

const fn may(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: false }
}

const KINDS: &[&str] = &[
    "post",
    "reply",
    "comment",
    "message",
    "reaction",
    "share",
    "edit",
    "deletion",
    "profile_change",
    "connection_request",
    "upload",
    "poll_vote",
    "moderation",
    "unclassified",
];
const DIRECTIONS: &[&str] = &["outbound", "inbound"];
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete", "other"];
const TRANSPORTS: &[&str] = &["http", "websocket", "sse"];

use Shape::{Bool, Count, Digest, ListOf, OneOf, Time, Uuid, Uuids, Word, Words};

const CAPTURE: &[Key] = &[
    must("attachments", Count),
    may("derived_from", Uuid),
    must("direction", OneOf(DIRECTIONS)),
    must("exchange", Uuid),
    may("flags", Words),
    must("kinds", ListOf(KINDS)),
    may("method", OneOf(METHODS)),
    must("network", Word),
    may("retry_of", Uuid),
    may("rule", Word),
    must("rules", Digest),
    must("size", Count),
    must("transport", OneOf(TRANSPORTS)),
];
const OUTCOME: &[Key] = &[
    must("capture", Uuid),
    may("cause", Word),
    may("items", Count),
    may("size", Count),
    must("state", OneOf(&["accepted", "refused", "unknown"])),
    may("status", Count),
];
const OBSERVATION: &[Key] = &[
    must("attachments", Count),
    may("derived_from", Uuid),
    must("direction", OneOf(DIRECTIONS)),
    must("exchange", Uuid),
    may("flags", Words),
    must("kinds", ListOf(KINDS)),
    must("network", Word),
    may("previous_version", Uuid),
    may("rule", Word),
    must("rules", Digest),
    must("size", Count),
    must("transport", OneOf(TRANSPORTS)),
];
const GAP: &[Key] = &[
    may("capture", Uuid),
    must("cause", Word),
    must("count", Count),
    may("device", Uuid),
    may("exchange", Uuid),
    must("from", Time),
    may("network", Word),
    may("size", Count),
    may("step", OneOf(&["forward", "backward"])),
    may("step_us", Count),
    must("until", Time),
];
const ATTRIBUTION: &[Key] = &[may("account", Uuid), must("cause", Word), must("entry", Uuid), must("index", Count)];
const IDENTITY: &[Key] = &[
    may("advisor", Uuid),
    must("change", OneOf(&["added", "changed", "revoked"])),
    may("digest", Digest),
    may("id", Uuid),
    may("network", Word),
    may("role", OneOf(&["compliance", "legal", "auditor", "admin"])),
    must("subject", OneOf(&["advisor", "device", "account", "officer", "source", "key"])),
];
const HOLD: &[Key] = &[
    may("evaluated", Count),
    may("from", Time),
    must("hold", Uuid),
    may("matter", Uuid),
    must("scope", OneOf(&["record", "stream", "all"])),
    must("targets", Uuids),
    may("until", Time),
];
const RELEASE: &[Key] = &[must("hold", Uuid)];
const DISPOSAL: &[Key] = &[
    must("backups_expire_at", Time),
    may("blobs", Count),
    may("contents", Count),
    may("disposal", Uuid),
    must("phase", OneOf(&["destroyed", "swept"])),
    must("records", Uuids),
    must("rule", Word),
];
const ACCESS: &[Key] = &[
    may("advisor", Uuid),
    must("allowed", Bool),
    must("count", Count),
    must("operation", Word),
    may("records", Uuids),
];
const SETTINGS: &[Key] = &[must("change", Word), may("rules", Digest), may("software", Word)];
const VERIFICATION: &[Key] = &[
    may("contents", Count),
    may("entries", Count),
    must("failures", Count),
    may("first_failure", Count),
    must("from", Count),
    must("result", OneOf(&["verified", "failed"])),
    must("scope", OneOf(&["all", "checkpoints", "content", "entries", "projections"])),
    must("until", Count),
];
const ANCHOR: &[Key] = &[
    must("by", OneOf(&["witness", "timestamp", "file"])),
    must("evidence", Digest),
    must("root", Digest),
    must("size", Count),
];

const MATTER: &[Key] = &[
    may("advisor", Uuid),
    must(
        "change",
        OneOf(&[
            "opened",
            "changed",
            "closed",
            "reopened",
            "custodian_added",
            "custodian_removed",
            "notice_issued",
            "notice_acknowledged",
        ]),
    ),
    must("matter", Uuid),
    may("notice", Uuid),
];

const EXPORT: &[Key] =
    &[must("as_of", Count), must("bundle", Uuid), may("format", Word), may("matter", Uuid), must("records", Count)];

/// The keys of a type, in byte order; none for a type that is reserved: its keys are not fixed yet, only their shapes.
#[must_use]
pub const fn keys(entry_type: EntryType) -> Option<&'static [Key]> {
    match entry_type {
        EntryType::Capture => Some(CAPTURE),
        EntryType::Outcome => Some(OUTCOME),
        EntryType::Observation => Some(OBSERVATION),
        EntryType::Gap => Some(GAP),
        EntryType::Attribution => Some(ATTRIBUTION),
        EntryType::Identity => Some(IDENTITY),
        EntryType::Hold => Some(HOLD),
        EntryType::Release => Some(RELEASE),
        EntryType::Disposal => Some(DISPOSAL),
        EntryType::Access => Some(ACCESS),
        EntryType::Settings => Some(SETTINGS),
        EntryType::Verification => Some(VERIFICATION),
        EntryType::Anchor => Some(ANCHOR),
        EntryType::Matter => Some(MATTER),
        EntryType::Export => Some(EXPORT),
        EntryType::Decision | EntryType::Review => None,
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.try_into().is_ok_and(|text| parse_uuid(text).is_some())
}

fn is_one_of(words: &[&str], text: &[u8]) -> bool {
    words.iter().any(|word| word.as_bytes() == text)
}

/// The strings of a scanned list.
pub(crate) fn each_element(inside: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut cursor = Cursor::new(inside);
    std::iter::from_fn(move || {
        cursor.skip(",");
        if cursor.is_at_end() { None } else { cursor.string().ok() }
    })
}

impl Shape {
    /// Does a value have this shape? The answer says what is wrong.
    fn check(self, token: &Token<'_>) -> Result<(), &'static str> {
        let (fits, problem) = match (self, token) {
            (Self::Bool, Token::Bool(_)) | (Self::Count, Token::Count(_)) => (true, ""),
            (Self::Uuid, Token::Text(text)) => (is_uuid(text), "is not a lower-case uuid"),
            (Self::Digest, Token::Text(text)) => {
                let digest = <&[u8; 64]>::try_from(*text).ok().and_then(parse_digest);
                (digest.is_some(), "is not 64 lower-case hex digits")
            }
            (Self::Time, Token::Text(text)) => ((*text).try_into().is_ok_and(is_time), "is not a time"),
            (Self::Word, Token::Text(text)) => (is_word(text), "is not a word"),
            (Self::OneOf(words), Token::Text(text)) => (is_one_of(words, text), "is not one of its words"),
            (Self::Words, Token::List(list)) => (each_element(list).all(is_word), "holds what is not a word"),
            (Self::ListOf(words), Token::List(list)) => {
                (each_element(list).all(|word| is_one_of(words, word)), "holds what is not one of its words")
            }
            (Self::Uuids, Token::List(list)) => (each_element(list).all(is_uuid), "holds what is not a uuid"),
            _ => (false, "has another shape"),
        };
        if fits { Ok(()) } else { Err(problem) }
    }

    /// Reserved types: any shape there is.
    fn check_any(token: &Token<'_>) -> Result<(), &'static str> {
        match token {
            Token::Text(text) if (*text).try_into().is_ok_and(is_time) => Ok(()),
            Token::Text(_) => Self::Word.check(token),
            Token::List(_) => Self::Words.check(token),
            Token::Bool(_) | Token::Count(_) => Ok(()),
        }
    }
}

/// Checks the members of one `detail`, which come in the order of their keys.
pub(crate) struct Check {
    entry_type: EntryType,
    /// The keys not met yet.
    keys: Option<&'static [Key]>,
}

impl Check {
    pub(crate) const fn new(entry_type: EntryType) -> Self {
        Self { entry_type, keys: keys(entry_type) }
    }

    fn error(&self, key: &[u8], problem: &'static str) -> EntryError {
        EntryError::Detail { entry_type: self.entry_type, key: String::from_utf8_lossy(key).into_owned(), problem }
    }

    pub(crate) fn member(&mut self, name: &[u8], token: &Token<'_>) -> Result<(), EntryError> {
        let Some(mut keys) = self.keys else {
            return Shape::check_any(token).map_err(|problem| self.error(name, problem));
        };
        while let Some((key, rest)) = keys.split_first() {
            keys = rest;
            if key.name.as_bytes() == name {
                self.keys = Some(rest);
                return key.shape.check(token).map_err(|problem| self.error(name, problem));
            }
            if key.required {
                return Err(self.error(key.name.as_bytes(), "is missing"));
            }
        }
        Err(self.error(name, "is not known"))
    }

    pub(crate) fn finish(self) -> Result<(), EntryError> {
        match self.keys.unwrap_or_default().iter().find(|key| key.required) {
            Some(key) => Err(self.error(key.name.as_bytes(), "is missing")),
            None => Ok(()),
        }
    }
}
