//! What is on record already, for whoever captures: open captures, accounts, items seen before.

use std::collections::HashSet;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use super::lists::advisors;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{AccountId, AdvisorId, Digest, EntryId, RecordId, SourceId, Timestamp};

/// A capture that has no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCapture {
    /// Its entry.
    pub entry: EntryId,
    /// Its record.
    pub record: RecordId,
    /// Whose streams it stands in.
    pub advisors: Vec<AdvisorId>,
}

/// An account that is an advisor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedAccount {
    /// Ours.
    pub account: AccountId,
    /// Whose.
    pub advisor: AdvisorId,
    /// On which network.
    pub network: String,
    /// Its id there; empty where only the handle is known.
    pub network_id: String,
    /// Its handle there.
    pub handle: Option<String>,
    /// Its display name there.
    pub name: Option<String>,
}

/// Where an item of a network stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemPlace {
    /// The entry.
    pub entry: EntryId,
    /// Its record.
    pub record: RecordId,
    /// Its place.
    pub index: u64,
    /// Whose streams it stands in.
    pub advisors: Vec<AdvisorId>,
    /// A write of ours made it; otherwise it was seen in a read.
    pub captured: bool,
    /// It is this very version.
    pub same_version: bool,
}

impl Archive {
    /// Which of these entries are in the ledger.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn which_are_there(&self, entries: &[EntryId]) -> Result<HashSet<EntryId>, ArchiveError> {
        let ids: Vec<Uuid> = entries.iter().map(|entry| entry.uuid()).collect();
        let found: Vec<Uuid> = sqlx::query_scalar("select id from ledger.entries where id = any ($1)")
            .bind(ids)
            .fetch_all(&self.parts.door)
            .await?;
        Ok(found.into_iter().map(EntryId::new).collect())
    }

    /// Captures of a source that have no outcome and were captured by `until`, oldest first. What waited in a spool got its place
    /// in the ledger later.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn open_captures(
        &self,
        source: SourceId,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OpenCapture>, ArchiveError> {
        let rows = sqlx::query(
            "select entry, record, advisors from projection.records
              where source = $1 and type = 'capture' and outcome is null and disposed is null and captured_at <= $2
              order by entry_index limit $3",
        )
        .bind(source.uuid())
        .bind(until.date_time())
        .bind(i64::from(limit))
        .fetch_all(&self.parts.door)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OpenCapture {
                    entry: EntryId::new(row.try_get("entry")?),
                    record: RecordId::new(row.try_get("record")?),
                    advisors: advisors(row)?,
                })
            })
            .collect()
    }

    /// Every account that is known to be an advisor's.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn owned_accounts(&self) -> Result<Vec<OwnedAccount>, ArchiveError> {
        let rows = sqlx::query(
            "select account, advisor, network, coalesce(network_id, '') as network_id, handle, name
               from projection.accounts
              where advisor is not null and network is not null and revoked_index is null
                and coalesce(network_id, handle) is not null
              order by added_index",
        )
        .fetch_all(&self.parts.door)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OwnedAccount {
                    account: AccountId::new(row.try_get("account")?),
                    advisor: AdvisorId::new(row.try_get("advisor")?),
                    network: row.try_get("network")?,
                    network_id: row.try_get("network_id")?,
                    handle: row.try_get("handle")?,
                    name: row.try_get("name")?,
                })
            })
            .collect()
    }

    /// Where records stand that a party of a network wrote and that are not in the advisor's stream, in order, behind `after`. The
    /// stable id decides where a record has one: a handle can move to another account.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn written_by(
        &self,
        network: &str,
        id: Option<&str>,
        handle: Option<&str>,
        advisor: AdvisorId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ItemPlace>, ArchiveError> {
        let rows = sqlx::query(
            "select r.entry, r.record, r.entry_index, r.advisors, r.type = 'capture' as captured, false as same_version
               from projection.records r
              where r.network = $1 and r.disposed is null and not $4 = any (r.advisors) and r.entry_index > $5
                and r.record in (
                      select c.record from projection.communications c where c.author_id = $2
                      union all
                      select c.record from projection.communications c
                       where lower(ltrim(c.author_handle, '@')) = lower(ltrim($3, '@')) and (coalesce(c.author_id, '') = '' or $2 is null))
              order by r.entry_index limit $6",
        )
        .bind(network)
        .bind(id)
        .bind(handle)
        .bind(advisor.uuid())
        .bind(after.map_or(-1, number))
        .bind(i64::from(limit))
        .fetch_all(&self.parts.reader)
        .await?;
        rows.iter().map(item_place).collect()
    }

    /// Where an item of a network stands, newest first: at most one capture, the newest observation, and the observation of this
    /// version.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn item_places(
        &self,
        network: &str,
        item: &str,
        version: &Digest,
    ) -> Result<Vec<ItemPlace>, ArchiveError> {
        // Of each sort the newest: (a write of ours), (another version), (this version).
        let rows = sqlx::query(
            "select distinct on (r.type, c.version is not distinct from $3)
                    r.entry, r.record, r.entry_index, r.advisors, r.type = 'capture' as captured,
                    c.version is not distinct from $3 as same_version
               from projection.communications c
               join projection.records r on r.record = c.record
              where c.item = $2 and r.network = $1 and r.disposed is null
                and c.kind not in ('deletion', 'moderation', 'reaction', 'poll_vote')
              order by r.type, c.version is not distinct from $3, r.entry_index desc",
        )
        .bind(network)
        .bind(item)
        .bind(version.to_string())
        .fetch_all(&self.parts.door)
        .await?;
        let mut places = rows.iter().map(item_place).collect::<Result<Vec<_>, ArchiveError>>()?;
        places.sort_by_key(|place| std::cmp::Reverse(place.index));
        Ok(places)
    }
}

fn item_place(row: &PgRow) -> Result<ItemPlace, ArchiveError> {
    Ok(ItemPlace {
        entry: EntryId::new(row.try_get::<Uuid, _>("entry")?),
        record: RecordId::new(row.try_get("record")?),
        index: count(row.try_get("entry_index")?),
        advisors: advisors(row)?,
        captured: row.try_get("captured")?,
        same_version: row.try_get("same_version")?,
    })
}
