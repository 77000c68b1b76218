//! A look at the database for `muniment doctor`: what `serve` would meet there. Changes nothing.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::ArchiveError;
use super::connect::{self, CONNECT, Role};
use super::rewrap::{WrappedUnder, wrapped_under};
use super::row::count;
use crate::record::Timestamp;

/// Rows of these are added and never changed: whoever may do more could rewrite what was kept.
const APPEND_ONLY: &[&str] = &[
    "ledger.entries",
    "ledger.stream_entries",
    "ledger.sources",
    "ledger.tiles",
    "ledger.checkpoints",
    "ledger.holds",
    "ledger.releases",
    "ledger.attributions",
    "ledger.plain_entries",
    "content.keys",
    "content.sealed",
    "content.blobs",
    "content.disposals",
    "content.retention_changes",
];

/// Longest look: a server that stands still takes connections and answers nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a look showed.
#[derive(Debug)]
pub struct Examined {
    /// Version of the server, in its own words.
    pub version: String,
    /// Its major version.
    pub major: u32,
    /// Its clock.
    pub now: Timestamp,
    /// Entries in the ledger.
    pub entries: u64,
    /// Whether the server keeps what it acknowledges.
    pub durable: Result<(), ArchiveError>,
    /// How many keys each master key wraps.
    pub wrapped: Vec<WrappedUnder>,
    /// What the service may do and should not: `muniment_append may update ledger.entries`.
    pub excess: Vec<String>,
}

/// Looks as the running service would: with its login, in its roles.
///
/// # Errors
/// When `serve` could not start on this database either, with what to do.
pub async fn examine(login: &PgConnectOptions) -> Result<Examined, ArchiveError> {
    let late = |_elapsed| ArchiveError::from(sqlx::Error::PoolTimedOut);
    tokio::time::timeout(PATIENCE, look(login)).await.map_err(late)?
}

async fn look(login: &PgConnectOptions) -> Result<Examined, ArchiveError> {
    connect::check(login, false).await?;
    let options = connect::options(login, Role::Append, CONNECT);
    let mut connection = options.connect().await?;
    let durable = connect::check_durable(&mut connection).await;
    let about = sqlx::query(
        "select current_setting('server_version') as version, current_setting('server_version_num')::int / 10000 as major,
                (select size from ledger.head) as entries",
    )
    .fetch_one(&mut connection)
    .await?;
    // A superuser passes every such test, and so is named for every table.
    let rights = sqlx::query(
        "select format('%s may %s %s.%s', role, lower(act), n.nspname, c.relname) as may
           from unnest($1::text[]) role
          cross join pg_class c join pg_namespace n on n.oid = c.relnamespace
          cross join unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) act
          where n.nspname || '.' || c.relname = any ($2)
            and case act when 'UPDATE' then has_any_column_privilege(role, c.oid, act) else has_table_privilege(role, c.oid, act) end
          order by 1",
    )
    .bind(vec!["muniment_append", "muniment_publish", "muniment_project", login.get_username()])
    .bind(APPEND_ONLY)
    .fetch_all(&mut connection)
    .await?;
    let wrapped = wrapped_under(&mut connection).await?;
    // Last, so that the time is as fresh as it can be.
    let now: time::OffsetDateTime = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await?;
    let examined = Examined {
        version: about.try_get("version")?,
        major: u32::try_from(about.try_get::<i32, _>("major")?).unwrap_or_default(),
        now: Timestamp::new(now),
        entries: count(about.try_get("entries")?),
        durable,
        wrapped,
        excess: rights.iter().map(|row| row.try_get("may")).collect::<Result<_, sqlx::Error>>()?,
    };
    // It answered; how it takes the farewell does not matter.
    let _closed = connection.close().await;
    Ok(examined)
}
