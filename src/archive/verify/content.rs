//! Content against commitments: every field is opened, its commitment computed again, and held against the entry.

use std::collections::BTreeMap;

use super::copy::Stored;
use super::finding::Findings;
use crate::archive::blobs::BlobStore;
use crate::archive::read::{open_blob, parse_key, unwrap};
use crate::archive::submission::BlobDigest;
use crate::ledger::{Commitments, Committed, Entry, EntryType};
use crate::record::{Commitment, FieldName, MasterKey, RecordId, RecordKey, unseal};

/// The check's name in findings.
pub(super) const CHECK: &str = "content";

/// A blob of an entry, as the catalogue has it.
#[derive(Debug, Clone)]
pub(super) struct BlobRow {
    pub(super) record: RecordId,
    pub(super) name: String,
    pub(super) digest: BlobDigest,
    pub(super) size: u64,
    pub(super) wrapped: Option<Vec<u8>>,
}

/// Blobs by entry.
pub(super) type BlobRows = BTreeMap<u64, Vec<BlobRow>>;

/// An entry that commits to something of which nothing is stored: disposed of, or lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub(super) index: u64,
    pub(super) record: RecordId,
}

/// What the content of a run of entries came to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) fields: u64,
    pub(super) missing: Vec<Missing>,
    /// Disposals: place, records.
    pub(super) disposals: Vec<(u64, Vec<RecordId>)>,
}

/// What opens content.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) master: MasterKey,
    pub(super) blobs: BlobStore,
}

impl Opener {
    /// Checks everything stored for one entry.
    pub(super) fn check(
        &self,
        entry: &Entry,
        stored: &Stored<'_>,
        blobs: &[BlobRow],
        findings: &Findings,
        checked: &mut Checked,
    ) {
        let index = stored.row.index;
        note_disposal(entry, checked);
        let nothing_stored = stored.names.is_empty() && blobs.is_empty();
        let commits = match entry.committed() {
            Committed::Listed(listed) => !listed.is_empty(),
            Committed::Root(_) => true,
        };
        let Some(record) = entry.record() else {
            if commits {
                findings.at(CHECK, index, "commits to content without naming its record");
            } else if !nothing_stored {
                findings.at(CHECK, index, "content is stored for an entry that commits to none");
            }
            return;
        };
        if nothing_stored {
            if commits {
                checked.missing.push(Missing { index, record });
            }
            return;
        }
        let other_record = stored.record.is_some_and(|stored| stored != record.uuid())
            || blobs.iter().any(|blob| blob.record != record);
        if other_record {
            findings.at(CHECK, index, "content is stored under another record");
            return;
        }
        // An entry whose fields are all blobs has no row of its own.
        let wrapped = stored.wrapped.or_else(|| blobs.first().and_then(|blob| blob.wrapped.as_deref()));
        let Some(key) = self.key(index, record, wrapped, findings) else { return };
        let mut commitments = Commitments::new();
        let mut sound = self.check_fields(entry, &key, stored, &mut commitments, findings);
        sound &= self.check_blobs(entry, &key, blobs, &mut commitments, findings);
        checked.fields += commitments.len() as u64;
        if sound && !entry.committed().is_to(&commitments) {
            for problem in differences(entry.committed(), &commitments) {
                findings.at(CHECK, index, problem);
            }
        }
    }

    fn key(&self, index: u64, record: RecordId, wrapped: Option<&[u8]>, findings: &Findings) -> Option<RecordKey> {
        let Some(wrapped) = wrapped else {
            findings.at(CHECK, index, "content is stored whose record has no key");
            return None;
        };
        let opened = parse_key(wrapped).and_then(|wrapped| unwrap(&self.master, record, &wrapped));
        opened.inspect_err(|error| findings.at(CHECK, index, error.to_string())).ok()
    }

    fn check_fields(
        &self,
        entry: &Entry,
        key: &RecordKey,
        stored: &Stored<'_>,
        commitments: &mut Commitments,
        findings: &Findings,
    ) -> bool {
        let mut sound = true;
        for (name, ciphertext) in stored.names.iter().zip(&stored.ciphertexts) {
            let name = std::str::from_utf8(name).ok().and_then(|name| name.parse::<FieldName>().ok());
            let Some(name) = name else {
                findings.at(CHECK, entry.index(), "a field has no name of ours");
                sound = false;
                continue;
            };
            match unseal(&key.sealing_key(entry.id(), &name), ciphertext) {
                Ok(value) => {
                    let commitment = Commitment::to(&key.salt(entry.id(), &name), &value);
                    commitments.insert(name, commitment);
                }
                Err(error) => {
                    findings.at(CHECK, entry.index(), format!("field {name}: {error}"));
                    sound = false;
                }
            }
        }
        sound
    }

    fn check_blobs(
        &self,
        entry: &Entry,
        key: &RecordKey,
        blobs: &[BlobRow],
        commitments: &mut Commitments,
        findings: &Findings,
    ) -> bool {
        let mut sound = true;
        for blob in blobs {
            let Ok(name) = blob.name.parse::<FieldName>() else {
                findings.at(CHECK, entry.index(), "a blob has no name of ours");
                sound = false;
                continue;
            };
            let opened = self
                .blobs
                .check(blob.digest, blob.size)
                .and_then(|()| open_blob(&self.blobs, key, entry, &name, blob.digest, &mut std::io::sink()));
            match opened {
                Ok(commitment) => {
                    commitments.insert(name, commitment);
                }
                Err(error) => {
                    findings.at(CHECK, entry.index(), format!("field {name}: {error}"));
                    sound = false;
                }
            }
        }
        sound
    }
}

fn note_disposal(entry: &Entry, checked: &mut Checked) {
    if entry.entry_type() != EntryType::Disposal {
        return;
    }
    let detail = entry.detail();
    if detail.get("phase").and_then(|phase| phase.as_str()) == Some("destroyed") {
        let records = detail.get("records").and_then(|records| records.as_array()).into_iter().flatten();
        let records = records.filter_map(|record| record.as_str()?.parse().ok()).collect();
        checked.disposals.push((entry.index(), records));
    }
}

/// Field by field, what the entry and the content do not agree on.
fn differences(committed: &Committed, found: &Commitments) -> Vec<String> {
    let Committed::Listed(listed) = committed else {
        return vec!["the fields together are not those the entry commits to".to_owned()];
    };
    let missing = listed.iter().filter(|(name, _)| found.get(name.as_str()).is_none());
    let mut problems: Vec<_> = missing.map(|(name, _)| format!("field {name} is missing")).collect();
    for (name, commitment) in found.iter() {
        match listed.get(name.as_str()) {
            None => problems.push(format!("field {name} is stored without a commitment")),
            Some(listed) if listed != commitment => {
                problems.push(format!("field {name} is not the one the entry commits to"));
            }
            Some(_) => {}
        }
    }
    problems
}
