//! Holds as they stand.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::matters::{some_time, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::read::{Ordered, Slice, ordered};
use crate::archive::row::count;
use crate::record::{AdvisorId, HoldId, MatterId, Timestamp};

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Which.
    pub hold: HoldId,
    /// What it is for.
    pub matter: Option<MatterId>,
    /// What it covers: `record`, `stream` or `all`.
    pub scope: String,
    /// Whether a query selects what it covers.
    pub selects: bool,
    /// Whose records it covers, where its scope is `stream`.
    pub advisors: Vec<AdvisorId>,
    /// Only records of these dates.
    pub since: Option<Timestamp>,
    /// Only records of these dates.
    pub until: Option<Timestamp>,
    /// Records it names.
    pub records: u64,
    /// Up to where records were looked for that it selects.
    pub evaluated: Option<u64>,
    /// What it is called; none once its words were disposed of.
    pub name: Option<String>,
    /// Why it was placed.
    pub reason: Option<String>,
    /// What selects, as JSON.
    pub query: Option<String>,
    /// Who placed it.
    pub placed_by: String,
    /// Its newest entry.
    pub index: u64,
    /// When that was.
    pub changed_at: Timestamp,
    /// Its first entry.
    pub added_index: u64,
    /// When that was.
    pub added_at: Timestamp,
    /// The entry that released it.
    pub released_index: Option<u64>,
    /// When that was.
    pub released_at: Option<Timestamp>,
    /// Who did.
    pub released_by: Option<String>,
    /// Why.
    pub release_reason: Option<String>,
}

fn hold(row: &PgRow) -> Result<HoldRow, ArchiveError> {
    let counted = |column| row.try_get::<Option<i64>, _>(column).map(|number| number.map(count));
    Ok(HoldRow {
        hold: HoldId::new(row.try_get("hold")?),
        matter: row.try_get::<Option<Uuid>, _>("matter")?.map(MatterId::new),
        scope: row.try_get("scope")?,
        selects: row.try_get("selects")?,
        advisors: row.try_get::<Vec<Uuid>, _>("advisors")?.into_iter().map(AdvisorId::new).collect(),
        since: some_time(row, "since")?,
        until: some_time(row, "until")?,
        records: count(row.try_get("targets")?),
        evaluated: counted("evaluated")?,
        name: row.try_get("name")?,
        reason: row.try_get("reason")?,
        query: row.try_get("query")?,
        placed_by: row.try_get("actor")?,
        index: count(row.try_get("entry_index")?),
        changed_at: time(row, "changed_at")?,
        added_index: count(row.try_get("added_index")?),
        added_at: time(row, "added_at")?,
        released_index: counted("released_index")?,
        released_at: some_time(row, "released_at")?,
        released_by: row.try_get("released_by")?,
        release_reason: row.try_get("release_reason")?,
    })
}

impl Archive {
    /// Holds, of one matter or all, in the order in which they were placed.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn holds(&self, slice: Slice, of: Option<MatterId>) -> Result<Vec<HoldRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.holds
             where added_index > $1 and added_index < $2 and ($4::uuid is null or matter = $4)"
            by "added_index");
        self.list(&LIST, slice, of.map(MatterId::uuid), hold).await
    }

    /// How many holds of a matter are in force.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn count_holds_in_force(&self, of: MatterId) -> Result<u64, ArchiveError> {
        // From the ledger's own tables: what blocks is what counts.
        let there = sqlx::query_scalar(
            "select count(distinct t.hold) from ledger.hold_terms t
              where t.matter = $1 and not exists (select from ledger.releases l where l.hold = t.hold)",
        );
        Ok(count(there.bind(of.uuid()).fetch_one(&self.parts.reader).await?))
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn hold(&self, id: HoldId) -> Result<Option<HoldRow>, ArchiveError> {
        let row = sqlx::query("select * from projection.holds where hold = $1").bind(id.uuid());
        row.fetch_optional(&self.parts.reader).await?.as_ref().map(hold).transpose()
    }
}
