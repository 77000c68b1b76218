//! Disposal by the schedule: which records may go today, and letting them go.
//!
//! Invariants: what a record is, and when it was, is read from its entries; whether it may go is asked of the database again by the transaction that
//! destroys it. Nothing is remembered between runs: what was destroyed has no key and is not found again, so a run that was killed is run again, and
//! does what is left. Looking and disposing are one walk, so that what is shown is what would be done.

mod proof;
mod run;
mod survey;

pub use run::Order;
pub use survey::{Of, Survey};

use super::schedule::{Facts, Schedule, Term};
use super::{Retain, RetainError};
use crate::archive::{Covering, KeptRecord};
use crate::record::{HoldId, RecordId, Timestamp};

/// How it stands with a record's retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The name of the class that keeps it the longest.
    pub rule: String,
    /// The rule of law it cites.
    pub cites: String,
    /// How long.
    pub keep: String,
    /// `last_entry` or `fiscal_year_end`.
    pub runs_from: &'static str,
    /// When that was.
    pub from: Timestamp,
    /// When the schedule lets it go.
    pub ends: Timestamp,
    /// The first moment at which it may go: when schedule and the archive's own floor have both ended, but for holds.
    pub earliest: Timestamp,
    /// The holds in force that keep it beyond.
    pub held_by: Vec<HoldId>,
}

/// What a disposal would do with a record.
enum Standing<'a> {
    /// It may go.
    Due(Term<'a>, Facts),
    /// It could, but is held.
    Held(Vec<Covering>),
    /// The schedule keeps it until then.
    Young(Timestamp),
    /// The schedule would let it go, the archive's floor does not until then.
    Floor(Timestamp),
    /// It is no communication.
    Evidence,
    /// Its entries cannot be read.
    Unreadable,
}

fn standing<'a>(
    schedule: &'a Schedule,
    now: Timestamp,
    kept: &KeptRecord,
    covered: Option<&Vec<Covering>>,
) -> Standing<'a> {
    let Some(entries) = &kept.entries else { return Standing::Unreadable };
    let Some(facts) = Facts::of(entries) else { return Standing::Evidence };
    let term = schedule.term(&facts);
    match covered {
        _ if term.ends > now => Standing::Young(term.ends),
        _ if kept.floor > now => Standing::Floor(kept.floor),
        Some(covered) => Standing::Held(covered.clone()),
        None => Standing::Due(term, facts),
    }
}

impl Retain {
    /// How it stands with a record's retention; none for what is no communication, was disposed of, or cannot be read.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn retention(&self, record: RecordId) -> Result<Option<Retention>, RetainError> {
        let Some(schedule) = &self.schedule else { return Ok(None) };
        let kept = self.archive.kept(&[record]).await?;
        let Some(kept) = kept.first() else { return Ok(None) };
        let Some(facts) = kept.entries.as_ref().and_then(Facts::of) else { return Ok(None) };
        let term = schedule.term(&facts);
        let mut held_by: Vec<_> = self.archive.holds_on(record).await?.into_iter().map(|on| on.hold).collect();
        held_by.dedup();
        Ok(Some(Retention {
            rule: term.class.name.to_string(),
            cites: term.class.cites.clone(),
            keep: term.class.keep.to_string(),
            runs_from: term.class.runs_from.as_str(),
            from: term.from,
            ends: term.ends,
            earliest: term.ends.max(kept.floor),
            held_by,
        }))
    }
}
