//! How the firm CA stands: what an operator is shown.

use super::root::Root;
use super::store::{ROOT_KEY, Store};
use super::{Authority, AuthorityError, Setup};
use crate::record::{Digest, Timestamp};

/// Where the root key is.
#[derive(Debug)]
pub enum RootKey {
    /// Beside the service, and it opens: convenient, and what whoever owns this machine gets.
    Here,
    /// Kept elsewhere.
    Away,
    /// Here, but it cannot be used.
    Unusable(AuthorityError),
}

/// How the firm CA stands.
#[derive(Debug)]
pub struct Standing {
    /// The subject of what devices trust.
    pub root: String,
    /// SHA-256 of its DER: what a person compares on a device.
    pub fingerprint: Digest,
    /// When it ends.
    pub root_until: Timestamp,
    /// Where its key is.
    pub root_key: RootKey,
    /// Whether the issuing CA was brought by the firm, which alone can renew it.
    pub by_firm: bool,
    /// The issuing CA in use: subject and end.
    pub issuing: Option<(String, Timestamp)>,
    /// Hosts it permits.
    pub permitted: Vec<String>,
}

impl Authority {
    /// How the firm CA stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state.read();
        let issuer = state.issuer.as_ref();
        Standing {
            root: state.root.anchor_facts().subject_text.clone(),
            fingerprint: Digest::of(&[state.root.anchor()]),
            root_until: Timestamp::new(state.root.anchor_facts().validity.until),
            root_key: root_key(&state.root, &self.store, &self.setup),
            by_firm: issuer.is_some_and(|issuer| issuer.by_firm),
            issuing: issuer.map(|issuer| (issuer.subject().to_owned(), issuer.until())),
            permitted: issuer.map(|issuer| issuer.names().iter().collect()).unwrap_or_default(),
        }
    }
}

fn root_key(root: &Root, store: &Store, setup: &Setup) -> RootKey {
    match root.key(store, setup, None) {
        Ok(_key) => RootKey::Here,
        Err(AuthorityError::RootKeyAway { .. }) => RootKey::Away,
        Err(error) if store.path(ROOT_KEY).exists() => RootKey::Unusable(error),
        Err(_gone) => RootKey::Away,
    }
}
