//! What became of a matter or a hold, entry by entry.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::matters::time;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::record::{AdvisorId, HoldId, MatterId, NoticeId, Timestamp};

/// One entry of a matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatterEntryRow {
    /// Its place.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// What changed, as a word.
    pub change: String,
    /// Who did it.
    pub by: String,
    /// The custodian concerned.
    pub advisor: Option<AdvisorId>,
    /// The notice concerned.
    pub notice: Option<NoticeId>,
    /// What it is called from then on, where that is said.
    pub name: Option<String>,
    /// What it is about, likewise.
    pub description: Option<String>,
    /// What others call it, likewise.
    pub external: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What a notice says.
    pub text: Option<String>,
}

/// One entry of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEntryRow {
    /// Its place.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// `placed`, `extended` or `released`.
    pub change: String,
    /// Who did it.
    pub by: String,
    /// How many it names.
    pub targets: u64,
    /// Up to where records were looked for.
    pub evaluated: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

impl Archive {
    /// What became of a matter, the newest first.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter_entries(&self, id: MatterId, limit: u32) -> Result<Vec<MatterEntryRow>, ArchiveError> {
        let rows =
            sqlx::query("select * from projection.matter_entries where matter = $1 order by entry_index desc limit $2");
        let rows = rows.bind(id.uuid()).bind(i64::from(limit)).fetch_all(&self.parts.reader).await?;
        let read = |row: &PgRow| {
            Ok(MatterEntryRow {
                index: count(row.try_get("entry_index")?),
                at: time(row, "at")?,
                change: row.try_get("change")?,
                by: row.try_get("actor")?,
                advisor: row.try_get::<Option<Uuid>, _>("advisor")?.map(AdvisorId::new),
                notice: row.try_get::<Option<Uuid>, _>("notice")?.map(NoticeId::new),
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                external: row.try_get("external")?,
                reason: row.try_get("reason")?,
                text: row.try_get("text")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What became of a hold, the newest first.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn hold_entries(&self, id: HoldId, limit: u32) -> Result<Vec<HoldEntryRow>, ArchiveError> {
        let rows =
            sqlx::query("select * from projection.hold_entries where hold = $1 order by entry_index desc limit $2");
        let rows = rows.bind(id.uuid()).bind(i64::from(limit)).fetch_all(&self.parts.reader).await?;
        let read = |row: &PgRow| {
            Ok(HoldEntryRow {
                index: count(row.try_get("entry_index")?),
                at: time(row, "at")?,
                change: row.try_get("change")?,
                by: row.try_get("actor")?,
                targets: count(row.try_get("targets")?),
                evaluated: row.try_get::<Option<i64>, _>("evaluated")?.map(count),
                reason: row.try_get("reason")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
