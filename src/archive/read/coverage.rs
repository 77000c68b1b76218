//! From when until when a device's communications were kept, as far as the ledger knows: gaps and first and last records.

use sqlx::Row as _;

use super::lists::{some_time, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::record::{AdvisorId, DeviceId, Timestamp};

/// A gap that concerns a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapOf {
    /// Its entry.
    pub index: u64,
    /// Why.
    pub cause: String,
    /// How many.
    pub count: u64,
    /// First moment concerned.
    pub since: Timestamp,
    /// Last moment concerned.
    pub until: Timestamp,
}

/// What is known of a device between two times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoverageRow {
    /// Its first record there.
    pub first_record_at: Option<Timestamp>,
    /// Its last.
    pub last_record_at: Option<Timestamp>,
    /// Gaps by their beginning: its own, its advisor's where no device is named, and those that name nobody.
    pub gaps: Vec<GapOf>,
}

impl Archive {
    /// What is known of a device between two times; at most so many gaps.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn coverage(
        &self,
        device: DeviceId,
        advisor: Option<AdvisorId>,
        (from, until): (Timestamp, Timestamp),
        most: u32,
    ) -> Result<CoverageRow, ArchiveError> {
        let row = sqlx::query(
            "select (select r.at from projection.records r where r.device = $1 and r.at >= $2 and r.at < $3
                      order by r.entry_index limit 1) as first,
                    (select r.at from projection.records r where r.device = $1 and r.at >= $2 and r.at < $3
                      order by r.entry_index desc limit 1) as last",
        )
        .bind(device.uuid())
        .bind(from.date_time())
        .bind(until.date_time())
        .fetch_one(&self.parts.reader)
        .await?;
        let gaps = sqlx::query(
            "select g.entry_index, g.cause, g.count, g.since, g.until from projection.gaps g
              where g.since < $3 and g.until >= $2
                and (g.device = $1 or g.device is null and (g.advisors = '{}' or g.advisors @> array[$4::uuid]))
              order by g.since, g.entry_index limit $5",
        )
        .bind(device.uuid())
        .bind(from.date_time())
        .bind(until.date_time())
        .bind(advisor.map(AdvisorId::uuid))
        .bind(i64::from(most))
        .fetch_all(&self.parts.reader)
        .await?;
        let gap = |row: &sqlx::postgres::PgRow| {
            Ok(GapOf {
                index: count(row.try_get("entry_index")?),
                cause: row.try_get("cause")?,
                count: count(row.try_get("count")?),
                since: time(row, "since")?,
                until: time(row, "until")?,
            })
        };
        Ok(CoverageRow {
            first_record_at: some_time(&row, "first")?,
            last_record_at: some_time(&row, "last")?,
            gaps: gaps.iter().map(gap).collect::<Result<_, ArchiveError>>()?,
        })
    }
}
