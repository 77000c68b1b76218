//! One call that appends a whole group: it moves the head if the head is where we think it is, inserts every row, and commits by
//! itself. One round trip, and the head is locked only while the server works.

use std::time::Duration;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;
use sqlx::{Arguments as _, Row as _};

use super::group::Group;
use super::parcel::SealedRow;
use crate::archive::row::number;
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

/// Waits for whoever holds the head and then looks again, so of two processes that expect the same head one finds it moved and
/// appends nothing. What it is told it holds against the head and the bytes; see `ledger.append` in the migrations.
const APPEND: &str = "
select moved, clock
  from ledger.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                     $23, $24, $25)";

/// Appends the group.
pub(super) async fn append(
    connection: &mut PgConnection,
    group: &Group<'_>,
    source: SourceId,
    now: Timestamp,
) -> Result<Written, sqlx::Error> {
    let arguments = arguments(group, source, now).map_err(sqlx::Error::Encode)?;
    let row = sqlx::query_with(APPEND, arguments).fetch_one(connection).await?;
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

fn arguments(group: &Group<'_>, source: SourceId, now: Timestamp) -> Result<PgArguments, BoxDynError> {
    let ids: Vec<Uuid> = group.appended.iter().map(|appended| appended.entry.uuid()).collect();
    let leaves: Vec<&[u8]> = group.appended.iter().map(|appended| appended.leaf.as_bytes().as_slice()).collect();
    let types: Vec<&str> = group.types.iter().map(|entry_type| entry_type.as_str()).collect();
    let content: usize = group.sealed.iter().map(SealedRow::size).sum();
    let mut arguments = PgArguments::default();
    // Room for all of it at once: the bytes, and what goes with each entry.
    arguments.reserve(25, group.size() + content + 512 * ids.len());
    arguments.add(number(group.first))?;
    arguments.add(group.previous.as_bytes().as_slice())?;
    arguments.add(group.head.at.date_time())?;
    arguments.add(now.date_time())?;
    arguments.add(AHEAD as f64)?;
    arguments.add(source.uuid())?;
    arguments.add(number(group.head.source_next))?;
    arguments.add(ids)?;
    arguments.add(leaves)?;
    arguments.add(group.bodies())?;
    arguments.add(&group.actors)?;
    arguments.add(types)?;
    arguments.add(&group.records)?;
    arguments.add(&group.plain)?;
    arguments.add(&group.streams.ends)?;
    arguments.add(&group.streams.streams)?;
    arguments.add(&group.streams.indices)?;
    arguments.add(&group.streams.places)?;
    arguments.add(&group.keyed)?;
    arguments.add(&group.wrapped)?;
    arguments.add(&group.sealed)?;
    arguments.add(&group.blobs.digests)?;
    arguments.add(&group.blobs.places)?;
    arguments.add(&group.blobs.names)?;
    arguments.add(&group.blobs.sizes)?;
    Ok(arguments)
}

/// Appends one disposal entry and destroys what it names, by the function that alone may do so.
pub(super) async fn dispose(
    connection: &mut PgConnection,
    group: &Group<'_>,
    source: SourceId,
) -> Result<Written, sqlx::Error> {
    let (Some(appended), Some(body)) = (group.appended.first(), group.bodies().first().copied()) else {
        return Ok(Written::Moved);
    };
    let done = sqlx::query("select ledger.dispose($1, $2, $3, $4, $5)")
        .bind(appended.entry.uuid())
        .bind(appended.leaf.as_bytes().as_slice())
        .bind(body)
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
