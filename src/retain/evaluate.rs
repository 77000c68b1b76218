//! Looking for what a hold selects: a round names the records, and ends with the size up to which it has looked.
//!
//! Invariant: `evaluated` is written down only after every record below it was looked at and named where it is selected. A crash before
//! that leaves the hold covering everything it had not looked at; the next round goes on from what the ledger says.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Retain, Selection};
use crate::archive::{ArchiveError, HoldScope, HoldTerms, RecordFilter, RecordRow, Selecting, Slice, TARGETS_MAX};
use crate::ledger::Actor;
use crate::record::Word;

/// Records read at once.
const PAGE: u32 = 512;
/// Entries looked at in one round at most, once everything was looked at before.
const STEP: u64 = 16_384;
/// How far behind a hold may be that selects nothing new, before that is written down: an entry each minute would say nothing.
const BEHIND: u64 = 4_096;

/// What a round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Records that a hold names now.
    pub named: u64,
    /// Holds that could not be evaluated; they cover everything they have not looked at.
    pub failed: u64,
    /// There is more to look at.
    pub more: bool,
}

impl Retain {
    /// Looks for what holds select, as far as the ledger goes; none where another process is at it. With `settle`, how far each has looked is
    /// written down however little it is: before a disposal, so that nothing is covered for want of a look.
    ///
    /// # Errors
    /// See [`ArchiveError`]; what was named stays named.
    pub async fn evaluate(&self, settle: bool) -> Result<Option<Round>, ArchiveError> {
        let selecting = self.archive.selecting_holds().await?;
        if selecting.is_empty() {
            return Ok(Some(Round::default()));
        }
        let Some(mut turn) = self.archive.keeper_turn().await? else { return Ok(None) };
        tokio::select! {
            evaluated = self.evaluate_all(settle) => evaluated.map(Some),
            // Another has it by now. What was named stays named; twice would do no harm.
            lost = turn.lost() => Err(lost),
        }
    }

    async fn evaluate_all(&self, settle: bool) -> Result<Round, ArchiveError> {
        let mut round = Round::default();
        // Asked again: whoever had the turn before may have been at it.
        for selecting in self.archive.selecting_holds().await? {
            match self.evaluate_one(&selecting, settle).await? {
                Some(one) => {
                    round.named += one.named;
                    round.more |= one.more;
                }
                None => round.failed += 1,
            }
        }
        Ok(round)
    }

    /// None where what it selects by cannot be read.
    async fn evaluate_one(&self, selecting: &Selecting, settle: bool) -> Result<Option<Round>, ArchiveError> {
        let query = match self.archive.hold_query(selecting).await {
            Ok(query) => query,
            // Of stored content, not of the database.
            Err(error @ (ArchiveError::Entry { .. } | ArchiveError::Sealed { .. } | ArchiveError::Key { .. })) => {
                tracing::error!(%error, hold.id = %selecting.hold, "a hold's query cannot be read");
                None
            }
            Err(error) => return Err(error),
        };
        let selection = query.and_then(|query| Selection::from_json(&query).ok());
        let filters = selection.and_then(|selection| Some((selection.filter().ok()?, selection.unreadable().ok()?)));
        let Some((filter, unreadable)) = filters else {
            tracing::error!(hold.id = %selecting.hold, "what a hold selects by cannot be read; it goes on covering everything it has not looked at");
            return Ok(None);
        };
        let filters: Vec<RecordFilter> = std::iter::once(filter).chain(unreadable).collect();
        let size = self.archive.head_size().await?;
        self.archive.project(size).await?;
        if selecting.evaluated == 0 || self.must_begin_anew(&filters, selecting.evaluated..size).await? {
            return self.all(selecting, &filters, size).await.map(Some);
        }
        self.some(selecting, &filters, size, settle).await.map(Some)
    }

    /// Whether what was looked at may be selected after all, although nothing became known of it.
    async fn must_begin_anew(
        &self,
        filters: &[RecordFilter],
        since: std::ops::Range<u64>,
    ) -> Result<bool, ArchiveError> {
        for account in filters.iter().filter_map(|filter| filter.account) {
            if self.archive.account_changed(account, since.clone()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Everything there is, page by page.
    async fn all(&self, selecting: &Selecting, filters: &[RecordFilter], size: u64) -> Result<Round, ArchiveError> {
        let mut round = Round::default();
        for filter in filters {
            let mut after = None;
            loop {
                let slice = Slice { after, newest_first: false, limit: PAGE };
                let rows = self.archive.records(filter, slice).await?;
                after = rows.last().map(|row| row.index);
                let fresh = self.fresh(selecting, &rows).await?;
                round.named += fresh.len() as u64;
                self.name(selecting, fresh, None).await?;
                if rows.len() < PAGE as usize {
                    break;
                }
            }
        }
        self.name(selecting, Vec::new(), Some(size)).await?;
        Ok(round)
    }

    /// What became known since the last round.
    async fn some(
        &self,
        selecting: &Selecting,
        filters: &[RecordFilter],
        size: u64,
        settle: bool,
    ) -> Result<Round, ArchiveError> {
        let until = size.min(selecting.evaluated.saturating_add(STEP));
        let mut round = Round { more: until < size, ..Round::default() };
        let places = self.archive.touched(selecting.evaluated..until).await?;
        let mut fresh = Vec::new();
        for places in places.chunks(PAGE as usize) {
            for filter in filters {
                let rows = self.archive.records_at(filter, places).await?;
                fresh.extend(self.fresh(selecting, &rows).await?);
            }
        }
        round.named = fresh.len() as u64;
        let is_behind = until.saturating_sub(selecting.evaluated) >= BEHIND;
        if !fresh.is_empty() || is_behind || settle && !places.is_empty() {
            self.name(selecting, fresh, Some(until)).await?;
        }
        Ok(round)
    }

    /// Those of them that the hold does not name yet, and that can be held.
    async fn fresh(&self, selecting: &Selecting, rows: &[RecordRow]) -> Result<Vec<Uuid>, ArchiveError> {
        let there = rows.iter().filter(|row| row.disposed.is_none()).map(|row| row.record.uuid());
        let there: Vec<Uuid> = there.collect::<BTreeSet<_>>().into_iter().collect();
        if there.is_empty() {
            return Ok(there);
        }
        let named = self.archive.named_by(selecting.hold, &there).await?;
        Ok(there.into_iter().filter(|record| !named.contains(record)).collect())
    }

    /// Writes down what the hold names, and only with the last of it how far it has looked.
    async fn name(
        &self,
        selecting: &Selecting,
        records: Vec<Uuid>,
        evaluated: Option<u64>,
    ) -> Result<(), ArchiveError> {
        let word = ArchiveError::Row { table: "ledger.entries", problem: "a word of ours is not one" };
        let by = Actor::Service(Word::try_from("keeper").map_err(|_source| word)?);
        let mut rest = records.as_slice();
        loop {
            let (targets, left) = rest.split_at(rest.len().min(TARGETS_MAX));
            rest = left;
            let evaluated = evaluated.filter(|_size| rest.is_empty());
            if !targets.is_empty() || evaluated.is_some() {
                let terms = HoldTerms {
                    hold: selecting.hold,
                    matter: None,
                    scope: HoldScope::Record,
                    targets: targets.to_vec(),
                    since: None,
                    until: None,
                    evaluated,
                };
                self.archive.extend_hold(by.clone(), &terms).await?;
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}
