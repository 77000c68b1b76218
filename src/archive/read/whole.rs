//! Records whole, many at once: every entry of each, its content opened, and the key that gives its salts. For who takes records out.
//!
//! Invariant: as of a size, so the answer is the same whenever it is asked, but for what was disposed of. Whoever asks keeps what is asked for
//! at once small: [`Archive::record_weights`] says how large it is.

use std::collections::{BTreeMap, HashMap};

use sqlx::Row as _;
use uuid::Uuid;

use super::content::{Content, SealedRow, check_listed, field_name, open_fields, parse_key, unwrap};
use super::entries::entry;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, digest, number};
use crate::archive::submission::BlobDigest;
use crate::ledger::Entry;
use crate::record::{AdvisorId, RecordId, RecordKey, WrappedKey};

/// Entries of a stream read at once at most.
const RUN_MOST: u32 = 1_000;

/// A record with all its entries.
#[derive(Debug)]
pub struct WholeRecord {
    /// Which.
    pub id: RecordId,
    /// None once it was disposed of.
    pub key: Option<RecordKey>,
    /// Each entry with its content, oldest first; an error where the content is not what the entry commits to. Empty without a key.
    pub entries: Vec<(Entry, Result<Content, ArchiveError>)>,
}

impl Archive {
    /// Bytes sealed for each of these records.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record_weights(&self, records: &[RecordId]) -> Result<HashMap<RecordId, u64>, ArchiveError> {
        let rows = sqlx::query(
            "select record, sum(size)::bigint as size
               from (select record, pg_column_size(ciphertexts)::bigint as size from content.sealed where record = any ($1)
                     union all
                     select s.record, b.size from content.sealed s join content.blobs b on b.entry_index = s.entry_index
                      where s.record = any ($1)) held
              group by record",
        )
        .bind(uuids(records))
        .fetch_all(&self.parts.reader)
        .await?;
        rows.iter().map(|row| Ok((RecordId::new(row.try_get("record")?), count(row.try_get("size")?)))).collect()
    }

    /// These records in this order, with their entries below a size.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn whole_records(&self, records: &[RecordId], as_of: u64) -> Result<Vec<WholeRecord>, ArchiveError> {
        let ids = uuids(records);
        let rows = sqlx::query(
            "select e.index, e.body, r.record
               from projection.record_entries r join ledger.entries e on e.index = r.entry_index
              where r.record = any ($1) and r.entry_index < $2 order by e.index",
        )
        .bind(&ids)
        .bind(number(as_of))
        .fetch_all(&self.parts.reader)
        .await?;
        let mut entries: HashMap<RecordId, Vec<Entry>> = HashMap::new();
        let mut places = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = entry(row)?;
            places.push(number(entry.index()));
            entries.entry(RecordId::new(row.try_get("record")?)).or_default().push(entry);
        }
        let mut keys = self.wrapped_keys(&ids).await?;
        let mut sealed = self.sealed_rows(&places).await?;
        let mut whole = Vec::with_capacity(records.len());
        for id in records.iter().copied() {
            let key = keys.remove(&id).map(|wrapped| unwrap(&self.parts.options.master, id, &wrapped)).transpose()?;
            let opened = |entry: Entry| {
                let row = sealed.remove(&entry.index()).unwrap_or_default();
                let content = key.as_ref().map_or(Ok(Content::default()), |key| {
                    let (content, commitments) = open_fields(key, &entry, &row)?;
                    check_listed(&entry, &commitments)?;
                    Ok(content)
                });
                (entry, content)
            };
            let entries = entries.remove(&id).unwrap_or_default().into_iter().map(opened).collect();
            whole.push(WholeRecord { id, key, entries });
        }
        Ok(whole)
    }

    async fn wrapped_keys(&self, records: &[Uuid]) -> Result<HashMap<RecordId, WrappedKey>, ArchiveError> {
        let rows = sqlx::query("select record, wrapped from content.keys where record = any ($1)")
            .bind(records)
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter()
            .map(|row| Ok((RecordId::new(row.try_get("record")?), parse_key(row.try_get("wrapped")?)?)))
            .collect()
    }

    async fn sealed_rows(&self, places: &[i64]) -> Result<BTreeMap<u64, SealedRow>, ArchiveError> {
        let mut sealed: BTreeMap<u64, SealedRow> = BTreeMap::new();
        let rows =
            sqlx::query("select entry_index, names, ciphertexts from content.sealed where entry_index = any ($1)")
                .bind(places)
                .fetch_all(&self.parts.reader)
                .await?;
        for row in rows {
            let names: Vec<String> = row.try_get("names")?;
            let ciphertexts: Vec<Vec<u8>> = row.try_get("ciphertexts")?;
            let of_entry = sealed.entry(count(row.try_get("entry_index")?)).or_default();
            for (name, ciphertext) in names.iter().zip(ciphertexts) {
                of_entry.fields.push((field_name(name)?, ciphertext));
            }
        }
        let rows =
            sqlx::query("select entry_index, name, digest, size from content.blobs where entry_index = any ($1)")
                .bind(places)
                .fetch_all(&self.parts.reader)
                .await?;
        for row in rows {
            let blob = BlobDigest(digest(&row, "digest")?);
            let of_entry = sealed.entry(count(row.try_get("entry_index")?)).or_default();
            of_entry.blobs.push((field_name(row.try_get("name")?)?, blob, count(row.try_get("size")?)));
        }
        Ok(sealed)
    }

    /// Entries of an advisor's stream from a place in it on, at most 1,000.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn stream_run(&self, advisor: AdvisorId, from: u64, limit: u32) -> Result<Vec<Entry>, ArchiveError> {
        let rows = sqlx::query(
            "select e.index, e.body from ledger.stream_entries s join ledger.entries e on e.index = s.entry_index
              where s.stream = $1 and s.stream_index >= $2 order by s.stream_index limit $3",
        )
        .bind(advisor.uuid())
        .bind(number(from))
        .bind(i64::from(limit.min(RUN_MOST)))
        .fetch_all(&self.parts.reader)
        .await?;
        rows.iter().map(entry).collect()
    }
}

fn uuids(records: &[RecordId]) -> Vec<Uuid> {
    records.iter().map(|record| record.uuid()).collect()
}
