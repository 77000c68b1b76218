//! The walk over all records that began before the horizon: counting them, or letting go what may.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Standing, Survey, standing};
use crate::archive::{AppendError, ArchiveError, Covering, Disposal, KeptRecord};
use crate::ledger::Actor;
use crate::record::{Clock, RecordId, Timestamp, Word};
use crate::retain::schedule::Schedule;
use crate::retain::{Retain, RetainError};

/// Records looked at in one step.
const PAGE: u32 = 1_000;
/// Records in one disposal: what `ledger.dispose` takes, and so how long it keeps appends waiting.
const BATCH: usize = 100;
/// Rounds of evaluation at most: each goes on by 16,384 entries.
const ROUNDS: u32 = 1_000_000;
/// Another process may be looking for what holds select; it does so for a moment each minute.
const BUSY: u32 = 240;
const PAUSE: Duration = Duration::from_millis(250);

/// That what is due shall go, on whose word.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who asked.
    pub by: Actor,
    /// How long backups are kept.
    pub backup_retention: Duration,
}

impl Retain {
    /// Looks at every record; with an order, lets go what may. `on` hears of each step. Ends by itself: what is appended meanwhile is too young.
    ///
    /// # Errors
    /// See [`RetainError`]; what went is gone and on record.
    pub async fn dispose(
        &self,
        clock: &dyn Clock,
        order: Option<&Order>,
        mut on: impl FnMut(&Survey),
    ) -> Result<Survey, RetainError> {
        let schedule = self.schedule.as_ref().ok_or(RetainError::NoSchedule)?;
        let mut survey = Survey { blind_holds: self.settle().await?, ..Survey::default() };
        survey.floor = Some(self.archive.floor().await?);
        let now = clock.now();
        let below = self.archive.first_younger(schedule.horizon(now)).await?;
        let mut after = None;
        loop {
            let page = self.archive.kept_after(after, below, PAGE).await?;
            let Some(last) = page.last().copied() else { break };
            self.step(schedule, clock, now, &page, order, &mut survey).await?;
            on(&survey);
            after = Some(last);
        }
        survey.young += self.archive.count_kept_from(below).await?;
        Ok(survey)
    }

    /// Every hold that selects looks as far as the ledger goes; how many cannot. Only for want of a look, nothing is kept.
    async fn settle(&self) -> Result<u64, RetainError> {
        let mut busy = 0;
        for _round in 0..ROUNDS {
            match self.evaluate(true).await? {
                Some(round) if round.more => {}
                Some(round) => return Ok(round.failed),
                None if busy < BUSY => {
                    busy += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                None => return Err(RetainError::HoldsBusy),
            }
        }
        Err(RetainError::HoldsBusy)
    }

    async fn step(
        &self,
        schedule: &Schedule,
        clock: &dyn Clock,
        now: Timestamp,
        page: &[RecordId],
        order: Option<&Order>,
        survey: &mut Survey,
    ) -> Result<(), RetainError> {
        let mut due: BTreeMap<&str, (&Word, Vec<RecordId>)> = BTreeMap::new();
        let kept = self.archive.kept(page).await?;
        let covered = self.archive.holds_on_each(&maybe(schedule, now, &kept)).await?;
        for one in &kept {
            let standing = standing(schedule, now, one, covered.get(&one.record));
            survey.count(one.record, &standing);
            if let Standing::Due(term, _facts) = standing {
                let name = &term.class.name;
                due.entry(name.as_str()).or_insert_with(|| (name, Vec::new())).1.push(one.record);
            }
        }
        let Some(order) = order else { return Ok(()) };
        for (rule, records) in due.into_values() {
            for batch in records.chunks(BATCH) {
                self.let_go(clock, order, rule, batch, survey).await?;
            }
        }
        Ok(())
    }

    /// A batch; where the database refuses it, one record after the other, since something became known of one of them meanwhile.
    async fn let_go(
        &self,
        clock: &dyn Clock,
        order: &Order,
        rule: &Word,
        batch: &[RecordId],
        survey: &mut Survey,
    ) -> Result<(), RetainError> {
        if self.try_let_go(clock, order, rule, batch).await?.is_ok() {
            survey.went(rule.as_str(), batch.len() as u64);
            return Ok(());
        }
        for record in batch {
            match self.try_let_go(clock, order, rule, &[*record]).await? {
                Ok(()) => survey.went(rule.as_str(), 1),
                Err(why) => self.leave(*record, why, survey).await?,
            }
        }
        Ok(())
    }

    async fn leave(&self, record: RecordId, why: String, survey: &mut Survey) -> Result<(), RetainError> {
        let covered: Vec<Covering> = self.archive.holds_on(record).await?;
        survey.due = survey.due.saturating_sub(1);
        if !covered.is_empty() {
            survey.count(record, &Standing::Held(covered));
        }
        survey.leave(record, why);
        Ok(())
    }

    /// The database's reason where it refuses.
    async fn try_let_go(
        &self,
        clock: &dyn Clock,
        order: &Order,
        rule: &Word,
        records: &[RecordId],
    ) -> Result<Result<(), String>, RetainError> {
        let disposal = Disposal {
            records: records.to_vec(),
            rule: rule.clone(),
            backups_expire_at: later(clock.now(), order.backup_retention),
            by: order.by.clone(),
        };
        match self.archive.dispose(&disposal).await {
            Ok(_appended) => Ok(Ok(())),
            Err(ArchiveError::Append(AppendError::Refused { source, .. })) => {
                let said = source.as_database_error().map(|error| error.message().to_owned());
                Ok(Err(said.unwrap_or_else(|| "the database refused it".to_owned())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Those of which it matters whether they are held.
fn maybe(schedule: &Schedule, now: Timestamp, kept: &[KeptRecord]) -> Vec<RecordId> {
    let is_due = |one: &&KeptRecord| matches!(standing(schedule, now, one, None), Standing::Due(..));
    kept.iter().filter(is_due).map(|one| one.record).collect()
}

/// Rounded up to the second, so that no backup that is taken now outlives it.
fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX).saturating_add(1_000_000);
    Timestamp::from_unix_micros(now.unix_micros().saturating_add(by)).unwrap_or(now)
}
