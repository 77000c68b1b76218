//! Content against commitments: every field is opened, its commitment computed again, and held against the entry.

use std::collections::BTreeMap;

use super::copy::Stored;
use super::finding::Findings;
use super::orders::{Order, Question};
use crate::archive::blobs::BlobStore;
use crate::archive::read::{open_blob, parse_key, unwrap};
use crate::archive::submission::BlobDigest;
use crate::ledger::{Commitments, Committed, Entry};
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

/// What is wrong with the content of an entry, unless its record was disposed of while it was read.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) index: u64,
    pub(super) record: RecordId,
    pub(super) problems: Vec<String>,
}

/// What a run of entries came to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) fields: u64,
    pub(super) missing: Vec<Missing>,
    pub(super) suspects: Vec<Suspect>,
    /// What entries order, until it is followed.
    pub(super) orders: Vec<Order>,
    /// Disposals of which only the database knows whether they were allowed.
    pub(super) questions: Vec<Question>,
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
        let mut problems = Vec::new();
        self.compare(entry, record, stored, blobs, &mut problems, &mut checked.fields);
        if !problems.is_empty() {
            checked.suspects.push(Suspect { index, record, problems });
        }
    }

    fn compare(
        &self,
        entry: &Entry,
        record: RecordId,
        stored: &Stored<'_>,
        blobs: &[BlobRow],
        problems: &mut Vec<String>,
        fields: &mut u64,
    ) {
        let other_record = stored.record.is_some_and(|stored| stored != record.uuid())
            || blobs.iter().any(|blob| blob.record != record);
        if other_record {
            problems.push("content is stored under another record".to_owned());
            return;
        }
        // An entry whose fields are all blobs has no row of its own.
        let wrapped = stored.wrapped.or_else(|| blobs.first().and_then(|blob| blob.wrapped.as_deref()));
        let Some(key) = self.key(record, wrapped, problems) else { return };
        let mut commitments = Commitments::new();
        let mut sound = self.check_fields(entry, &key, stored, &mut commitments, problems);
        sound &= self.check_blobs(entry, &key, blobs, &mut commitments, problems);
        *fields += commitments.len() as u64;
        if sound && !entry.committed().is_to(&commitments) {
            problems.extend(differences(entry.committed(), &commitments));
        }
    }

    fn key(&self, record: RecordId, wrapped: Option<&[u8]>, problems: &mut Vec<String>) -> Option<RecordKey> {
        let Some(wrapped) = wrapped else {
            problems.push("content is stored whose record has no key".to_owned());
            return None;
        };
        let opened = parse_key(wrapped).and_then(|wrapped| unwrap(&self.master, record, &wrapped));
        opened.inspect_err(|error| problems.push(error.to_string())).ok()
    }

    fn check_fields(
        &self,
        entry: &Entry,
        key: &RecordKey,
        stored: &Stored<'_>,
        commitments: &mut Commitments,
        problems: &mut Vec<String>,
    ) -> bool {
        let mut sound = true;
        for (name, ciphertext) in stored.names.iter().zip(&stored.ciphertexts) {
            let name = std::str::from_utf8(name).ok().and_then(|name| name.parse::<FieldName>().ok());
            let Some(name) = name else {
                problems.push("a field has no name of ours".to_owned());
                sound = false;
                continue;
            };
            match unseal(&key.sealing_key(entry.id(), &name), ciphertext) {
                Ok(value) => {
                    let commitment = Commitment::to(&key.salt(entry.id(), &name), &value);
                    commitments.insert(name, commitment);
                }
                Err(error) => {
                    problems.push(format!("field {name}: {error}"));
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
        problems: &mut Vec<String>,
    ) -> bool {
        let mut sound = true;
        for blob in blobs {
            let Ok(name) = blob.name.parse::<FieldName>() else {
                problems.push("a blob has no name of ours".to_owned());
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
                    problems.push(format!("field {name}: {error}"));
                    sound = false;
                }
            }
        }
        sound
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
