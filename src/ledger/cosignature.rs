//! Cosignatures (C2SP `tlog-cosignature`, type 04): a witness's dated word that it saw a log only grow.
//!
//! Invariant: what is signed names its kind first (`cosignature/v1`), so a cosignature is never the log's own signature, and the other way
//! round. Whether a checkpoint may be cosigned is for the witness to know.

use std::fmt;

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::parse_signature;
use super::note_key::{COSIGNATURE, split};
use super::{NoteError, NoteKeyError, NoteSignature, SIGNATURES_MAX, VerifyingKey};

/// What a cosignature of this time, in seconds since 1970, signs.
pub(super) fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A witness's signing key (Ed25519). Its text form is that of a log's key, with the type of a cosignature.
#[derive(Clone)]
pub struct CosigningKey {
    verifying: VerifyingKey,
    key: ed25519_dalek::SigningKey,
}

impl CosigningKey {
    /// A key from 32 secret bytes.
    ///
    /// # Errors
    /// When the name cannot be a key name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteKeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Ok(Self { verifying: VerifyingKey::new(name, COSIGNATURE, key.verifying_key().as_bytes())?, key })
    }

    /// Reads `PRIVATE+KEY+<name>+<id>+<base64>`.
    ///
    /// # Errors
    /// See [`NoteKeyError`].
    pub fn from_secret_text(text: &str) -> Result<Self, NoteKeyError> {
        let (name, id, typed) = split(text.strip_prefix("PRIVATE+KEY+").ok_or(NoteKeyError::Form)?)?;
        let Some((&COSIGNATURE, seed)) = typed.split_first() else { return Err(NoteKeyError::Type(name.to_owned())) };
        let seed = <&[u8; 32]>::try_from(seed).map_err(|_source| NoteKeyError::Type(name.to_owned()))?;
        let key = Self::new(name, seed)?;
        if key.verifying.id() == id { Ok(key) } else { Err(NoteKeyError::Id(name.to_owned())) }
    }

    /// `PRIVATE+KEY+<name>+<id>+<base64>`: secret.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        let typed = Zeroizing::new([&[COSIGNATURE], self.key.as_bytes().as_slice()].concat());
        let key = Zeroizing::new(STANDARD.encode(typed.as_slice()));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.verifying.name(), self.verifying.id(), key.as_str()))
    }

    /// What others check its cosignatures with.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Cosigns a note's text, as of `time` in seconds since 1970.
    ///
    /// # Errors
    /// When the time is 0, which says that there is none, or above 2^63 − 1.
    pub fn cosign(&self, text: &str, time: u64) -> Result<NoteSignature, NoteError> {
        if time == 0 || time > i64::MAX as u64 {
            return Err(NoteError::Form("the time of a cosignature is above 0 and below 2^63"));
        }
        let signature = self.key.sign(cosigned_message(time, text).as_bytes()).to_bytes();
        let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
        Ok(NoteSignature { name: self.verifying.name().to_owned(), id: self.verifying.id(), bytes })
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosigningKey({})", self.verifying)
    }
}

/// Reads what a witness answers: one or more signature lines, each ended by a newline.
///
/// # Errors
/// When it is anything else, or has more than 100 lines.
pub fn parse_signature_lines(bytes: &[u8]) -> Result<Vec<NoteSignature>, NoteError> {
    let text = std::str::from_utf8(bytes).map_err(|_source| NoteError::Form("not utf-8"))?;
    let lines = text.strip_suffix('\n').ok_or(NoteError::Form("does not end in a newline"))?;
    let signatures = lines.split('\n').take(SIGNATURES_MAX + 1).map(parse_signature).collect::<Result<Vec<_>, _>>()?;
    if signatures.len() > SIGNATURES_MAX {
        return Err(NoteError::Form("more than 100 signatures"));
    }
    Ok(signatures)
}
