//! The issuing CA in use: mints leaves.
//!
//! Invariants: a leaf is minted for a permitted host only, has its own key, and ends no later than its issuer. A wildcard, a host
//! with a port or one that is not ASCII is no host.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use time::Duration;

use super::certificate::{self, Facts, Signer, Validity};
use super::error::AuthorityError;
use super::key::{CaKey, leaf_key};
use super::names::PermittedNames;
use crate::record::Timestamp;

/// How long before the present a certificate begins: devices' clocks are slow.
pub(super) const SLACK: Duration = Duration::days(1);
/// Longest time a leaf is valid from its minting.
const LEAF: Duration = Duration::days(7);

/// Why no leaf can be had.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// It is not the name or address of a host.
    #[error("a leaf is for one host: a name or an address, without wildcard and port")]
    NotAHost,
    /// The issuing CA may not speak for it.
    #[error("the issuing certificate does not permit {0}")]
    NotPermitted(String),
    /// The issuing certificate has ended.
    #[error("the issuing certificate ended at {0}")]
    Ended(Timestamp),
    /// The firm CA cannot.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// A leaf certificate with its own key.
pub struct Leaf {
    /// Leaf, issuing CA, and what else leads to the root; the root itself is not sent.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// When it ends.
    pub until: Timestamp,
}

/// The issuing CA: certificate, key, and what it may speak for.
pub struct Issuer {
    generation: u64,
    /// Issuing certificate first; without the root.
    chain: Vec<CertificateDer<'static>>,
    key: CaKey,
    facts: Facts,
    names: PermittedNames,
    /// Brought by the firm: only the firm can make the next one.
    pub(super) by_firm: bool,
}

impl Issuer {
    pub(super) fn new(
        generation: u64,
        chain: Vec<CertificateDer<'static>>,
        key: CaKey,
        facts: Facts,
        names: PermittedNames,
        by_firm: bool,
    ) -> Self {
        Self { generation, chain, key, facts, names, by_firm }
    }

    /// Changes with every issuing certificate this process has had.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What it may speak for.
    pub(super) const fn names(&self) -> &PermittedNames {
        &self.names
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        Timestamp::new(self.facts.validity.until)
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        self.chain.first().map_or(&[], |certificate| certificate.as_ref())
    }

    /// Its subject, for a person.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.facts.subject_text
    }

    /// Mints a leaf for one host.
    ///
    /// # Errors
    /// See [`MintError`].
    pub fn mint(&self, host: &str, now: Timestamp) -> Result<Leaf, MintError> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let name = ServerName::try_from(host.as_str()).map_err(|_source| MintError::NotAHost)?;
        if !self.names.cover(&host) {
            return Err(MintError::NotPermitted(host));
        }
        let Validity { from, until } = self.facts.validity;
        if until <= now.date_time() {
            return Err(MintError::Ended(Timestamp::new(until)));
        }
        let validity = Validity { from: from.max(now.date_time() - SLACK), until: until.min(now.date_time() + LEAF) };
        let (key, public) = leaf_key()?;
        let signer = Signer { key: &self.key, subject: &self.facts.subject, key_id: &self.facts.key_id };
        let leaf = certificate::leaf(&signer, &name, &public, validity)?;
        let mut chain = Vec::with_capacity(self.chain.len() + 1);
        chain.push(leaf);
        chain.extend(self.chain.iter().cloned());
        Ok(Leaf { chain, key: key.to_vec().into(), until: Timestamp::new(validity.until) })
    }

    /// Mints a leaf for each host and has it checked as a device would, so that a chain devices refuse is found by us.
    pub(super) fn prove(
        &self,
        anchor: &CertificateDer<'static>,
        hosts: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let mut roots = RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let library = AuthorityError::Library;
        roots.add(anchor.clone()).map_err(|_source| library("trust the root"))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_source| library("set up a verifier"))?;
        let seconds = u64::try_from(now.date_time().unix_timestamp()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        for host in hosts {
            let leaf = match self.mint(&host, now) {
                Ok(leaf) => leaf,
                Err(MintError::Authority(error)) => return Err(error),
                Err(_cannot) => return Err(library("mint a leaf for a permitted host")),
            };
            let name = ServerName::try_from(host.as_str()).map_err(|_source| library("read its own host names"))?;
            let Some((first, others)) = leaf.chain.split_first() else {
                return Err(library("make a chain"));
            };
            verifier
                .verify_server_cert(first, others, &name, &[], at)
                .map_err(|source| AuthorityError::Refused { host, source })?;
        }
        Ok(())
    }
}

// Keys stay out of logs.
impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaf(until {})", self.until)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issuer({}, until {})", self.subject(), self.until())
    }
}
