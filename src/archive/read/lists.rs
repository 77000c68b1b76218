//! Lists in ledger order, from the projections: records by filter, gaps, people, looks, verifications.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{AccountId, AdvisorId, DeviceId, OfficerId, RecordId, Timestamp};

/// A run of a list: it goes on after an entry index, so it never skips and never repeats while the ledger grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The index to go on after.
    pub after: Option<u64>,
    /// From the newest back.
    pub newest_first: bool,
    /// Items at most.
    pub limit: u32,
}

impl Slice {
    /// Bounds such that `index > lower and index < upper` is this run.
    pub(in crate::archive) fn bounds(&self) -> (i64, i64) {
        match (self.after, self.newest_first) {
            (None, _) => (-1, i64::MAX),
            (Some(after), true) => (-1, number(after)),
            (Some(after), false) => (number(after), i64::MAX),
        }
    }
}

/// A list both ways round. Two statements, so that either can walk an index instead of sorting everything.
pub(in crate::archive) struct Ordered {
    pub(in crate::archive) newest: &'static str,
    pub(in crate::archive) oldest: &'static str,
}

impl Ordered {
    pub(in crate::archive) const fn of(&self, slice: &Slice) -> &'static str {
        if slice.newest_first { self.newest } else { self.oldest }
    }
}

/// `$1` and `$2` are the bounds of the slice, `$3` its limit.
macro_rules! ordered {
    ($select:literal by $column:literal) => {
        $crate::archive::read::Ordered {
            newest: concat!($select, " order by ", $column, " desc limit $3"),
            oldest: concat!($select, " order by ", $column, " limit $3"),
        }
    };
}
pub(in crate::archive) use ordered;

pub(in crate::archive) fn time(row: &PgRow, column: &str) -> Result<Timestamp, ArchiveError> {
    let time: OffsetDateTime = row.try_get(column)?;
    Ok(Timestamp::new(time))
}

pub(in crate::archive) fn counted(row: &PgRow, column: &str) -> Result<Option<u64>, ArchiveError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(count))
}

pub(in crate::archive) fn advisors(row: &PgRow) -> Result<Vec<AdvisorId>, ArchiveError> {
    let ids: Vec<Uuid> = row.try_get("advisors")?;
    Ok(ids.into_iter().map(AdvisorId::new).collect())
}

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// Its entry.
    pub index: u64,
    /// When it was put on record.
    pub at: Timestamp,
    /// Why.
    pub cause: String,
    /// How many.
    pub count: u64,
    /// First moment concerned.
    pub since: Timestamp,
    /// Last moment concerned.
    pub until: Timestamp,
    /// The network, where known.
    pub network: Option<String>,
    /// The device, where known.
    pub device: Option<DeviceId>,
    /// The host, where known and not disposed of.
    pub host: Option<String>,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// Whose stream it belongs to.
    pub advisors: Vec<AdvisorId>,
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
}

/// Somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookRow {
    /// Its entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub officer: Option<OfficerId>,
    /// What was done.
    pub operation: String,
    /// Was it allowed?
    pub allowed: bool,
    /// Results shown.
    pub count: u64,
    /// Why, unless disposed of.
    pub purpose: Option<String>,
    /// What was searched for, unless disposed of.
    pub query: Option<String>,
    /// The records whose content was shown.
    pub records: Vec<RecordId>,
}

fn look(row: &PgRow) -> Result<LookRow, ArchiveError> {
    let records: Vec<Uuid> = row.try_get("records")?;
    Ok(LookRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        officer: row.try_get::<Option<Uuid>, _>("officer")?.map(OfficerId::new),
        operation: row.try_get("operation")?,
        allowed: row.try_get("allowed")?,
        count: count(row.try_get("count")?),
        purpose: row.try_get("purpose")?,
        query: row.try_get("query")?,
        records: records.into_iter().map(RecordId::new).collect(),
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
        })
    }
}

fn gap(row: &PgRow) -> Result<GapRow, ArchiveError> {
    Ok(GapRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        cause: row.try_get("cause")?,
        count: count(row.try_get("count")?),
        since: time(row, "since")?,
        until: time(row, "until")?,
        network: row.try_get("network")?,
        device: row.try_get::<Option<Uuid>, _>("device")?.map(DeviceId::new),
        host: row.try_get("host")?,
        size: counted(row, "size")?,
        advisors: advisors(row)?,
    })
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
    })
}

impl Archive {
    async fn list<T>(
        &self,
        list: &Ordered,
        slice: Slice,
        of: Option<Uuid>,
        read: impl Fn(&PgRow) -> Result<T, ArchiveError>,
    ) -> Result<Vec<T>, ArchiveError> {
        let (lower, upper) = slice.bounds();
        let rows = sqlx::query(list.of(&slice))
            .bind(lower)
            .bind(upper)
            .bind(i64::from(slice.limit))
            .bind(of)
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Gaps, of one advisor or of all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn gaps(&self, slice: Slice, of: Option<AdvisorId>) -> Result<Vec<GapRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.gaps
             where entry_index > $1 and entry_index < $2 and ($4::uuid is null or advisors @> array[$4])"
            by "entry_index");
        self.list(&LIST, slice, of.map(AdvisorId::uuid), gap).await
    }

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
        const LIST: Ordered = ordered!("
            select * from projection.accounts
             where added_index > $1 and added_index < $2 and ($4::uuid is null or advisor = $4)"
            by "added_index");
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

    /// Looks: at one record, or all.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn looks(&self, slice: Slice, at: Option<RecordId>) -> Result<Vec<LookRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.looks
             where entry_index > $1 and entry_index < $2 and ($4::uuid is null or records @> array[$4])"
            by "entry_index");
        self.list(&LIST, slice, at.map(RecordId::uuid), look).await
    }
}
