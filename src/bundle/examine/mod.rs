//! Whether a bundle holds: from its bytes and a verifier key alone, file after file in their order.
//!
//! Invariant: a verdict of one check never stands for another, and nothing that was not looked at is called verified. Memory holds one record,
//! and the ids of all.

mod begin;
mod circumstances;
mod end;
mod ranges;
mod reasons;
mod record;
mod report;
mod trust;

use std::collections::BTreeSet;
use std::convert::Infallible;

use sha2::{Digest as _, Sha256};

use super::bag::{Bag, BagError, Source, Wanted};
use super::circumstance::Circumstance;
use super::disclosure::LastCheckpoint;
use super::paths;
use super::query::BundleQuery;
use super::renditions::{Renditions, Sink};
use super::report::Check;
use crate::ledger::{Checkpoint, Entry, VerifyingKey};
use crate::record::{Digest, RecordId};
use findings::Findings;
use reasons::ReasonsRead;

mod findings;

pub use report::{BundleReport, RangeReport};
pub use trust::Trust;

/// Renditions that are digested, and not kept.
#[derive(Default)]
struct Hashed {
    open: Sha256,
    ended: Vec<(String, Digest)>,
}

impl Sink for Hashed {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.open.update(bytes);
        Ok(())
    }

    fn end(&mut self, path: String) {
        self.ended.push((path, Digest(std::mem::take(&mut self.open).finalize().into())));
    }
}

/// What a bundle says of itself, where that could be read.
struct Context {
    query: BundleQuery,
    export: Entry,
    /// How many records the export says it takes.
    stated: Option<u64>,
    checkpoint: Checkpoint,
    note: String,
    readme: Option<Digest>,
    policy: Option<Digest>,
}

/// A bundle that is being examined.
struct Examiner<'a> {
    bag: Bag,
    keys: &'a [VerifyingKey],
    trust: &'a Trust<'a>,
    findings: Findings,
    last: LastCheckpoint,
    reasons: ReasonsRead,
    renditions: Option<Renditions<Hashed>>,
    records: BTreeSet<RecordId>,
    entries: u64,
    ranges: Vec<RangeReport>,
    /// What the ranges show that the circumstances must tell.
    told: BTreeSet<(Circumstance, u64)>,
}

/// Checks a bundle. Without keys no signature is checked, and nothing is called verified all in all.
///
/// # Errors
/// When it cannot be read at all. What is in it and cannot be read is a failure of a check.
pub fn verify_bundle(source: &Source, keys: &[VerifyingKey]) -> Result<BundleReport, BagError> {
    verify_bundle_with(source, &Trust { keys, ..Trust::default() })
}

/// The same, holding the checkpoint against a policy, and the ranges against what auditors attest.
///
/// # Errors
/// See [`verify_bundle`].
pub fn verify_bundle_with(source: &Source, trust: &Trust<'_>) -> Result<BundleReport, BagError> {
    match examine(source, trust) {
        Err(BagError::Form(problem)) => {
            let mut findings = Findings::default();
            findings.fail(Check::Bag, problem.to_owned());
            Ok(report::unread(findings))
        }
        examined => examined,
    }
}

fn examine(source: &Source, trust: &Trust<'_>) -> Result<BundleReport, BagError> {
    let keys = trust.log_keys();
    let bag = Bag::open(source, paths::is_beside)?;
    let reasons = ReasonsRead::new(bag.beside(paths::PRIVILEGE_LOG)?);
    let mut examiner = Examiner {
        bag,
        keys: &keys,
        trust,
        findings: Findings::default(),
        last: LastCheckpoint::default(),
        reasons,
        renditions: None,
        records: BTreeSet::new(),
        entries: 0,
        ranges: Vec::new(),
        told: BTreeSet::new(),
    };
    let context = examiner.begin()?;
    if let Some(context) = &context {
        let Context { query, export, checkpoint, .. } = context;
        let Ok(renditions) = Renditions::new::<Infallible>(query, export, checkpoint, || Ok(Hashed::default()));
        examiner.renditions = Some(renditions);
    }
    let known = |path: &str| paths::parse_record(path).is_some() || paths::is_behind_records(path);
    loop {
        examiner.bag.skip_until(true, known)?;
        let Some(id) = examiner.bag.next_payload().and_then(paths::parse_record) else { break };
        examiner.record(id, context.as_ref())?;
    }
    examiner.ranges(context.as_ref())?;
    examiner.circumstances(context.as_ref())?;
    examiner.end(context.as_ref())?;
    Ok(report::made(examiner, context))
}

impl Examiner<'_> {
    /// Takes a file whole.
    fn take(&mut self, path: &str, bound: u64) -> Result<Option<Vec<u8>>, BagError> {
        Ok(self.bag.take(path, Wanted::Bytes(bound))?.map(|opened| opened.bytes))
    }

    /// Takes a file that must be these bytes.
    fn take_same(&mut self, path: &str, bytes: &[u8]) -> Result<bool, BagError> {
        let opened = self.bag.take(path, Wanted::Digest)?;
        Ok(opened.is_some_and(|opened| opened.digest == Digest::of(&[bytes])))
    }
}
