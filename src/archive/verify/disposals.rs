//! Disposal or loss: content that is not there must have been disposed of, by an entry that says so.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;

use super::content::{CHECK, Checked};
use super::finding::Findings;
use super::orders::Question;
use crate::archive::ArchiveError;
use crate::archive::row::{count as counted, number};
use crate::record::RecordId;

impl Checked {
    pub(super) const fn is_worth_a_look(&self) -> bool {
        !(self.missing.is_empty() && self.disposals.is_empty() && self.suspects.is_empty() && self.questions.is_empty())
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
    for suspects in checked.suspects.chunks(1_000) {
        let records: Vec<Uuid> = suspects.iter().map(|suspect| suspect.record.uuid()).collect();
        // What was disposed of while we read has lost some of its content before we came to it.
        let disposed: Vec<Uuid> = sqlx::query_scalar("select record from content.disposals where record = any ($1)")
            .bind(records)
            .fetch_all(&mut *connection)
            .await?;
        let disposed: BTreeSet<Uuid> = disposed.into_iter().collect();
        for suspect in suspects.iter().filter(|suspect| !disposed.contains(&suspect.record.uuid())) {
            for problem in &suspect.problems {
                findings.at(CHECK, suspect.index, problem.clone());
            }
        }
    }
    within_retention(connection, &checked.questions, findings).await?;
    if checked.disposals.is_empty() {
        return Ok(());
    }
    let places: Vec<i64> = checked.disposals.iter().map(|(index, _)| number(*index)).collect();
    let rows = sqlx::query("select record, entry_index from content.disposals where entry_index = any ($1)")
        .bind(places)
        .fetch_all(&mut *connection)
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

/// Disposals that came before the retention of their time had ended.
async fn within_retention(
    connection: &mut PgConnection,
    questions: &[Question],
    findings: &Findings,
) -> Result<(), ArchiveError> {
    for questions in questions.chunks(1_000) {
        let indices: Vec<i64> = questions.iter().map(|question| number(question.index)).collect();
        let records: Vec<Uuid> = questions.iter().map(|question| question.record.uuid()).collect();
        let last: Vec<&str> = questions.iter().map(|question| question.last.as_str()).collect();
        let at: Vec<&str> = questions.iter().map(|question| question.at.as_str()).collect();
        let rows = sqlx::query(
            "select d.index, d.record from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[]) d (index, record, last, at)
              where d.last::timestamptz
                    + coalesce((select c.minimum from content.retention_changes c where c.until_index > d.index
                                 order by c.number limit 1),
                               (select r.minimum from content.retention r)) > d.at::timestamptz",
        )
        .bind(indices)
        .bind(records)
        .bind(last)
        .bind(at)
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let record = RecordId::new(row.try_get("record")?);
            let problem = format!("record {record} was disposed of within its retention");
            findings.at("disposals", counted(row.try_get("index")?), problem);
        }
    }
    Ok(())
}

/// Every record that was disposed of.
pub(super) async fn records(connection: &mut PgConnection) -> Result<Vec<RecordId>, ArchiveError> {
    let records: Vec<Uuid> = sqlx::query_scalar("select record from content.disposals").fetch_all(connection).await?;
    Ok(records.into_iter().map(RecordId::new).collect())
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
