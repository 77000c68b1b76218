//! Lists in ledger order, from the projections: how they are walked, and gaps.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{AdvisorId, DeviceId, Timestamp};

/// Items of one answer at most.
pub(super) const MOST: u32 = 1_000;

/// A run of a list: it goes on after an entry index, so it never skips and never repeats while the ledger grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The index to go on after.
    pub after: Option<u64>,
    /// From the newest back.
    pub newest_first: bool,
    /// Items at most.
    pub limit: u32,
}

impl Slice {
    /// Bounds such that `index > lower and index < upper` is this run.
    pub(in crate::archive) fn bounds(&self) -> (i64, i64) {
        match (self.after, self.newest_first) {
            (None, _) => (-1, i64::MAX),
            (Some(after), true) => (-1, number(after)),
            (Some(after), false) => (number(after), i64::MAX),
        }
    }
}

/// A list both ways round. Two statements, so that either can walk an index instead of sorting everything.
pub(in crate::archive) struct Ordered {
    pub(in crate::archive) newest: &'static str,
    pub(in crate::archive) oldest: &'static str,
}

impl Ordered {
    pub(in crate::archive) const fn of(&self, slice: &Slice) -> &'static str {
        if slice.newest_first { self.newest } else { self.oldest }
    }
}

/// `$1` and `$2` are the bounds of the slice, `$3` its limit.
macro_rules! ordered {
    ($select:literal by $column:literal) => {
        $crate::archive::read::Ordered {
            newest: concat!($select, " order by ", $column, " desc limit $3"),
            oldest: concat!($select, " order by ", $column, " limit $3"),
        }
    };
}
pub(in crate::archive) use ordered;

pub(in crate::archive) fn time(row: &PgRow, column: &str) -> Result<Timestamp, ArchiveError> {
    let time: OffsetDateTime = row.try_get(column)?;
    Ok(Timestamp::new(time))
}

pub(in crate::archive) fn some_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, ArchiveError> {
    Ok(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(Timestamp::new))
}

pub(in crate::archive) fn counted(row: &PgRow, column: &str) -> Result<Option<u64>, ArchiveError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(count))
}

pub(in crate::archive) fn advisors(row: &PgRow) -> Result<Vec<AdvisorId>, ArchiveError> {
    let ids: Vec<Uuid> = row.try_get("advisors")?;
    Ok(ids.into_iter().map(AdvisorId::new).collect())
}

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// Its entry.
    pub index: u64,
    /// When it was put on record.
    pub at: Timestamp,
    /// Why.
    pub cause: String,
    /// How many.
    pub count: u64,
    /// First moment concerned.
    pub since: Timestamp,
    /// Last moment concerned.
    pub until: Timestamp,
    /// The network, where known.
    pub network: Option<String>,
    /// The device, where known.
    pub device: Option<DeviceId>,
    /// The host, where known and not disposed of.
    pub host: Option<String>,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// Whose stream it belongs to.
    pub advisors: Vec<AdvisorId>,
}

fn gap(row: &PgRow) -> Result<GapRow, ArchiveError> {
    Ok(GapRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        cause: row.try_get("cause")?,
        count: count(row.try_get("count")?),
        since: time(row, "since")?,
        until: time(row, "until")?,
        network: row.try_get("network")?,
        device: row.try_get::<Option<Uuid>, _>("device")?.map(DeviceId::new),
        host: row.try_get("host")?,
        size: counted(row, "size")?,
        advisors: advisors(row)?,
    })
}

impl Archive {
    pub(in crate::archive) async fn list<T>(
        &self,
        list: &Ordered,
        slice: Slice,
        of: Option<Uuid>,
        read: impl Fn(&PgRow) -> Result<T, ArchiveError>,
    ) -> Result<Vec<T>, ArchiveError> {
        let (lower, upper) = slice.bounds();
        let rows = sqlx::query(list.of(&slice))
            .bind(lower)
            .bind(upper)
            .bind(i64::from(slice.limit.min(MOST)))
            .bind(of)
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Gaps, of one advisor or of all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn gaps(&self, slice: Slice, of: Option<AdvisorId>) -> Result<Vec<GapRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.gaps
             where entry_index > $1 and entry_index < $2 and ($4::uuid is null or advisors @> array[$4])"
            by "entry_index");
        self.list(&LIST, slice, of.map(AdvisorId::uuid), gap).await
    }
}
