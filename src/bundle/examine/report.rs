//! What is said of a bundle at the end.

use serde::Serialize;
use uuid::Uuid;

use super::findings::Findings;
use super::{Context, Examiner};
use crate::bundle::report::{Check, Verdict, sum};
use crate::record::{AdvisorId, Digest, RecordId};

/// The checks of a bundle, in their order.
const CHECKS: [Check; 11] = [
    Check::Bag,
    Check::Export,
    Check::Records,
    Check::Checkpoint,
    Check::Statement,
    Check::Quorum,
    Check::Timestamps,
    Check::Range,
    Check::Circumstances,
    Check::Redactions,
    Check::Renditions,
];

/// What was found about a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// All in all.
    pub verdict: Verdict,
    /// Which bundle it says it is.
    pub bundle: Option<Uuid>,
    /// Records in it, and entries of them.
    pub records: u64,
    /// See `records`.
    pub entries: u64,
    /// Size and root of its checkpoint.
    pub checkpoint: Option<(u64, Digest)>,
    /// Verdict of each check.
    pub checks: Vec<(Check, Verdict)>,
    /// Records with which something is wrong, the first first.
    pub failed_records: Vec<RecordId>,
    /// What is wrong, in words, check by check.
    pub failures: Vec<String>,
    /// Failures that are counted and not told.
    pub untold: u64,
    /// The ranges that it says are whole.
    pub ranges: Vec<RangeReport>,
    /// What the verdict on the ranges rests on.
    pub provided: Option<String>,
    /// Who attests that no stream forked up to the checkpoint.
    pub attested_by: Vec<String>,
}

/// A range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RangeReport {
    /// Of whom.
    pub advisor: AdvisorId,
    /// Entries that stand in it, and at its ends.
    pub entries: u64,
    /// Records in it.
    pub records: u64,
    /// All of it is here.
    pub complete: bool,
}

impl BundleReport {
    /// The verdict of one check.
    #[must_use]
    pub fn verdict_of(&self, check: Check) -> Option<&Verdict> {
        self.checks.iter().find(|(of, _verdict)| *of == check).map(|(_of, verdict)| verdict)
    }
}

fn checks(findings: &Findings, unread: bool, has_keys: bool) -> Vec<(Check, Verdict)> {
    let verdict_of = |check| {
        if findings.failed.contains_key(&check) {
            return (check, Verdict::Failed { check });
        }
        let why = match check {
            Check::Timestamps => Some("the bundle has no timestamps"),
            Check::Bag => None,
            _ if unread => Some("the bag cannot be read"),
            Check::Checkpoint | Check::Statement if !has_keys => Some("no verifier key was given"),
            check => findings.not_made.get(&check).copied(),
        };
        (check, why.map_or(Verdict::Verified, |why| Verdict::NotChecked { why }))
    };
    CHECKS.into_iter().map(verdict_of).collect()
}

/// Of a bundle that is no bag.
pub(super) fn unread(findings: Findings) -> BundleReport {
    let checks = checks(&findings, true, false);
    BundleReport {
        verdict: sum(&checks, |_check| true),
        bundle: None,
        records: 0,
        entries: 0,
        checkpoint: None,
        checks,
        failed_records: Vec::new(),
        failures: findings.failed.into_values().flatten().collect(),
        untold: 0,
        ranges: Vec::new(),
        provided: None,
        attested_by: Vec::new(),
    }
}

/// Of one that was read to its end.
pub(super) fn made(mut examiner: Examiner<'_>, context: Option<Context>) -> BundleReport {
    let attested_by = context.as_ref().map(|context| examiner.attested(context)).unwrap_or_default();
    let Examiner { findings, records, entries, ranges, keys, .. } = examiner;
    let checks = checks(&findings, false, !keys.is_empty());
    let optional = [Check::Quorum, Check::Timestamps, Check::Range];
    let size = context.as_ref().map(|context| context.checkpoint.size);
    // Nobody is told that a range is whole where what it was held against does not hold.
    let rests_on = [Check::Export, Check::Checkpoint, Check::Range];
    let holds = rests_on.iter().all(|check| !findings.failed.contains_key(check)) && !keys.is_empty();
    let whole = ranges.iter().all(|range| range.complete) && !ranges.is_empty() && holds;
    let provided = size.filter(|_size| whole).map(|size| match attested_by.as_slice() {
        [] => format!("complete, provided a full-log auditor attests no stream forks up to size {size}"),
        names => format!("complete; no stream forks up to size {size} attested by {}", names.join(", ")),
    });
    let say = |(check, problems): (Check, Vec<String>)| {
        problems.into_iter().map(move |problem| format!("{check}: {problem}"))
    };
    BundleReport {
        verdict: sum(&checks, |check| !optional.contains(&check)),
        bundle: context.as_ref().map(|context| context.query.bundle),
        records: records.len() as u64,
        entries,
        checkpoint: context.map(|context| (context.checkpoint.size, context.checkpoint.root)),
        checks,
        failed_records: findings.records,
        failures: findings.failed.into_iter().flat_map(say).collect(),
        untold: findings.untold,
        ranges,
        provided,
        attested_by,
    }
}
