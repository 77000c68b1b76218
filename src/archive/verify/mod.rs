//! Verification: the whole archive, read again from bytes.
//!
//! Chain, tree and checkpoints are checked by the code a stranger uses ([`crate::bundle`]); here they are fed from the database
//! in bulk, together with what only the firm can check: content against commitments, the tables beside the entries,
//! files, projections. Every bad index is named and nothing stops at the first. Memory does not grow with the archive.

mod content;
mod copy;
mod disposals;
mod finding;
mod follow;
mod orders;
mod pipeline;
mod projections;
mod side;
mod strays;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Row as _};

use super::ArchiveError;
use super::blobs::BlobStore;
use super::connect::{self, Role};
use super::open::{Archive, Options};
use super::pool::in_time;
use super::publish::Guard;
use super::row::{count, number};
use crate::bundle::{CheckpointRow, HistoryReport};
use crate::ledger::VerifyingKey;
use crate::record::MasterKey;
pub use finding::Finding;
use finding::Findings;

/// What a verification works with.
#[derive(Debug, Clone)]
pub struct Verifier {
    login: PgConnectOptions,
    master: MasterKey,
    blobs: BlobStore,
    keys: Vec<VerifyingKey>,
    guard: Guard,
    /// Checkpoints that somebody held outside, each with a name.
    held: Vec<(String, Vec<u8>)>,
    /// Where ids are sorted that do not fit into memory.
    scratch: PathBuf,
    /// Threads that hash and open.
    threads: NonZeroUsize,
    /// What of the archive is checked besides the ledger.
    scope: Scope,
    /// Rest as long as work took, so that a verification in the background leaves room for appends.
    gentle: bool,
}

/// What is checked besides entries, chain, tree and checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Content against commitments, files included.
    pub content: bool,
    /// Projections against the ledger.
    pub projections: bool,
}

/// What was found. Findings were told while they were found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Entries, chain, tree, checkpoints.
    pub history: HistoryReport,
    /// Sealed fields opened and compared.
    pub fields: u64,
    /// How far the projections were compared; none where they were not.
    pub projected: Option<u64>,
    /// Entries concerned, by check.
    pub failed: BTreeMap<&'static str, u64>,
    /// Files in the blob store that belong to no entry and are a day old: left behind by a crash, of no use to anybody, and nothing wrong
    /// with the archive.
    pub left_behind: Vec<String>,
    /// Smallest bad index.
    pub first: Option<u64>,
    /// Nothing was found.
    pub sound: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `entries` or `projections`.
    pub phase: &'static str,
    /// Entries done.
    pub done: u64,
    /// Entries to do.
    pub of: u64,
}

impl Archive {
    /// A verifier of this archive, with the running service's rights.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::with(&self.parts.options, self.parts.blobs.clone())
    }
}

impl Verifier {
    /// A verifier of an archive that need not be one that could be opened: that it is damaged is what is to be found out.
    ///
    /// # Errors
    /// When the directory of blobs cannot be read.
    pub fn new(options: &Options) -> Result<Self, ArchiveError> {
        Ok(Self::with(options, BlobStore::open(&options.blobs)?))
    }

    fn with(options: &Options, blobs: BlobStore) -> Self {
        Self {
            login: options.service.clone(),
            master: options.master.clone(),
            blobs,
            keys: vec![options.signing.verifying_key().clone()],
            guard: Guard::new(&options.data_dir, options.signing.verifying_key().clone()),
            held: Vec::new(),
            scratch: options.data_dir.clone(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            scope: Scope { content: true, projections: true },
            gentle: false,
        }
    }
}

impl Verifier {
    /// Checks the archive against this checkpoint too, which was held outside.
    #[must_use]
    pub fn against(mut self, name: &str, note: Vec<u8>) -> Self {
        self.held.push((name.to_owned(), note));
        self
    }

    /// Checks only this besides the ledger.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Leaves half of the time to others.
    #[must_use]
    pub const fn gentle(mut self) -> Self {
        self.gentle = true;
        self
    }

    /// Verifies everything there is now. Dropping the future stops it.
    ///
    /// # Errors
    /// When the database, or the scratch directory, cannot be read; what is wrong inside is a finding and not an error.
    pub async fn run(
        &self,
        sink: impl FnMut(Finding) + Send + 'static,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Verification, ArchiveError> {
        let findings = Findings::new(Box::new(sink));
        let mut connection = self.connect(Role::Append).await?;
        // First what speaks of entries, then how many there are: whatever is published meanwhile, by now they are there.
        let outside = self.outside(&findings);
        let published = published(&mut connection).await?;
        let size = head(&mut connection, &findings).await?;

        let (history, fields) =
            pipeline::run(self, &mut connection, size, published, outside, &findings, &mut progress).await?;
        strays::rows(&mut connection, size, &findings).await?;
        let mut left_behind = Vec::new();
        if self.scope.content {
            disposals::count(&mut connection, &findings).await?;
            strays::content(&mut connection, size, &findings).await?;
            left_behind = strays::files(&mut connection, &self.blobs).await?;
        }
        let projected = match self.scope.projections {
            true => Some(projections::compare(self, &findings, &mut progress).await?),
            false => None,
        };
        let failed = findings.counts();
        let first = findings.first();
        Ok(Verification { history, fields, projected, sound: failed.is_empty(), failed, left_behind, first })
    }

    async fn connect(&self, role: Role) -> Result<PgConnection, ArchiveError> {
        // Comparing projections is one long statement each; everything else is short.
        let options = connect::options(&self.login, role, std::time::Duration::from_secs(3_600));
        Ok(in_time(connect::CONNECT, options.connect()).await?)
    }

    /// The checkpoint in our file, and those that were held elsewhere, smallest first. A file of ours that cannot be read is a
    /// finding: somebody changed what guards us.
    fn outside(&self, findings: &Findings) -> Vec<CheckpointRow> {
        let held = self.held.iter().map(|(name, note)| CheckpointRow::held(name, note, &self.keys));
        let mut outside: Vec<CheckpointRow> = held.collect();
        match self.guard.note() {
            Ok(note) => {
                outside.extend(note.map(|note| CheckpointRow::held("in the data directory", &note, &self.keys)));
            }
            Err(error) => findings.at("outside", 0, error.to_string()),
        }
        outside.sort_by_key(CheckpointRow::size);
        outside
    }
}

/// The head row against the last entry; answers with how many entries there are to verify.
async fn head(connection: &mut PgConnection, findings: &Findings) -> Result<u64, ArchiveError> {
    let row = sqlx::query(
        "select h.size, h.leaf, (select max(index) + 1 from ledger.entries) as entries,
                (select leaf from ledger.entries order by index desc limit 1) as last
           from ledger.head h",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        findings.at("head", 0, "the head row is missing");
        return Ok(0);
    };
    let size = count(row.try_get("size")?);
    let entries = row.try_get::<Option<i64>, _>("entries")?.map_or(0, count);
    let leaf: Vec<u8> = row.try_get("leaf")?;
    let last = row.try_get::<Option<Vec<u8>>, _>("last")?.unwrap_or_else(|| vec![0; 32]);
    if size != entries {
        findings.add(Finding {
            check: "head",
            from: size.min(entries),
            to: size.max(entries).saturating_sub(1),
            problem: format!("the head row says {size} entries, and the last one there makes {entries}"),
        });
    } else if leaf != last {
        findings.at("head", size.saturating_sub(1), "the head row has another leaf than the last entry");
    }
    Ok(entries.max(size))
}

/// Size of the newest checkpoint.
async fn published(connection: &mut PgConnection) -> Result<u64, ArchiveError> {
    let size: Option<i64> =
        sqlx::query_scalar("select max(size) from ledger.checkpoints").fetch_one(connection).await?;
    Ok(size.map_or(0, count))
}

/// Checkpoints that speak of more entries than there are: what was published since `size` was read speaks of entries that were
/// there before it, so how many there are is asked afterwards.
async fn beyond(
    connection: &mut PgConnection,
    size: u64,
    keys: &[VerifyingKey],
) -> Result<Vec<CheckpointRow>, ArchiveError> {
    let rows = sqlx::query(
        "select size, note from ledger.checkpoints where size > $1 union all select size, note from ledger.cosigned where size > $1 order by size",
    )
        .bind(number(size))
        .fetch_all(&mut *connection)
        .await?;
    let entries: Option<i64> =
        sqlx::query_scalar("select max(index) + 1 from ledger.entries").fetch_one(connection).await?;
    let entries = entries.map_or(0, count).max(size);
    let is_beyond = |row: &&PgRow| !matches!(row.try_get("size"), Ok(size) if count(size) <= entries);
    rows.iter()
        .filter(is_beyond)
        .map(|row| {
            let note: String = row.try_get("note")?;
            Ok(CheckpointRow::of(count(row.try_get("size")?), note.as_bytes(), keys))
        })
        .collect()
}
