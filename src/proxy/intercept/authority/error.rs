//! Why the firm CA cannot do what was asked, and what the operator can do about it.

use std::io;
use std::path::PathBuf;

use crate::record::Timestamp;

/// The firm CA cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file or directory cannot be made, read or written.
    #[error("{} cannot be used", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process works on the same files and does not end.
    #[error("{} is held by another muniment process; wait for it to end", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// A secret that others can read is no secret.
    #[error("{} can be read by others; `chmod 600` it, and make a new key if that was not you", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// A file is not what it was written as.
    #[error("{} {what}; restore it from a backup", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The key file does not open.
    #[error("the key in {} does not open: it was sealed under another master key or passphrase, or was changed", .path.display())]
    Sealed {
        /// Which.
        path: PathBuf,
    },
    /// The key file opens with a passphrase only.
    #[error("the key in {} is sealed with a passphrase; give it in MUNIMENT_CA_PASSPHRASE", .path.display())]
    PassphraseWanted {
        /// Which.
        path: PathBuf,
    },
    /// The root key is kept elsewhere, and is needed now.
    #[error(
        "a new issuing certificate is needed{}, and the root key is not in {}: put it there, run `muniment ca rotate`, and take it away again",
        before(.until), .path.display()
    )]
    RootKeyAway {
        /// Where it belongs.
        path: PathBuf,
        /// When the issuing certificate in use ends, where there is one.
        until: Option<Timestamp>,
    },
    /// The root key file belongs to another root.
    #[error("the key in {} does not belong to the root certificate beside it; put the right one there, or import again", .path.display())]
    OtherRoot {
        /// The key file.
        path: PathBuf,
    },
    /// The firm brought its own issuing certificate, and only the firm can make the next one.
    #[error(
        "the firm's own issuing certificate {why}{}: make a new one and run `muniment ca import`", before(.until)
    )]
    FirmIssuing {
        /// Why it does not serve.
        why: String,
        /// When it ends.
        until: Option<Timestamp>,
    },
    /// The root itself has ended.
    #[error(
        "the root certificate ended at {0}: import a new one, or move root.pem and root.key away to have one made; every device must trust the new one"
    )]
    RootEnded(Timestamp),
    /// Nothing signs leaves.
    #[error("there is no valid issuing certificate; `muniment doctor` says why")]
    NoIssuer,
    /// What was to be imported cannot be used.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A chain just made is refused by a verifier: better no certificate than one that devices refuse.
    #[error("a certificate for {host} under this chain is refused by verifiers")]
    Refused {
        /// For which host.
        host: String,
        /// By what rule.
        source: rustls::Error,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library could not {0}")]
    Library(&'static str),
}

fn before(end: &Option<Timestamp>) -> String {
    end.map_or_else(String::new, |end| format!(" before {end}"))
}

impl AuthorityError {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A certificate and key that the firm brought cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No certificate in the file.
    #[error("there is no certificate in what was given; give PEM with BEGIN CERTIFICATE lines")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("a certificate cannot be read as X.509 version 3")]
    Unreadable,
    /// No key that can sign.
    #[error(
        "there is no usable private key in what was given; give unencrypted PEM (`openssl pkey -in key.pem`): P-256, P-384, RSA of 2048 bits or more, or Ed25519"
    )]
    NoKey,
    /// The key is another one's.
    #[error("the private key does not belong to the first certificate; put the certificate of that key first")]
    OtherKey,
    /// Not a CA.
    #[error("the first certificate is no certificate authority (basicConstraints CA:TRUE is missing)")]
    NotAuthority,
    /// A CA that may not sign.
    #[error("the first certificate may not sign certificates (keyUsage without keyCertSign)")]
    MayNotSign,
    /// A CA for something else.
    #[error("the first certificate is not for TLS servers (extendedKeyUsage without serverAuth)")]
    NotForServers,
    /// No room for the issuing certificate below it.
    #[error(
        "a certificate allows too few authorities below it (pathlen); the one whose key is given needs pathlen:1, each above it one more"
    )]
    NoAuthorityBelow,
    /// Out of its time.
    #[error("a certificate is valid from {from} to {until}, which is not now")]
    NotNow {
        /// Begin.
        from: Timestamp,
        /// End.
        until: Timestamp,
    },
    /// The chain does not lead to what devices trust.
    #[error(
        "the certificates do not form a chain: each must be signed by the next, the last one is what devices trust"
    )]
    NoChain,
    /// The chain does not end in what devices can trust.
    #[error("the last certificate is not self-signed; append the root that devices trust")]
    NoRoot,
    /// An issuing certificate that could speak for any host.
    #[error(
        "the issuing certificate could speak for any host: it needs critical name constraints that permit host names and exclude all IP addresses; or bring an authority with pathlen:1, and the constrained certificate is made under it"
    )]
    NotConstrained,
    /// The certificate's own constraints leave hosts out.
    #[error("the certificate's name constraints leave out hosts that are to be intercepted: {}", .0.join(", "))]
    LeftOut(Vec<String>),
}
