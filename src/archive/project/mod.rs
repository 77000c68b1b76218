//! Projections: readable copies, read off the ledger in order.
//!
//! Invariant: the rows follow from entries and content alone, so doing it again gives the same rows; one transaction moves the
//! rows and how far they are. Nothing is written on the path of a post. What is wrong with one entry (bytes, key, content)
//! keeps no other from being projected: it is listed without its content, and `faults` says why.

mod attachment;
mod communication;
mod compare;
mod counts;
mod facts;
mod fold;
mod follow;
mod hold;
mod matter;
mod outcome;
mod people;
mod read;
mod rebuild;
mod rows;
mod webhook;
mod write;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::ArchiveError;
use super::blobs::BlobStore;
use super::connect;
use super::open::Archive;
use super::pool::in_time;
use super::row::{count, number};
use crate::record::MasterKey;

pub(super) use communication::addressed;
pub(super) use compare::compare;
pub use compare::{Comparison, Deviation, Difference};
pub(super) use counts::{COUNTED, KINDS, changed};
pub use follow::{Followed, Follower};
use read::{Item, Problem};
pub use rebuild::{Rebuilt, rebuild};
use rows::Rows;
use write::Written;

/// Entries projected in one transaction, at most: enough that most outcomes come with their captures where entries come fast.
const CHUNK: u64 = 1_000;

/// A step that takes longer is given up, and its connection with it: the network may be cut without a word. Less is projected at once then.
const STEP: Duration = Duration::from_secs(5);
/// The same of a single entry that takes so long by itself.
const LONGEST_STEP: Duration = Duration::from_secs(60);

/// What a projector needs to open content.
#[derive(Debug, Clone)]
pub(super) struct Projector {
    pub(super) master: MasterKey,
    pub(super) blobs: BlobStore,
}

impl Projector {
    /// Projects the next entries below `until`, into the schema the connection looks in first; answers with how far the
    /// projections are then.
    pub(super) async fn step(&self, connection: &mut PgConnection, until: u64) -> Result<u64, ArchiveError> {
        let mut transaction = connection.begin().await?;
        // A backup that leaves the rows out leaves this one out too. Two that see so meet in the primary key.
        const PROGRESS: &str = "select next_index, ledger.counted_run() as run from progress for update";
        const BEGIN: &str =
            "insert into progress (next_index) values (0) returning next_index, ledger.counted_run() as run";
        let row = match sqlx::query(PROGRESS).fetch_optional(&mut *transaction).await? {
            Some(row) => row,
            None => sqlx::query(BEGIN).fetch_one(&mut *transaction).await?,
        };
        let (from, run) = (count(row.try_get("next_index")?), count(row.try_get("run")?).max(1));
        // Where a run of counts ends, so does a step.
        let until = until.min((from / run).saturating_add(1).saturating_mul(run));
        // The ledger may not be as long as we were told; the projections are never ahead of it.
        let end = until.min(from.saturating_add(CHUNK)).min(ledger_size(&mut transaction).await?);
        if from >= end {
            transaction.rollback().await?;
            return Ok(from);
        }
        let items = read::chunk(&mut transaction, self, from..end).await?;
        let end = items.last().map_or(end, |last| last.index.saturating_add(1));
        let people = items.iter().filter_map(|item| item.entry.as_ref()).filter(|entry| people::is_of_people(entry));
        let people = people.map(|entry| number(entry.index().saturating_add(1))).max();
        if let Some(error) = attempt(&mut transaction, &items).await? {
            tracing::warn!(%error, "the database refuses a projected row; one entry after the other");
            for item in items {
                one(&mut transaction, item).await?;
            }
        }
        counts::complete(&mut transaction, end, run).await?;
        sqlx::query("update progress set next_index = $1, people = greatest(people, $2)")
            .bind(number(end))
            .bind(people)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(end)
    }
}

/// Entries there are: what head and entries agree on, and also what is left where the head is gone.
async fn ledger_size(connection: &mut PgConnection) -> Result<u64, ArchiveError> {
    let size: i64 = sqlx::query_scalar(
        "select least(coalesce((select max(index) + 1 from ledger.entries), 0), (select size from ledger.head))",
    )
    .fetch_one(connection)
    .await?;
    Ok(count(size))
}

/// Writes the rows of these entries, folded where they can be, or none of them where the database refuses one; then it says why.
async fn attempt(connection: &mut PgConnection, items: &[Item]) -> Result<Option<sqlx::Error>, ArchiveError> {
    for folding in [true, false] {
        let mut rows = Rows::default();
        for item in items {
            rows.take(item);
        }
        if folding {
            rows.fold();
        }
        let mut savepoint = connection.begin().await?;
        match write::write(&mut savepoint, rows).await {
            Ok(Written::All) => {
                savepoint.commit().await?;
                break;
            }
            Ok(Written::Clash) => savepoint.rollback().await?,
            Err(error) if is_refusal(&error) => {
                savepoint.rollback().await?;
                return Ok(Some(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// An entry whose rows are refused is projected without its content, and if need be not at all: the others shall not wait.
async fn one(connection: &mut PgConnection, item: Item) -> Result<(), ArchiveError> {
    let mut item = item;
    if let Some(error) = attempt(connection, std::slice::from_ref(&item)).await? {
        tracing::error!(entry.index = item.index, %error, "the database refuses what an entry says");
        item = item.refused(Problem::RowRefused);
        if attempt(connection, std::slice::from_ref(&item)).await?.is_some() {
            let fault = Item { entry: None, ..item };
            let refused = attempt(connection, std::slice::from_ref(&fault)).await?;
            return refused.map_or(Ok(()), |error| Err(error.into()));
        }
    }
    Ok(())
}

/// The row itself is refused: data exceptions (22), constraints (23), limits of the program (54).
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}

/// The server ended the session: a transaction stood idle for too long (25P03), or the connection broke, or fell silent.
fn was_ended(error: &ArchiveError) -> bool {
    let ArchiveError::Database(error) = error else { return false };
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some("25P03"),
        _ => false,
    }
}

impl Archive {
    pub(super) fn content_projector(&self) -> Projector {
        Projector { master: self.parts.options.master.clone(), blobs: self.parts.blobs.clone() }
    }

    /// Projects until the projections include everything below `until`. Several may do so at once.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn project(&self, until: u64) -> Result<(), ArchiveError> {
        let projector = self.content_projector();
        let mut connection = self.parts.projector.acquire().await?;
        let mut before = None;
        // What keeps others waiting too long is ended by the server: then less at once, down to one entry; and one that takes so long
        // by itself is waited for, since nothing behind it would ever be projected.
        let (mut most, mut goal, mut is_hurried) = (CHUNK, until, true);
        loop {
            let limit = if is_hurried { STEP } else { LONGEST_STEP };
            let stepped = in_time(limit, projector.step(&mut connection, goal)).await;
            if stepped.as_ref().is_err_and(was_ended) {
                // Given back to nobody, and nobody waits for it either.
                drop(connection.detach());
                if !is_hurried {
                    self.lags(until, self.projected().await.ok());
                    return stepped.map(drop);
                }
                is_hurried = most > 1;
                most = (most / 8).max(1);
                tracing::debug!(count = most, "projecting took too long, or its connection was lost; less at once");
                goal = until.min(self.projected().await?.saturating_add(most));
                connection = self.parts.projector.acquire().await?;
                if !is_hurried {
                    connect::unhurried(&mut connection).await?;
                }
                continue;
            }
            // Also when it failed: a projector that is stuck is what the metric is for.
            let reached = match &stepped {
                Ok(reached) => Some(*reached),
                Err(_failed) => self.projected().await.ok(),
            };
            self.lags(until, reached);
            let reached = stepped?;
            // Also ends where the ledger is shorter than `until`: then nothing moves any more.
            if reached >= until || before == Some(reached) {
                return Ok(());
            }
            before = Some(reached);
            if goal < until {
                goal = until.min(reached.saturating_add(most));
            }
        }
    }

    fn lags(&self, until: u64, reached: Option<u64>) {
        if let Some(reached) = reached {
            self.parts.options.metrics.projection_lag(until.saturating_sub(reached));
        }
    }

    /// Projects everything that the ledger has by now: projections follow it, and may lag.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn catch_up(&self) -> Result<(), ArchiveError> {
        self.project(self.head_size().await?).await
    }

    /// How far the projections are.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn projected(&self) -> Result<u64, ArchiveError> {
        let next: Option<i64> =
            sqlx::query_scalar("select next_index from projection.progress").fetch_optional(&self.parts.door).await?;
        // A restore without the rows of projections has none.
        Ok(next.map_or(0, count))
    }
}
