//! The captures of the last minutes with what is kept of their requests: what a device may be about to send again.
//!
//! One question to the database, whatever their number: a start does not wait for a round trip each. A record that is damaged is left
//! out and counted; to say what is wrong with it is for verification.

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use super::content::{Content, SealedRow, check_listed, field_name, open_fields, parse_key, unwrap};
use super::entries::entry;
use crate::archive::open::Archive;
use crate::archive::pool::in_time;
use crate::archive::row::count;
use crate::archive::submission::BlobDigest;
use crate::archive::{ArchiveError, Inconsistency, connect};
use crate::ledger::Committed;
use crate::record::{DeviceId, Digest, EntryId, FieldName, MasterKey, Timestamp};

/// A capture of a request, with what is kept of it.
#[derive(Debug, Clone)]
pub struct RecentCapture {
    /// Its entry.
    pub entry: EntryId,
    /// When it got its place.
    pub at: Timestamp,
    /// The device that sent it.
    pub device: DeviceId,
    /// The capture that it repeats.
    pub retry_of: Option<EntryId>,
    /// Its content, as far as it was asked for.
    pub content: Content,
}

impl Archive {
    /// Captures of requests of any source since then, newest first, at most `limit`, each with those of its `fields` that are there.
    /// `of` makes of each what is needed, so that no more than one content is in memory. One that cannot be read stands in the way of
    /// no other: it is left out, and how many there were is logged.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn recent_captures<T>(
        &self,
        since: Timestamp,
        limit: u32,
        fields: &[FieldName],
        mut of: impl FnMut(RecentCapture) -> Option<T>,
    ) -> Result<Vec<T>, ArchiveError> {
        // Messages of channels have no method.
        let mut connection = self.parts.reader.acquire().await?;
        let mut rows = sqlx::query(
            "select r.entry_index as index, r.device, r.retry_of, e.body, k.wrapped,
                    s.names, s.ciphertexts, b.names as blob_names, b.digests, b.sizes
               from (select entry_index, record, device, retry_of from projection.records
                      where type = 'capture' and method is not null and device is not null and disposed is null and at >= $1
                      order by entry_index desc limit $2) r
               left join ledger.entries e on e.index = r.entry_index
               left join content.keys k on k.record = r.record
               left join lateral (select array_agg(f.name) as names, array_agg(f.ciphertext) as ciphertexts
                                    from content.sealed c cross join unnest(c.names, c.ciphertexts) f (name, ciphertext)
                                   where c.entry_index = r.entry_index and f.name = any ($3)) s on true
               left join lateral (select array_agg(c.name) as names, array_agg(c.digest) as digests, array_agg(c.size) as sizes
                                    from content.blobs c
                                   where c.entry_index = r.entry_index and c.name = any ($3)) b on true
              order by r.entry_index desc",
        )
        .bind(since.date_time())
        .bind(i64::from(limit))
        .bind(fields.iter().map(FieldName::as_str).collect::<Vec<_>>())
        .fetch(&mut *connection);
        let (mut found, mut unreadable) = (Vec::new(), 0_u64);
        while let Some(row) = in_time(connect::heard(connect::STATEMENT), rows.try_next()).await? {
            match recent_capture(&row, fields, &self.parts.options.master) {
                Ok(capture) => found.extend(capture.and_then(&mut of)),
                Err(ArchiveError::Database(error)) => return Err(error.into()),
                Err(_damaged) => unreadable = unreadable.saturating_add(1),
            }
        }
        if unreadable > 0 {
            tracing::warn!(count = unreadable, "captures on record cannot be read; `muniment verify` names them");
        }
        Ok(found)
    }
}

/// None when its record was disposed of meanwhile.
fn recent_capture(
    row: &PgRow,
    wanted: &[FieldName],
    master: &MasterKey,
) -> Result<Option<RecentCapture>, ArchiveError> {
    let index = count(row.try_get("index")?);
    if row.try_get::<Option<&[u8]>, _>("body")?.is_none() {
        return Err(Inconsistency::OtherEntry { index }.into());
    }
    let entry = entry(row)?;
    let (Some(record), Some(wrapped)) = (entry.record(), row.try_get::<Option<&[u8]>, _>("wrapped")?) else {
        return Ok(None);
    };
    let key = unwrap(master, record, &parse_key(wrapped)?)?;
    let (content, commitments) = open_fields(&key, &entry, &sealed_row(row)?)?;
    check_listed(&entry, &commitments)?;
    if let Committed::Listed(listed) = entry.committed()
        && wanted.iter().any(|name| listed.get(name.as_str()).is_some() && !content.0.contains_key(name))
    {
        return Err(ArchiveError::Row { table: "content.sealed", problem: "a field is not there" });
    }
    Ok(Some(RecentCapture {
        entry: entry.id(),
        at: entry.at(),
        device: DeviceId::new(row.try_get("device")?),
        retry_of: row.try_get::<Option<Uuid>, _>("retry_of")?.map(EntryId::new),
        content,
    }))
}

/// Arrays that are null are of nothing.
fn sealed_row(row: &PgRow) -> Result<SealedRow, ArchiveError> {
    let mut sealed = SealedRow::default();
    let names: Vec<String> = row.try_get::<Option<_>, _>("names")?.unwrap_or_default();
    let ciphertexts: Vec<Vec<u8>> = row.try_get::<Option<_>, _>("ciphertexts")?.unwrap_or_default();
    for (name, ciphertext) in names.iter().zip(ciphertexts) {
        sealed.fields.push((field_name(name)?, ciphertext));
    }
    let names: Vec<String> = row.try_get::<Option<_>, _>("blob_names")?.unwrap_or_default();
    let digests: Vec<Vec<u8>> = row.try_get::<Option<_>, _>("digests")?.unwrap_or_default();
    let sizes: Vec<i64> = row.try_get::<Option<_>, _>("sizes")?.unwrap_or_default();
    for ((name, digest), size) in names.iter().zip(digests).zip(sizes) {
        let gone = |_source| ArchiveError::Row { table: "content.blobs", problem: "a digest is not 32 bytes" };
        let digest = BlobDigest(Digest::try_from(digest.as_slice()).map_err(gone)?);
        sealed.blobs.push((field_name(name)?, digest, count(size)));
    }
    Ok(sealed)
}
