//! What a verification says: one verdict per check, and every failure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{Digest, words};

/// How one check, or all of them, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Verified,
    /// It does not hold.
    Failed {
        /// Which check.
        check: Check,
    },
    /// It was not made.
    NotChecked {
        /// Why.
        why: &'static str,
    },
}

words! {
    /// One question a verification answers.
    Check {
        /// Rows can be read, begin at index 0 and rise by one.
        Rows = "rows",
        /// Each body is an entry in canonical form, of the id and index that stand beside it.
        Entries = "entries",
        /// Each leaf is the hash of its body.
        Leaves = "leaves",
        /// Each entry names the leaf of the one before.
        Chain = "chain",
        /// Time does not run back.
        Times = "times",
        /// No id comes twice.
        Ids = "ids",
        /// Each custodian's entries are numbered from 0 without a gap.
        Streams = "streams",
        /// Each source's entries are numbered from 0 without a gap.
        Sources = "sources",
        /// Each checkpoint kept with the entries is signed by the log and has the root of the tree.
        Checkpoints = "checkpoints",
        /// Each checkpoint held outside is signed by the log and has the root of the tree.
        Outside = "outside",
        /// Sealed content has the commitments in the entries.
        Content = "content",
        /// The form of a disclosure.
        Form = "form",
        /// Each entry belongs to the record that is disclosed.
        Record = "record",
        /// Each value shown has the commitment in the entry.
        Shown = "shown",
        /// Each field that is not shown is named as withheld, and no other.
        Withheld = "withheld",
        /// Each entry is in the tree of its checkpoint, which the log signed.
        Inclusion = "inclusion",
        /// These are all entries of the record.
        Completeness = "completeness",
        /// A bundle is a bag, and each file has the digest that the manifest says.
        Bag = "bag",
        /// The export is on record, and says what the bundle holds.
        Export = "export",
        /// Each record of a bundle is what the ledger commits to.
        Records = "records",
        /// The checkpoint of a bundle is signed by the log, and continues the earlier ones in it.
        Checkpoint = "checkpoint",
        /// The log's key signed what the bundle holds.
        Statement = "statement",
        /// Enough witnesses cosigned the checkpoint.
        Quorum = "quorum",
        /// Authorities stamped the checkpoint with a time.
        Timestamps = "timestamps",
        /// All records of a range are there, and no other.
        Range = "range",
        /// Each entry about people, gaps, looks, matter and checks is in the ledger and commits to what is shown of it.
        Circumstances = "circumstances",
        /// Each withheld field has a reason, and each reason a field.
        Redactions = "redactions",
        /// What is made of the records for reading says what they say.
        Renditions = "renditions",
    }
}

/// One check that failed, for one entry or a run of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which check.
    pub check: Check,
    /// Index of the first entry concerned.
    pub from: u64,
    /// Index of the last entry concerned.
    pub to: u64,
    /// What is wrong.
    pub problem: String,
}

/// Joins failures of one kind on neighbouring entries, so that a rewritten million is one line.
#[derive(Debug)]
pub(super) struct Failures<S> {
    sink: S,
    held: Option<Failure>,
    count: BTreeMap<Check, u64>,
}

impl<S: FnMut(Failure)> Failures<S> {
    pub(super) const fn new(sink: S) -> Self {
        Self { sink, held: None, count: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, failure: Failure) {
        let entries = failure.to.saturating_sub(failure.from).saturating_add(1);
        *self.count.entry(failure.check).or_default() += entries;
        match &mut self.held {
            Some(held)
                if held.check == failure.check
                    && held.problem == failure.problem
                    && held.to.checked_add(1) == Some(failure.from) =>
            {
                held.to = failure.to;
            }
            held => {
                if let Some(done) = held.replace(failure) {
                    (self.sink)(done);
                }
            }
        }
    }

    pub(super) fn has(&self, check: Check) -> bool {
        self.count.contains_key(&check)
    }

    /// Tells the last one; answers with how many entries failed each check.
    pub(super) fn finish(mut self) -> BTreeMap<Check, u64> {
        if let Some(last) = self.held.take() {
            (self.sink)(last);
        }
        self.count
    }
}

/// Between which two checkpoints a history was changed: entries from `after` on, up to but not including `before`, hold the
/// first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Size of the last checkpoint that agrees; 0 when none does.
    pub after: u64,
    /// Size of the first checkpoint that does not agree.
    pub before: u64,
}

/// What was found over a whole history. Failures were told while they were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryReport {
    /// All in all.
    pub verdict: Verdict,
    /// Number of rows.
    pub entries: u64,
    /// Root over them, where none was missing.
    pub root: Option<Digest>,
    /// Entries that a checkpoint signed by the log covers. Later ones are not vouched for by anybody yet.
    pub covered: u64,
    /// Entries that a checkpoint covers which meets the policy; absent where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<u64>,
    /// Number of checkpoints kept with the entries.
    pub checkpoints: u64,
    /// Verdict of each check.
    pub checks: Vec<(Check, Verdict)>,
    /// How many entries failed each check.
    pub failed: BTreeMap<Check, u64>,
    /// Bounds of a change, by the checkpoints kept with the entries.
    pub changed: Option<Interval>,
    /// Bounds of a change, by the checkpoints held outside. These cannot have been rewritten together with the entries.
    pub changed_outside: Option<Interval>,
}

impl HistoryReport {
    /// The verdict of one check.
    #[must_use]
    pub fn verdict_of(&self, check: Check) -> Option<&Verdict> {
        self.checks.iter().find(|(of, _verdict)| *of == check).map(|(_of, verdict)| verdict)
    }
}

/// All verdicts in one: failed if one failed, else not checked if one that is `required` was not made, else verified.
pub(super) fn sum(checks: &[(Check, Verdict)], required: impl Fn(Check) -> bool) -> Verdict {
    let failed = checks.iter().find(|(_check, verdict)| matches!(verdict, Verdict::Failed { .. }));
    let unmade =
        || checks.iter().find(|(check, verdict)| required(*check) && matches!(verdict, Verdict::NotChecked { .. }));
    failed.or_else(unmade).map_or(Verdict::Verified, |(_check, verdict)| verdict.clone())
}
