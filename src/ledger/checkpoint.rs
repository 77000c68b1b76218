//! Checkpoints (C2SP `tlog-checkpoint`): the log's signed word on its size and root.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Note, NoteError, SigningKey, VerifyingKey, Vouched};
use crate::record::Digest;

/// A checkpoint could not be read or is not the log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// Not a signed note, or not signed by a key that was given.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Signed by a known key, but for a log of another name.
    #[error("checkpoint of `{origin}` is not signed by a key of that name")]
    Origin {
        /// Which log it speaks for.
        origin: String,
    },
}

/// What a log says of itself at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log (its *log origin*).
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root hash over them.
    pub root: Digest,
    /// Further lines, kept as they are. Our log writes none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads a note's text.
    ///
    /// # Errors
    /// When it has not the form of a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines =
            text.strip_suffix('\n').ok_or(CheckpointError::Form("text does not end in a newline"))?.split('\n');
        let mut line = |problem| lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError::Form(problem));
        let origin = line("no origin line")?.to_owned();
        let size = parse_decimal(line("no size line")?).ok_or(CheckpointError::Form("size is not a decimal"))?;
        let root = line("no root line")?;
        let root = parse_base64_digest(root).ok_or(CheckpointError::Form("root is not base64 of 32 bytes"))?;
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Form("an extension line is empty"));
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// Signs it. The first key's name is the origin, so that a reader who knows the key knows the log.
    ///
    /// # Errors
    /// When origin and key name differ, or the lines cannot stand in a note.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Note, CheckpointError> {
        if keys.first().is_none_or(|key| key.verifying_key().name() != self.origin) {
            return Err(CheckpointError::Origin { origin: self.origin.clone() });
        }
        let text = self.to_string();
        // What is signed must read back as what was meant: an origin or extension with a newline would not.
        if Self::parse(&text)? != *self {
            return Err(CheckpointError::Form("a line holds a newline"));
        }
        Ok(Note::sign(&text, keys)?)
    }

    /// Reads a signed checkpoint and checks the log's signature (and every other one by a key that was given).
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(note: &[u8], keys: &[VerifyingKey]) -> Result<(Self, Vec<Vouched>), CheckpointError> {
        let note = Note::parse(note)?;
        // First what it says: a note that is no checkpoint is that, whoever signed it.
        let checkpoint = Self::parse(note.text())?;
        let vouched = note.verify(keys)?;
        let is_log_key = |by: &Vouched| {
            let mut log_keys = keys.iter().filter(|key| key.is_log_key() && key.name() == checkpoint.origin);
            log_keys.any(|key| key.name() == by.name && key.id() == by.id)
        };
        if vouched.iter().any(is_log_key) {
            Ok((checkpoint, vouched))
        } else {
            Err(CheckpointError::Origin { origin: checkpoint.origin })
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A decimal without sign and leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// 32 bytes in padded base64.
pub(crate) fn parse_base64_digest(text: &str) -> Option<Digest> {
    STANDARD.decode(text).ok().and_then(|bytes| Digest::try_from(bytes.as_slice()).ok())
}
