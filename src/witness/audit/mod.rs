//! The auditor: reads every entry of a log, and says in writing that no stream forked.
//!
//! Invariant: what is attested was read, all of it, by this process or by one before whose state says how far it came. A state that is lost costs
//! reading again and nothing else; nothing is attested over an entry that does not fit.

mod fetch;
mod state;
mod walk;

use std::path::PathBuf;

use crate::ledger::{
    Attestation, AttestationError, Checkpoint, CheckpointError, CosigningKey, TileError, VerifyingKey,
};
use crate::proxy::TrustError;
use crate::record::{Clock, Digest};

use super::WitnessError;
pub use fetch::LogReader;
use state::AuditState;
pub use walk::Mismatch;
use walk::Walk;

/// Mismatches that are told one by one.
const TOLD_MAX: usize = 100;

/// An audit could not be made, or found something.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// State or key of the witness.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The settings do not say where to read.
    #[error("no log to read: put its `url` under `[[logs]]`, and name it with --log where there are several")]
    NoLog,
    /// The address of the log.
    #[error("`logs.url`: {0}")]
    Url(String),
    /// No roots are trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The log does not answer.
    #[error("the log cannot be read at `{path}`: {why}")]
    Unread {
        /// Where in the log.
        path: String,
        /// Why, as a word or a status.
        why: String,
    },
    /// Its checkpoint.
    #[error("the checkpoint is not this log's")]
    Checkpoint(#[from] CheckpointError),
    /// A bundle of entries is cut off.
    #[error("entries from {from} on cannot be read")]
    Entries {
        /// The first.
        from: u64,
        /// Why.
        source: TileError,
    },
    /// What was read is not under the checkpoint.
    #[error(
        "the entries have another root than the checkpoint of size {size}: the log shows one history and signs another"
    )]
    Root {
        /// Of the checkpoint.
        size: u64,
    },
    /// Entries do not fit.
    #[error("{} of the log's entries do not fit; the first: {}", .count, .first)]
    Unsound {
        /// How many.
        count: u64,
        /// In words.
        first: String,
    },
    /// The attestation.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// A file that was named cannot be read.
    #[error("{} cannot be read", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Audited {
    /// The signed attestation.
    pub attestation: String,
    /// Of so many entries.
    pub size: u64,
    /// How many of them were read this time.
    pub read: u64,
}

/// Reads what is new up to a checkpoint (the newest where none is given), and attests.
///
/// # Errors
/// See [`AuditError`]. `told` hears of each mismatch first, up to a hundred.
pub async fn audit(
    reader: &LogReader,
    keys: &[VerifyingKey],
    key: &CosigningKey,
    dir: &std::path::Path,
    clock: &dyn Clock,
    checkpoint: Option<Vec<u8>>,
    mut told: impl FnMut(&Mismatch),
) -> Result<Audited, AuditError> {
    let note = match checkpoint {
        Some(note) => note,
        None => reader.checkpoint().await?,
    };
    let (checkpoint, _vouched) = Checkpoint::open(&note, keys)?;
    let Checkpoint { origin, size, root, .. } = checkpoint;
    let (mut walk, advances) = match AuditState::load(dir, &origin)? {
        Some(kept) if kept.size() <= size => (kept.into_walk(), true),
        // An earlier checkpoint than the one read up to last: what is kept says nothing of its tree.
        Some(_) => (Walk::new(), false),
        None => (Walk::new(), true),
    };
    let begun = walk.size();
    let (mut count, mut first) = (0_u64, None);
    while walk.size() < size {
        let at = walk.size();
        let entries = reader.entries(at, size).await?;
        for entry in entries {
            walk.take(&entry, |mismatch| {
                if count < TOLD_MAX as u64 {
                    told(&mismatch);
                }
                count = count.saturating_add(1);
                first.get_or_insert_with(|| mismatch.to_string());
            });
        }
        if walk.size() == at {
            return Err(AuditError::Unread { path: format!("entries from {at}"), why: "no entries".to_owned() });
        }
    }
    if let Some(first) = first {
        return Err(AuditError::Unsound { count, first });
    }
    if walk.root() != root {
        return Err(AuditError::Root { size });
    }
    let time = u64::try_from(clock.now().unix_micros() / 1_000_000).unwrap_or(0);
    let attestation = Attestation { origin: origin.clone(), size, root }.sign(key, time)?;
    if advances {
        AuditState::new(origin, walk).store(dir)?;
    }
    Ok(Audited { attestation: attestation.to_string(), size, read: size.saturating_sub(begun) })
}

/// Where the audit's state of a log is.
fn state_file(dir: &std::path::Path, origin: &str) -> PathBuf {
    dir.join("audit").join(format!("{}.state", Digest::of(&[origin.as_bytes()])))
}
