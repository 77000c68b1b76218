//! Do the projections say what the ledger says? All of them are made once more, by the code that made them, and compared row
//! by row.
//!
//! Everything happens in one transaction on one snapshot, which is rolled back: the service goes on meanwhile, and nothing
//! that it does can be mistaken for a difference. The tables are kept by the database, so memory stays flat; they take the space of
//! the projections once more while it lasts.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::rebuild::{make, schema_tables};
use super::{Projector, ledger_size};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};

/// Where they are made: a schema of its own, whose tables are gone with the transaction.
const SCHEMA: &str = "projection_check";
/// Differences told of one table at most.
const TOLD: i64 = 10_000;
/// Differences that one answer holds at most.
const NAMED: usize = 1_000;
/// Keeps two comparisons of one database apart: the four letters `comp`.
const LOCK: i64 = 0x636f_6d70;

/// In what way rows are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// They say something else.
    Differs,
    /// They are not there.
    Missing,
    /// They are there, and nothing in the ledger says so.
    Stray,
}

/// Rows that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The entry that they come from.
    pub index: u64,
    /// Which table of the schema `projection`.
    pub table: String,
    /// In what way.
    pub deviation: Deviation,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries whose rows were compared: as many as were projected.
    pub entries: u64,
    /// What differs, by index; at most 1,000 of it.
    pub differences: Vec<Difference>,
    /// More than that differs.
    pub more: bool,
}

impl Comparison {
    /// The projections say what the ledger says.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Archive {
    /// Compares the projections, as far as they are, with what the ledger and its content say. `progress` is told how far it is
    /// and how far it has to go, and may end it; then there is no answer. Changes nothing.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn compare_projections(
        &self,
        progress: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Comparison>, ArchiveError> {
        let mut connection = self.parts.projector.acquire().await?;
        let mut comparison = Comparison::default();
        let mut found = |difference| {
            if comparison.differences.len() < NAMED {
                comparison.differences.push(difference);
            } else {
                comparison.more = true;
            }
        };
        let compared = compare(&mut connection, &self.content_projector(), progress, &mut found).await?;
        let Some(entries) = compared else { return Ok(None) };
        comparison.entries = entries;
        comparison.differences.sort_unstable();
        Ok(Some(comparison))
    }
}

/// Compares everything that is projected; answers with how many entries that is, or with nothing when `progress` ended it.
pub(in crate::archive) async fn compare(
    connection: &mut PgConnection,
    projector: &Projector,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    found: &mut (impl FnMut(Difference) + Send),
) -> Result<Option<u64>, ArchiveError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *transaction).await?;
    // It takes as long as there is to read; waiting for the lock does not. Nobody who projects waits for it.
    sqlx::raw_sql(
        "set local statement_timeout = '6h'; set local lock_timeout = '30s'; set local search_path = projection_check;
         set local idle_in_transaction_session_timeout = '10s'; set local tcp_user_timeout = '25s';
         set local enable_seqscan = off; set local plan_cache_mode = force_generic_plan",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let next: Option<i64> =
        sqlx::query_scalar("select next_index from projection.progress").fetch_optional(&mut *transaction).await?;
    let projected = next.map_or(0, count);
    let size = ledger_size(&mut transaction).await?;
    sqlx::raw_sql("select ledger.make_projection_check()").execute(&mut *transaction).await?;
    let mut is_stopped = false;
    let made = make(&mut transaction, projector, projected, |at, of| {
        let flow = progress(at, of);
        is_stopped = flow.is_break();
        flow
    })
    .await?;
    if is_stopped {
        transaction.rollback().await?;
        return Ok(None);
    }
    if projected > size {
        // Entries that are still to come would never be projected.
        found(Difference { index: size, table: "progress".to_owned(), deviation: Deviation::Differs });
    }
    // What was looked up by key while it grew is now read from end to end.
    sqlx::raw_sql("set local enable_seqscan = on").execute(&mut *transaction).await?;
    let mut differing = Vec::new();
    for table in schema_tables(&mut transaction).await? {
        differences(&mut transaction, &table, projected, &mut |difference| differing.push(difference)).await?;
    }
    transaction.rollback().await?;
    let gone = disposed_since(connection, projected, &differing).await?;
    differing.into_iter().filter(|difference| !gone.contains(&difference.index)).for_each(found);
    Ok(Some(made))
}

/// Which of these entries are of, or show, a record whose disposal is not projected yet. One that came after our snapshot may have taken
/// files away that we went on to look for.
async fn disposed_since(
    connection: &mut PgConnection,
    projected: u64,
    differing: &[Difference],
) -> Result<BTreeSet<u64>, ArchiveError> {
    let places: BTreeSet<i64> = differing.iter().map(|difference| number(difference.index)).collect();
    if places.is_empty() {
        return Ok(BTreeSet::new());
    }
    let gone: Vec<i64> = sqlx::query_scalar(
        "select e.index from ledger.entries e
          where e.index = any ($1)
            and exists (select from content.disposals d
                         where d.entry_index >= $2
                           and position(convert_to('\"' || d.record || '\"', 'UTF8') in e.body) > 0)",
    )
    .bind(places.into_iter().collect::<Vec<_>>())
    .bind(number(projected))
    .fetch_all(connection)
    .await?;
    Ok(gone.into_iter().map(count).collect())
}

/// Rows of one table that are there and should not be, or should be and are not.
async fn differences(
    connection: &mut PgConnection,
    table: &str,
    projected: u64,
    found: &mut (impl FnMut(Difference) + Send),
) -> Result<(), ArchiveError> {
    // People are known by the entry that registered them; every other row names its entry.
    let index = match table {
        "progress" => return Ok(()),
        "advisors" | "devices" | "accounts" | "officers" => "added_index",
        // Counts are of many entries: the first of them stands for the run.
        "counts" => "of_run * ledger.counted_run()",
        _ => "entry_index",
    };
    // Content that is gone by a disposal which is not projected yet: the rows still have it, and rightly so.
    let settled = match table {
        "faults" | "verifications" => "$1::bigint is not null",
        // Counts of a run are compared when every disposal of its records is projected.
        "counts" => {
            "of_run not in (select r.entry_index / ledger.counted_run() from projection.records r
                              join content.disposals d on d.record = r.record where d.entry_index >= $1)"
        }
        // A look also says which accounts the records belong to that it showed.
        "looks" => {
            "(record is null or record not in (select d.record from content.disposals d where d.entry_index >= $1))
             and not records && array(select d.record from content.disposals d where d.entry_index >= $1)"
        }
        _ => "(record is null or record not in (select d.record from content.disposals d where d.entry_index >= $1))",
    };
    // Names of tables and columns are our own.
    let rows = |schema: &str| format!("select * from {schema}.\"{table}\" where {settled}");
    let (stored, wanted) = (rows("projection"), rows(SCHEMA));
    let text = format!(
        "select place, bool_or(is_wanted) as wanted, bool_or(not is_wanted) as stored from (
             select {index} as place, true as is_wanted from ({wanted} except all {stored}) missing
             union all
             select {index}, false from ({stored} except all {wanted}) stray) both_ways
          group by place order by place limit {TOLD}"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(number(projected)).persistent(false);
    for row in query.fetch_all(connection).await? {
        let deviation = match (row.try_get("wanted")?, row.try_get("stored")?) {
            (true, true) => Deviation::Differs,
            (true, false) => Deviation::Missing,
            (false, _) => Deviation::Stray,
        };
        found(Difference { index: count(row.try_get("place")?), table: table.to_owned(), deviation });
    }
    Ok(())
}
