//! What the answers of origins become: rows of their own, and changes of what they answer.

use serde::Serialize;
use uuid::Uuid;

use super::communication::{by_number, text};
use super::facts::Facts;
use super::read::Item;
use super::rows::Rows;
use crate::ledger::Entry;

/// An answer of an origin.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    entry_index: u64,
    entry: Uuid,
    record: Option<Uuid>,
    capture: Uuid,
    at: String,
    state: String,
    status: Option<u64>,
    cause: Option<String>,
    size: Option<u64>,
    reason: Option<String>,
}

/// What an outcome says of its capture. The newest one counts.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    capture: Option<Uuid>,
    pub(super) entry_index: u64,
    pub(super) outcome: Uuid,
    pub(super) state: String,
    pub(super) status: Option<u64>,
}

/// What an outcome says of one communication.
#[derive(Debug, Serialize)]
pub(super) struct Made {
    pub(super) record: Uuid,
    pub(super) entry_index: u64,
    pub(super) number: usize,
    pub(super) item: Option<String>,
    pub(super) permalink: Option<String>,
    pub(super) occurred_at: Option<String>,
}

impl Made {
    const fn is_something(&self) -> bool {
        self.item.is_some() || self.permalink.is_some() || self.occurred_at.is_some()
    }
}

impl Rows {
    pub(super) fn take_outcome(&mut self, entry: &Entry, item: &Item) {
        let facts = Facts(entry);
        let Some(capture) = facts.id("capture") else { return };
        let outcome = Outcome {
            capture: Some(capture),
            entry_index: entry.index(),
            outcome: entry.id().uuid(),
            state: facts.word("state"),
            status: facts.count("status"),
        };
        self.answers.push(Answer {
            entry_index: entry.index(),
            entry: entry.id().uuid(),
            record: facts.record(),
            capture,
            at: facts.at(),
            state: outcome.state.clone(),
            status: outcome.status,
            cause: facts.text("cause"),
            size: facts.count("size"),
            reason: text(&item.content, "reason"),
        });
        self.outcomes.insert(capture, outcome);
        let Some(record) = facts.record() else { return };
        for (number, mut fields) in by_number(&item.content) {
            let mut take = |part: &str| fields.remove(part);
            let (item, permalink, occurred_at) = (take("item"), take("permalink"), take("occurred_at"));
            let made = Made { record, entry_index: entry.index(), number, item, permalink, occurred_at };
            self.made.extend(made.is_something().then_some(made));
        }
    }
}
