//! What can go wrong with the archive, and for whom.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::ledger::{CheckpointError, EntryError, TileError};
use crate::record::{AdvisorId, Digest, EntryId, RecordId};

/// An append that did not end with a durable entry, as far as the caller can know.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Too many appends wait already. Slow down and try again; a proxy answers 503 with Retry-After.
    #[error("too many appends wait for the archive; try again later")]
    Pushback,
    /// No answer from the database in time. The entry may or may not be durable: the same id again is harmless and finds out.
    #[error("the archive did not answer in time; whether the entry is durable is not known yet")]
    Unavailable,
    /// The draft can never become an entry.
    #[error("entry {entry} is refused")]
    Draft {
        /// Which.
        entry: EntryId,
        /// What is wrong with it.
        source: EntryError,
    },
    /// What is handed over with the draft does not fit it.
    #[error("the content of entry {entry} is refused: {problem}")]
    Content {
        /// Which.
        entry: EntryId,
        /// What does not fit.
        problem: &'static str,
    },
    /// The database refuses this entry, whatever else is appended.
    #[error("the database refuses entry {entry}")]
    Refused {
        /// Which.
        entry: EntryId,
        /// In the database's words.
        source: sqlx::Error,
    },
    /// Our clock is so far ahead of the database's that entries would bear times from the future.
    #[error("this machine's clock is {} s ahead of the database's; set the clocks (ntp), nothing is appended until then", .by.as_secs())]
    ClockAhead {
        /// How far.
        by: Duration,
    },
    /// The ledger in the database is not the one we appended to. Nothing more is appended by this process.
    #[error("the ledger is not the one this process appended to ({0}); appending has stopped for good")]
    Stopped(Inconsistency),
    /// The archive is being shut down.
    #[error("the archive is shutting down")]
    Closed,
}

/// The ledger contradicts itself, or what we know of it. Never answered by carrying on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// It is shorter than it was.
    #[error("it has {found} entries where it had {had}")]
    Shorter {
        /// Entries found.
        found: u64,
        /// Entries we know of.
        had: u64,
    },
    /// The last entry we know of is another one now.
    #[error("entry {index} is not the one that was appended")]
    OtherEntry {
        /// Which.
        index: u64,
    },
    /// The head row does not describe the last entry.
    #[error("the head row says {size} entries, which is not what is there")]
    Head {
        /// What the head row says.
        size: u64,
    },
    /// The entry at the head is not what its leaf says.
    #[error("the bytes of entry {index} are not those its leaf is the hash of")]
    Bytes {
        /// Which.
        index: u64,
    },
    /// It does not continue the history that was signed at this size.
    #[error(
        "it is not the history that was signed at {size} entries; if an old backup was restored, restore a newer one"
    )]
    Forked {
        /// Size of the signed tree.
        size: u64,
    },
    /// A stored tile does not hold the hashes of its entries.
    #[error("tile {index} of level {level} does not hold the hashes of its entries")]
    Tile {
        /// Its level.
        level: u8,
        /// Its index in the level.
        index: u64,
    },
    /// A row of the checkpoints is none that we signed.
    #[error("the table of checkpoints has a row of size {size} that is not a checkpoint of ours")]
    Checkpoint {
        /// What its column says.
        size: u64,
    },
    /// The table of streams or sources contradicts the entries.
    #[error("the tables of streams and sources do not fit the entries")]
    Counts,
}

/// The archive cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database answered with an error or not at all.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema is not the one this program needs.
    #[error("the database was never migrated, or by an older muniment; run `muniment migrate`")]
    NotMigrated,
    /// The schema was made by a newer program.
    #[error("the database was migrated by a newer muniment; upgrade this one")]
    Newer,
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The roles are missing and we may not make them.
    #[error("the roles of the archive are missing and this login may not make them; run as a superuser: {statements}")]
    Roles {
        /// What to run.
        statements: String,
    },
    /// The login may not take the roles.
    #[error(
        "the login `{login}` may not work as the roles of the archive; run as the owner or a superuser: {statements}"
    )]
    Grants {
        /// Who.
        login: String,
        /// What to run.
        statements: String,
    },
    /// The server may lose what it has acknowledged.
    #[error("the database server runs with {setting}, so that what it acknowledges can be lost; turn it on")]
    NotDurable {
        /// Which.
        setting: &'static str,
    },
    /// The ledger contradicts itself.
    #[error("the ledger is inconsistent: {0}")]
    Inconsistent(#[from] Inconsistency),
    /// A stored entry cannot be read.
    #[error("entry {index} cannot be read")]
    Entry {
        /// Which.
        index: u64,
        /// Why.
        source: EntryError,
    },
    /// A row does not hold what its column promises.
    #[error("table {table}: {problem}")]
    Row {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The record's key cannot be opened.
    #[error("the key of record {record} cannot be opened")]
    Key {
        /// Which.
        record: RecordId,
        /// Why.
        source: crate::record::WrapError,
    },
    /// Sealed content cannot be opened.
    #[error("field {field} of entry {index} cannot be opened")]
    Sealed {
        /// Which entry.
        index: u64,
        /// Which field.
        field: String,
        /// Why.
        source: crate::record::SealError,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A blob is not there, or not what its name says.
    #[error("blob {digest}: {problem}")]
    Blob {
        /// Which.
        digest: Digest,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file with the last checkpoint is not what we wrote.
    #[error("{path} does not hold a checkpoint of ours: {source}; restore it from where it was kept", path = .path.display())]
    Guard {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// A checkpoint cannot be signed or read.
    #[error("checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// The tree cannot be put together from its tiles.
    #[error("tree: {0}")]
    Tile(TileError),
    /// A device belongs to an advisor, and this is none.
    #[error("there is no advisor {0}, or not any more; `muniment advisor list` shows who there is")]
    UnknownAdvisor(AdvisorId),
    /// A password could not be made.
    #[error("password: {0}")]
    Password(super::people::PasswordError),
    /// An append failed.
    #[error("append: {0}")]
    Append(#[from] AppendError),
}

impl ArchiveError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
