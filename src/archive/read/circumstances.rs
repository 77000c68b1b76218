//! Which entries tell what stands around records: who the people are, what could not be kept, who was shown them, the matter, the checks of
//! the archive. For who takes records out.
//!
//! Invariant: below a size, and in the order of the ledger.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::entries::entry;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::ledger::Entry;
use crate::record::{AdvisorId, MatterId, RecordId, Timestamp};

/// Those devices that were ever put down as one of these advisors'.
const DEVICES: &str = "select d.id from projection.identities d where d.subject = 'device' and d.advisor = any ($1)";

fn places(rows: &[PgRow]) -> Result<Vec<u64>, ArchiveError> {
    rows.iter().map(|row| Ok(count(row.try_get("entry_index")?))).collect()
}

fn uuids(advisors: &[AdvisorId]) -> Vec<Uuid> {
    advisors.iter().map(|advisor| advisor.uuid()).collect()
}

impl Archive {
    /// Where these advisors, their devices and their accounts are put down.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn identity_places(&self, advisors: &[AdvisorId], as_of: u64) -> Result<Vec<u64>, ArchiveError> {
        let rows = sqlx::query(
            "select i.entry_index from projection.identities i
              where i.entry_index < $2
                and (i.id = any ($1) or i.id in (select o.id from projection.identities o where o.advisor = any ($1)))
              order by i.entry_index",
        )
        .bind(uuids(advisors))
        .bind(number(as_of))
        .fetch_all(&self.parts.reader)
        .await?;
        places(&rows)
    }

    /// Gaps of these advisors, of their devices, and those that name nobody, which touch a time.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn gap_places(
        &self,
        advisors: &[AdvisorId],
        (from, until): (Option<Timestamp>, Option<Timestamp>),
        as_of: u64,
    ) -> Result<Vec<u64>, ArchiveError> {
        let query = format!(
            "select g.entry_index from projection.gaps g
              where g.entry_index < $2 and ($3::timestamptz is null or g.until >= $3) and ($4::timestamptz is null or g.since < $4)
                and (g.advisors && $1 or g.device in ({DEVICES}) or (g.device is null and g.advisors = '{{}}'))
              order by g.entry_index"
        );
        // Of our own words: nothing in it comes from elsewhere.
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(uuids(advisors))
            .bind(number(as_of))
            .bind(from.map(Timestamp::date_time))
            .bind(until.map(Timestamp::date_time))
            .fetch_all(&self.parts.reader)
            .await?;
        places(&rows)
    }

    /// Looks that showed any of these records, of which there should be few at once.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn look_places(&self, records: &[RecordId], as_of: u64) -> Result<Vec<u64>, ArchiveError> {
        let records: Vec<Uuid> = records.iter().map(|record| record.uuid()).collect();
        let rows = sqlx::query(
            "select l.entry_index from projection.looks l where l.records && $1 and l.entry_index < $2 order by l.entry_index",
        )
        .bind(records)
        .bind(number(as_of))
        .fetch_all(&self.parts.reader)
        .await?;
        places(&rows)
    }

    /// What became of a matter, and of the holds for it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter_places(&self, matter: MatterId, as_of: u64) -> Result<Vec<u64>, ArchiveError> {
        let rows = sqlx::query(
            "with holds as (select distinct t.hold from ledger.hold_terms t where t.matter = $1)
             select m.entry_index from projection.matter_entries m where m.matter = $1 and m.entry_index < $2
             union
             select t.entry_index from ledger.hold_terms t join holds h on h.hold = t.hold where t.entry_index < $2
             union
             select r.entry_index from ledger.releases r join holds h on h.hold = r.hold where r.entry_index < $2
             order by 1",
        )
        .bind(matter.uuid())
        .bind(number(as_of))
        .fetch_all(&self.parts.reader)
        .await?;
        places(&rows)
    }

    /// The newest verifications, at most so many.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn verification_places(&self, most: u32, as_of: u64) -> Result<Vec<u64>, ArchiveError> {
        let rows = sqlx::query(
            "select v.entry_index from (select entry_index from projection.verifications where entry_index < $1
                                         order by entry_index desc limit $2) v order by v.entry_index",
        )
        .bind(number(as_of))
        .bind(i64::from(most))
        .fetch_all(&self.parts.reader)
        .await?;
        places(&rows)
    }

    /// The entries at these places, in the order of the ledger.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn entries_at(&self, places: &[u64]) -> Result<Vec<Entry>, ArchiveError> {
        let places: Vec<i64> = places.iter().map(|place| number(*place)).collect();
        let rows = sqlx::query("select index, body from ledger.entries where index = any ($1) order by index")
            .bind(places)
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(entry).collect()
    }
}
