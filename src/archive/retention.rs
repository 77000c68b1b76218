//! What a retention schedule needs to know of records, and the archive's own floor: read from the ledger's tables, as a disposal reads them.
//!
//! Invariant: nothing that decides comes from a projection. Decides nothing: what may go is said by the schedule, and in the end by `ledger.dispose`.

use std::collections::HashMap;
use std::fmt;

use sqlx::Row as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::ArchiveError;
use super::hold::Covering;
use super::open::Archive;
use super::row::{count, number};
use crate::ledger::Entry;
use crate::record::{HoldId, RecordId, Timestamp};

/// A record whose key is there.
#[derive(Debug)]
pub struct KeptRecord {
    /// Which.
    pub record: RecordId,
    /// Its entries in their order; none where one of them is not there or cannot be read, so that nobody can say when it was.
    pub entries: Option<Vec<Entry>>,
    /// Until when the archive's own floor keeps it.
    pub floor: Timestamp,
}

/// How long everything is kept at least, by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Whole months.
    pub months: u32,
    /// Days besides.
    pub days: u32,
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.months, self.days) {
            (months, 0) if months > 0 && months % 12 == 0 => write!(f, "{} years", months / 12),
            (months, 0) => write!(f, "{months} months"),
            (0, days) => write!(f, "{days} days"),
            (months, days) => write!(f, "{months} months and {days} days"),
        }
    }
}

impl Archive {
    /// Records that began below a place and have a key, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn kept_after(
        &self,
        after: Option<RecordId>,
        below: u64,
        limit: u32,
    ) -> Result<Vec<RecordId>, ArchiveError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select record from content.keys where record > $1 and entry_index < $2 order by record limit $3",
        )
        .bind(after.map_or(Uuid::nil(), RecordId::uuid))
        .bind(number(below))
        .bind(i64::from(limit))
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(ids.into_iter().map(RecordId::new).collect())
    }

    /// How many records with a key began at a place or after it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn count_kept_from(&self, place: u64) -> Result<u64, ArchiveError> {
        let kept = sqlx::query_scalar("select count(*) from content.keys where entry_index >= $1");
        Ok(count(kept.bind(number(place)).fetch_one(&self.parts.reader).await?))
    }

    /// What is known of these records, as far as they have a key.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn kept(&self, records: &[RecordId]) -> Result<Vec<KeptRecord>, ArchiveError> {
        let ids: Vec<Uuid> = records.iter().map(|record| record.uuid()).collect();
        let rows = sqlx::query("select s.record, s.entry_index, s.body, s.until from ledger.said_of($1) s join content.keys k using (record)")
            .bind(ids)
            .fetch_all(&self.parts.reader)
            .await?;
        let mut known: HashMap<RecordId, KeptRecord> = HashMap::with_capacity(records.len());
        for row in rows {
            let record = RecordId::new(row.try_get("record")?);
            let one = || KeptRecord { record, entries: Some(Vec::with_capacity(2)), floor: Timestamp::EPOCH };
            let kept = known.entry(record).or_insert_with(one);
            let index = count(row.try_get("entry_index")?);
            let body: Option<&[u8]> = row.try_get("body")?;
            let entry = body.and_then(|body| Entry::parse(body).ok()).filter(|entry| entry.index() == index);
            kept.entries = kept.entries.take().zip(entry).map(|(mut entries, entry)| {
                entries.push(entry);
                entries
            });
            if let Some(until) = row.try_get::<Option<OffsetDateTime>, _>("until")? {
                kept.floor = kept.floor.max(Timestamp::new(until));
            }
        }
        for kept in known.values_mut() {
            if let Some(entries) = &mut kept.entries {
                entries.sort_unstable_by_key(Entry::index);
            }
        }
        Ok(records.iter().filter_map(|record| known.remove(record)).collect())
    }

    /// Which holds in force cover each of these records; those that none covers are not in it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn holds_on_each(&self, records: &[RecordId]) -> Result<HashMap<RecordId, Vec<Covering>>, ArchiveError> {
        let ids: Vec<Uuid> = records.iter().map(|record| record.uuid()).collect();
        let rows = sqlx::query("select record, hold, why from ledger.holds_on($1) order by record, hold, why");
        let mut covered: HashMap<RecordId, Vec<Covering>> = HashMap::new();
        for row in rows.bind(ids).fetch_all(&self.parts.reader).await? {
            let covering = Covering { hold: HoldId::new(row.try_get("hold")?), why: row.try_get("why")? };
            covered.entry(RecordId::new(row.try_get("record")?)).or_default().push(covering);
        }
        Ok(covered)
    }

    /// The place of the first entry that is younger than a moment, or the size of the ledger. Times of entries never run back.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn first_younger(&self, moment: Timestamp) -> Result<u64, ArchiveError> {
        let (mut low, mut high) = (0, self.head_size().await?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle).await {
                Ok(Some(entry)) if entry.at() <= moment => low = middle + 1,
                Ok(Some(_)) => high = middle,
                // Damage: everything is looked at one by one, and what cannot be read stays.
                Ok(None) | Err(ArchiveError::Entry { .. } | ArchiveError::Inconsistent(_)) => {
                    return self.head_size().await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(low)
    }

    /// The places of the disposals that name a record: the one that destroyed it, and those that say that files are gone.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn disposals_of(&self, record: RecordId) -> Result<Vec<u64>, ArchiveError> {
        let places: Vec<i64> = sqlx::query_scalar(
            "select entry_index from projection.disposals where record = $1 order by entry_index limit 10000",
        )
        .bind(record.uuid())
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(places.into_iter().map(count).collect())
    }

    /// How long everything is kept at least.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn floor(&self) -> Result<Floor, ArchiveError> {
        let row = sqlx::query(
            "select (extract(year from minimum) * 12 + extract(month from minimum))::bigint as months,
                    extract(day from minimum)::bigint as days
               from content.retention",
        )
        .fetch_one(&self.parts.reader)
        .await?;
        let number = |column: &str| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0));
        Ok(Floor { months: number("months")?, days: number("days")? })
    }
}

/// Sets the floor, as the owner of the database; answers with what it was. Each change is kept with the entry at which it began.
///
/// # Errors
/// See [`ArchiveError`].
pub async fn set_floor(owner: &PgConnectOptions, months: u32, days: u32) -> Result<(), ArchiveError> {
    use sqlx::ConnectOptions as _;
    let mut connection = owner.connect().await?;
    sqlx::query("update content.retention set minimum = make_interval(months => $1, days => $2)")
        .bind(i32::try_from(months).unwrap_or(i32::MAX))
        .bind(i32::try_from(days).unwrap_or(i32::MAX))
        .execute(&mut connection)
        .await?;
    Ok(())
}
