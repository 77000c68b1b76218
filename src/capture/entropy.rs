//! The seam through which random bytes come in: record keys, spool salts, session pseudonyms.

/// The source of random bytes gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's source of random bytes gave none")]
pub struct EntropyError;

/// Gives random bytes. The service passes the operating system's, tests a counted one.
pub trait Entropy: Send + Sync {
    /// Fills the whole slice with bytes nobody can predict.
    ///
    /// # Errors
    /// When the source is exhausted or broken: nothing may then be sealed, and so nothing sent.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The cryptographic generator of AWS-LC, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_source| EntropyError)
    }
}
