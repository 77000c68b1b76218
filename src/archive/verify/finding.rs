//! What verification finds, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::bundle::Failure;

/// One thing that is wrong with one entry, or with a run of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: those of an offline verification, and `head`, `tables`, `tiles`, `disposals`, `content`,
    /// `projections`.
    pub check: &'static str,
    /// Index of the first entry concerned.
    pub from: u64,
    /// Index of the last entry concerned.
    pub to: u64,
    /// What is wrong.
    pub problem: String,
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        Self { check: failure.check.as_str(), from: failure.from, to: failure.to, problem: failure.problem }
    }
}

/// Passes findings on as they come, from whichever thread, and counts the entries concerned.
#[derive(Clone)]
pub(super) struct Findings(Arc<Mutex<Inner>>);

struct Inner {
    sink: Box<dyn FnMut(Finding) + Send>,
    counts: BTreeMap<&'static str, u64>,
    first: Option<u64>,
}

impl Findings {
    pub(super) fn new(sink: Box<dyn FnMut(Finding) + Send>) -> Self {
        Self(Arc::new(Mutex::new(Inner { sink, counts: BTreeMap::new(), first: None })))
    }

    pub(super) fn add(&self, finding: Finding) {
        let inner = &mut *self.0.lock();
        let entries = finding.to.saturating_sub(finding.from).saturating_add(1);
        *inner.counts.entry(finding.check).or_default() += entries;
        inner.first = Some(inner.first.map_or(finding.from, |first| first.min(finding.from)));
        (inner.sink)(finding);
    }

    pub(super) fn at(&self, check: &'static str, index: u64, problem: impl Into<String>) {
        self.add(Finding { check, from: index, to: index, problem: problem.into() });
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().counts.clone()
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.0.lock().first
    }
}
