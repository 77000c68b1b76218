//! What stands around the records: who the people are, what could not be kept, who looked, what the matter is, how the archive was checked.
//! Entries of the same ledger, each with its proof, and some with what they commit to.
//!
//! That they are all of their kind is not said: only the ranges are proved to be whole.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::disclosure::ShownField;
use crate::ledger::{Checkpoint, Committed, Entry, EntryType, parse_base64_digest, verify_inclusion};
use crate::record::{Commitment, Digest, FieldName, Salt, canonical};

/// Longest line: an entry in base64 with 64 hashes, and what it commits to.
pub(super) const LINE_MAX: u64 = 1 << 20;

/// What an entry tells about the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circumstance {
    /// Advisors, and whose devices and accounts are whose.
    Identity,
    /// What could not be kept or read.
    Gaps,
    /// Who was shown the records.
    Access,
    /// The matter, its custodians and notices, and its holds.
    Matter,
    /// That the archive was read again and checked.
    Integrity,
}

impl Circumstance {
    /// All, in the order of the bundle.
    pub const ALL: [Self; 5] = [Self::Identity, Self::Gaps, Self::Access, Self::Matter, Self::Integrity];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gaps => "gaps",
            Self::Access => "access",
            Self::Matter => "matter",
            Self::Integrity => "integrity",
        }
    }

    /// What an entry of this type tells, which stands in the stream of whom it concerns: then all that are in a range are told.
    #[must_use]
    pub const fn of_ranges(entry_type: EntryType) -> Option<Self> {
        match entry_type {
            EntryType::Identity => Some(Self::Identity),
            EntryType::Gap => Some(Self::Gaps),
            _ => None,
        }
    }

    /// Is an entry of this type one?
    #[must_use]
    pub const fn has(self, entry_type: EntryType) -> bool {
        match self {
            Self::Identity => matches!(entry_type, EntryType::Identity),
            Self::Gaps => matches!(entry_type, EntryType::Gap),
            Self::Access => matches!(entry_type, EntryType::Access),
            Self::Matter => matches!(entry_type, EntryType::Matter | EntryType::Hold | EntryType::Release),
            Self::Integrity => matches!(entry_type, EntryType::Verification),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    entry: String,
    hashes: Vec<String>,
    /// Name, salt and value of each field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shown: Vec<(FieldName, String, String)>,
}

/// An entry with its proof, and what of it is shown, which is text.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) entry: Entry,
    pub(super) hashes: Vec<Digest>,
    pub(super) shown: Vec<ShownField>,
}

impl Told {
    /// What is shown of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let field = self.shown.iter().find(|field| field.name.as_str() == name)?;
        std::str::from_utf8(&field.value).ok()
    }

    /// Its line; none where something shown is no text.
    pub(super) fn line(&self) -> Option<Vec<u8>> {
        let hashes = self.hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        let field = |field: &ShownField| {
            let text = std::str::from_utf8(&field.value).ok()?.to_owned();
            Some((field.name.clone(), URL_SAFE_NO_PAD.encode(field.salt.as_bytes()), text))
        };
        let shown = self.shown.iter().map(field).collect::<Option<_>>()?;
        let mut line = canonical(&Line { entry: STANDARD.encode(self.entry.bytes()), hashes, shown }).ok()?;
        line.push(b'\n');
        Some(line)
    }

    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let read: Line = serde_json::from_slice(line).map_err(|_source| "a line is none of an entry".to_owned())?;
        let bytes = STANDARD.decode(&read.entry).map_err(|_source| "an entry is not base64".to_owned())?;
        let entry = Entry::from_bytes(bytes).map_err(|error| error.to_string())?;
        let index = entry.index();
        let hashes = read.hashes.iter().map(|hash| parse_base64_digest(hash)).collect::<Option<Vec<_>>>();
        let hashes = hashes.ok_or_else(|| format!("entry {index}: a hash of its proof is none"))?;
        let field = |(name, salt, text): (FieldName, String, String)| {
            let salt: [u8; 32] = URL_SAFE_NO_PAD.decode(salt).ok()?.try_into().ok()?;
            Some(ShownField { name, salt: Salt::new(salt), value: text.into_bytes() })
        };
        let shown = read.shown.into_iter().map(field).collect::<Option<Vec<_>>>();
        let shown = shown.ok_or_else(|| format!("entry {index}: a salt is none"))?;
        let told = Self { entry, hashes, shown };
        if told.line().as_deref() == Some(line) && told.shown.is_sorted_by(|a, b| a.name < b.name) {
            Ok(told)
        } else {
            Err(format!("entry {index}: its line is spelled in another way"))
        }
    }

    /// Is what is shown what the entry commits to?
    pub(super) fn commits(&self) -> bool {
        let Committed::Listed(listed) = self.entry.committed() else { return self.shown.is_empty() };
        let holds =
            |field: &ShownField| listed.get(field.name.as_str()) == Some(Commitment::to(&field.salt, &field.value));
        self.shown.iter().all(holds)
    }

    /// What is wrong with it as an entry of this kind below a size, proved by a checkpoint.
    pub(super) fn problem(&self, of: Circumstance, as_of: u64, checkpoint: &Checkpoint) -> Option<String> {
        let index = self.entry.index();
        let Checkpoint { size, root, .. } = checkpoint;
        if let Err(error) = verify_inclusion(&self.entry.leaf(), index, *size, root, &self.hashes) {
            return Some(format!("entry {index}: {error}"));
        }
        if !of.has(self.entry.entry_type()) || index >= as_of {
            return Some(format!("entry {index} is of another kind, or came after what was looked at"));
        }
        (!self.commits()).then(|| format!("entry {index} does not commit to what is shown of it"))
    }
}
