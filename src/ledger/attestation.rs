//! Attestations: an auditor's signed word that it read the whole log up to a size and found no stream forked.
//!
//! Invariant: an attestation is never a checkpoint, in nobody's eyes: its second line is a log's name and its third a size, where a checkpoint
//! has a size and a root. So the same key may sign both. Whether it is true, only another auditor can say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{parse_base64_digest, parse_decimal};
use super::{CosigningKey, Note, NoteError, VerifyingKey, Vouched};
use crate::record::Digest;

const FORMAT: &str = "muniment-attestation/1";
/// What it says, besides that every entry is in the tree and continues the chain.
const CLAIM: &str = "no stream forks";

/// An attestation could not be read, or nobody known made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Not the form of one.
    #[error("not an attestation: {0}")]
    Form(&'static str),
    /// Not a signed note, or not signed by a key that was given.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What an auditor says of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Of which log.
    pub origin: String,
    /// Entries that were read, from the first.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

impl Attestation {
    /// Reads a note's text.
    ///
    /// # Errors
    /// When it has not the form of an attestation.
    pub fn parse(text: &str) -> Result<Self, AttestationError> {
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        if line() != Some(FORMAT) {
            return Err(AttestationError::Form("first line is not muniment-attestation/1"));
        }
        let origin = line().ok_or(AttestationError::Form("no origin line"))?.to_owned();
        let size = line().and_then(parse_decimal).ok_or(AttestationError::Form("size is not a decimal"))?;
        let root = line().and_then(parse_base64_digest);
        let root = root.ok_or(AttestationError::Form("root is not base64 of 32 bytes"))?;
        if line() != Some(CLAIM) || lines.next().is_some() {
            return Err(AttestationError::Form("it says something else than `no stream forks`"));
        }
        Ok(Self { origin, size, root })
    }

    /// Signs it, as of `time` in seconds since 1970.
    ///
    /// # Errors
    /// When the origin cannot stand in a line, or the time in a cosignature.
    pub fn sign(&self, key: &CosigningKey, time: u64) -> Result<Note, AttestationError> {
        let text = self.to_string();
        if Self::parse(&text)? != *self {
            return Err(AttestationError::Form("the origin holds a newline"));
        }
        Ok(Note::of(&text, vec![key.cosign(&text, time)?])?)
    }

    /// Reads a signed attestation and checks every signature by one of these keys, at least one.
    ///
    /// # Errors
    /// See [`AttestationError`].
    pub fn open(note: &[u8], keys: &[VerifyingKey]) -> Result<(Self, Vec<Vouched>), AttestationError> {
        let note = Note::parse(note)?;
        let attestation = Self::parse(note.text())?;
        let keys: Vec<_> = keys.iter().filter(|key| key.is_witness_key()).cloned().collect();
        Ok((attestation, note.verify(&keys)?))
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        writeln!(f, "{FORMAT}\n{}\n{}\n{root}\n{CLAIM}", self.origin, self.size)
    }
}
