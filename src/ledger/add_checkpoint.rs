//! What a log asks of a witness (C2SP `tlog-witness`, `add-checkpoint`): a checkpoint, and that it continues what was cosigned last.
//!
//! Invariant: a request is read in one way only, and what is larger than any honest one is refused before it is read. Whether it is granted
//! is the witness's to say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{parse_base64_digest, parse_decimal};
use super::{Note, NoteError};
use crate::record::Digest;

/// The most hashes of a consistency proof.
pub const PROOF_LINES_MAX: usize = 63;
/// The largest request that is taken: a checkpoint with a hundred Ed25519 signatures by keys of long names fits.
pub const ADD_CHECKPOINT_MAX: usize = 64 * 1024;

/// A request could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Not the form of one.
    #[error("not an add-checkpoint request: {0}")]
    Form(&'static str),
    /// What follows is no signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last, as the log believes.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<Digest>,
    /// The new checkpoint.
    pub note: Note,
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// When it has not the form of one. That the note is a checkpoint is not looked at.
    pub fn parse(body: &[u8]) -> Result<Self, AddCheckpointError> {
        if body.len() > ADD_CHECKPOINT_MAX {
            return Err(AddCheckpointError::Form("longer than 65536 bytes"));
        }
        let body = std::str::from_utf8(body).map_err(|_source| AddCheckpointError::Form("not utf-8"))?;
        let (head, note) =
            body.split_once("\n\n").ok_or(AddCheckpointError::Form("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal);
        let old = old.ok_or(AddCheckpointError::Form("the first line is not `old <size>`"))?;
        let proof: Option<Vec<_>> = lines.take(PROOF_LINES_MAX + 1).map(parse_base64_digest).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF_LINES_MAX);
        let proof = proof.ok_or(AddCheckpointError::Form("a line is not a hash, or there are more than 63"))?;
        Ok(Self { old, proof, note: Note::parse(note.as_bytes())? })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.note)
    }
}
