//! Why somebody looks, in their own words.

use std::fmt;

/// The text was not a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purpose is 3 to 500 characters of text, such as `quarterly review 2026-q4`")]
pub struct PurposeError;

/// A purpose. It goes into the ledger as a commitment, and sealed beside it: it may name people.
#[derive(Clone, PartialEq, Eq)]
pub struct Purpose(String);

impl Purpose {
    /// Reads one as given.
    ///
    /// # Errors
    /// When it is too short to mean anything, too long, or not text.
    pub fn new(text: &str) -> Result<Self, PurposeError> {
        let text = text.trim();
        let sound = (3..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if sound { Ok(Self(text.to_owned())) } else { Err(PurposeError) }
    }

    /// As it was given, for who puts it on record.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Purpose({} bytes)", self.0.len())
    }
}
