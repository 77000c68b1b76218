//! Proofs on paper (C2SP `tlog-proof`): an inclusion proof with the checkpoint it leads to, as text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{parse_base64_digest, parse_decimal};
use super::proof::verify_inclusion;
use super::{Checkpoint, CheckpointError, NOTE_MAX, Note, ProofError, VerifyingKey, Vouched};
use crate::record::Digest;

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";
/// A path in a tree of 2^64 leaves.
const HASHES_MAX: usize = 64;

/// A proof could not be read, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the form of a tlog-proof.
    #[error("not a tlog-proof: {0}")]
    Form(&'static str),
    /// Its checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its hashes do not lead to the checkpoint's root.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// An inclusion proof with its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Anything, vouched for by nobody.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// From the leaf's sibling upwards.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// When it has not the form of one. The checkpoint is read by [`TlogProof::verify`].
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > NOTE_MAX {
            return Err(TlogProofError::Form("longer than 1000000 bytes"));
        }
        let rest = text.strip_prefix(HEADER).ok_or(TlogProofError::Form("first line is not c2sp.org/tlog-proof@v1"))?;
        let (head, checkpoint) =
            rest.split_once("\n\n").ok_or(TlogProofError::Form("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                Some(STANDARD.decode(extra).map_err(|_source| TlogProofError::Form("extra data is not base64"))?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let index = index.ok_or(TlogProofError::Form("no index line"))?;
        let hashes = lines.map(parse_base64_digest).collect::<Option<Vec<_>>>();
        let hashes = hashes.filter(|hashes| hashes.len() <= HASHES_MAX);
        let hashes = hashes.ok_or(TlogProofError::Form("a line is not a hash, or there are more than 64"))?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the leaf is in the tree the checkpoint speaks of, whoever wrote that checkpoint: for a reader without keys.
    ///
    /// # Errors
    /// See [`TlogProofError`].
    pub fn verify_unsigned(&self, leaf: &Digest) -> Result<Checkpoint, TlogProofError> {
        let note = Note::parse(self.checkpoint.as_bytes()).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        verify_inclusion(leaf, self.index, checkpoint.size, &checkpoint.root, &self.hashes)?;
        Ok(checkpoint)
    }

    /// Checks the checkpoint's signature and that the leaf is in its tree at [`TlogProof::index`].
    ///
    /// # Errors
    /// See [`TlogProofError`].
    pub fn verify(&self, leaf: &Digest, keys: &[VerifyingKey]) -> Result<(Checkpoint, Vec<Vouched>), TlogProofError> {
        let (checkpoint, vouched) = Checkpoint::open(self.checkpoint.as_bytes(), keys)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &checkpoint.root, &self.hashes)?;
        Ok((checkpoint, vouched))
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
