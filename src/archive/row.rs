//! What rows hold, as our types: Postgres has no unsigned numbers, no digests, and no text with a zero byte.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::ArchiveError;
use crate::record::Digest;

/// A `bigint` that a check constraint keeps from being negative.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The other way; an index never comes near the end of either type.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Text as it can be in a row, and so as it is looked for.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A `bytea` that a check constraint keeps at 32 bytes.
pub(super) fn digest(row: &PgRow, column: &str) -> Result<Digest, ArchiveError> {
    let bytes: &[u8] = row.try_get(column)?;
    Digest::try_from(bytes)
        .map_err(|_source| ArchiveError::Row { table: "ledger", problem: "a digest is not 32 bytes" })
}
