//! Entries by place, by id and by range; how long the ledger and its streams are.

use std::ops::Range;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::archive::{ArchiveError, Inconsistency};
use crate::ledger::Entry;
use crate::record::{AdvisorId, EntryId};

/// Entries read at once at most.
const PAGE: u64 = 1_000;

pub(super) fn entry(row: &PgRow) -> Result<Entry, ArchiveError> {
    let index = count(row.try_get("index")?);
    let entry = Entry::parse(row.try_get("body")?).map_err(|source| ArchiveError::Entry { index, source })?;
    // A row that was moved must not be shown as what it is not.
    if entry.index() == index { Ok(entry) } else { Err(Inconsistency::OtherEntry { index }.into()) }
}

impl Archive {
    /// The entry at a place.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn entry(&self, index: u64) -> Result<Option<Entry>, ArchiveError> {
        let row = sqlx::query("select index, body from ledger.entries where index = $1")
            .bind(number(index))
            .fetch_optional(&self.parts.reader)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// The entry of an id.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn entry_by_id(&self, id: EntryId) -> Result<Option<Entry>, ArchiveError> {
        let row = sqlx::query("select index, body from ledger.entries where id = $1")
            .bind(id.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// The entries of a range in order, at most 1,000 of them.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, ArchiveError> {
        let end = range.end.min(range.start.saturating_add(PAGE));
        let rows =
            sqlx::query("select index, body from ledger.entries where index >= $1 and index < $2 order by index")
                .bind(number(range.start))
                .bind(number(end))
                .fetch_all(&self.parts.reader)
                .await?;
        rows.iter().map(entry).collect()
    }

    /// How many entries the database says there are.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn head_size(&self) -> Result<u64, ArchiveError> {
        Ok(count(sqlx::query_scalar("select size from ledger.head").fetch_one(&self.parts.reader).await?))
    }

    /// How many entries an advisor's stream has.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn stream_size(&self, advisor: AdvisorId) -> Result<u64, ArchiveError> {
        let last: Option<i64> =
            sqlx::query_scalar("select max(stream_index) from ledger.stream_entries where stream = $1")
                .bind(advisor.uuid())
                .fetch_one(&self.parts.reader)
                .await?;
        Ok(last.map_or(0, |last| count(last) + 1))
    }
}
