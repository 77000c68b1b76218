//! Why an export could not be made.

use std::io;
use std::path::PathBuf;

use crate::archive::{AppendError, ArchiveError};
use crate::bundle::{BagError, BundleWriteError};
use crate::capture::SealingError;
use crate::ledger::TlogProofError;
use crate::record::{MatterId, RecordId};

/// An export could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The export could not be put on record, so nothing was written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What the export commits to could not be sealed.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleWriteError),
    /// What was written cannot be read again.
    #[error("the bundle was written and cannot be read again to be checked")]
    Unread(#[source] BagError),
    /// A checkpoint over the export could not be published.
    #[error("no checkpoint covers the export yet: is another process publishing, or the log key another?")]
    NotPublished,
    /// A proof could not be made.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// Nothing to say what is wanted.
    #[error("say what is wanted: --advisor, --record, --query or --matter")]
    NothingAsked,
    /// Ids and a search.
    #[error("--record names each record itself, and goes with no other filter")]
    RecordsAndFilter,
    /// A range that ends before it begins.
    #[error("--until must be later than --from")]
    Backwards,
    /// An advisor's stream holds entries that each export's entry may stand in, at most so many.
    #[error("at most 128 advisors can be exported at once")]
    TooManyAdvisors,
    /// A record that is not there.
    #[error("there is no record {0}")]
    NoSuchRecord(RecordId),
    /// A matter that is not there.
    #[error("there is no matter {0}; `muniment matter list` shows all")]
    NoSuchMatter(MatterId),
    /// All records of nobody.
    #[error("matter {0} has no custodians: add them, or name advisors with --advisor")]
    NoCustodians(MatterId),
    /// A disposed record whose commitments are gone with its content.
    #[error(
        "record {0} was disposed of and has too many fields to say which: it cannot stand in a bundle; ask for a shorter time"
    )]
    Undisclosable(RecordId),
    /// The file cannot be written.
    #[error("{path} cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is ever overwritten.
    #[error("{0} is there already; name another file")]
    Exists(PathBuf),
    /// The bundle does not hold.
    #[error("the bundle was written and does not verify, so it was removed: {0}; run `muniment verify`")]
    Unsound(String),
    /// A task of this process ended early.
    #[error("the export was broken off")]
    BrokenOff,
}
