//! What belongs to no entry: rows whose index lies beyond the ledger, and files of the blob store.
//!
//! A service appends while this runs, so a row counts as a stray only where the same statement sees no entry for it, and a file
//! only where it is a day old, unknown, and still there afterwards.

use sqlx::postgres::PgConnection;

use super::content::CHECK;
use super::finding::Findings;
use crate::archive::ArchiveError;
use crate::archive::blobs::BlobStore;
use crate::archive::row::{count, digest, number};
use crate::archive::submission::BlobDigest;

/// Strays named at most, of each table.
const NAMED: i64 = 10_000;

/// Files named at most.
const FILES_NAMED: usize = 10_000;

/// The statement for one table.
macro_rules! stray {
    ($table:literal) => {
        concat!(
            "select s.entry_index from ",
            $table,
            " s where (s.entry_index >= $1 or s.entry_index < 0)
                  and not exists (select from ledger.entries e where e.index = s.entry_index) limit $2"
        )
    };
}

/// Rows of the tables beside the entries that were not looked at with any entry below `size`.
pub(super) async fn rows(connection: &mut PgConnection, size: u64, findings: &Findings) -> Result<(), ArchiveError> {
    const TABLES: &[(&str, &str)] = &[
        ("ledger.stream_entries", stray!("ledger.stream_entries")),
        ("ledger.sources", stray!("ledger.sources")),
        ("ledger.holds", stray!("ledger.holds")),
        ("ledger.hold_terms", stray!("ledger.hold_terms")),
        ("ledger.releases", stray!("ledger.releases")),
        ("ledger.attributions", stray!("ledger.attributions")),
        ("ledger.plain_entries", stray!("ledger.plain_entries")),
    ];
    for (table, statement) in TABLES {
        for index in indices(connection, statement, size).await? {
            findings.at("tables", index, format!("a row of {table} belongs to no entry"));
        }
    }
    Ok(())
}

/// The same for keys and content.
pub(super) async fn content(connection: &mut PgConnection, size: u64, findings: &Findings) -> Result<(), ArchiveError> {
    const TABLES: &[(&str, &str)] = &[
        ("content.keys", stray!("content.keys")),
        ("content.sealed", stray!("content.sealed")),
        ("content.blobs", stray!("content.blobs")),
    ];
    for (table, statement) in TABLES {
        for index in indices(connection, statement, size).await? {
            findings.at(CHECK, index, format!("a row of {table} belongs to an entry that is not there"));
        }
    }
    Ok(())
}

async fn indices(connection: &mut PgConnection, statement: &'static str, size: u64) -> Result<Vec<u64>, sqlx::Error> {
    let found: Vec<i64> = sqlx::query_scalar(statement).bind(number(size)).bind(NAMED).fetch_all(connection).await?;
    Ok(found.into_iter().map(count).collect())
}

/// Names of files that the catalogue does not know, the first of them. They are no finding: a crash between a file and its entry
/// leaves one, and an entry that was taken away is missed in the chain.
pub(super) async fn files(connection: &mut PgConnection, store: &BlobStore) -> Result<Vec<String>, ArchiveError> {
    let mut left_behind = Vec::new();
    for first in 0..=u8::MAX {
        let (listed, place) = (store.clone(), first);
        let listing = tokio::task::spawn_blocking(move || listed.settled(place));
        let stopped = Err(ArchiveError::Row { table: "content.blobs", problem: "files were not listed" });
        let files = listing.await.unwrap_or(stopped)?;
        for files in files.chunks(1_000) {
            let names: Vec<&[u8]> = files.iter().map(|file| file.0.as_bytes().as_slice()).collect();
            let rows = sqlx::query(
                "select f.digest from unnest($1::bytea[]) f (digest)
                  where not exists (select from content.blobs b where b.digest = f.digest)
                    and not exists (select from content.sweeps s where s.digest = f.digest)",
            )
            .bind(names)
            .fetch_all(&mut *connection)
            .await?;
            for row in rows {
                let file = BlobDigest(digest(&row, "digest")?);
                // Swept in the meantime, it is not left behind.
                if store.has(file) {
                    left_behind.push(file.0.to_string());
                }
                if left_behind.len() == FILES_NAMED {
                    return Ok(left_behind);
                }
            }
        }
    }
    Ok(left_behind)
}
