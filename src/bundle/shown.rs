//! A record as a bundle shows it: what writer and verifier make the same renditions of.

use std::collections::BTreeMap;

use super::paths;
use crate::ledger::{Entry, EntryType};
use crate::record::{FieldName, RecordId};

/// Why fields are withheld, by their name.
pub type Reasons = BTreeMap<FieldName, String>;
/// Longest reason in bytes.
pub const REASON_MAX: usize = 1_000;

/// An entry, with what is shown of it and what is not.
#[derive(Debug)]
pub(super) struct ShownEntry {
    pub(super) entry: Entry,
    /// In the order of the names.
    pub(super) shown: Vec<(FieldName, Vec<u8>)>,
    pub(super) withheld: Reasons,
}

/// A record.
#[derive(Debug)]
pub(super) struct ShownRecord {
    pub(super) id: RecordId,
    /// In the order of the ledger.
    pub(super) entries: Vec<ShownEntry>,
}

impl ShownRecord {
    /// What the network made of an entry: the newest outcome that stands here.
    pub(super) fn outcome_of(&self, capture: &ShownEntry) -> String {
        let id = capture.entry.id().to_string();
        let of_it =
            |shown: &&ShownEntry| shown.entry.entry_type() == EntryType::Outcome && shown.detail("capture") == id;
        self.entries.iter().rfind(of_it).map(|outcome| outcome.detail("state")).unwrap_or_default()
    }
}

impl ShownEntry {
    /// What it says in the clear, as text.
    pub(super) fn detail(&self, key: &str) -> String {
        detail_of(&self.entry, key)
    }

    fn field(&self, field: &str) -> Option<&(FieldName, Vec<u8>)> {
        let at = self.shown.binary_search_by(|(name, _value)| name.as_str().cmp(field)).ok()?;
        self.shown.get(at)
    }

    /// What is shown of a field.
    pub(super) fn value(&self, field: &str) -> Option<&[u8]> {
        self.field(field).map(|(_name, value)| value.as_slice())
    }

    /// Is there such a field, shown or withheld?
    pub(super) fn commits_to(&self, field: &str) -> bool {
        self.field(field).is_some() || self.withheld.keys().any(|name| name.as_str() == field)
    }

    /// What is shown of a field: its text, or how many bytes it has.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.field(field).map(|(name, value)| readable(name, value))
    }

    /// The numbers of the communications of which something is shown or withheld.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let names = self.shown.iter().map(|(name, _value)| name).chain(self.withheld.keys());
        let number = |name: &FieldName| name.as_str().split_once('.').and_then(|(number, _part)| number.parse().ok());
        let mut numbers: Vec<u32> = names.filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Does it put the record into a range?
    pub(super) fn advisors(&self) -> String {
        self.entry.streams().iter().map(|stream| stream.id.to_string()).collect::<Vec<_>>().join(" ")
    }
}

/// What an entry says in the clear, as text.
pub(super) fn detail_of(entry: &Entry, key: &str) -> String {
    match entry.detail().get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(list)) => {
            list.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        }
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// A value for people: bytes that are no text, or are kept as a file, by their number only.
pub(super) fn readable(name: &FieldName, value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !paths::is_native(name) => text.to_owned(),
        _ => format!("[{} bytes]", value.len()),
    }
}

/// Does an entry of this type put its record where its advisor has it?
pub(super) const fn is_of_range(entry_type: EntryType) -> bool {
    matches!(entry_type, EntryType::Capture | EntryType::Observation | EntryType::Attribution)
}
