//! Commitments: what the ledger holds instead of content.
//!
//! Invariant: nobody can find a value from its commitment without the salt, and nobody can find a second value for one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::{Digest, Salt};

/// The text was not 43 characters of unpadded base64url for 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commitment is 43 characters of unpadded base64url")]
pub struct CommitmentError;

/// `SHA-256(salt ‖ value)`; text form is unpadded base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(Digest);

impl Commitment {
    /// Commits to a value held in memory.
    #[must_use]
    pub fn to(salt: &Salt, value: &[u8]) -> Self {
        Self(Digest::of(&[salt.as_bytes(), value]))
    }

    /// From the digest itself.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Commits to a value that arrives in pieces.
#[derive(Clone)]
pub struct Committer(Sha256);

impl Committer {
    /// Begins with the salt.
    #[must_use]
    pub fn new(salt: &Salt) -> Self {
        Self(Sha256::new_with_prefix(salt.as_bytes()))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The commitment to all pieces, one after the other.
    #[must_use]
    pub fn finish(self) -> Commitment {
        Commitment(Digest(self.0.finalize().into()))
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committer")
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 43];
        URL_SAFE_NO_PAD.encode_slice(self.0.as_bytes(), &mut text).map_err(|_source| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_source| fmt::Error)?)
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Commitment {
    type Err = CommitmentError;

    fn from_str(text: &str) -> Result<Self, CommitmentError> {
        let mut bytes = [0; 33];
        // A text of another length than 43 gives another number of bytes than 32; non-zero trailing bits are refused.
        let size = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_source| CommitmentError)?;
        let digest = bytes.get(..size).ok_or(CommitmentError)?;
        Ok(Self(Digest::try_from(digest).map_err(|_source| CommitmentError)?))
    }
}

impl Serialize for Commitment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_commit_like_the_whole() {
        let salt = Salt::new([7; 32]);
        let mut committer = Committer::new(&salt);
        committer.update(b"hel");
        committer.update(b"lo");
        assert_eq!(committer.finish(), Commitment::to(&salt, b"hello"));
    }

    #[test]
    fn a_commitment_has_one_spelling() {
        let text = Commitment::to(&Salt::new([7; 32]), b"hello").to_string();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse::<Commitment>().unwrap().to_string(), text);
        let spare_bits = format!("{}B", "A".repeat(42));
        let short = text.chars().take(42).collect::<String>();
        for bad in [&short, &format!("{text}="), &format!("{text}A"), &spare_bits, &String::new()] {
            assert_eq!(bad.parse::<Commitment>(), Err(CommitmentError), "{bad}");
        }
    }
}
