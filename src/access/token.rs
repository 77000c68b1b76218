//! Officers' tokens: shown once, kept as a hash.
//!
//! A token is 32 random bytes, so a plain SHA-256 of it is as good as any slow hash: there is nothing to guess.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::capture::{Entropy, EntropyError};
use crate::record::Digest;

/// How tokens begin, so that secret scanners and people recognise one.
const PREFIX: &str = "muniment_";
/// Length of the random part in characters.
const LENGTH: usize = 43;

/// A token in the clear.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Makes a fresh one.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn fresh(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())))))
    }

    /// Reads one as sent; none where it cannot be one of ours.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        let sound =
            random.len() == LENGTH && random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        sound.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.0.as_bytes()])
    }

    /// The text to hand over, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::SystemEntropy;

    #[test]
    fn a_token_reads_back_and_is_not_printed() {
        let token = Token::fresh(&SystemEntropy).unwrap();
        let read = Token::read(token.reveal()).unwrap();
        assert_eq!(token.digest(), read.digest());
        assert!(!format!("{token:?}").contains(token.reveal().strip_prefix(PREFIX).unwrap()));
        for bad in
            ["", "muniment_", "muniment_short", &format!("{}=", token.reveal()), token.reveal().get(1..).unwrap()]
        {
            assert!(Token::read(bad).is_none(), "{bad}");
        }
    }
}
