//! Which records an export takes: all of an advisor's from the streams themselves, or what a search finds.

use std::collections::BTreeSet;

use super::ExportError;
use super::ask::Asked;
use crate::archive::Archive;
use crate::ledger::{Entry, EntryType};
use crate::record::{AdvisorId, RecordId, Timestamp};

/// Entries and records read at once.
const RUN: u32 = 500;
const PAGE: u32 = 500;

/// What was found.
#[derive(Debug)]
pub(super) struct Selected {
    /// In the order of the ledger.
    pub(super) records: Vec<RecordId>,
    /// Place of the first entry of any of it.
    pub(super) first: Option<u64>,
}

/// Of an advisor's entries, the place in the stream of the last before a time, or of the first.
pub(super) async fn begin(archive: &Archive, advisor: AdvisorId, from: Option<Timestamp>) -> Result<u64, ExportError> {
    let Some(from) = from else { return Ok(0) };
    // Times never fall along a stream: halve until the last entry before the time is found.
    let (mut low, mut high) = (0, archive.stream_size(advisor).await?);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = archive.stream_run(advisor, middle, 1).await?;
        if found.first().is_some_and(|entry| entry.at() < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.saturating_sub(1))
}

/// Hands out an advisor's entries from there on until it says that it has seen enough.
pub(super) async fn walk(
    archive: &Archive,
    advisor: AdvisorId,
    mut from: u64,
    mut page: impl AsyncFnMut(Vec<Entry>) -> Result<bool, ExportError>,
) -> Result<(), ExportError> {
    loop {
        let entries = archive.stream_run(advisor, from, RUN).await?;
        let read = entries.len();
        from = from.saturating_add(read as u64);
        if read == 0 || !page(entries).await? || read < RUN as usize {
            return Ok(());
        }
    }
}

/// Everything that is asked for.
pub(super) async fn select(archive: &Archive, asked: &Asked, as_of: u64) -> Result<Selected, ExportError> {
    // By the place of the entry that brings them in.
    let mut found: BTreeSet<(u64, RecordId)> = BTreeSet::new();
    if asked.is_of_streams() {
        for advisor in asked.advisors.iter().copied() {
            let from = begin(archive, advisor, asked.from).await?;
            walk(archive, advisor, from, async |entries| {
                for entry in entries {
                    if entry.index() >= as_of || asked.until.is_some_and(|until| entry.at() >= until) {
                        return Ok(false);
                    }
                    let of_type = matches!(
                        entry.entry_type(),
                        EntryType::Capture | EntryType::Observation | EntryType::Attribution
                    );
                    let inside = of_type && asked.from.is_none_or(|from| entry.at() >= from);
                    found.extend(entry.record().filter(|_record| inside).map(|record| (entry.index(), record)));
                }
                Ok(true)
            })
            .await?;
        }
    } else if asked.records.is_empty() {
        let advisors: Vec<_> =
            if asked.advisors.is_empty() { vec![None] } else { asked.advisors.iter().copied().map(Some).collect() };
        for advisor in advisors {
            let filter = asked.filter(advisor, as_of);
            let mut next = 0;
            loop {
                let rows = archive.records_within(&filter, next..as_of, PAGE).await?;
                let Some(last) = rows.last() else { break };
                next = last.index.saturating_add(1);
                found.extend(rows.iter().map(|row| (row.index, row.record)));
            }
        }
    } else {
        for record in asked.records.iter().copied() {
            let row = archive.record_as_of(record, Some(as_of)).await?.ok_or(ExportError::NoSuchRecord(record))?;
            found.insert((row.index, record));
        }
    }
    let first = found.first().map(|(index, _record)| *index);
    let mut seen = BTreeSet::new();
    let records = found.into_iter().map(|(_index, record)| record).filter(|record| seen.insert(*record)).collect();
    Ok(Selected { records, first })
}
