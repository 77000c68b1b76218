//! Names of the sealed fields of a record, and the small words of our own that entries hold.
//!
//! Invariant: a name is plain ASCII of a closed alphabet, so its bytes sort, hash and print the same everywhere.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kind::words;

/// The text was not 1 to 64 of `a-z`, `0-9`, `_`, `.`, `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field name is 1 to 64 of a-z, 0-9, _, . and -")]
pub struct FieldNameError;

/// The text was not 1 to 64 of `a-z`, `0-9`, `_`, `.`, `-`, beginning with a letter or digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a word is 1 to 64 of a-z, 0-9, _, . and -, beginning with a letter or digit")]
pub struct WordError;

/// The name of one sealed field: `[a-z0-9_.-]{1,64}`.
///
/// A communication's fields carry its number (`0.text`, `1.author`); the exchange's own are `request.head` and the like.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(Cow<'static, str>);

macro_rules! fields {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Self = Self(Cow::Borrowed($name));)*

        #[cfg(test)]
        const CONSTANTS: &'static [Self] = &[$(Self::$constant,)*];
    };
}

impl FieldName {
    fields! {
        /// Facts about the connection and the origin's handshake (JSON).
        CONNECTION = "connection";
        /// Scrubbed request head.
        REQUEST_HEAD = "request.head";
        /// Request body as sent.
        REQUEST_BODY = "request.body";
        /// Request trailers.
        REQUEST_TRAILERS = "request.trailers";
        /// Scrubbed response head.
        RESPONSE_HEAD = "response.head";
        /// Response body as received.
        RESPONSE_BODY = "response.body";
        /// What was taken out of heads, bodies and messages, and where (JSON).
        REDACTIONS = "redactions";
        /// One WebSocket message or server-sent event as received.
        MESSAGE = "message";
        /// The host concerned (of a gap, for instance).
        HOST = "host";
        /// What a person or account is called.
        NAME = "name";
        /// The account's stable id on its network.
        ID = "id";
        /// The account's handle on its network.
        HANDLE = "handle";
        /// Why an officer looked.
        PURPOSE = "purpose";
        /// What an officer searched for.
        QUERY = "query";
        /// Advisors, devices, accounts and officers whose registration was shown (JSON).
        SUBJECTS = "subjects";
        /// Until when an officer's token is taken, and what it reaches (JSON).
        LIMITS = "limits";
        /// The reason given, in words.
        REASON = "reason";
        /// What a matter is about.
        DESCRIPTION = "description";
        /// What others call a matter.
        EXTERNAL = "external";
        /// What a notice says.
        TEXT = "text";
        /// Settings as meant, secrets left out.
        SETTINGS = "settings";
    }

    /// The field `part` of communication `number`.
    #[must_use]
    pub fn part(number: u16, part: Part) -> Self {
        Self(Cow::Owned(format!("{number}.{part}")))
    }

    /// The bytes of attachment `attachment` of communication `number`.
    #[must_use]
    pub fn attachment(number: u16, attachment: u16) -> Self {
        Self(Cow::Owned(format!("{number}.attachment.{attachment}")))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

words! {
    /// What a rule extracts of one communication.
    Part {
        /// What it says.
        Text = "text",
        /// Who wrote it, as the network has it.
        Author = "author",
        /// The acting account, as the network has it.
        Account = "account",
        /// The item's id on the network.
        Item = "item",
        /// The item it answers.
        Parent = "parent",
        /// The item that began the thread.
        Root = "root",
        /// Who is addressed (JSON).
        Recipients = "recipients",
        /// The conversation's id on the network.
        Conversation = "conversation",
        /// List of what is attached (JSON).
        Attachments = "attachments",
        /// Where it can be seen.
        Permalink = "permalink",
        /// When the network says it happened.
        OccurredAt = "occurred_at",
        /// The item or version it changes.
        EditedFrom = "edited_from",
        /// The audience size the network reported.
        Followers = "followers",
        /// Who can see it, in the network's word.
        Visibility = "visibility",
        /// What else the rule keeps (JSON).
        Detail = "detail",
        /// Tells versions of an item apart (hex digest).
        Version = "version",
        /// The item's own fragment as received.
        Raw = "raw",
    }
}

const fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-')
}

pub(crate) fn is_field_name(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len()) && bytes.iter().all(|b| is_field_byte(*b))
}

pub(crate) fn is_word(bytes: &[u8]) -> bool {
    is_field_name(bytes) && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
}

impl FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(text: &str) -> Result<Self, FieldNameError> {
        if is_field_name(text.as_bytes()) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(FieldNameError) }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for FieldName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A word of our own (a service, a cause, an operation): `[a-z0-9][a-z0-9_.-]{0,63}`. Never anybody's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Cow<'static, str>);

impl Word {
    /// The part of the service that records.
    pub const CAPTURE: Self = Self(Cow::Borrowed("capture"));

    /// The word as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if is_word(text.as_bytes()) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(WordError) }
    }
}

impl TryFrom<&'static str> for Word {
    type Error = WordError;

    fn try_from(text: &'static str) -> Result<Self, WordError> {
        if is_word(text.as_bytes()) { Ok(Self(Cow::Borrowed(text))) } else { Err(WordError) }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_name_is_of_the_closed_alphabet() {
        for good in ["0.text", "request.head", "a", "x".repeat(64).as_str(), "1.attachment.2"] {
            assert_eq!(good.parse::<FieldName>().unwrap().as_str(), good);
        }
        for bad in ["", "Text", "a b", "a\n", "é", "a/b", "x".repeat(65).as_str()] {
            assert_eq!(bad.parse::<FieldName>(), Err(FieldNameError), "{bad:?}");
        }
    }

    #[test]
    fn every_name_we_make_ourselves_is_a_field_name() {
        let parts = Part::ALL.iter().map(|p| FieldName::part(u16::MAX, *p));
        for name in FieldName::CONSTANTS.iter().cloned().chain(parts).chain([FieldName::attachment(u16::MAX, u16::MAX)])
        {
            assert_eq!(name.as_str().parse::<FieldName>().as_ref(), Ok(&name));
        }
        assert_eq!(Word::CAPTURE.as_str().parse(), Ok(Word::CAPTURE));
    }
}
