//! Proof of a disposal: that records were destroyed, by which rule, when, and when the last backup that held them expires; with every entry that
//! remains of them, each proved to be in the ledger.
//!
//! Invariant: a proof shows no field and holds no key or salt: there are none left. What an entry committed to stays committed to, so that a copy that
//! turns up elsewhere cannot be passed off as something else, and nobody can learn from the proof what was destroyed.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::{self, Object};
use super::verify::{Findings, LastCheckpoint, check_proof};
use super::{DISCLOSURE_MAX, DisclosureError};
use crate::bundle::report::{Check, Verdict, sum};
use crate::ledger::{Entry, EntryType, Policy, TlogProof, VerifyingKey};
use crate::record::{EntryId, RecordId};

const FORMAT: &str = "muniment-disposal/1";

/// An entry, and that it is in the ledger.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The entry.
    pub entry: Entry,
    /// Its proof.
    pub proof: TlogProof,
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    entry: String,
    proof: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRecord {
    #[serde(deserialize_with = "shape::record_id")]
    record: RecordId,
    #[serde(deserialize_with = "shape::objects")]
    entries: Vec<WrittenEntry>,
}

/// A proof of disposal as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisposalProof {
    format: String,
    #[serde(deserialize_with = "shape::objects")]
    disposal: Vec<WrittenEntry>,
    #[serde(deserialize_with = "shape::objects")]
    records: Vec<WrittenRecord>,
}

fn write(proved: &Proved) -> WrittenEntry {
    WrittenEntry { entry: STANDARD.encode(proved.entry.bytes()), proof: proved.proof.to_string() }
}

impl DisposalProof {
    /// From the disposal's entries (the one that destroyed, and those that say that files are gone) and all that remains of the records.
    ///
    /// # Errors
    /// When an entry is of another record.
    pub fn new(disposal: &[Proved], records: &[(RecordId, Vec<Proved>)]) -> Result<Self, DisclosureError> {
        for (record, entries) in records {
            if let Some(other) = entries.iter().find(|proved| proved.entry.record() != Some(*record)) {
                return Err(DisclosureError::OtherRecord { index: other.entry.index(), record: *record });
            }
        }
        let record = |(record, entries): &(RecordId, Vec<Proved>)| WrittenRecord {
            record: *record,
            entries: entries.iter().map(write).collect(),
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            disposal: disposal.iter().map(write).collect(),
            records: records.iter().map(record).collect(),
        })
    }

    /// The JSON that is handed over.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and lists of strings: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What was found about a proof of disposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisposalReport {
    /// All in all.
    pub verdict: Verdict,
    /// The retention rule that ended.
    pub rule: Option<String>,
    /// Index of the entry that destroyed.
    pub index: Option<u64>,
    /// When that was.
    pub at: Option<String>,
    /// Who caused it.
    pub by: Option<String>,
    /// When the last backup that held the keys expires: final from then on.
    pub backups_expire_at: Option<String>,
    /// Sealed fields that were deleted.
    pub contents: Option<u64>,
    /// Files that were to be deleted; with those of all records of the disposal.
    pub files: Option<u64>,
    /// When the last of them was gone; none while it is not on record, or there were none.
    pub swept_at: Option<String>,
    /// The records whose end is proved.
    pub records: Vec<RecordId>,
    /// Verdict of each check.
    pub checks: Vec<(Check, Verdict)>,
    /// What is wrong, in words.
    pub failures: Vec<String>,
}

/// Checks a proof of disposal. Without keys the checkpoints' signatures are left unchecked; with a policy, whose logs are believed besides, each
/// checkpoint must meet it.
#[must_use]
pub fn verify_disposal(json: &[u8], keys: &[VerifyingKey], policy: Option<&Policy>) -> DisposalReport {
    let keys: Vec<_> = keys.iter().chain(policy.into_iter().flat_map(Policy::logs)).cloned().collect();
    let mut findings = Findings { unsigned: keys.is_empty(), ..Findings::default() };
    let mut report = DisposalReport {
        verdict: Verdict::Verified,
        rule: None,
        index: None,
        at: None,
        by: None,
        backups_expire_at: None,
        contents: None,
        files: None,
        swept_at: None,
        records: Vec::new(),
        checks: Vec::new(),
        failures: Vec::new(),
    };
    match read(json) {
        Ok(proof) => {
            let mut look = Look { keys: &keys, policy, last: LastCheckpoint::default(), findings: &mut findings };
            look.all(&proof, &mut report);
        }
        Err(problem) => findings.fail(Check::Form, problem),
    }
    let unread = findings.failed.contains_key(&Check::Form);
    let verdict_of = |check| {
        let why = match check {
            _ if findings.failed.contains_key(&check) => return (check, Verdict::Failed { check }),
            _ if unread => Some("the proof cannot be read"),
            Check::Checkpoints if findings.unsigned => Some("no verifier key was given"),
            _ => None,
        };
        (check, why.map_or(Verdict::Verified, |why| Verdict::NotChecked { why }))
    };
    let checks = [Check::Form, Check::Entries, Check::Record, Check::Checkpoints, Check::Inclusion];
    let asked = policy.map(|_policy| Check::Quorum);
    report.checks = checks.into_iter().chain(asked).map(verdict_of).collect();
    report.verdict = sum(&report.checks, |_check| true);
    report.failures = findings.failed.values().flatten().cloned().collect();
    report
}

fn read(json: &[u8]) -> Result<DisposalProof, String> {
    if json.len() > DISCLOSURE_MAX {
        return Err("a proof of disposal is at most 1 GiB".to_owned());
    }
    let Object(proof) = serde_json::from_slice::<Object<DisposalProof>>(json)
        .map_err(|error| format!("not a proof of disposal: {error}"))?;
    match (proof.format.as_str(), proof.disposal.is_empty(), proof.records.is_empty()) {
        (FORMAT, false, false) => Ok(proof),
        (FORMAT, _, _) => Err("a proof of disposal names a disposal and a record at least".to_owned()),
        _ => Err(format!("format is not {FORMAT}")),
    }
}

struct Look<'a> {
    keys: &'a [VerifyingKey],
    policy: Option<&'a Policy>,
    last: LastCheckpoint,
    findings: &'a mut Findings,
}

impl Look<'_> {
    fn all(&mut self, proof: &DisposalProof, report: &mut DisposalReport) {
        let mut disposals = proof.disposal.iter();
        let Some(destroyed) = disposals.next().and_then(|written| self.entry(written)) else { return };
        let (index, id) = (destroyed.index(), destroyed.id());
        let text = |entry: &Entry, key: &str| entry.detail().get(key).and_then(Value::as_str).map(str::to_owned);
        let count = |key: &str| destroyed.detail().get(key).and_then(Value::as_u64);
        if destroyed.entry_type() != EntryType::Disposal || text(&destroyed, "phase").as_deref() != Some("destroyed") {
            self.findings.fail(Check::Record, format!("entry {index} destroyed nothing"));
            return;
        }
        report.index = Some(index);
        report.at = Some(destroyed.at().to_string());
        report.by = Some(destroyed.actor().to_string());
        report.rule = text(&destroyed, "rule");
        report.backups_expire_at = text(&destroyed, "backups_expire_at");
        (report.contents, report.files) = (count("contents"), count("blobs"));
        for written in disposals {
            if let Some(swept) = self.entry(written) {
                self.sweep(&swept, index, id);
                report.swept_at = Some(swept.at().to_string());
            }
        }
        let listed = destroyed.detail().get("records").and_then(Value::as_array).into_iter().flatten();
        let named: BTreeSet<&str> = listed.filter_map(Value::as_str).collect();
        let mut before: Option<RecordId> = None;
        for written in &proof.records {
            let record = written.record;
            if before.is_some_and(|before| before >= record) {
                self.findings.fail(Check::Form, format!("record {record} does not come in the order of the ids"));
            }
            before = Some(record);
            if !named.contains(record.to_string().as_str()) {
                self.findings.fail(Check::Record, format!("the disposal does not name record {record}"));
            }
            self.record(written, index);
            report.records.push(record);
        }
    }

    fn sweep(&mut self, swept: &Entry, index: u64, id: EntryId) {
        let detail = swept.detail();
        let is = |key: &str, value: &str| detail.get(key).and_then(Value::as_str) == Some(value);
        let fits = swept.entry_type() == EntryType::Disposal && is("phase", "swept") && is("disposal", &id.to_string());
        if !fits || swept.index() <= index {
            self.findings.fail(Check::Record, format!("entry {} does not complete the disposal", swept.index()));
        }
    }

    /// All that is given of a record is its own and came before its end.
    fn record(&mut self, written: &WrittenRecord, end: u64) {
        let record = written.record;
        if written.entries.is_empty() {
            self.findings.fail(Check::Record, format!("nothing remains of record {record} in the proof"));
        }
        let mut before = None;
        for written in &written.entries {
            let Some(entry) = self.entry(written) else { continue };
            let index = entry.index();
            if entry.record() != Some(record) {
                self.findings.fail(Check::Record, format!("entry {index} is of another record"));
            }
            if index >= end {
                self.findings.fail(Check::Record, format!("entry {index} came after the end of its record"));
            }
            if before.is_some_and(|before| before >= index) {
                self.findings.fail(Check::Form, format!("entry {index} does not come in the order of the index"));
            }
            before = Some(index);
        }
    }

    /// Whether enough witnesses cosigned. A proof that cannot be read fails elsewhere.
    fn meets(&mut self, entry: &Entry, proof: &str) {
        let (Some(policy), Ok(proof)) = (self.policy, TlogProof::parse(proof)) else { return };
        if let Err(error) = policy.open(proof.checkpoint.as_bytes(), self.keys) {
            self.findings.fail(Check::Quorum, format!("entry {}: {error}", entry.index()));
        }
    }

    fn entry(&mut self, written: &WrittenEntry) -> Option<Entry> {
        let bytes = STANDARD.decode(&written.entry).map_err(|_source| "is not base64".to_owned());
        match bytes.and_then(|bytes| Entry::from_bytes(bytes).map_err(|error| error.to_string())) {
            Ok(entry) => {
                check_proof(&entry, &written.proof, self.keys, &mut self.last, self.findings);
                self.meets(&entry, &written.proof);
                Some(entry)
            }
            Err(problem) => {
                self.findings.fail(Check::Entries, format!("an entry of the proof: {problem}"));
                None
            }
        }
    }
}
