//! Proof of a disposal, put together from what the ledger still has.

use uuid::Uuid;

use crate::bundle::{DisposalProof, Proved};
use crate::ledger::{Entry, EntryType, TlogProof};
use crate::record::{EntryId, RecordId};
use crate::retain::{Retain, RetainError};

impl Retain {
    /// The proof for one record that was disposed of, or for all of a disposal, by the id of its entry. Under a checkpoint that covers all of it.
    ///
    /// # Errors
    /// [`RetainError::NotDisposed`] where there is nothing to prove.
    pub async fn disposal_proof(&self, of: Uuid) -> Result<DisposalProof, RetainError> {
        let (disposal, records) = self.found(of).await?;
        let first = records.first().copied().ok_or(RetainError::NotDisposed(of))?;
        let mut disposals = vec![disposal];
        for index in self.archive.disposals_of(first).await? {
            let of_it = |entry: &Entry| {
                let said = entry.detail().get("disposal").and_then(serde_json::Value::as_str);
                disposals.first().is_some_and(|destroyed| said == Some(&destroyed.id().to_string()))
            };
            if let Some(swept) = self.archive.entry(index).await?.filter(of_it) {
                disposals.push(swept);
            }
        }
        let mut remains = Vec::with_capacity(records.len());
        for record in records {
            let mut entries = Vec::new();
            for index in self.archive.record_entries(record).await? {
                // Of its own: a disposal is in nobody's record.
                entries.extend(self.archive.entry(index).await?.filter(|entry| entry.record() == Some(record)));
            }
            remains.push((record, entries));
        }
        self.prove(disposals, remains, of).await
    }

    /// The disposal, and the records whose end is to be proved, in order.
    async fn found(&self, of: Uuid) -> Result<(Entry, Vec<RecordId>), RetainError> {
        let missing = || RetainError::NotDisposed(of);
        let destroys = |entry: &Entry| {
            let phase = entry.detail().get("phase").and_then(serde_json::Value::as_str);
            entry.entry_type() == EntryType::Disposal && phase == Some("destroyed")
        };
        if let Some(disposal) = self.archive.entry_by_id(EntryId::new(of)).await?.filter(destroys) {
            let named = disposal.detail().get("records").and_then(serde_json::Value::as_array);
            let named = named.into_iter().flatten().filter_map(serde_json::Value::as_str);
            let mut records: Vec<RecordId> = named.filter_map(|id| id.parse().ok()).collect();
            records.sort_unstable();
            records.dedup();
            return Ok((disposal, records));
        }
        let record = RecordId::new(of);
        let index = self.archive.disposals_of(record).await?.first().copied().ok_or_else(missing)?;
        let disposal = self.archive.entry(index).await?.filter(destroys).ok_or_else(missing)?;
        Ok((disposal, vec![record]))
    }

    async fn prove(
        &self,
        disposals: Vec<Entry>,
        remains: Vec<(RecordId, Vec<Entry>)>,
        of: Uuid,
    ) -> Result<DisposalProof, RetainError> {
        let all = || disposals.iter().chain(remains.iter().flat_map(|(_record, entries)| entries));
        let newest = all().map(Entry::index).max().unwrap_or_default();
        let covering = newest.saturating_add(1);
        if self.archive.checkpoint(Some(covering)).await?.is_none() {
            self.archive.publish(true).await?;
        }
        let published = self.archive.checkpoint(Some(covering)).await?.ok_or(RetainError::NotPublished)?;
        let indices: Vec<u64> = all().map(Entry::index).collect();
        let hashes = self.archive.inclusion_hashes(&indices, published.checkpoint.size).await?;
        let mut hashes = hashes.into_iter();
        let mut proved = |entry: Entry| {
            let (index, hashes) = (entry.index(), hashes.next().unwrap_or_default());
            Proved { entry, proof: TlogProof { extra: None, index, hashes, checkpoint: published.note.clone() } }
        };
        let disposals: Vec<Proved> = disposals.into_iter().map(&mut proved).collect();
        let records: Vec<(RecordId, Vec<Proved>)> = remains
            .into_iter()
            .map(|(record, entries)| (record, entries.into_iter().map(&mut proved).collect()))
            .collect();
        DisposalProof::new(&disposals, &records).map_err(|_source| RetainError::NotDisposed(of))
    }
}
