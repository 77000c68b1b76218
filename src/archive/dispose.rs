//! Disposal: keys and content destroyed in the transaction that appends the entry; files deleted afterwards.
//!
//! Invariant: what may be disposed of is decided by the database (`ledger.dispose`), under the head lock: retention has ended
//! and no hold covers the record. Sweeping files can stop and go on at any time; without its key a file is noise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sqlx::Row as _;
use sqlx::types::Uuid;

use super::open::{Archive, service_word};
use super::row::{count, digest};
use super::submission::{Append as _, Appended, BlobDigest, Submission};
use super::turn::Duty;
use super::{ArchiveError, Inconsistency};
use crate::ledger::{Actor, Entry, EntryType, STREAMS_MAX};
use crate::record::{AdvisorId, RecordId, Timestamp, Word};

/// What is to be disposed of, and why it may be.
#[derive(Debug, Clone)]
pub struct Disposal {
    /// Between 1 and 100 records.
    pub records: Vec<RecordId>,
    /// The retention rule that ended.
    pub rule: Word,
    /// When the last backup that holds the keys expires.
    pub backups_expire_at: Timestamp,
    /// Who asked.
    pub by: Actor,
}

impl Archive {
    /// Destroys keys and content of records. Durable on return.
    ///
    /// # Errors
    /// [`super::AppendError::Refused`] when a record is within its retention, under a hold, or unknown: nothing is destroyed then.
    pub async fn dispose(&self, disposal: &Disposal) -> Result<Appended, ArchiveError> {
        let ids: Vec<Uuid> = disposal.records.iter().map(|record| record.uuid()).collect();
        let counts = sqlx::query(
            "select (select coalesce(sum(cardinality(names)), 0)::bigint from content.sealed where record = any ($1)) as contents,
                    (select count(*) from content.blobs where record = any ($1)) as blobs",
        )
        .bind(&ids)
        .fetch_one(&self.parts.reader)
        .await?;
        let mut detail = detail("destroyed", disposal.backups_expire_at, &disposal.rule, &disposal.records);
        detail.insert("contents".to_owned(), count(counts.try_get("contents")?).into());
        detail.insert("blobs".to_owned(), count(counts.try_get("blobs")?).into());
        let mut draft = self.draft(EntryType::Disposal, disposal.by.clone(), detail);
        draft.streams = self.custodians(ids).await?;
        Ok(self.append(Submission::plain(draft)).await?)
    }

    /// In whose streams the records began, and into whose they came later: the disposal stands there too.
    async fn custodians(&self, records: Vec<Uuid>) -> Result<Vec<AdvisorId>, ArchiveError> {
        let rows = sqlx::query(
            "select e.index, e.body from content.keys k join ledger.entries e on e.index = k.entry_index
              where k.record = any ($1)",
        )
        .bind(&records)
        .fetch_all(&self.parts.reader)
        .await?;
        let attributed: Vec<Uuid> =
            sqlx::query_scalar("select distinct stream from ledger.attributions where record = any ($1)")
                .bind(&records)
                .fetch_all(&self.parts.reader)
                .await?;
        let mut streams = BTreeSet::new();
        for row in rows {
            let index = count(row.try_get("index")?);
            let entry = Entry::parse(row.try_get("body")?).map_err(|source| ArchiveError::Entry { index, source })?;
            streams.extend(entry.streams().iter().map(|stream| stream.id));
        }
        streams.extend(attributed.into_iter().map(AdvisorId::new));
        Ok(streams.into_iter().take(STREAMS_MAX).collect())
    }

    /// Deletes the files of disposed records and puts on record that they are gone; answers with how many were deleted.
    ///
    /// # Errors
    /// See [`ArchiveError`]; what was not deleted is tried again next time.
    pub async fn sweep(&self) -> Result<u64, ArchiveError> {
        if self.doomed().await?.is_empty() {
            return Ok(0);
        }
        let Some(_turn) = self.turn(Duty::Sweep).await? else { return Ok(0) };
        let mut swept = 0;
        // Asked again: whoever had the turn before may have been at it.
        for (index, files) in self.doomed().await? {
            swept += files.len() as u64;
            self.sweep_disposal(index, files).await?;
        }
        Ok(swept)
    }

    /// Files to be deleted, by the disposal that says so.
    async fn doomed(&self) -> Result<BTreeMap<u64, Vec<BlobDigest>>, ArchiveError> {
        let rows = sqlx::query("select digest, entry_index from content.sweeps order by entry_index limit 10000")
            .fetch_all(&self.parts.reader)
            .await?;
        let mut doomed = BTreeMap::<u64, Vec<BlobDigest>>::new();
        for row in &rows {
            doomed.entry(count(row.try_get("entry_index")?)).or_default().push(BlobDigest(digest(row, "digest")?));
        }
        Ok(doomed)
    }

    async fn sweep_disposal(&self, index: u64, files: Vec<BlobDigest>) -> Result<(), ArchiveError> {
        let blobs = self.parts.blobs.clone();
        let doomed = files.clone();
        let task = tokio::task::spawn_blocking(move || doomed.into_iter().try_for_each(|file| blobs.delete(file)));
        task.await.unwrap_or(Err(ArchiveError::Row { table: "content.sweeps", problem: "files were not deleted" }))?;
        // The files are gone: first on record, then off the list. A crash in between says it twice, never too early.
        let entry = self.entry(index).await?.ok_or(Inconsistency::OtherEntry { index })?;
        let mut detail = entry.detail().clone();
        detail.insert("phase".to_owned(), "swept".into());
        detail.insert("disposal".to_owned(), entry.id().to_string().into());
        detail.insert("blobs".to_owned(), files.len().into());
        detail.remove("contents");
        let mut draft = self.draft(EntryType::Disposal, Actor::Service(service_word()?), detail);
        draft.streams = entry.streams().iter().map(|stream| stream.id).collect();
        self.append(Submission::plain(draft)).await?;
        for file in files {
            sqlx::query("select content.swept($1)")
                .bind(file.0.as_bytes().as_slice())
                .execute(&self.parts.reader)
                .await?;
        }
        Ok(())
    }
}

fn detail(phase: &str, backups_expire_at: Timestamp, rule: &Word, records: &[RecordId]) -> Map<String, Value> {
    let records: Value = records.iter().map(ToString::to_string).collect();
    [
        ("backups_expire_at", Value::from(backups_expire_at.to_string())),
        ("phase", Value::from(phase)),
        ("records", records),
        ("rule", Value::from(rule.as_str())),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
