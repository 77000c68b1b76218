//! Disposal or loss: content that is not there must have been disposed of, by an entry that says so.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;

use super::content::{CHECK, Checked};
use super::finding::Findings;
use crate::archive::ArchiveError;
use crate::archive::row::{count as counted, number};
use crate::record::RecordId;

impl Checked {
    pub(super) const fn is_worth_a_look(&self) -> bool {
        !self.missing.is_empty() || !self.disposals.is_empty()
    }
}

/// Holds what a run of entries lacks, and what it disposes of, against the table of disposals.
pub(super) async fn check(
    connection: &mut PgConnection,
    checked: &Checked,
    findings: &Findings,
) -> Result<(), ArchiveError> {
    for missing in checked.missing.chunks(1_000) {
        let records: Vec<Uuid> = missing.iter().map(|missing| missing.record.uuid()).collect();
        let disposed: Vec<Uuid> = sqlx::query_scalar("select record from content.disposals where record = any ($1)")
            .bind(records)
            .fetch_all(&mut *connection)
            .await?;
        let disposed: BTreeSet<Uuid> = disposed.into_iter().collect();
        for lost in missing.iter().filter(|missing| !disposed.contains(&missing.record.uuid())) {
            findings.at(CHECK, lost.index, "its content is gone, and no disposal says so");
        }
    }
    if checked.disposals.is_empty() {
        return Ok(());
    }
    let places: Vec<i64> = checked.disposals.iter().map(|(index, _)| number(*index)).collect();
    let rows = sqlx::query("select record, entry_index from content.disposals where entry_index = any ($1)")
        .bind(places)
        .fetch_all(connection)
        .await?;
    let mut table = BTreeMap::<u64, BTreeSet<RecordId>>::new();
    for row in rows {
        let record = RecordId::new(row.try_get("record")?);
        table.entry(counted(row.try_get("entry_index")?)).or_default().insert(record);
    }
    for (index, records) in &checked.disposals {
        let said: BTreeSet<RecordId> = records.iter().copied().collect();
        if table.remove(index).unwrap_or_default() != said {
            findings.at("tables", *index, "the table of disposals does not say what the entry says");
        }
    }
    Ok(())
}

/// Disposals in the table that no disposal entry stands for, and keys of records that were disposed of.
pub(super) async fn count(connection: &mut PgConnection, findings: &Findings) -> Result<(), ArchiveError> {
    let strays: Vec<i64> = sqlx::query_scalar(
        "select distinct d.entry_index from content.disposals d
          where not exists (select from ledger.entries e where e.index = d.entry_index
                               and position('\"phase\":\"destroyed\"'::bytea in e.body) > 0
                               and position('\"type\":\"disposal\"'::bytea in e.body) > 0)
          limit 10000",
    )
    .fetch_all(&mut *connection)
    .await?;
    for index in strays {
        findings.at("tables", counted(index), "records count as disposed of by an entry that disposes of nothing");
    }
    let back: Vec<i64> = sqlx::query_scalar(
        "select k.entry_index from content.keys k join content.disposals d using (record) limit 10000",
    )
    .fetch_all(connection)
    .await?;
    for index in back {
        findings.at(CHECK, counted(index), "the key of a record that was disposed of is back");
    }
    Ok(())
}
