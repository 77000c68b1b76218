//! What is wrong, by check, and with which records.

use std::collections::BTreeMap;

use crate::bundle::report::Check;
use crate::record::RecordId;

/// Findings told for each check; further ones are counted.
const TOLD_MAX: usize = 1_000;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) failed: BTreeMap<Check, Vec<String>>,
    pub(super) untold: u64,
    /// In the order of the bundle.
    pub(super) records: Vec<RecordId>,
    /// Nothing was found, but this was not made.
    pub(super) not_made: BTreeMap<Check, &'static str>,
}

impl Findings {
    pub(super) fn fail(&mut self, check: Check, problem: String) {
        let told = self.failed.entry(check).or_default();
        if told.len() < TOLD_MAX {
            told.push(problem);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// The same, of a record.
    pub(super) fn fail_record(&mut self, check: Check, record: RecordId, problem: &str) {
        if self.records.last() != Some(&record) && !self.records.contains(&record) && self.records.len() < TOLD_MAX * 10
        {
            self.records.push(record);
        }
        self.fail(check, format!("record {record}: {problem}"));
    }

    pub(super) fn not_made(&mut self, check: Check, why: &'static str) {
        self.not_made.entry(check).or_insert(why);
    }
}
