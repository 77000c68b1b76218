//! Signed notes (C2SP `signed-note`): a text, and who vouches for it.
//!
//! Invariant: a note parses in one way only. Signatures by unknown keys are kept and ignored; one bad signature by a known key
//! refuses the whole note.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cosignature::cosigned_message;
use super::note_key::{Public, is_key_name};
use super::{KeyId, SigningKey, VerifyingKey};

/// Largest note in bytes.
pub const NOTE_MAX: usize = 1_000_000;
/// The most signatures of a note.
pub const SIGNATURES_MAX: usize = 100;

/// A note could not be read, or nobody known vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not the form of a signed note.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// A known key's signature is wrong.
    #[error("signature by `{name}` ({id}) does not verify")]
    Signature {
        /// Name of the key.
        name: String,
        /// Its id.
        id: KeyId,
    },
    /// No signature by a key that was given.
    #[error("no signature by a known key")]
    Unsigned,
}

/// One signature line.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub id: KeyId,
    /// What follows the id.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.name, self.id)
    }
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// By whom.
    pub name: String,
    /// By which of their keys.
    pub id: KeyId,
    /// When, for a cosignature: seconds since 1970.
    pub time: Option<u64>,
}

impl Note {
    /// Signs a text, which ends in a newline.
    ///
    /// # Errors
    /// When the text cannot be a note's.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<Self, NoteError> {
        check_text(text)?;
        let signatures = keys.iter().map(|key| NoteSignature {
            name: key.verifying_key().name().to_owned(),
            id: key.verifying_key().id(),
            bytes: key.sign(text.as_bytes()).to_vec(),
        });
        Ok(Self { text: text.to_owned(), signatures: signatures.collect() })
    }

    /// A text with signatures that were made over it.
    ///
    /// # Errors
    /// When the text cannot be a note's.
    pub(super) fn of(text: &str, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_text(text)?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// When it has not the form of a signed note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_MAX {
            return Err(NoteError::Form("longer than 1000000 bytes"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_source| NoteError::Form("not utf-8"))?;
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form("no empty line before the signatures"))?;
        let text = format!("{text}\n");
        check_text(&text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("does not end in a newline"))?;
        let signatures = lines.split('\n').map(parse_signature).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Form("more than 100 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The text, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, checked or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature made elsewhere (a witness's), unless the note has it.
    pub fn add(&mut self, signature: NoteSignature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Adds a signature made elsewhere, as [`Note::add`] does, unless the note is as full as one gets.
    ///
    /// # Errors
    /// When it has 100 signatures, or would be longer than a note can be.
    pub fn try_add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= SIGNATURES_MAX && !self.signatures.contains(&signature) {
            return Err(NoteError::Form("more than 100 signatures"));
        }
        self.add(signature);
        if self.to_string().len() > NOTE_MAX {
            self.signatures.pop();
            return Err(NoteError::Form("longer than 1000000 bytes"));
        }
        Ok(())
    }

    /// The same text with only those signatures that are wanted.
    #[must_use]
    pub fn with_only(&self, wanted: impl Fn(&NoteSignature) -> bool) -> Self {
        let signatures = self.signatures.iter().filter(|signature| wanted(signature)).cloned().collect();
        Self { text: self.text.clone(), signatures }
    }

    /// Checks every signature by one of these keys.
    ///
    /// # Errors
    /// When one of them is wrong, or when there is none.
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<Vec<Vouched>, NoteError> {
        let mut vouched = Vec::new();
        for signature in &self.signatures {
            let known = keys.iter().filter(|key| key.name() == signature.name && key.id() == signature.id);
            for key in known {
                match verify_one(&self.text, signature, key) {
                    Check::Verified(time) => {
                        vouched.push(Vouched { name: signature.name.clone(), id: signature.id, time });
                    }
                    Check::Wrong => {
                        return Err(NoteError::Signature { name: signature.name.clone(), id: signature.id });
                    }
                    Check::NotSupported => {}
                }
            }
        }
        if vouched.is_empty() { Err(NoteError::Unsigned) } else { Ok(vouched) }
    }
}

enum Check {
    Verified(Option<u64>),
    Wrong,
    NotSupported,
}

fn verify_one(text: &str, signature: &NoteSignature, key: &VerifyingKey) -> Check {
    let ed25519 = |key: &ed25519_dalek::VerifyingKey, message: &[u8], bytes: &[u8]| {
        let bytes = <&[u8; 64]>::try_from(bytes).ok();
        bytes.is_some_and(|b| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(b)).is_ok())
    };
    match &key.public {
        Public::Ed25519(key) if ed25519(key, text.as_bytes(), &signature.bytes) => Check::Verified(None),
        Public::Cosignature(key) => {
            let Some((time, bytes)) = signature.bytes.split_first_chunk::<8>() else { return Check::Wrong };
            let time = u64::from_be_bytes(*time);
            let message = cosigned_message(time, text);
            if time <= i64::MAX as u64 && ed25519(key, message.as_bytes(), bytes) {
                Check::Verified(Some(time))
            } else {
                Check::Wrong
            }
        }
        Public::MlDsa44(_) => Check::NotSupported,
        Public::Ed25519(_) => Check::Wrong,
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form("text does not end in a newline"));
    }
    if text.bytes().any(|b| b < b' ' && b != b'\n') {
        return Err(NoteError::Form("control character in the text"));
    }
    Ok(())
}

pub(super) fn parse_signature(line: &str) -> Result<NoteSignature, NoteError> {
    let form = || NoteError::Form("a signature line is an em dash, a key name and base64");
    let (name, base64) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or_else(form)?;
    let bytes = STANDARD.decode(base64).map_err(|_source| form())?;
    let (id, rest) = bytes.split_first_chunk::<4>().ok_or_else(form)?;
    if !is_key_name(name) || rest.is_empty() {
        return Err(form());
    }
    Ok(NoteSignature { name: name.to_owned(), id: KeyId(*id), bytes: rest.to_vec() })
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "— {} {}", self.name, STANDARD.encode([self.id.0.as_slice(), &self.bytes].concat()))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}
