//! Whether a disclosure holds: from its bytes and a verifier key alone.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;

use super::shape::Object;
use super::{DISCLOSURE_MAX, DisclosedEntry, DisclosedField, Disclosure, FORMAT};
use crate::bundle::report::{Check, Verdict, sum};
use crate::ledger::{
    Checkpoint, CheckpointError, Commitments, Committed, Entry, EntryType, NoteError, Policy, TlogProof,
    TlogProofError, VerifyingKey,
};
use crate::record::{Commitment, Digest, EntryId, FieldName, RecordId, Salt};

/// What was found about a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisclosureReport {
    /// All in all.
    pub verdict: Verdict,
    /// The record it says it shows.
    pub record: Option<RecordId>,
    /// Verdict of each check, over all entries.
    pub checks: Vec<(Check, Verdict)>,
    /// What is wrong, in words, entry by entry.
    pub failures: Vec<String>,
    /// What holds of each entry.
    pub entries: Vec<EntryReport>,
}

/// What an entry of a disclosure is, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// Its index.
    pub index: u64,
    /// Its id.
    pub id: EntryId,
    /// What it says.
    #[serde(rename = "type")]
    pub entry_type: EntryType,
    /// When it got its place.
    pub at: String,
    /// Its leaf.
    pub leaf: Digest,
    /// Size of the checkpoint it is proved in, where the proof holds.
    pub proved_in: Option<u64>,
    /// Fields shown, whose values hold.
    pub shown: Vec<FieldName>,
    /// Fields withheld.
    pub withheld: Vec<FieldName>,
}

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) failed: BTreeMap<Check, Vec<String>>,
    pub(super) unsigned: bool,
}

impl Findings {
    pub(super) fn fail(&mut self, check: Check, problem: String) {
        self.failed.entry(check).or_default().push(problem);
    }
}

/// Checks a disclosure. Without keys the checkpoints' signatures are left unchecked.
#[must_use]
pub fn verify_disclosure(json: &[u8], keys: &[VerifyingKey]) -> DisclosureReport {
    examine(json, keys, &mut LastCheckpoint::default()).0
}

/// The same, asking besides that each proof's checkpoint meets a policy, whose logs are believed besides `keys`.
#[must_use]
pub fn verify_disclosure_under(json: &[u8], keys: &[VerifyingKey], policy: &Policy) -> DisclosureReport {
    let keys: Vec<_> = keys.iter().chain(policy.logs()).cloned().collect();
    let (mut report, read) = examine(json, &keys, &mut LastCheckpoint::default());
    let mut verdict = Verdict::NotChecked { why: "no entry can be read" };
    for (entry, disclosed) in &read {
        let Ok(proof) = TlogProof::parse(&disclosed.proof) else { continue };
        match policy.open(proof.checkpoint.as_bytes(), &keys) {
            Ok(_vouched) if matches!(verdict, Verdict::NotChecked { .. }) => verdict = Verdict::Verified,
            Ok(_vouched) => {}
            Err(error) => {
                report.failures.push(format!("entry {}: {error}", entry.index()));
                verdict = Verdict::Failed { check: Check::Quorum };
            }
        }
    }
    report.checks.push((Check::Quorum, verdict));
    report.verdict = sum(&report.checks, |check| check != Check::Completeness);
    report
}

/// The checkpoint that was opened last: the proofs of a bundle lead to one and the same, whose signature costs more than all else.
#[derive(Debug, Default)]
pub(in crate::bundle) struct LastCheckpoint(Option<(String, Result<(), CheckpointError>)>);

impl LastCheckpoint {
    fn open(&mut self, note: &str, keys: &[VerifyingKey]) -> Result<(), CheckpointError> {
        match &self.0 {
            Some((last, opened)) if last == note => opened.clone(),
            _ => {
                let opened = Checkpoint::open(note.as_bytes(), keys).map(drop);
                self.0 = Some((note.to_owned(), opened.clone()));
                opened
            }
        }
    }
}

/// An entry that could be read, and what is disclosed of it.
pub(in crate::bundle) type Read = (Entry, DisclosedEntry);

/// Checks a disclosure, always with the same keys; answers with what could be read of it, too.
pub(in crate::bundle) fn examine(
    json: &[u8],
    keys: &[VerifyingKey],
    last: &mut LastCheckpoint,
) -> (DisclosureReport, Vec<Read>) {
    let mut findings = Findings { unsigned: keys.is_empty(), ..Findings::default() };
    let disclosure = match read(json) {
        Ok(disclosure) => disclosure,
        Err(problem) => {
            findings.fail(Check::Form, problem);
            return (report(&findings, None, Vec::new()), Vec::new());
        }
    };
    let mut entries = Vec::with_capacity(disclosure.entries.len());
    let mut readable = Vec::with_capacity(disclosure.entries.len());
    let mut before = None;
    for (at, disclosed) in disclosure.entries.into_iter().enumerate() {
        let Some(entry) = read_entry(at, &disclosed, &mut findings) else { continue };
        if before.is_some_and(|before| before >= entry.index()) {
            findings.fail(Check::Form, format!("entry {} does not come in the order of the index", entry.index()));
        }
        before = Some(entry.index());
        if entry.record() != Some(disclosure.record) {
            findings.fail(Check::Record, format!("entry {} is of another record", entry.index()));
        }
        let shown = check_fields(&entry, &disclosed, &mut findings);
        let proved_in = check_proof(&entry, &disclosed.proof, keys, last, &mut findings);
        entries.push(EntryReport {
            index: entry.index(),
            id: entry.id(),
            entry_type: entry.entry_type(),
            at: entry.at().to_string(),
            leaf: entry.leaf(),
            proved_in,
            shown,
            withheld: disclosed.withheld.clone(),
        });
        readable.push((entry, disclosed));
    }
    (report(&findings, Some(disclosure.record), entries), readable)
}

fn read(json: &[u8]) -> Result<Disclosure, String> {
    if json.len() > DISCLOSURE_MAX {
        return Err("a disclosure is at most 1 GiB".to_owned());
    }
    let Object(disclosure) =
        serde_json::from_slice::<Object<Disclosure>>(json).map_err(|error| format!("not a disclosure: {error}"))?;
    if disclosure.format != FORMAT {
        return Err(format!("format is not {FORMAT}"));
    }
    if disclosure.entries.is_empty() {
        return Err("a disclosure holds at least one entry".to_owned());
    }
    Ok(disclosure)
}

fn read_entry(at: usize, disclosed: &DisclosedEntry, findings: &mut Findings) -> Option<Entry> {
    let entry = STANDARD.decode(&disclosed.entry).map_err(|_source| "is not base64".to_owned());
    match entry.and_then(|bytes| Entry::from_bytes(bytes).map_err(|error| error.to_string())) {
        Ok(entry) => Some(entry),
        Err(problem) => {
            findings.fail(Check::Entries, format!("entry number {at} of the disclosure: {problem}"));
            None
        }
    }
}

/// Holds what is shown and withheld against what the entry commits to; answers with the fields that hold.
fn check_fields(entry: &Entry, disclosed: &DisclosedEntry, findings: &mut Findings) -> Vec<FieldName> {
    let index = entry.index();
    let Some(all) = commitments(entry, disclosed) else {
        findings.fail(Check::Shown, format!("entry {index}: the commitments do not have the root in the entry"));
        return Vec::new();
    };
    let rises = |names: &[&FieldName]| names.is_sorted_by(|a, b| a < b);
    let shown_names: Vec<_> = disclosed.shown.iter().map(|field| &field.name).collect();
    if !rises(&shown_names) || !rises(&disclosed.withheld.iter().collect::<Vec<_>>()) {
        findings.fail(Check::Form, format!("entry {index}: fields are not in the order of their names"));
    }
    let mut hold = Vec::new();
    for field in &disclosed.shown {
        let bytes = field.base64.as_deref().and_then(|base64| STANDARD.decode(base64).ok());
        if bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok()) {
            findings.fail(Check::Form, format!("entry {index}: `{}` is text, and not given as text", field.name));
        }
        let commitment = committed_value(field);
        if commitment.is_some() && commitment == all.get(field.name.as_str()) {
            hold.push(field.name.clone());
        } else {
            findings.fail(Check::Shown, format!("entry {index}: `{}` is not what the entry commits to", field.name));
        }
    }
    let mut named: Vec<_> = shown_names.into_iter().chain(&disclosed.withheld).collect();
    named.sort_unstable();
    let committed: Vec<_> = all.iter().map(|(name, _commitment)| name).collect();
    if named != committed {
        let problem = format!("entry {index}: the fields shown and withheld are not those the entry commits to");
        findings.fail(Check::Withheld, problem);
    }
    hold
}

/// What the entry commits to, by name.
fn commitments(entry: &Entry, disclosed: &DisclosedEntry) -> Option<Commitments> {
    match (entry.committed(), &disclosed.commitments) {
        (Committed::Listed(listed), None) => Some(listed.clone()),
        (Committed::Root(_), Some(given)) => {
            let rises = given.is_sorted_by(|a, b| a.name < b.name);
            let given: Commitments = given.iter().map(|given| (given.name.clone(), given.commitment)).collect();
            Some(given).filter(|given| rises && entry.committed().is_to(given))
        }
        _ => None,
    }
}

fn committed_value(field: &DisclosedField) -> Option<Commitment> {
    let salt = URL_SAFE_NO_PAD.decode(&field.salt).ok()?;
    let salt = Salt::new(<[u8; 32]>::try_from(salt.as_slice()).ok()?);
    match (&field.text, &field.base64) {
        (Some(text), None) => Some(Commitment::to(&salt, text.as_bytes())),
        (None, Some(base64)) => Some(Commitment::to(&salt, &STANDARD.decode(base64).ok()?)),
        _ => None,
    }
}

/// Checks that the entry is in the tree of its checkpoint, and that the log signed that; answers with the checkpoint's size where
/// both hold. Neither answer stands for the other: what was not looked at is never called verified.
pub(super) fn check_proof(
    entry: &Entry,
    proof: &str,
    keys: &[VerifyingKey],
    last: &mut LastCheckpoint,
    findings: &mut Findings,
) -> Option<u64> {
    let index = entry.index();
    let proof = match TlogProof::parse(proof) {
        Ok(proof) => proof,
        Err(error) => {
            findings.fail(Check::Inclusion, format!("entry {index}: {error}"));
            return None;
        }
    };
    let opened = if keys.is_empty() { Ok(()) } else { last.open(&proof.checkpoint, keys) };
    let signed = match opened {
        Err(
            error @ (CheckpointError::Note(NoteError::Signature { .. } | NoteError::Unsigned)
            | CheckpointError::Origin { .. }),
        ) => {
            findings.fail(Check::Checkpoints, format!("entry {index}: {error}"));
            false
        }
        // One that cannot be read leads nowhere, which is said below.
        Ok(()) | Err(_) => true,
    };
    let led = if proof.index == index {
        proof.verify_unsigned(&entry.leaf())
    } else {
        Err(TlogProofError::Form("it is for another index"))
    };
    match led {
        Ok(checkpoint) => Some(checkpoint.size).filter(|_size| signed),
        Err(error) => {
            findings.fail(Check::Inclusion, format!("entry {index}: {error}"));
            None
        }
    }
}

fn report(findings: &Findings, record: Option<RecordId>, entries: Vec<EntryReport>) -> DisclosureReport {
    let unread = record.is_none();
    let verdict_of = |check| {
        let why = match check {
            _ if findings.failed.contains_key(&check) => return (check, Verdict::Failed { check }),
            Check::Completeness => Some("a disclosure does not prove that the record has no other entries"),
            _ if unread && check != Check::Form => Some("the disclosure cannot be read"),
            Check::Checkpoints if findings.unsigned => Some("no verifier key was given"),
            _ => None,
        };
        (check, why.map_or(Verdict::Verified, |why| Verdict::NotChecked { why }))
    };
    let checks: Vec<_> = [
        Check::Form,
        Check::Entries,
        Check::Record,
        Check::Shown,
        Check::Withheld,
        Check::Checkpoints,
        Check::Inclusion,
        Check::Completeness,
    ]
    .into_iter()
    .map(verdict_of)
    .collect();
    DisclosureReport {
        verdict: sum(&checks, |check| check != Check::Completeness),
        record,
        checks,
        failures: findings.failed.values().flatten().cloned().collect(),
        entries,
    }
}
