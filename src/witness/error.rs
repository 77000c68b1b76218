//! What keeps a witness from working.

use std::io;
use std::path::PathBuf;

use crate::capture::EntropyError;
use crate::ledger::{NoteError, NoteKeyError};

/// A witness cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A file of the witness cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its settings.
    #[error("{}: {problem}", .path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that others can read is no secret.
    #[error("{} can be read by others; `chmod 600` it, and ask who has read it", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// The file holds no key of a witness.
    #[error("{} does not hold a witness key; restore it from a backup", .path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: NoteKeyError,
    },
    /// The settings name another witness than the key.
    #[error(
        "the key is that of `{kept}`, and the settings say `{asked}`: under another name it is another witness; run `muniment witness init` in another directory"
    )]
    OtherName {
        /// In the key.
        kept: String,
        /// In the settings.
        asked: String,
    },
    /// There is no state where there should be some.
    #[error("{} is not there: a witness that does not know what it cosigned could be led to cosign a fork; if it is lost for good, retire this key and make a new witness with `muniment witness init`", .path.display())]
    Lost {
        /// Where it should be.
        path: PathBuf,
    },
    /// The state was damaged, or belongs to another witness.
    #[error("{} is not what this witness wrote ({problem}): nothing is cosigned over it; restore the newest copy, or retire this key", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two processes with one state would each forget what the other cosigned.
    #[error("another process works as this witness: {} is locked", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The key cannot sign.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// No random bytes for a key.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A task of this process ended early.
    #[error("the witness was broken off")]
    BrokenOff,
}

impl WitnessError {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
