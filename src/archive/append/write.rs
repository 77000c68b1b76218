//! One statement that appends a whole group: it moves the head if the head is where we think it is, inserts every row, and
//! commits by itself. One round trip, and the head is locked only while the server works.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::group::Group;
use crate::archive::row::number;
use crate::ledger::Entry;
use crate::record::{SourceId, Timestamp};

/// How far ahead of the database's clock ours may be.
const AHEAD: i64 = 60;

/// What the statement did.
pub(super) enum Written {
    /// The group is committed (or will be with the transaction it is part of).
    Moved,
    /// The head is not where we thought; nothing was inserted.
    HeadElsewhere,
    /// Our clock is too far ahead; nothing was inserted.
    ClockAhead(Duration),
}

/// `update … where` waits for whoever holds the head and then looks again, so of two processes that expect the same head one
/// finds it moved and inserts nothing. The triggers check links and head once everything is in place.
const APPEND: &str = "
with moved as (
    update ledger.head set size = $3, leaf = $4, at = $5
     where size = $1 and leaf = $2 and $6 <= clock_timestamp() + make_interval(secs => $7)
    returning 1
), appended as (
    insert into ledger.entries (index, id, leaf, body)
    select $1 + e.nth - 1, e.id, e.leaf, e.body
      from moved, unnest($8::uuid[], $9::bytea[], $10::bytea[]) with ordinality e (id, leaf, body, nth)
), counted as (
    insert into ledger.sources (source, next_index, entry_index) select $11, $12, $3 - 1 from moved
), streamed as (
    insert into ledger.stream_entries (stream, stream_index, entry_index)
    select s.* from moved, unnest($13::uuid[], $14::bigint[], $15::bigint[]) s
), keyed as (
    insert into content.keys (record, entry_index, wrapped)
    select k.* from moved, unnest($16::uuid[], $17::bigint[], $18::bytea[]) k
), sealed as (
    insert into content.sealed (entry_index, record, names, ciphertexts)
    select f.* from moved, unnest($19::content.sealed[]) f
), put as (
    insert into content.blobs (digest, entry_index, record, name, size)
    select b.* from moved, unnest($20::bytea[], $21::bigint[], $22::uuid[], $23::text[], $24::bigint[]) b
)
select exists (select from moved) as moved, clock_timestamp() as clock";

/// Appends the group.
pub(super) async fn append(
    connection: &mut PgConnection,
    group: &Group<'_>,
    source: SourceId,
    now: Timestamp,
) -> Result<Written, sqlx::Error> {
    let ids: Vec<Uuid> = group.entries.iter().map(|entry| entry.id().uuid()).collect();
    let leaves: Vec<&[u8]> = group.appended.iter().map(|appended| appended.leaf.as_bytes().as_slice()).collect();
    let bodies: Vec<&[u8]> = group.entries.iter().map(Entry::bytes).collect();
    let row = sqlx::query(APPEND)
        .bind(number(group.first))
        .bind(group.previous.as_bytes().as_slice())
        .bind(number(group.head.size))
        .bind(group.head.leaf.as_bytes().as_slice())
        .bind(group.head.at.date_time())
        .bind(now.date_time())
        .bind(AHEAD as f64)
        .bind(ids)
        .bind(leaves)
        .bind(bodies)
        .bind(source.uuid())
        .bind(number(group.head.source_next))
        .bind(&group.streams.0)
        .bind(&group.streams.1)
        .bind(&group.streams.2)
        .bind(&group.keys.0)
        .bind(&group.keys.1)
        .bind(&group.keys.2)
        .bind(&group.sealed)
        .bind(&group.blobs.digests)
        .bind(&group.blobs.entries)
        .bind(&group.blobs.records)
        .bind(&group.blobs.names)
        .bind(&group.blobs.sizes)
        .fetch_one(connection)
        .await?;
    if row.try_get("moved")? {
        return Ok(Written::Moved);
    }
    let clock: OffsetDateTime = row.try_get("clock")?;
    let ahead = now.unix_micros().saturating_sub(Timestamp::new(clock).unix_micros());
    if ahead > AHEAD * 1_000_000 {
        return Ok(Written::ClockAhead(Duration::from_micros(u64::try_from(ahead).unwrap_or(0))));
    }
    Ok(Written::HeadElsewhere)
}

/// Appends one disposal entry and destroys what it names, by the function that alone may do so.
pub(super) async fn dispose(
    connection: &mut PgConnection,
    group: &Group<'_>,
    source: SourceId,
) -> Result<Written, sqlx::Error> {
    let Some(entry) = group.entries.first() else { return Ok(Written::Moved) };
    let done = sqlx::query("select ledger.dispose($1, $2, $3, $4, $5)")
        .bind(entry.id().uuid())
        .bind(entry.leaf().as_bytes().as_slice())
        .bind(entry.bytes())
        .bind(source.uuid())
        .bind(number(group.head.source_next))
        .execute(connection)
        .await;
    match done {
        Ok(_done) => Ok(Written::Moved),
        Err(error) if code(&error).as_deref() == Some("40001") => Ok(Written::HeadElsewhere),
        Err(error) => Err(error),
    }
}

/// The SQLSTATE of an error the server sent.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

/// What an error means for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An id, a key or a count is there already.
    Duplicate,
    /// The server refused the rows: one of them is wrong, and the same group would be refused again.
    Refused,
    /// The server rolled back for reasons of its own (no disk, no memory, too slow, deadlock): the same group may pass later.
    RolledBack,
    /// Nobody knows whether it was committed.
    Unknown,
}

pub(super) fn verdict(error: &sqlx::Error) -> Verdict {
    let Some(code) = code(error) else { return Verdict::Unknown };
    match code.get(..2).unwrap_or_default() {
        "23" if code == "23505" => Verdict::Duplicate,
        "21" | "22" | "23" | "42" | "54" | "P0" => Verdict::Refused,
        "40" | "53" | "55" => Verdict::RolledBack,
        "57" if code == "57014" => Verdict::RolledBack,
        // A server that shuts down may have committed before it said so.
        _ => Verdict::Unknown,
    }
}
