//! Passwords of devices: made by us, shown once, kept as an argon2id hash.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// A password could not be made or hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The system gave no random bytes.
    #[error("the system's source of random bytes gave none")]
    Random,
    /// The hash could not be computed.
    #[error("the password could not be hashed")]
    Hash,
}

/// A device's password in the clear.
pub struct Password(Zeroizing<String>);

impl Password {
    /// A fresh one: 24 random bytes, 32 characters that every client can send.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn fresh() -> Result<Self, PasswordError> {
        let mut bytes = Zeroizing::new([0; 24]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_source| PasswordError::Random)?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// As somebody sent it.
    #[must_use]
    pub fn given(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text to hand over, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The PHC string that is kept. Slow on purpose: call it from a blocking task.
    pub(super) fn hash(&self) -> Result<String, PasswordError> {
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_source| PasswordError::Random)?;
        let hash = Argon2::default().hash_password_with_salt(self.0.as_bytes(), &salt);
        Ok(hash.map_err(|_source| PasswordError::Hash)?.to_string())
    }

    /// Does it belong to this hash? Slow on purpose.
    pub(super) fn fits(&self, hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else { return false };
        Argon2::default().verify_password(self.0.as_bytes(), &hash).is_ok()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_hash_and_no_other_does() {
        let password = Password::fresh().unwrap();
        let hash = password.hash().unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(Password::given(password.reveal()).fits(&hash));
        assert!(!Password::given("another").fits(&hash));
        assert!(!password.fits("no hash at all"));
        assert!(!format!("{password:?}").contains(password.reveal()));
    }
}
