//! One record taken out: its entries' exact bytes, the fields shown with their salts, the fields withheld by name, and for
//! each entry the proof that it is in the ledger.
//!
//! A field is shown with the salt of that field alone. Nothing shown says anything about what is withheld: salts are derived
//! one by one from a key that never leaves.

mod disposal;
mod shape;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::ledger::{Commitments, Committed, Entry, TlogProof};
use crate::record::{Commitment, FieldName, RecordId, Salt};

pub use disposal::{DisposalProof, DisposalReport, Proved, verify_disposal};
pub use verify::{DisclosureReport, EntryReport, verify_disclosure, verify_disclosure_under};
pub(super) use verify::{LastCheckpoint, Read, examine};

/// Largest disclosure in bytes.
pub const DISCLOSURE_MAX: usize = 1 << 30;
const FORMAT: &str = "muniment-disclosure/1";

/// A disclosure could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// An entry of another record.
    #[error("entry {index} is not of record {record}")]
    OtherRecord {
        /// Index of the entry.
        index: u64,
        /// The record that is disclosed.
        record: RecordId,
    },
    /// The entry does not commit to this.
    #[error("entry {index} does not commit to `{field}` with this value and salt")]
    NotCommitted {
        /// Index of the entry.
        index: u64,
        /// The field.
        field: FieldName,
    },
    /// The entry carries a root only, and the commitments under it were not given or are others.
    #[error("the commitments under the root in entry {index} were not given")]
    CommitmentsMissing {
        /// Index of the entry.
        index: u64,
    },
}

/// A field to be shown.
#[derive(Debug, Clone)]
pub struct ShownField {
    /// Its name.
    pub name: FieldName,
    /// Its salt.
    pub salt: Salt,
    /// Its value.
    pub value: Vec<u8>,
}

/// An entry of the record that is disclosed.
#[derive(Debug, Clone)]
pub struct Disclosed {
    /// The entry.
    pub entry: Entry,
    /// That it is in the ledger.
    pub proof: TlogProof,
    /// What of it is shown.
    pub shown: Vec<ShownField>,
    /// The commitments under the entry's root, where it has only that.
    pub commitments: Option<Commitments>,
}

/// Names of fields that are not shown.
pub type Withheld = Vec<FieldName>;

/// A disclosure as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    format: String,
    #[serde(deserialize_with = "shape::record_id")]
    record: RecordId,
    #[serde(deserialize_with = "shape::objects")]
    entries: Vec<DisclosedEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisclosedEntry {
    entry: String,
    pub(super) proof: String,
    #[serde(deserialize_with = "shape::objects")]
    shown: Vec<DisclosedField>,
    pub(super) withheld: Withheld,
    #[serde(default, deserialize_with = "shape::some_objects", skip_serializing_if = "Option::is_none")]
    commitments: Option<Vec<DisclosedCommitment>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisclosedCommitment {
    name: FieldName,
    commitment: Commitment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisclosedField {
    name: FieldName,
    salt: String,
    /// The value, where it is UTF-8.
    #[serde(default, deserialize_with = "shape::some_text", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The value, where it is not.
    #[serde(default, deserialize_with = "shape::some_text", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl DisclosedEntry {
    /// What is shown, by name; of what is given in no way or in two, nothing.
    pub(super) fn into_shown(self) -> Vec<(FieldName, Vec<u8>)> {
        let value = |field: DisclosedField| {
            let value = match (field.text, field.base64) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(base64)) => STANDARD.decode(base64).unwrap_or_default(),
                _ => Vec::new(),
            };
            (field.name, value)
        };
        self.shown.into_iter().map(value).collect()
    }
}

impl Disclosure {
    /// Takes a record out. Whatever is committed to and not shown is named as withheld.
    ///
    /// # Errors
    /// When something does not fit together: a disclosure that would not verify is never made.
    pub fn new(record: RecordId, entries: Vec<Disclosed>) -> Result<Self, DisclosureError> {
        let entries = entries.into_iter().map(|disclosed| disclose(record, disclosed)).collect::<Result<_, _>>()?;
        Ok(Self { format: FORMAT.to_owned(), record, entries })
    }

    /// The JSON that is handed over.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and lists of strings: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn disclose(record: RecordId, disclosed: Disclosed) -> Result<DisclosedEntry, DisclosureError> {
    let Disclosed { entry, proof, mut shown, commitments } = disclosed;
    let index = entry.index();
    if entry.record() != Some(record) {
        return Err(DisclosureError::OtherRecord { index, record });
    }
    let (all, under_root) = match entry.committed() {
        Committed::Listed(listed) => (listed.clone(), None),
        Committed::Root(_) => {
            let given = commitments.filter(|given| entry.committed().is_to(given));
            let given = given.ok_or(DisclosureError::CommitmentsMissing { index })?;
            let listed = given.iter().map(|(name, commitment)| DisclosedCommitment { name: name.clone(), commitment });
            let listed = listed.collect();
            (given, Some(listed))
        }
    };
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    shown.dedup_by(|a, b| a.name == b.name);
    for field in &shown {
        if all.get(field.name.as_str()) != Some(Commitment::to(&field.salt, &field.value)) {
            return Err(DisclosureError::NotCommitted { index, field: field.name.clone() });
        }
    }
    let is_shown = |name: &FieldName| shown.binary_search_by(|field| field.name.cmp(name)).is_ok();
    let withheld = all.iter().map(|(name, _commitment)| name).filter(|name| !is_shown(name)).cloned().collect();
    let shown = shown.into_iter().map(|field| {
        let salt = URL_SAFE_NO_PAD.encode(field.salt.as_bytes());
        let (text, base64) = match String::from_utf8(field.value) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        DisclosedField { name: field.name, salt, text, base64 }
    });
    Ok(DisclosedEntry {
        entry: STANDARD.encode(entry.bytes()),
        proof: proof.to_string(),
        shown: shown.collect(),
        withheld,
        commitments: under_root,
    })
}
