//! Keys of signed notes: the log's signing key and the verifier keys (vkeys) a stranger is given.
//!
//! Text forms are those of C2SP `signed-note`. A key is known by its name and the first four bytes of
//! `SHA-256(name ‖ LF ‖ type ‖ public key)`; names never hold white space or `+`, so a line cannot be read in two ways.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::record::Digest;

/// Ed25519 over the note text.
const ED25519: u8 = 0x01;
/// Timestamped Ed25519 cosignature (`tlog-cosignature`).
pub(super) const COSIGNATURE: u8 = 0x04;
/// Timestamped ML-DSA-44 cosignature (`tlog-cosignature`).
const ML_DSA_44: u8 = 0x06;
const ML_DSA_44_KEY_SIZE: usize = 1312;

/// A key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// The name is empty or holds white space, `+` or a control character.
    #[error("a key name is not empty and holds no white space, no + and no control character")]
    Name,
    /// Not of the form `name+hex(id)+base64(type ‖ key)`.
    #[error(
        "a verifier key is written <name>+<8 hex digits>+<base64>, a signing key PRIVATE+KEY+<name>+<8 hex digits>+<base64>"
    )]
    Form,
    /// The id does not follow from name, type and key.
    #[error("key id of `{0}` does not belong to its key")]
    Id(String),
    /// The type is none we know, or its key has another size.
    #[error("key of `{0}` has a type that is not supported here")]
    Type(String),
    /// Not a point of the curve, or one that verifies anything.
    #[error("public key of `{0}` is not a sound ed25519 key")]
    Unsound(String),
}

/// First four bytes of `SHA-256(name ‖ LF ‖ type ‖ public key)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; 4]);

impl KeyId {
    fn of(name: &str, key_type: u8, public: &[u8]) -> Self {
        let [a, b, c, d, ..] = Digest::of(&[name.as_bytes(), b"\n", &[key_type], public]).0;
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Public {
    Ed25519(ed25519_dalek::VerifyingKey),
    Cosignature(ed25519_dalek::VerifyingKey),
    /// Known by its id; its signatures are kept and not checked here.
    MlDsa44(Vec<u8>),
}

/// A key that signatures are checked against; text form is a vkey.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: KeyId,
    pub(super) public: Public,
}

impl VerifyingKey {
    pub(super) fn new(name: &str, key_type: u8, key: &[u8]) -> Result<Self, NoteKeyError> {
        if !is_key_name(name) {
            return Err(NoteKeyError::Name);
        }
        let ed25519 = || {
            let bytes = <&[u8; 32]>::try_from(key).map_err(|_source| NoteKeyError::Type(name.to_owned()))?;
            let point = ed25519_dalek::VerifyingKey::from_bytes(bytes);
            // A key of small order verifies signatures that nobody made. A point spelled in another way than RFC 8032 spells it
            // would be a key that some verifiers take and others refuse.
            let sound = |point: &ed25519_dalek::VerifyingKey| {
                !point.is_weak() && point.to_edwards().compress().as_bytes() == bytes
            };
            point.ok().filter(sound).ok_or_else(|| NoteKeyError::Unsound(name.to_owned()))
        };
        let public = match key_type {
            ED25519 => Public::Ed25519(ed25519()?),
            COSIGNATURE => Public::Cosignature(ed25519()?),
            ML_DSA_44 if key.len() == ML_DSA_44_KEY_SIZE => Public::MlDsa44(key.to_vec()),
            _ => return Err(NoteKeyError::Type(name.to_owned())),
        };
        Ok(Self { name: name.to_owned(), id: KeyId::of(name, key_type, key), public })
    }

    /// The name it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Does it sign notes (a log's key), rather than cosign checkpoints (a witness's)?
    #[must_use]
    pub const fn is_log_key(&self) -> bool {
        matches!(self.public, Public::Ed25519(_))
    }

    /// Does it cosign checkpoints (a witness's key)? Signatures of type 06 are not checked by this version, and never count.
    #[must_use]
    pub const fn is_witness_key(&self) -> bool {
        matches!(self.public, Public::Cosignature(_) | Public::MlDsa44(_))
    }

    /// Is it the same public key, under whatever name and for whatever it signs?
    #[must_use]
    pub fn is_same_public_key(&self, other: &Self) -> bool {
        self.typed_key().1 == other.typed_key().1
    }

    fn typed_key(&self) -> (u8, &[u8]) {
        match &self.public {
            Public::Ed25519(key) => (ED25519, key.as_bytes()),
            Public::Cosignature(key) => (COSIGNATURE, key.as_bytes()),
            Public::MlDsa44(key) => (ML_DSA_44, key),
        }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key_type, key) = self.typed_key();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode([&[key_type], key].concat()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Splits `name+hex(id)+base64(type ‖ key)`. The base64 part may itself hold `+`, the name may not.
pub(super) fn split(text: &str) -> Result<(&str, KeyId, Zeroizing<Vec<u8>>), NoteKeyError> {
    let (name, rest) = text.split_once('+').ok_or(NoteKeyError::Form)?;
    let (id, key) = rest.split_once('+').ok_or(NoteKeyError::Form)?;
    let mut id_bytes = [0; 4];
    let lower = !id.bytes().any(|b| b.is_ascii_uppercase());
    hex::decode_to_slice(id, &mut id_bytes).ok().filter(|()| lower).ok_or(NoteKeyError::Form)?;
    let key = STANDARD.decode(key).map_err(|_source| NoteKeyError::Form)?;
    Ok((name, KeyId(id_bytes), Zeroizing::new(key)))
}

impl FromStr for VerifyingKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, NoteKeyError> {
        let (name, id, typed) = split(text)?;
        let (key_type, key) = typed.split_first().ok_or(NoteKeyError::Form)?;
        let key = Self::new(name, *key_type, key)?;
        if key.id == id { Ok(key) } else { Err(NoteKeyError::Id(name.to_owned())) }
    }
}

/// The log's signing key (Ed25519). The text form of [`SigningKey::secret_text`] is the one Go's note tools read.
#[derive(Clone)]
pub struct SigningKey {
    verifying: VerifyingKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key from 32 secret bytes.
    ///
    /// # Errors
    /// When the name cannot be a key name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteKeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Ok(Self { verifying: VerifyingKey::new(name, ED25519, key.verifying_key().as_bytes())?, key })
    }

    /// Reads `PRIVATE+KEY+<name>+<id>+<base64>`.
    ///
    /// # Errors
    /// See [`NoteKeyError`].
    pub fn from_secret_text(text: &str) -> Result<Self, NoteKeyError> {
        let (name, id, typed) = split(text.strip_prefix("PRIVATE+KEY+").ok_or(NoteKeyError::Form)?)?;
        let Some((&ED25519, seed)) = typed.split_first() else { return Err(NoteKeyError::Type(name.to_owned())) };
        let seed = <&[u8; 32]>::try_from(seed).map_err(|_source| NoteKeyError::Type(name.to_owned()))?;
        let key = Self::new(name, seed)?;
        if key.verifying.id == id { Ok(key) } else { Err(NoteKeyError::Id(name.to_owned())) }
    }

    /// `PRIVATE+KEY+<name>+<id>+<base64>`: secret.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        let typed = Zeroizing::new([&[ED25519], self.key.as_bytes().as_slice()].concat());
        let key = Zeroizing::new(STANDARD.encode(typed.as_slice()));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.verifying.name, self.verifying.id, key.as_str()))
    }

    /// What others check its signatures with.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying)
    }
}
