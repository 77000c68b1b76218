//! What the archive is made of: what regulators and auditors ask for when they ask which system kept the records.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::lists::{Ordered, Slice, counted, ordered, time};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::count;
use crate::record::{MasterKeyId, SourceId, Timestamp};

/// A process with a data directory that has appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Which.
    pub source: SourceId,
    /// Entries it has appended.
    pub entries: u64,
    /// Its last entry.
    pub last_index: u64,
    /// When that was.
    pub last_at: Timestamp,
}

/// Rules that were in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesRow {
    /// Digest of all rule sets together: what the provenance of every record names.
    pub digest: String,
    /// The first `settings` entry that named it.
    pub since_index: u64,
    /// When that was.
    pub since: Timestamp,
    /// The newest `settings` entry that named it.
    pub last_index: u64,
}

/// What a `settings` entry says; the settings themselves are its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsRow {
    /// Its entry.
    pub index: u64,
    /// From when on.
    pub at: Timestamp,
    /// What changed.
    pub change: String,
    /// Digest of the rules in force.
    pub rules: Option<String>,
    /// The program and its version.
    pub software: Option<String>,
    /// Whose settings.
    pub source: SourceId,
}

/// The parts of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Version of the database server.
    pub postgres: String,
    /// The newest migration.
    pub schema: u64,
    /// Name and public key of the log, as a C2SP verifier key.
    pub log_key: String,
    /// Which master key wraps record keys now.
    pub master_key: MasterKeyId,
    /// How long content is kept at least, in days.
    pub retention_days: u64,
    /// Who has appended.
    pub sources: Vec<SourceRow>,
    /// Which rules were in force, oldest first.
    pub rules: Vec<RulesRow>,
}

/// Sources found one by one on the primary key: there is a row of them for every group of entries.
const SOURCES: &str = "
with recursive each as (
    (select s.source from ledger.sources s order by s.source limit 1)
    union all
    select (select s.source from ledger.sources s where s.source > e.source order by s.source limit 1) from each e where e.source is not null)
select e.source, l.next_index, l.entry_index,
       (convert_from(b.body, 'UTF8')::json ->> 'at')::timestamptz as at
  from each e
 cross join lateral (select s.next_index, s.entry_index from ledger.sources s where s.source = e.source order by s.next_index desc limit 1) l
  join ledger.entries b on b.index = l.entry_index
 where e.source is not null
 order by l.entry_index desc limit 1000";

const SOURCE: &str = "
select s.source, s.next_index, s.entry_index, (convert_from(b.body, 'UTF8')::json ->> 'at')::timestamptz as at
  from ledger.sources s join ledger.entries b on b.index = s.entry_index
 where s.source = $1 order by s.next_index desc limit 1";

fn source(row: &PgRow) -> Result<SourceRow, ArchiveError> {
    Ok(SourceRow {
        source: SourceId::new(row.try_get("source")?),
        entries: count(row.try_get("next_index")?),
        last_index: count(row.try_get("entry_index")?),
        last_at: time(row, "at")?,
    })
}

fn rules(row: &PgRow) -> Result<RulesRow, ArchiveError> {
    Ok(RulesRow {
        digest: row.try_get("rules")?,
        since_index: count(row.try_get("since_index")?),
        since: time(row, "since")?,
        last_index: count(row.try_get("last_index")?),
    })
}

fn settings(row: &PgRow) -> Result<SettingsRow, ArchiveError> {
    Ok(SettingsRow {
        index: count(row.try_get("entry_index")?),
        at: time(row, "at")?,
        change: row.try_get("change")?,
        rules: row.try_get("rules")?,
        software: row.try_get("software")?,
        source: SourceId::new(row.try_get("source")?),
    })
}

impl Archive {
    /// What it is made of.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn inventory(&self) -> Result<Inventory, ArchiveError> {
        let reader = &self.parts.reader;
        let one = sqlx::query(
            "select current_setting('server_version') as postgres,
                    (select max(version) from _sqlx_migrations where success) as schema,
                    (select floor(extract(epoch from minimum) / 86400)::bigint from content.retention) as days",
        )
        .fetch_one(reader)
        .await?;
        let sources = sqlx::query(SOURCES).fetch_all(reader).await?;
        let in_force = sqlx::query(
            "select rules, min(entry_index) as since_index, min(at) as since, max(entry_index) as last_index
               from projection.settings where rules is not null group by rules order by since_index limit 1000",
        )
        .fetch_all(reader)
        .await?;
        let options = &self.parts.options;
        Ok(Inventory {
            postgres: one.try_get("postgres")?,
            schema: counted(&one, "schema")?.unwrap_or_default(),
            log_key: options.signing.verifying_key().to_string(),
            master_key: options.master.id(),
            retention_days: counted(&one, "days")?.unwrap_or_default(),
            sources: sources.iter().map(source).collect::<Result<_, _>>()?,
            rules: in_force.iter().map(rules).collect::<Result<_, _>>()?,
        })
    }

    /// One who has appended.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn source_row(&self, of: SourceId) -> Result<Option<SourceRow>, ArchiveError> {
        let row = sqlx::query(SOURCE).bind(of.uuid()).fetch_optional(&self.parts.reader).await?;
        row.as_ref().map(source).transpose()
    }

    /// Settings that were in force, in ledger order.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn settings_history(&self, slice: Slice) -> Result<Vec<SettingsRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.settings where entry_index > $1 and entry_index < $2 and $4::uuid is null"
            by "entry_index");
        self.list(&LIST, slice, None, settings).await
    }
}
