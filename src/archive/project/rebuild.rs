//! Makes the projections again, by the same code, beside the old ones, and swaps them when they are complete. Lists and logins
//! go on reading the old rows until then. Indexes that only readers need are made when the rows are there, which takes a fraction of
//! the time that keeping them takes.

use std::ops::ControlFlow;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::Projector;
use crate::archive::ArchiveError;
use crate::archive::blobs::BlobStore;
use crate::archive::connect;
use crate::archive::row::count;
use crate::record::MasterKey;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries read.
    pub entries: u64,
}

/// Keeps two rebuilds of one database apart: the four letters `proj`.
const LOCK: i64 = 0x7072_6f6a;

/// Rebuilds every projection, as the owner. `progress` is told how far it is and how far it has to go.
///
/// # Errors
/// See [`ArchiveError`]; the old projections are then as they were.
pub async fn rebuild(
    owner: &PgConnectOptions,
    master: MasterKey,
    blobs: BlobStore,
    mut progress: impl FnMut(u64, u64),
) -> Result<Rebuilt, ArchiveError> {
    // Each step is kept when the last one is, which waits for the disk.
    let options = connect::projecting(owner.clone().application_name("muniment rebuild"), "projection_next");
    let mut connection = options.connect().await?;
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    let text = "drop schema if exists projection_next cascade; create schema projection_next";
    sqlx::raw_sql(text).execute(&mut connection).await?;
    make_tables(&mut connection).await?;
    let indexes = take_indexes(&mut connection).await?;
    let projector = Projector { master, blobs };
    let row = sqlx::query("select size from ledger.head").fetch_one(&mut connection).await?;
    let until = count(row.try_get("size")?);
    let reached = make(&mut connection, &projector, until, |at, of| {
        progress(at, of);
        ControlFlow::Continue(())
    })
    .await?;
    sqlx::raw_sql("set maintenance_work_mem = '256MB'").execute(&mut connection).await?;
    for index in indexes {
        // What the database itself wrote down of it.
        sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut connection).await?;
    }
    // So that the first questions are planned for what is there.
    for table in schema_tables(&mut connection).await? {
        let text = format!("analyze projection_next.\"{table}\"");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await?;
    }

    // What was appended since is caught up while the old projector is held still.
    let mut transaction = connection.begin().await?;
    let text = "set local synchronous_commit = on; lock table projection.progress in access exclusive mode";
    sqlx::raw_sql(text).execute(&mut *transaction).await?;
    let mut entries = reached;
    loop {
        let next = projector.step(&mut transaction, u64::MAX).await?;
        if next == entries {
            break;
        }
        entries = next;
    }
    sqlx::raw_sql(
        "drop schema projection cascade;
         alter schema projection_next rename to projection;
         select ledger.grant_projection('projection')",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(Rebuilt { entries })
}

/// Tables of the projections.
pub(super) async fn schema_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'projection' order by tablename")
        .fetch_all(connection)
        .await
}

/// Empty tables like those of the projections.
async fn make_tables(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for table in schema_tables(connection).await? {
        // Table names come from our own migrations.
        let text = format!("create table projection_next.\"{table}\" (like projection.\"{table}\" including all)");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
    }
    sqlx::raw_sql("insert into projection_next.progress (next_index) values (0)").execute(connection).await?;
    Ok(())
}

/// Takes the indexes away that no projector needs, from the tables with most rows; answers with what makes them again.
async fn take_indexes(connection: &mut PgConnection) -> Result<Vec<String>, ArchiveError> {
    let rows = sqlx::query(
        "select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as made
           from pg_index i join pg_class c on c.oid = i.indrelid
          where c.relnamespace = 'projection_next'::regnamespace and c.relname in ('records', 'communications')
            and not i.indisunique and pg_get_indexdef(i.indexrelid) !~ ' \\(entry\\)$'
          order by i.indexrelid",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut made = Vec::with_capacity(rows.len());
    for row in rows {
        let text = format!("drop index {}", row.try_get::<String, _>("name")?);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
        made.push(row.try_get("made")?);
    }
    Ok(made)
}

/// Fills empty tables up to an index; answers with how far they are.
pub(super) async fn make(
    connection: &mut PgConnection,
    projector: &Projector,
    until: u64,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<u64, ArchiveError> {
    let mut before = None;
    loop {
        let reached = projector.step(connection, until).await?;
        if progress(reached, until).is_break() || reached >= until || before == Some(reached) {
            return Ok(reached);
        }
        before = Some(reached);
    }
}
