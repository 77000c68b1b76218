//! What the log's key says of a bundle: an in-toto statement over its manifest, in a DSSE envelope.
//!
//! The subjects are the files that name, directly or through the manifest, everything that the ledger's proofs do not vouch for. A subject for
//! each file of the payload would repeat the manifest, and could not be checked without holding all of it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{bag, paths};
use crate::ledger::Entry;
use crate::record::{Digest, canonical};

pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What a statement speaks of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) bundle: Uuid,
    pub(super) as_of: u64,
    pub(super) export: &'a Entry,
    /// Size and root.
    pub(super) checkpoint: (u64, Digest),
    pub(super) records: u64,
    pub(super) readme: Digest,
    pub(super) info: Digest,
    pub(super) manifest: Digest,
    /// Of the policy, where there is one.
    pub(super) policy: Option<Digest>,
}

/// The statement, in its one spelling.
pub(super) fn payload(facts: &Facts<'_>) -> Vec<u8> {
    let subject = |name: &str, digest: Digest| json!({"digest": {"sha256": digest}, "name": name});
    let mut subjects = vec![
        subject(paths::README, facts.readme),
        subject(bag::INFO, facts.info),
        subject(bag::BAGIT, Digest::of(&[bag::DECLARATION])),
        subject(bag::MANIFEST, facts.manifest),
    ];
    subjects.extend(facts.policy.map(|policy| subject(paths::POLICY, policy)));
    let statement: Value = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {
            "as_of": facts.as_of,
            "bundle": facts.bundle,
            "checkpoint": {"root": facts.checkpoint.1, "size": facts.checkpoint.0},
            "export": {"index": facts.export.index(), "leaf": facts.export.leaf()},
            "records": facts.records,
        },
        "predicateType": "urn:muniment:bundle:1",
        "subject": subjects,
    });
    canonical(&statement).unwrap_or_default()
}

/// What `bag-info.txt` says.
pub(super) fn bag_info(origin: &str, bundle: Uuid, export: &Entry, (octets, streams): (u64, u64)) -> String {
    let day: String = export.at().to_string().chars().take(10).collect();
    format!(
        "Source-Organization: {origin}\nBagging-Date: {day}\nExternal-Identifier: {bundle}\nExternal-Description: Records of a \
         compliance archive with their proofs; README.txt says how to check them\nPayload-Oxum: {octets}.{streams}\nBundle-Format: \
         muniment-bundle/1\n"
    )
}
