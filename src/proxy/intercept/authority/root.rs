//! The root: what devices trust, what leads from it to the issuing CA, and the key that may be away.

use rustls::pki_types::CertificateDer;
use time::Duration;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate::{self, Facts, Validity};
use super::error::AuthorityError;
use super::issuer::SLACK;
use super::key::CaKey;
use super::sealed::{self, Lock, Unsealed};
use super::store::{ROOT, ROOT_KEY, Store};
use super::{Setup, pem};
use crate::record::Timestamp;

const LIFE: Duration = Duration::days(3653);
pub(super) const PURPOSE: &str = "root";

/// The certificates of `root.pem`: first the one whose key signs issuing certificates, last the one that devices trust. One and
/// the same, unless the firm brought an intermediate.
#[derive(Clone)]
pub(super) struct Root {
    chain: Vec<CertificateDer<'static>>,
    facts: Facts,
    anchor: CertificateDer<'static>,
    anchor_facts: Facts,
}

impl Root {
    /// Nothing when there is no root yet. A first start that was cut off leaves the key file, which has the certificate too.
    pub(super) fn read(store: &Store) -> Result<Option<Self>, AuthorityError> {
        for name in [ROOT, ROOT_KEY] {
            let Some(text) = store.read(name)? else { continue };
            let damaged = |what| AuthorityError::Damaged { path: store.path(name), what };
            let chain = pem::certificates(&text).map_err(|_source| damaged("holds no certificate"))?;
            return Self::new(chain).map(Some).ok_or_else(|| damaged("holds a certificate that cannot be read"));
        }
        Ok(None)
    }

    pub(super) fn new(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let facts = Facts::read(chain.first()?).ok()?;
        let anchor = chain.last()?.clone();
        let anchor_facts = Facts::read(&anchor).ok()?;
        Some(Self { chain, facts, anchor, anchor_facts })
    }

    /// Makes the firm's root.
    pub(super) fn create(store: &Store, setup: &Setup) -> Result<Self, AuthorityError> {
        let key = CaKey::generate()?;
        let from = setup.clock.now().date_time() - SLACK;
        let subject = certificate::subject(&setup.firm, "muniment root CA");
        let certificate = certificate::root(&key, &subject, Validity { from, until: from + LIFE })?;
        let root = Self::new(vec![certificate]).ok_or(AuthorityError::Library("read its own certificate"))?;
        root.keep(store, setup, &key)?;
        Ok(root)
    }

    /// Writes certificate and key. The key file comes first and is enough to make the other one: a certificate that devices trust
    /// is never without its key.
    pub(super) fn keep(&self, store: &Store, setup: &Setup, key: &CaKey) -> Result<(), AuthorityError> {
        let master = setup.master.as_bytes();
        let lock = setup.passphrase.as_ref().map_or(Lock::Master(&master), Lock::Passphrase);
        let certificates = pem::write(&self.chain);
        store.write(ROOT_KEY, &[lock.seal(PURPOSE, key.der())?, certificates.clone()].concat())?;
        store.write(ROOT, &certificates)
    }

    /// Finishes a first start that was cut off: once the key file is taken away, the certificate must be there without it.
    pub(super) fn complete(&self, store: &Store) -> Result<(), AuthorityError> {
        if store.path(ROOT).exists() { Ok(()) } else { store.write(ROOT, &pem::write(&self.chain)) }
    }

    /// The root's private key, where it is here and opens. `until` is when the issuing certificate in use ends.
    pub(super) fn key(&self, store: &Store, setup: &Setup, until: Option<Timestamp>) -> Result<CaKey, AuthorityError> {
        let path = store.path(ROOT_KEY);
        let Some(text) = store.read(ROOT_KEY)? else {
            return Err(AuthorityError::RootKeyAway { path, until });
        };
        let key = match sealed::unseal(&text, PURPOSE, &setup.master, setup.passphrase.as_ref()) {
            Ok(key) => CaKey::from_der(key),
            Err(Unsealed::Damaged) => return Err(AuthorityError::Damaged { path, what: "holds no sealed key" }),
            Err(Unsealed::Refused) => return Err(AuthorityError::Sealed { path }),
            Err(Unsealed::PassphraseWanted) => return Err(AuthorityError::PassphraseWanted { path }),
        };
        match key {
            Some(key) if key.public() == self.facts.public => Ok(key),
            _ => Err(AuthorityError::OtherRoot { path }),
        }
    }

    /// The certificate whose key signs issuing certificates.
    pub(super) const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What devices trust.
    pub(super) const fn anchor(&self) -> &CertificateDer<'static> {
        &self.anchor
    }

    /// What it says.
    pub(super) const fn anchor_facts(&self) -> &Facts {
        &self.anchor_facts
    }

    /// What leads from an issuing certificate to the anchor, without the anchor.
    pub(super) fn between(&self) -> &[CertificateDer<'static>] {
        self.chain.split_last().map_or(&[], |(_anchor, between)| between)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.chain == other.chain
    }

    /// Whether these certificates lead to the anchor.
    pub(super) fn leads_to(&self, chain: &[CertificateDer<'static>]) -> bool {
        let mut links = chain.iter().zip(chain.iter().skip(1).chain([&self.anchor]));
        links.all(|(below, above)| is_signed_by(below, above))
    }
}

/// Whether one certificate names the other as its issuer and bears its signature.
pub(super) fn is_signed_by(below: &CertificateDer<'_>, above: &CertificateDer<'_>) -> bool {
    let (Ok((_, below)), Ok((_, above))) = (X509Certificate::from_der(below), X509Certificate::from_der(above)) else {
        return false;
    };
    below.issuer().as_raw() == above.subject().as_raw() && below.verify_signature(Some(above.public_key())).is_ok()
}
