//! What can go wrong with the firm CA.

use std::io;
use std::path::PathBuf;

/// The firm CA cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key file does not open.
    #[error(
        "{path} does not open; give the master key or passphrase that it was sealed with, or the file from a backup"
    )]
    KeyDoesNotOpen {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate file holds no certificate.
    #[error("{path} holds no certificate; give a PEM file that begins with the CA's own certificate")]
    NoCertificate {
        /// Which file, or what was given.
        path: PathBuf,
    },
    /// The certificate is none that can sign others.
    #[error("the certificate cannot be used as a CA: {0}")]
    NotAnAuthority(&'static str),
    /// Certificate and key are not a pair.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The private key cannot be read.
    #[error("the private key cannot be read: give it as PEM, PKCS #8, not encrypted")]
    UnreadableKey,
    /// A new issuing certificate is needed, and the root key is not here.
    #[error(
        "a new issuing certificate is needed ({0}), but the root key is not here; put ca/root.key back and run `muniment ca rotate`"
    )]
    RootKeyAway(&'static str),
    /// An imported issuing certificate does not permit a host that is to be intercepted.
    #[error(
        "the imported issuing certificate does not permit {0}; have one issued that does, or take the host off the list"
    )]
    NotPermitted(String),
    /// The issuing certificate has expired.
    #[error("the issuing certificate has expired")]
    Expired,
    /// A certificate cannot be made.
    #[error("certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// The TLS library refuses a minted leaf.
    #[error("minted leaf is refused: {0}")]
    Leaf(#[from] rustls::Error),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}
