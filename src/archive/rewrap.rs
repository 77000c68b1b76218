//! Rotation of the master key: record keys unwrapped with the master key that their bytes name, and wrapped again under the one of now.
//!
//! Invariant: what a key opens stays the same, and nothing else is written: no content, no entry. Each round is a transaction of its own, so it can
//! stop at any moment and go on later; whoever reads meanwhile finds the one form or the other. As the owner: the service may change no key.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::types::Uuid;
use sqlx::{ConnectOptions as _, Row as _};

use super::ArchiveError;
use super::open::Archive;
use super::people::PasswordError;
use super::read::parse_key;
use super::row::count;
use crate::record::{MasterKey, MasterKeyId, RecordId};

/// Keys wrapped in one round.
const ROUND: i64 = 2_000;
/// Passes at most: what is appended under the former key meanwhile is found by the next.
const PASSES: u32 = 5;

/// What a rotation came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Record keys wrapped again.
    pub records: u64,
    /// Webhook secrets wrapped again.
    pub secrets: u64,
    /// Keys that none of the given master keys opens.
    pub unopened: u64,
    /// Keys that are still under another master key.
    pub left: u64,
}

/// How many keys a master key wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedUnder {
    /// Its name, in hex.
    pub master: String,
    /// Record keys.
    pub records: u64,
    /// Webhook secrets.
    pub secrets: u64,
}

/// Wraps every key again that is not under the master key of now. `on` hears how many were, after each round.
///
/// # Errors
/// See [`ArchiveError`]; what was wrapped again stays so.
pub async fn rewrap(
    owner: &PgConnectOptions,
    master: &MasterKey,
    mut on: impl FnMut(u64),
) -> Result<Rewrapped, ArchiveError> {
    let mut connection = owner.clone().application_name("muniment keys").connect().await?;
    let mut rewrapped = Rewrapped::default();
    for _pass in 0..PASSES {
        rewrapped.unopened = 0;
        let mut after = Uuid::nil();
        while let Some(last) = round(&mut connection, master, after, &mut rewrapped).await? {
            after = last;
            on(rewrapped.records);
        }
        secrets(&mut connection, master, &mut rewrapped).await?;
        rewrapped.left = left(&mut connection, master.id()).await?;
        if rewrapped.left == rewrapped.unopened {
            break;
        }
    }
    Ok(rewrapped)
}

/// One round after a record; the last record of it, or none where there is no more.
async fn round(
    connection: &mut PgConnection,
    master: &MasterKey,
    after: Uuid,
    rewrapped: &mut Rewrapped,
) -> Result<Option<Uuid>, ArchiveError> {
    let rows = sqlx::query(
        "select record, wrapped from content.keys where record > $1 and substring(wrapped from 2 for 8) <> $2
          order by record limit $3",
    )
    .bind(after)
    .bind(master.id().as_bytes().as_slice())
    .bind(ROUND)
    .fetch_all(&mut *connection)
    .await?;
    let (mut records, mut was, mut becomes) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for row in &rows {
        let (record, wrapped): (Uuid, Vec<u8>) = (row.try_get("record")?, row.try_get("wrapped")?);
        last = Some(record);
        match again(master, record, &wrapped)? {
            Some(fresh) => {
                records.push(record);
                was.push(wrapped);
                becomes.push(fresh);
            }
            None => rewrapped.unopened += 1,
        }
    }
    if !records.is_empty() {
        let changed: i64 = sqlx::query_scalar("select content.rewrap($1, $2, $3)")
            .bind(records)
            .bind(was)
            .bind(becomes)
            .fetch_one(&mut *connection)
            .await?;
        rewrapped.records += count(changed);
    }
    Ok(last)
}

/// None where it does not open: it is not lost by this, and not helped either.
fn again(master: &MasterKey, record: Uuid, wrapped: &[u8]) -> Result<Option<Vec<u8>>, ArchiveError> {
    let record = RecordId::new(record);
    let Ok(key) = parse_key(wrapped).map(|wrapped| master.unwrap_key(record, &wrapped)) else { return Ok(None) };
    let Ok(key) = key else { return Ok(None) };
    let mut nonce = [0; 12];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_source| ArchiveError::Password(PasswordError::Random))?;
    let fresh = master.wrap_key(record, &key, nonce).map_err(|source| ArchiveError::Key { record, source })?;
    Ok(Some(fresh.as_bytes().to_vec()))
}

/// Webhook secrets: as many as there are webhooks, twice.
async fn secrets(
    connection: &mut PgConnection,
    master: &MasterKey,
    rewrapped: &mut Rewrapped,
) -> Result<(), ArchiveError> {
    let rows = sqlx::query(
        "select secret, wrapped from people.webhook_secrets where substring(wrapped from 2 for 8) <> $1 order by secret limit 100000",
    )
    .bind(master.id().as_bytes().as_slice())
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let (secret, wrapped): (Uuid, Vec<u8>) = (row.try_get("secret")?, row.try_get("wrapped")?);
        let Some(fresh) = again(master, secret, &wrapped)? else {
            rewrapped.unopened += 1;
            continue;
        };
        let changed = sqlx::query("update people.webhook_secrets set wrapped = $3 where secret = $1 and wrapped = $2")
            .bind(secret)
            .bind(&wrapped)
            .bind(&fresh)
            .execute(&mut *connection)
            .await?;
        rewrapped.secrets += changed.rows_affected();
    }
    Ok(())
}

async fn left(connection: &mut PgConnection, current: MasterKeyId) -> Result<u64, ArchiveError> {
    let left = sqlx::query_scalar(
        "select (select count(*) from content.keys where substring(wrapped from 2 for 8) <> $1)
              + (select count(*) from people.webhook_secrets where substring(wrapped from 2 for 8) <> $1)",
    );
    Ok(count(left.bind(current.as_bytes().as_slice()).fetch_one(connection).await?))
}

impl Archive {
    /// How many keys each master key wraps, by name.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn wrapped_under(&self) -> Result<Vec<WrappedUnder>, ArchiveError> {
        wrapped_under(&self.parts.reader).await
    }
}

pub(super) async fn wrapped_under(asked: impl sqlx::PgExecutor<'_>) -> Result<Vec<WrappedUnder>, ArchiveError> {
    let rows = sqlx::query(
        "select encode(name, 'hex') as master, count(*) filter (where is_record) as records,
                count(*) filter (where not is_record) as secrets
           from (select substring(wrapped from 2 for 8) as name, true as is_record from content.keys
                 union all select substring(wrapped from 2 for 8), false from people.webhook_secrets) wrapped
          group by name order by name limit 1000",
    )
    .fetch_all(asked)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(WrappedUnder {
            master: row.try_get("master")?,
            records: count(row.try_get("records")?),
            secrets: count(row.try_get("secrets")?),
        })
    };
    rows.iter().map(read).collect()
}
