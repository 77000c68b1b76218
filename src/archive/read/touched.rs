//! Records that a run of entries is about: new ones, and those of which something became known.

use std::ops::Range;

use sqlx::Row as _;

use super::begin::Run;
use super::filter::RecordFilter;
use super::records::{RecordRow, record};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::number;

impl Archive {
    /// The places of the records that these entries belong to, in order.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn touched(&self, entries: Range<u64>) -> Result<Vec<u64>, ArchiveError> {
        let rows = sqlx::query(
            "select distinct r.entry_index
               from projection.record_entries e join projection.records r on r.record = e.record
              where e.entry_index >= $1 and e.entry_index < $2 order by 1",
        );
        let rows = rows.bind(number(entries.start)).bind(number(entries.end)).fetch_all(&self.parts.reader).await?;
        rows.iter().map(|row| Ok(crate::archive::row::count(row.try_get(0)?))).collect()
    }

    /// Those records at these places that fit the filter.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn records_at(&self, filter: &RecordFilter, places: &[u64]) -> Result<Vec<RecordRow>, ArchiveError> {
        let acting = self.acting(filter).await?;
        let limit = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let run = Run { places: 0..u64::MAX, newest_first: false, limit };
        let places = places.iter().map(|place| number(*place)).collect();
        let mut query = filter.query(&run, Some(places), acting.as_ref());
        let rows = query.build().persistent(false).fetch_all(&self.parts.reader).await?;
        rows.iter().map(record).collect()
    }
}
