//! The head of the ledger: what the writer believes, and how it is checked against the database.
//!
//! Invariant: a writer's belief only ever moves to a head that contains everything the writer was sure of before. A head that
//! does not is an [`Inconsistency`], and the end of appending.

use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Row as _, types::Uuid};

use crate::archive::row::{count, digest, number};
use crate::archive::{ArchiveError, Inconsistency};
use crate::ledger::{Entry, leaf_hash};
use crate::record::{AdvisorId, Digest, SourceId, Timestamp};

/// Streams remembered at most; the rest is asked for again.
const STREAMS: usize = 100_000;

/// What the writer believes about the ledger.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Entries there are.
    pub(super) size: u64,
    /// Leaf of the last one; zeros when there is none.
    pub(super) leaf: Digest,
    /// Its time.
    pub(super) at: Timestamp,
    /// How many entries our source has written.
    pub(super) source_next: u64,
    /// How many entries each stream holds, as far as asked for.
    pub(super) streams: HashMap<AdvisorId, u64>,
}

/// The one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeadRow {
    size: u64,
    leaf: Digest,
    at: Timestamp,
}

impl Head {
    /// Locks the head row in the open transaction and reads the head anew, checking it against `known`; `None` when it is
    /// exactly as known.
    ///
    /// Whoever holds the lock has seen every append that was committed, also one of our own whose answer was lost: the server
    /// process that may still be busy with it holds the same lock.
    pub(super) async fn lock(
        connection: &mut PgConnection,
        known: Option<&Self>,
        source: SourceId,
    ) -> Result<Option<Self>, ArchiveError> {
        let row = sqlx::query("select size, leaf, at from ledger.head for update").fetch_one(&mut *connection).await?;
        let at: OffsetDateTime = row.try_get("at")?;
        let found = HeadRow { size: count(row.try_get("size")?), leaf: digest(&row, "leaf")?, at: Timestamp::new(at) };
        if let Some(known) = known
            && known.size == found.size
            && known.leaf == found.leaf
        {
            return Ok(None);
        }
        // A statement of its own, begun after the lock was granted, so that it sees what was committed while we waited.
        let row = sqlx::query(
            "select (select max(index) from ledger.entries) as last,
                    (select leaf from ledger.entries where index = $1) as leaf,
                    (select body from ledger.entries where index = $1) as body,
                    (select leaf from ledger.entries where index = $2) as known,
                    coalesce((select next_index from ledger.sources where source = $3
                               order by next_index desc limit 1), 0) as source_next",
        )
        .bind(number(found.size) - 1)
        .bind(known.map_or(-1, |known| number(known.size) - 1))
        .bind(source.uuid())
        .fetch_one(&mut *connection)
        .await?;
        found.check(&row)?;
        if let Some(known) = known.filter(|known| known.size > 0) {
            if found.size < known.size {
                return Err(Inconsistency::Shorter { found: found.size, had: known.size }.into());
            }
            if row.try_get::<Option<&[u8]>, _>("known")? != Some(known.leaf.as_bytes().as_slice()) {
                return Err(Inconsistency::OtherEntry { index: known.size - 1 }.into());
            }
        }
        Ok(Some(Self {
            size: found.size,
            leaf: found.leaf,
            at: found.at,
            source_next: count(row.try_get("source_next")?),
            streams: HashMap::new(),
        }))
    }

    /// Asks for the streams that are not known yet. Only good until somebody else appends, which the append itself notices.
    pub(super) async fn learn_streams(
        &mut self,
        connection: &mut PgConnection,
        wanted: impl Iterator<Item = AdvisorId>,
    ) -> Result<(), sqlx::Error> {
        if self.streams.len() > STREAMS {
            self.streams.clear();
        }
        let unknown: Vec<Uuid> =
            wanted.filter(|stream| !self.streams.contains_key(stream)).map(AdvisorId::uuid).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(
            "select s.stream, coalesce((select e.stream_index + 1 from ledger.stream_entries e where e.stream = s.stream
                                         order by e.stream_index desc limit 1), 0) as next
               from unnest($1::uuid[]) s (stream)",
        )
        .bind(unknown)
        .fetch_all(connection)
        .await?;
        for row in rows {
            self.streams.insert(AdvisorId::new(row.try_get("stream")?), count(row.try_get("next")?));
        }
        Ok(())
    }
}

impl HeadRow {
    /// Does the row describe the last entry, and is that entry what its leaf says?
    fn check(&self, row: &PgRow) -> Result<(), ArchiveError> {
        let wrong = Inconsistency::Head { size: self.size };
        let last: Option<i64> = row.try_get("last")?;
        if last.map_or(0, |last| count(last) + 1) != self.size {
            return Err(wrong.into());
        }
        let Some(index) = self.size.checked_sub(1) else {
            return if self.leaf == Digest::ZERO { Ok(()) } else { Err(wrong.into()) };
        };
        let leaf: Option<&[u8]> = row.try_get("leaf")?;
        let body: Option<&[u8]> = row.try_get("body")?;
        let (Some(leaf), Some(body)) = (leaf, body) else { return Err(wrong.into()) };
        if leaf != self.leaf.as_bytes() {
            return Err(wrong.into());
        }
        if leaf_hash(body) != self.leaf {
            return Err(Inconsistency::Bytes { index }.into());
        }
        match Entry::parse(body) {
            Ok(entry) if entry.index() != index || entry.at() != self.at => Err(wrong.into()),
            Ok(_) => Ok(()),
            // Whoever holds the append role can put JSON there that is none. The function that let it in held its place, its link and its
            // time against these bytes, and the hash is right: the ledger goes on behind it, and verification names it.
            Err(error) => {
                tracing::error!(entry.index = index, %error, "the last body of the ledger is no entry; `muniment verify` names it");
                Ok(())
            }
        }
    }
}
