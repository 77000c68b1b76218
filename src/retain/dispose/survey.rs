//! What a walk over the records came to, counted.

use std::collections::BTreeMap;

use super::Standing;
use crate::archive::Floor;
use crate::record::{AdvisorId, HoldId, RecordId, Timestamp};

/// Records named in a survey at most.
const NAMED: usize = 1_000;

/// Of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Of {
    /// Records that may go.
    pub due: u64,
    /// Records that went.
    pub disposed: u64,
}

/// What may go, what went, and why the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// By class.
    pub rules: BTreeMap<String, Of>,
    /// Records due, by advisor: each that a record stands with, or none.
    pub advisors: BTreeMap<Option<AdvisorId>, u64>,
    /// Records that may go.
    pub due: u64,
    /// Records that went.
    pub disposed: u64,
    /// Records that could go, but are held.
    pub held: u64,
    /// By hold: how many it keeps. One record may be kept by several.
    pub holds: BTreeMap<HoldId, u64>,
    /// Records that the schedule keeps.
    pub young: u64,
    /// Records that the schedule would let go, and the archive's floor keeps.
    pub under_floor: u64,
    /// The archive's floor.
    pub floor: Option<Floor>,
    /// When the next of those looked at comes due; none where none does.
    pub next: Option<Timestamp>,
    /// What is no communication.
    pub evidence: u64,
    /// Records whose entries cannot be read: they stay.
    pub unreadable: u64,
    /// Of those, the first thousand.
    pub unreadable_records: Vec<RecordId>,
    /// Records that were due and stayed, with the database's reason: the first thousand.
    pub left: Vec<(RecordId, String)>,
    /// Holds that could not be evaluated; they cover everything they have not looked at.
    pub blind_holds: u64,
}

impl Survey {
    pub(super) fn count(&mut self, record: RecordId, standing: &Standing<'_>) {
        let mut comes = |next: Timestamp| self.next = Some(self.next.map_or(next, |soonest| soonest.min(next)));
        match standing {
            Standing::Due(term, facts) => {
                self.due += 1;
                self.rules.entry(term.class.name.to_string()).or_default().due += 1;
                for advisor in &facts.advisors {
                    *self.advisors.entry(Some(*advisor)).or_default() += 1;
                }
                if facts.advisors.is_empty() {
                    *self.advisors.entry(None).or_default() += 1;
                }
            }
            Standing::Held(covered) => {
                self.held += 1;
                let mut last = None;
                for covering in covered {
                    // Ordered by hold: one may cover a record for several reasons.
                    if last != Some(covering.hold) {
                        *self.holds.entry(covering.hold).or_default() += 1;
                    }
                    last = Some(covering.hold);
                }
            }
            Standing::Young(ends) => {
                self.young += 1;
                comes(*ends);
            }
            Standing::Floor(ends) => {
                self.under_floor += 1;
                comes(*ends);
            }
            Standing::Evidence => self.evidence += 1,
            Standing::Unreadable => {
                self.unreadable += 1;
                if self.unreadable_records.len() < NAMED {
                    self.unreadable_records.push(record);
                }
            }
        }
    }

    pub(super) fn went(&mut self, rule: &str, records: u64) {
        self.disposed += records;
        self.rules.entry(rule.to_owned()).or_default().disposed += records;
    }

    pub(super) fn leave(&mut self, record: RecordId, why: String) {
        if self.left.len() < NAMED {
            self.left.push((record, why));
        }
    }
}
