//! Advisors, devices, accounts and officers, as the projections show them.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use super::lists::{Ordered, Slice, advisors, counted, ordered, some_time, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::people::Limits;
use crate::archive::row::count;
use crate::record::{AccountId, AdvisorId, DeviceId, OfficerId, RecordId, Timestamp};

/// Accounts with their first and last record. A handle decides only where the network's id is not known: it can move to another account.
/// Each side is one step on an index, however much the account has said.
macro_rules! accounts_where {
    ($condition:literal) => {
        concat!(
            "select a.*, first.at as first_seen_at, last.at as last_seen_at
              from projection.accounts a
              left join lateral (
                   (select r.at from projection.communications c join projection.records r using (record)
                     where a.network_id is not null and c.account_id = a.network_id and r.network = a.network
                     order by c.entry_index limit 1)
                    union all
                   (select r.at from projection.communications c join projection.records r using (record)
                     where a.network_id is null and lower(ltrim(c.account_handle, '@')) = lower(ltrim(a.handle, '@')) and r.network = a.network
                     order by c.entry_index limit 1)) first on true
              left join lateral (
                   (select r.at from projection.communications c join projection.records r using (record)
                     where a.network_id is not null and c.account_id = a.network_id and r.network = a.network
                     order by c.entry_index desc limit 1)
                    union all
                   (select r.at from projection.communications c join projection.records r using (record)
                     where a.network_id is null and lower(ltrim(c.account_handle, '@')) = lower(ltrim(a.handle, '@')) and r.network = a.network
                     order by c.entry_index desc limit 1)) last on true ",
            $condition
        )
    };
}

/// An advisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisorRow {
    /// Who.
    pub advisor: AdvisorId,
    /// Name, unless disposed of.
    pub name: Option<String>,
    /// The entry that registered them.
    pub index: u64,
    /// When.
    pub added_at: Timestamp,
    /// The entry that revoked them.
    pub revoked_index: Option<u64>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub advisor: Option<AdvisorId>,
    /// What it is called.
    pub name: Option<String>,
    /// The entry that registered it.
    pub index: u64,
    /// When.
    pub added_at: Timestamp,
    /// The entry that revoked it.
    pub revoked_index: Option<u64>,
}

/// An account on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Which.
    pub account: AccountId,
    /// Whose.
    pub advisor: Option<AdvisorId>,
    /// On which network.
    pub network: Option<String>,
    /// Its id there.
    pub network_id: Option<String>,
    /// Its handle there.
    pub handle: Option<String>,
    /// Its display name there.
    pub name: Option<String>,
    /// The entry that first named it.
    pub index: u64,
    /// When.
    pub added_at: Timestamp,
    /// Its first record; none when there is none yet.
    pub first_seen_at: Option<Timestamp>,
    /// Its newest record.
    pub last_seen_at: Option<Timestamp>,
}

/// An officer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficerRow {
    /// Who.
    pub officer: OfficerId,
    /// Their roles.
    pub roles: Vec<String>,
    /// Name, unless disposed of.
    pub name: Option<String>,
    /// The entry that registered them.
    pub index: u64,
    /// When.
    pub added_at: Timestamp,
    /// The entry that revoked them.
    pub revoked_index: Option<u64>,
    /// Until when the token is taken, and what it reaches.
    pub limits: Limits,
}

/// What an `identity` entry said of somebody or something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// The entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// `added`, `changed` or `revoked`.
    pub change: String,
    /// Who caused it, as entries have it: `service:command`.
    pub actor: String,
    /// Whose it is.
    pub advisor: Option<AdvisorId>,
    /// Name, unless disposed of.
    pub name: Option<String>,
    /// Handle on the network, unless disposed of.
    pub handle: Option<String>,
    /// Id on the network, unless disposed of.
    pub network_id: Option<String>,
}

fn identity(row: &PgRow) -> Result<IdentityRow, ArchiveError> {
    Ok(IdentityRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        change: row.try_get("change")?,
        actor: row.try_get("actor")?,
        advisor: row.try_get::<Option<Uuid>, _>("advisor")?.map(AdvisorId::new),
        name: row.try_get("name")?,
        handle: row.try_get("handle")?,
        network_id: row.try_get("network_id")?,
    })
}

impl OfficerRow {
    pub(in crate::archive) fn read(row: &PgRow) -> Result<Self, ArchiveError> {
        Ok(Self {
            officer: OfficerId::new(row.try_get("officer")?),
            roles: row.try_get("roles")?,
            name: row.try_get("name")?,
            index: count(row.try_get("added_index")?),
            added_at: time(row, "added_at")?,
            revoked_index: counted(row, "revoked_index")?,
            limits: Limits {
                expires_at: some_time(row, "expires_at")?,
                operations: row.try_get("operations")?,
                advisors: advisors(row)?,
            },
        })
    }
}

fn advisor(row: &PgRow) -> Result<AdvisorRow, ArchiveError> {
    Ok(AdvisorRow {
        advisor: AdvisorId::new(row.try_get("advisor")?),
        name: row.try_get("name")?,
        index: count(row.try_get("added_index")?),
        added_at: time(row, "added_at")?,
        revoked_index: counted(row, "revoked_index")?,
    })
}

fn device(row: &PgRow) -> Result<DeviceRow, ArchiveError> {
    Ok(DeviceRow {
        device: DeviceId::new(row.try_get("device")?),
        advisor: row.try_get::<Option<Uuid>, _>("advisor")?.map(AdvisorId::new),
        name: row.try_get("name")?,
        index: count(row.try_get("added_index")?),
        added_at: time(row, "added_at")?,
        revoked_index: counted(row, "revoked_index")?,
    })
}

fn account(row: &PgRow) -> Result<AccountRow, ArchiveError> {
    Ok(AccountRow {
        account: AccountId::new(row.try_get("account")?),
        advisor: row.try_get::<Option<Uuid>, _>("advisor")?.map(AdvisorId::new),
        network: row.try_get("network")?,
        network_id: row.try_get("network_id")?,
        handle: row.try_get("handle")?,
        name: row.try_get("name")?,
        index: count(row.try_get("added_index")?),
        added_at: time(row, "added_at")?,
        first_seen_at: some_time(row, "first_seen_at")?,
        last_seen_at: some_time(row, "last_seen_at")?,
    })
}

impl Archive {
    /// Advisors; `of` asks for one.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn advisors(&self, slice: Slice, of: Option<AdvisorId>) -> Result<Vec<AdvisorRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.advisors
             where added_index > $1 and added_index < $2 and ($4::uuid is null or advisor = $4)"
            by "added_index");
        self.list(&LIST, slice, of.map(AdvisorId::uuid), advisor).await
    }

    /// Devices, of one advisor or of all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn devices(&self, slice: Slice, of: Option<AdvisorId>) -> Result<Vec<DeviceRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.devices
             where added_index > $1 and added_index < $2 and ($4::uuid is null or advisor = $4)"
            by "added_index");
        self.list(&LIST, slice, of.map(AdvisorId::uuid), device).await
    }

    /// One device.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn device(&self, id: DeviceId) -> Result<Option<DeviceRow>, ArchiveError> {
        let row = sqlx::query("select * from projection.devices where device = $1")
            .bind(id.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        row.as_ref().map(device).transpose()
    }

    /// Accounts, of one advisor or of all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn accounts(&self, slice: Slice, of: Option<AdvisorId>) -> Result<Vec<AccountRow>, ArchiveError> {
        const LIST: Ordered = Ordered {
            newest: accounts_where!(
                "where added_index > $1 and added_index < $2 and revoked_index is null and ($4::uuid is null or advisor = $4)
                 order by added_index desc limit $3"
            ),
            oldest: accounts_where!(
                "where added_index > $1 and added_index < $2 and revoked_index is null and ($4::uuid is null or advisor = $4)
                 order by added_index limit $3"
            ),
        };
        self.list(&LIST, slice, of.map(AdvisorId::uuid), account).await
    }

    /// Officers.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn officers(&self, slice: Slice) -> Result<Vec<OfficerRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.officers
             where added_index > $1 and added_index < $2 and $4::uuid is null"
            by "added_index");
        self.list(&LIST, slice, None, OfficerRow::read).await
    }

    /// One account.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn account(&self, id: AccountId) -> Result<Option<AccountRow>, ArchiveError> {
        let row = sqlx::query(accounts_where!("where a.account = $1"))
            .bind(id.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// What the ledger said of an advisor, device, account or officer, newest first.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn identity_history(&self, id: Uuid, limit: u32) -> Result<Vec<IdentityRow>, ArchiveError> {
        let rows = sqlx::query("select * from projection.identities where id = $1 order by entry_index desc limit $2")
            .bind(id)
            .bind(i64::from(limit))
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(identity).collect()
    }

    /// Whether each of these records is of one of these advisors.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn are_records_of(&self, records: &[RecordId], advisors: &[AdvisorId]) -> Result<bool, ArchiveError> {
        if records.is_empty() {
            return Ok(true);
        }
        let records: Vec<Uuid> = records.iter().map(|record| record.uuid()).collect();
        let advisors: Vec<Uuid> = advisors.iter().map(|advisor| advisor.uuid()).collect();
        let all: bool = sqlx::query_scalar(
            "select bool_and(exists (select from projection.records p where p.record = r.record and p.advisors && $2))
               from unnest($1) r (record)",
        )
        .bind(records)
        .bind(advisors)
        .fetch_one(&self.parts.reader)
        .await?;
        Ok(all)
    }
}
