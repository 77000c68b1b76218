//! What is covered, asked of the ledger's own tables: by the same function that a disposal asks.

use std::collections::HashSet;
use std::ops::Range;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{AccountId, AdvisorId, FieldName, HoldId, RecordId};

/// A hold that covers a record, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covering {
    /// Which.
    pub hold: HoldId,
    /// `named`, `custodian`, `everything`, `not_evaluated` or `own`.
    pub why: String,
}

/// A hold in force that selects by a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selecting {
    /// Which.
    pub hold: HoldId,
    /// Its first entry, which has the query.
    pub first: u64,
    /// Up to where it has looked.
    pub evaluated: u64,
}

impl Archive {
    /// Which holds in force cover a record whose content is there. `dispose` would be refused for each of them.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn holds_on(&self, record: RecordId) -> Result<Vec<Covering>, ArchiveError> {
        let rows = sqlx::query("select hold, why from ledger.holds_on(array[$1]) order by hold, why limit 1000");
        let rows = rows.bind(record.uuid()).fetch_all(&self.parts.reader).await?;
        let read = |row: &PgRow| Ok(Covering { hold: HoldId::new(row.try_get("hold")?), why: row.try_get("why")? });
        rows.iter().map(read).collect()
    }

    /// The holds that select, in the order in which they were placed; at most 10,000.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn selecting_holds(&self) -> Result<Vec<Selecting>, ArchiveError> {
        let rows = sqlx::query(
            "select t.hold, max(t.evaluated) as evaluated,
                    (select min(f.entry_index) from ledger.hold_terms f where f.hold = t.hold) as first
               from ledger.hold_terms t
              where t.evaluated is not null and not exists (select from ledger.releases l where l.hold = t.hold)
              group by t.hold order by first limit 10000",
        )
        .fetch_all(&self.parts.reader)
        .await?;
        let read = |row: &PgRow| {
            Ok(Selecting {
                hold: HoldId::new(row.try_get("hold")?),
                first: count(row.try_get("first")?),
                evaluated: count(row.try_get("evaluated")?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// What a hold selects by, as its first entry has it; none where that cannot be read.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn hold_query(&self, selecting: &Selecting) -> Result<Option<String>, ArchiveError> {
        let Some(entry) = self.entry(selecting.first).await? else { return Ok(None) };
        let content = self.content(&entry).await?;
        Ok(content.as_ref().and_then(|content| content.text(FieldName::QUERY.as_str())).map(str::to_owned))
    }

    /// Which of these records a hold names already.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn named_by(&self, hold: HoldId, records: &[Uuid]) -> Result<HashSet<Uuid>, ArchiveError> {
        let named: Vec<Uuid> = sqlx::query_scalar(
            "select distinct target from ledger.holds where hold = $1 and scope = 'record' and target = any ($2)",
        )
        .bind(hold.uuid())
        .bind(records)
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(named.into_iter().collect())
    }

    /// Whether there is, or was, such an advisor: of one who has left, what is theirs stays.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn has_advisor(&self, advisor: AdvisorId) -> Result<bool, ArchiveError> {
        let known = sqlx::query_scalar("select exists (select from projection.advisors where advisor = $1)");
        Ok(known.bind(advisor.uuid()).fetch_one(&self.parts.reader).await?)
    }

    /// Which of these records have no key: they are not there, or were disposed of.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn without_key(&self, records: &[RecordId]) -> Result<Vec<RecordId>, ArchiveError> {
        let missing: Vec<Uuid> = sqlx::query_scalar(
            "select r from unnest($1::uuid[]) r where not exists (select from content.keys k where k.record = r)",
        )
        .bind(records.iter().map(|record| record.uuid()).collect::<Vec<_>>())
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(missing.into_iter().map(RecordId::new).collect())
    }

    /// Whether an account became known in another way by one of these entries: then records that were looked at may be its own after all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn account_changed(&self, account: AccountId, within: Range<u64>) -> Result<bool, ArchiveError> {
        let changed = sqlx::query_scalar(
            "select exists (select from projection.account_versions
                             where account = $1 and entry_index >= $2 and entry_index < $3)",
        );
        let changed = changed.bind(account.uuid()).bind(number(within.start)).bind(number(within.end));
        Ok(changed.fetch_one(&self.parts.reader).await?)
    }
}
