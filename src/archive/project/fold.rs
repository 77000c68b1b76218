//! What later entries of a run say of a record that is new in the same run goes into its row before the row is written.
//!
//! A post and its outcome mostly come together, and a row that is written and then changed costs every index twice. Invariant: the rows
//! are then those that writing first and changing after would have made. So nothing is folded where ids are not what they should be
//! (the same record or communication twice); what concerns earlier runs is left to the statements.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::outcome::Made;
use super::rows::Rows;

/// What has gone into rows of this run.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// Records whose newest entry is known.
    pub(super) records: HashSet<Uuid>,
    /// What they said themselves, and what answers made of it.
    pub(super) made: Vec<Made>,
}

impl Rows {
    /// Folds, or leaves everything as it is.
    pub(super) fn fold(&mut self) {
        let numbered = |(place, record): (usize, Uuid)| (record, place);
        let records: HashMap<Uuid, usize> =
            self.records.iter().map(|row| row.record).enumerate().map(numbered).collect();
        let captures: HashMap<Uuid, usize> =
            self.records.iter().map(|row| row.entry).enumerate().map(numbered).collect();
        let communications: HashMap<(Uuid, usize), usize> =
            self.communications.iter().enumerate().map(|(place, row)| ((row.record, row.number), place)).collect();
        let sound = records.len() == self.records.len()
            && captures.len() == self.records.len()
            && communications.len() == self.communications.len();
        if !sound {
            return;
        }
        for entry in &self.record_entries {
            if let Some(row) = records.get(&entry.record).and_then(|place| self.records.get_mut(*place)) {
                row.last_index = row.last_index.max(entry.entry_index);
            }
        }
        for (capture, place) in &captures {
            let Some(row) = self.records.get_mut(*place) else { continue };
            let Some(outcome) = self.outcomes.remove(capture) else { continue };
            row.last_index = row.last_index.max(outcome.entry_index);
            row.outcome = Some(outcome.outcome);
            row.state = Some(outcome.state);
            row.status = outcome.status;
        }
        let mut said = HashSet::new();
        for made in std::mem::take(&mut self.made) {
            let place = communications.get(&(made.record, made.number));
            let Some(row) = place.and_then(|place| self.communications.get_mut(*place)) else {
                self.made.push(made);
                continue;
            };
            if said.insert((made.record, made.number)) {
                self.folded.made.push(Made {
                    record: row.record,
                    entry_index: row.entry_index,
                    number: row.number,
                    item: row.item.clone(),
                    permalink: row.permalink.clone(),
                    occurred_at: row.occurred_at.clone(),
                });
            }
            // In ledger order: the newest word counts.
            row.item = made.item.clone().or(row.item.take());
            row.permalink = made.permalink.clone().or(row.permalink.take());
            row.occurred_at = made.occurred_at.clone().or(row.occurred_at.take());
            self.folded.made.push(made);
        }
        self.folded.records = records.into_keys().collect();
    }
}
