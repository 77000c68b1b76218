//! Projections against the ledger: made again beside the ones in use, and compared row by row.

use std::ops::ControlFlow;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::finding::Findings;
use super::{Progress, Verifier};
use crate::archive::ArchiveError;
use crate::archive::connect::Role;
use crate::archive::project::{Projector, make, make_tables, schema_tables};
use crate::archive::row::count;

const SCHEMA: &str = "projection_check";
/// Keeps two comparisons of one database apart: the letters `proc`.
const LOCK: i64 = 0x7072_6f63;
/// Differences told one by one, of each table.
const TOLD: i64 = 10_000;

/// Compares everything; answers with how far the projections reach.
pub(super) async fn compare(
    verifier: &Verifier,
    findings: &Findings,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<u64, ArchiveError> {
    let mut connection = verifier.connect(Role::Project).await?;
    sqlx::raw_sql("set search_path = projection_check").execute(&mut connection).await?;
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    clear(&mut connection).await?;
    make_tables(&mut connection, SCHEMA, "unlogged").await?;
    let projector = Projector { master: verifier.master.clone(), blobs: verifier.blobs.clone() };
    let until = live(&mut connection).await?;
    make(&mut connection, &projector, until, |done, of| {
        progress(Progress { phase: "projections", done, of });
        ControlFlow::Continue(())
    })
    .await?;

    let reached = snapshot_and_compare(verifier, &mut connection, &projector, findings).await;
    clear(&mut connection).await?;
    connection.close().await?;
    reached
}

/// Stops the live projector for a moment, catches up to exactly where it is, and takes one snapshot of both. The comparison
/// itself runs on that snapshot, with the projector at work again.
async fn snapshot_and_compare(
    verifier: &Verifier,
    connection: &mut PgConnection,
    projector: &Projector,
    findings: &Findings,
) -> Result<u64, ArchiveError> {
    let mut holder = verifier.connect(Role::Project).await?;
    let mut held = holder.begin().await?;
    let row = sqlx::query("select next_index from projection.progress for update").fetch_one(&mut *held).await?;
    let reached = count(row.try_get("next_index")?);
    make(connection, projector, reached, |_done, _of| ControlFlow::Continue(())).await?;
    let mut snapshot = connection.begin().await?;
    sqlx::raw_sql("set transaction isolation level repeatable read, read only").execute(&mut *snapshot).await?;
    sqlx::raw_sql("select from projection.progress").execute(&mut *snapshot).await?;
    held.rollback().await?;
    for table in schema_tables(&mut snapshot).await? {
        differences(&mut snapshot, &table, findings).await?;
    }
    snapshot.rollback().await?;
    Ok(reached)
}

async fn live(connection: &mut PgConnection) -> Result<u64, ArchiveError> {
    let next: i64 = sqlx::query_scalar("select next_index from projection.progress").fetch_one(connection).await?;
    Ok(count(next))
}

/// Which column says what entry a row comes from.
fn place(table: &str) -> Option<&'static str> {
    match table {
        "progress" => None,
        "advisors" | "devices" | "accounts" | "officers" => Some("added_index"),
        _ => Some("entry_index"),
    }
}

async fn differences(connection: &mut PgConnection, table: &str, findings: &Findings) -> Result<(), ArchiveError> {
    let Some(place) = place(table) else { return Ok(()) };
    // Table and column names are our own.
    let text = format!(
        "select place, bool_or(wanted) as wanted, bool_or(not wanted) as found from (
             select {place} as place, true as wanted
               from (table {SCHEMA}.{table} except all table projection.{table}) missing
              union all
             select {place}, false from (table projection.{table} except all table {SCHEMA}.{table}) extra) both_ways
          group by place order by place limit {TOLD}"
    );
    for row in sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await? {
        let problem = match (row.try_get("wanted")?, row.try_get("found")?) {
            (true, true) => "differs from the ledger",
            (true, false) => "is missing",
            (false, _) => "stands for nothing in the ledger",
        };
        findings.at("projections", count(row.try_get("place")?), format!("its row in projection.{table} {problem}"));
    }
    Ok(())
}

async fn clear(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'projection_check'")
            .fetch_all(&mut *connection)
            .await?;
    for table in tables {
        sqlx::raw_sql(AssertSqlSafe(format!("drop table {SCHEMA}.\"{table}\""))).execute(&mut *connection).await?;
    }
    Ok(())
}
