//! What verifying has found.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::lists::{Ordered, Slice, counted, ordered, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::record::Timestamp;

/// The result of one verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationRow {
    /// Its entry.
    pub index: u64,
    /// When it went on record.
    pub at: Timestamp,
    /// `all`, `entries`, `checkpoints`, `content`, `projections`.
    pub scope: String,
    /// `verified` or `failed`.
    pub result: String,
    /// How many failures.
    pub failures: u64,
    /// The first index that failed.
    pub first_failure: Option<u64>,
    /// From which index on it looked.
    pub from: u64,
    /// Up to which index, not included.
    pub until: u64,
}

fn verification(row: &PgRow) -> Result<VerificationRow, ArchiveError> {
    Ok(VerificationRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        scope: row.try_get("scope")?,
        result: row.try_get("result")?,
        failures: count(row.try_get("failures")?),
        first_failure: counted(row, "first_failure")?,
        from: count(row.try_get("from_index")?),
        until: count(row.try_get("until_index")?),
    })
}

impl Archive {
    /// Every verification, in ledger order.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn verification_history(&self, slice: Slice) -> Result<Vec<VerificationRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.verifications where entry_index > $1 and entry_index < $2 and $4::uuid is null"
            by "entry_index");
        self.list(&LIST, slice, None, verification).await
    }

    /// The newest verification of each scope.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn verifications(&self) -> Result<Vec<VerificationRow>, ArchiveError> {
        let rows =
            sqlx::query("select distinct on (scope) * from projection.verifications order by scope, entry_index desc")
                .fetch_all(&self.parts.reader)
                .await?;
        rows.iter().map(verification).collect()
    }
}
