//! Who looked at what, and why.

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::lists::{MOST, Slice, advisors, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::record::{AccountId, AdvisorId, DeviceId, OfficerId, RecordId, Timestamp};

/// Which looks. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct LookFilter {
    /// By this officer.
    pub officer: Option<OfficerId>,
    /// Of this operation.
    pub operation: Option<&'static str>,
    /// At records of this advisor, or at the advisor.
    pub advisor: Option<AdvisorId>,
    /// At records that this account acted in, or at the account.
    pub account: Option<AccountId>,
    /// At the device itself.
    pub device: Option<DeviceId>,
    /// At this record.
    pub record: Option<RecordId>,
    /// Allowed, or refused.
    pub allowed: Option<bool>,
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// Somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookRow {
    /// Its entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// Who; none for a command on the firm's own machine.
    pub officer: Option<OfficerId>,
    /// What was done.
    pub operation: String,
    /// Was it allowed?
    pub allowed: bool,
    /// Results shown.
    pub count: u64,
    /// Why, unless disposed of.
    pub purpose: Option<String>,
    /// What was searched for, unless disposed of.
    pub query: Option<String>,
    /// The records whose content was shown.
    pub records: Vec<RecordId>,
    /// Whose records they are, and whom the look asked for.
    pub advisors: Vec<AdvisorId>,
    /// Advisors, devices, accounts and officers that were shown themselves.
    pub subjects: Vec<Uuid>,
}

fn look(row: &PgRow) -> Result<LookRow, ArchiveError> {
    let records: Vec<Uuid> = row.try_get("records")?;
    Ok(LookRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        officer: row.try_get::<Option<Uuid>, _>("officer")?.map(OfficerId::new),
        operation: row.try_get("operation")?,
        allowed: row.try_get("allowed")?,
        count: count(row.try_get("count")?),
        purpose: row.try_get("purpose")?,
        query: row.try_get("query")?,
        records: records.into_iter().map(RecordId::new).collect(),
        advisors: advisors(row)?,
        subjects: row.try_get("subjects")?,
    })
}

impl LookFilter {
    /// The question, of constant text and bound values; only what is asked for is in it.
    fn query(&self, slice: &Slice) -> QueryBuilder<Postgres> {
        let (lower, upper) = slice.bounds();
        let mut query = QueryBuilder::new("select l.* from projection.looks l where l.entry_index > ");
        query.push_bind(lower).push(" and l.entry_index < ").push_bind(upper);
        if let Some(officer) = self.officer {
            query.push(" and l.officer = ").push_bind(officer.uuid());
        }
        if let Some(operation) = self.operation {
            query.push(" and l.operation = ").push_bind(operation);
        }
        match self.allowed {
            Some(true) => drop(query.push(" and l.allowed")),
            Some(false) => drop(query.push(" and not l.allowed")),
            None => {}
        }
        if let Some(record) = self.record {
            query.push(" and l.records @> array[").push_bind(record.uuid()).push("]");
        }
        if let Some(device) = self.device {
            query.push(" and l.subjects @> array[").push_bind(device.uuid()).push("]");
        }
        if let Some(advisor) = self.advisor {
            query.push(" and (l.advisors @> array[").push_bind(advisor.uuid());
            query.push("] or l.subjects @> array[").push_bind(advisor.uuid()).push("])");
        }
        if let Some(account) = self.account {
            // The handle decides only where the network's id is not known: a handle can move to another account.
            query.push(
                " and (l.accounts && array(
                     select ledger.account_key(a.network, a.network_id, a.handle) from projection.accounts a where a.account = ",
            );
            query.push_bind(account.uuid()).push(") or l.subjects @> array[").push_bind(account.uuid()).push("])");
        }
        // Times rise with the index: as a bound on the index they cost one look each.
        for (time, than) in [(self.since, " >= "), (self.until, " < ")] {
            let Some(time) = time else { continue };
            query.push(" and l.entry_index").push(than);
            query.push("coalesce((select b.entry_index from projection.looks b where b.at >= ");
            query.push_bind(time.date_time()).push(" order by b.at, b.entry_index limit 1), 9223372036854775807)");
        }
        query.push(" order by l.entry_index").push(if slice.newest_first { " desc" } else { "" });
        query.push(" limit ").push_bind(i64::from(slice.limit.min(MOST)));
        query
    }
}

impl Archive {
    /// Looks that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn looks(&self, filter: &LookFilter, slice: Slice) -> Result<Vec<LookRow>, ArchiveError> {
        // Planned for these values each time: which index is good depends on them.
        let rows = filter.query(&slice).build().persistent(false).fetch_all(&self.parts.reader).await?;
        rows.iter().map(look).collect()
    }
}
