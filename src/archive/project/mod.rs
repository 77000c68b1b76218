//! Projections: readable copies, read off the ledger in order.
//!
//! Invariant: the rows follow from entries and content alone, so doing it again gives the same rows; one transaction moves the
//! rows and how far they are. Nothing is written on the path of a post. Content that does not open, or is not what the
//! entry commits to, is left out: naming it is verification's business.

mod communication;
mod facts;
mod people;
mod read;
mod rebuild;
mod rows;
mod write;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::ArchiveError;
use super::blobs::BlobStore;
use super::open::Archive;
use super::row::{count, number};
use crate::record::MasterKey;

pub use rebuild::{Rebuilt, rebuild};
pub(super) use rebuild::{make, make_tables, schema_tables};

/// Entries projected in one transaction.
const CHUNK: u64 = 250;

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
        let row = sqlx::query("select next_index from progress for update").fetch_one(&mut *transaction).await?;
        let from = count(row.try_get("next_index")?);
        let end = until.min(from.saturating_add(CHUNK));
        if from >= end {
            return Ok(from);
        }
        let items = read::chunk(&mut transaction, self, from..end).await?;
        // The ledger may not be as long as we were told; the projections are never ahead of it.
        let end = from.saturating_add(items.len() as u64);
        let mut rows = rows::Rows::default();
        for item in &items {
            rows.take(item);
        }
        write::write(&mut transaction, rows).await?;
        sqlx::query("update progress set next_index = $1").bind(number(end)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(end)
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
        loop {
            let reached = projector.step(&mut connection, until).await?;
            self.parts.options.metrics.projection_lag(until.saturating_sub(reached));
            // Also ends where the ledger is shorter than `until`: then nothing moves any more.
            if reached >= until || before == Some(reached) {
                return Ok(());
            }
            before = Some(reached);
        }
    }

    /// How far the projections are.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn projected(&self) -> Result<u64, ArchiveError> {
        let next: i64 =
            sqlx::query_scalar("select next_index from projection.progress").fetch_one(&self.parts.reader).await?;
        Ok(count(next))
    }
}
