//! The firm's certificate authority: root → issuing CA → leaf.
//!
//! The **root** is what devices trust. It is made once; its key is sealed at rest and may be taken away (`root.key`): it is needed
//! only to make the next issuing certificate. The **issuing CA** lives at most 14 days and signs leaves; critical name
//! constraints permit exactly the intercepted hosts ([`names`]), so that even its stolen key cannot speak for any other
//! host, and each re-issue has a new key and a new subject. **Leaves** are minted for one host each ([`Issuer::mint`]).
//!
//! Instead of ours, a firm may bring its own root, an intermediate with what leads to its root, or an issuing CA.
//!
//! Invariants: a chain is put into service only after a verifier accepted it; whatever is in service stays until it ends, also
//! when the next one cannot be made. Nothing runs by itself: an owner calls [`Authority::refresh`] whenever hosts change and at
//! least every [`REFRESH_EVERY`]. Calls wait for the disk: not for an async worker.
//!
//! Hosts are given as names and addresses; a pattern `*.x.test` as its `x.test`.

mod certificate;
mod der;
mod error;
mod import;
mod issuer;
mod key;
mod names;
mod pem;
mod root;
mod sealed;
mod standing;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::SecretString;
use time::Duration;
use zeroize::Zeroizing;

pub use error::{AuthorityError, ImportError};
pub use import::Imported;
pub use issuer::{Issuer, Leaf, MintError};
pub use standing::{RootKey, Standing};

use crate::record::{Clock, MasterKey, Timestamp};
use certificate::{Facts, Signer, Validity};
use issuer::SLACK;
use key::CaKey;
use names::PermittedNames;
use root::Root;
use sealed::{Lock, Unsealed};
use store::{ISSUING, Store};

/// How often an owner looks whether a new issuing certificate is due, or another process made one.
pub const REFRESH_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// An issuing certificate's whole life.
const ISSUING_LIFE: Duration = Duration::days(14);
/// What is left of it when the next one is made: a leaf minted last is still good for days.
const RENEW_BEFORE: Duration = Duration::days(5);
/// The first line of an issuing file that the firm brought.
const BY_FIRM: &str = "# brought by the firm\n";
const BY_US: &str = "# made under root.pem\n";
const PURPOSE: &str = "issuing";

/// What an authority is opened with.
pub struct Setup {
    /// `<data_dir>/ca`.
    pub dir: PathBuf,
    /// The firm's name: stands in the certificates that devices see.
    pub firm: String,
    /// Seals the issuing key, and the root key where there is no passphrase.
    pub master: MasterKey,
    /// Seals the root key instead: who has the service's files then still cannot use it.
    pub passphrase: Option<SecretString>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What a refresh did.
#[derive(Debug)]
pub enum Refreshed {
    /// The issuing certificate in use stays.
    Current,
    /// There is a new one.
    Replaced,
    /// A new one is due and could not be made; the one in use goes on until it ends.
    Due(AuthorityError),
}

/// The firm CA.
pub struct Authority {
    setup: Setup,
    store: Store,
    state: RwLock<State>,
}

struct State {
    root: Root,
    issuer: Option<Arc<Issuer>>,
    /// The issuing file the issuer was read from: another text is another issuer.
    text: Zeroizing<String>,
    generations: u64,
}

impl Authority {
    /// Opens the authority, making the root at the first start.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn open_or_create(setup: Setup) -> Result<Self, AuthorityError> {
        let store = Store::new(&setup.dir);
        store.create()?;
        let held = store.hold()?;
        let root = match Root::read(&store)? {
            Some(root) => root,
            None => Root::create(&store, &setup)?,
        };
        root.complete(&store)?;
        drop(held);
        Self::with(setup, store, root)
    }

    /// Opens the authority if there is one. Changes nothing.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn open(setup: Setup) -> Result<Option<Self>, AuthorityError> {
        let store = Store::new(&setup.dir);
        match Root::read(&store)? {
            Some(root) => Self::with(setup, store, root).map(Some),
            None => Ok(None),
        }
    }

    fn with(setup: Setup, store: Store, root: Root) -> Result<Self, AuthorityError> {
        let state = State { root, issuer: None, text: Zeroizing::default(), generations: 0 };
        let authority = Self { setup, store, state: RwLock::new(state) };
        authority.reload()?;
        Ok(authority)
    }

    /// What devices are to trust, as PEM.
    #[must_use]
    pub fn export_pem(&self) -> String {
        pem::write(std::slice::from_ref(self.state.read().root.anchor()))
    }

    /// What devices are to trust, as DER.
    #[must_use]
    pub fn export_der(&self) -> Vec<u8> {
        self.state.read().root.anchor().to_vec()
    }

    /// The issuing CA in use.
    ///
    /// # Errors
    /// When there is none yet: [`Authority::refresh`] comes first.
    pub fn issuer(&self) -> Result<Arc<Issuer>, AuthorityError> {
        self.state.read().issuer.clone().ok_or(AuthorityError::NoIssuer)
    }

    /// Takes up what another process made, and makes a new issuing certificate when one is due: because the one in use ends soon,
    /// or the hosts are others than it permits. To be called before a new host list is intercepted by.
    ///
    /// # Errors
    /// When no certificate is in use and none can be made.
    pub fn refresh(&self, hosts: &[String]) -> Result<Refreshed, AuthorityError> {
        let (names, now) = (&PermittedNames::new(hosts), self.now());
        let held = self.store.hold()?;
        let taken = self.reload()?;
        let issuer = self.state.read().issuer.clone();
        let Some(why) = issuer.as_deref().map_or(Some(Due::None), |issuer| due(issuer, names, now)) else {
            return Ok(if taken { Refreshed::Replaced } else { Refreshed::Current });
        };
        let made = match (issuer.as_deref(), why) {
            (Some(issuer), why) if issuer.by_firm => {
                Err(AuthorityError::FirmIssuing { why: why.to_string(), until: Some(issuer.until()) })
            }
            _ => self.issue(names, now),
        };
        drop(held);
        match made {
            Ok(()) => Ok(Refreshed::Replaced),
            Err(error) if issuer.is_some_and(|issuer| now < issuer.until()) => Ok(Refreshed::Due(error)),
            Err(error) => Err(error),
        }
    }

    /// Makes a new issuing certificate now, with a new key and subject. Devices need no change; a running service takes it up.
    /// Replaces an issuing certificate that the firm brought, if its root key is here.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn rotate(&self, hosts: &[String]) -> Result<Arc<Issuer>, AuthorityError> {
        let held = self.store.hold()?;
        self.reload()?;
        self.issue(&PermittedNames::new(hosts), self.now())?;
        drop(held);
        self.issuer()
    }

    /// Seals keys again that a former master key seals; whether there were any. What a passphrase seals stays as it is.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn reseal(&self) -> Result<bool, AuthorityError> {
        let held = self.store.hold()?;
        let mut any = false;
        for (file, purpose) in [(ISSUING, PURPOSE), (store::ROOT_KEY, root::PURPOSE)] {
            let Some(text) = self.store.read(file)? else { continue };
            // The issuing key is made again where it is lost; the root's is not.
            if file == store::ROOT_KEY
                && matches!(sealed::unseal(&text, purpose, &self.setup.master, None), Err(Unsealed::Refused))
            {
                return Err(AuthorityError::Sealed { path: self.store.path(file) });
            }
            if let Some(text) = sealed::reseal(&text, purpose, &self.setup.master)? {
                self.store.write(file, &text)?;
                any = true;
            }
        }
        self.reload()?;
        drop(held);
        Ok(any)
    }

    fn now(&self) -> Timestamp {
        self.setup.clock.now()
    }

    fn issue(&self, names: &PermittedNames, now: Timestamp) -> Result<(), AuthorityError> {
        let (root, until) = {
            let state = self.state.read();
            (state.root.clone(), state.issuer.as_ref().map(|issuer| issuer.until()))
        };
        let root_key = root.key(&self.store, &self.setup, until)?;
        let made = self.make(&root, &root_key, names, now)?;
        for host in names.unfit() {
            tracing::warn!(upstream.authority = %host, "a listed host cannot stand in a certificate and is not intercepted");
        }
        self.store.write(ISSUING, &made)?;
        self.reload()?;
        Ok(())
    }

    /// A new issuing certificate under a root, checked, as the text of its file.
    fn make(
        &self,
        root: &Root,
        root_key: &CaKey,
        names: &PermittedNames,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, AuthorityError> {
        let key = CaKey::generate()?;
        // The key's own id makes the subject new each time.
        let id = hex::encode(certificate::key_id(key.public()));
        let subject =
            certificate::subject(&self.setup.firm, &format!("muniment issuing CA {}", id.get(..12).unwrap_or(&id)));
        let facts = root.facts();
        if facts.validity.until <= now.date_time() {
            return Err(AuthorityError::RootEnded(Timestamp::new(facts.validity.until)));
        }
        let from = now.date_time() - SLACK;
        let validity = Validity { from, until: facts.validity.until.min(from + ISSUING_LIFE) };
        let signer = Signer { key: root_key, subject: &facts.subject, key_id: &facts.key_id };
        let certificate = certificate::issuing(&signer, &subject, key.public(), validity, names)?;
        let mut chain = vec![certificate];
        chain.extend(root.between().iter().cloned());
        let sealed = Lock::Master(&self.setup.master.as_bytes()).seal(PURPOSE, key.der())?;
        let text = Zeroizing::new([BY_US, &pem::write(&chain), &sealed].concat());
        let issuer = self.read_issuer(&text, root, 0)?;
        issuer.prove(root.anchor(), names.iter(), now)?;
        Ok(text)
    }

    /// Takes up the files as they are now; whether the issuer is another one.
    fn reload(&self) -> Result<bool, AuthorityError> {
        let root = Root::read(&self.store)?;
        let text = self.store.read(ISSUING)?.unwrap_or_default();
        let mut state = self.state.write();
        let same_root = root.as_ref().is_none_or(|root| root.is(&state.root));
        if same_root && *text == *state.text {
            return Ok(false);
        }
        if let Some(root) = root {
            state.root = root;
        }
        let generation = state.generations + 1;
        let issuer = if text.is_empty() { None } else { self.usable(&text, &state.root, generation) };
        state.generations = generation;
        state.issuer = issuer.map(Arc::new);
        state.text = text;
        Ok(true)
    }

    /// An issuing file that cannot be used is as good as none: the next one replaces it.
    fn usable(&self, text: &str, root: &Root, generation: u64) -> Option<Issuer> {
        self.read_issuer(text, root, generation)
            .inspect_err(|error| tracing::warn!(error = %error, "the issuing certificate on disk cannot be used"))
            .ok()
    }

    fn read_issuer(&self, text: &str, root: &Root, generation: u64) -> Result<Issuer, AuthorityError> {
        let path = self.store.path(ISSUING);
        let damaged = |what| AuthorityError::Damaged { path: path.clone(), what };
        let chain = pem::certificates(text).map_err(|_source| damaged("holds no certificate"))?;
        let first = chain.first().ok_or_else(|| damaged("holds no certificate"))?;
        let facts = Facts::read(first).map_err(|_source| damaged("holds a certificate that cannot be read"))?;
        let names = facts.names.clone().ok_or_else(|| damaged("holds a certificate without our constraints"))?;
        if !root.leads_to(&chain) {
            return Err(damaged("was made under another root"));
        }
        let key = sealed::unseal(text, PURPOSE, &self.setup.master, None)
            .map_err(|_why| AuthorityError::Sealed { path: path.clone() })?;
        let key = CaKey::from_der(key).ok_or_else(|| damaged("holds no key that can sign"))?;
        if key.public() != facts.public {
            return Err(damaged("holds a certificate and a key that do not belong together"));
        }
        Ok(Issuer::new(generation, chain, key, facts, names, text.starts_with(BY_FIRM)))
    }
}

/// Why a new issuing certificate is due.
#[derive(Debug, thiserror::Error)]
enum Due {
    #[error("is missing")]
    None,
    #[error("ends soon")]
    Ends,
    #[error("does not permit {0}")]
    LeavesOut(String),
    #[error("permits more than is listed")]
    PermitsMore,
}

fn due(issuer: &Issuer, names: &PermittedNames, now: Timestamp) -> Option<Due> {
    let missing = issuer.names().missing(names);
    if issuer.until().date_time() - now.date_time() <= RENEW_BEFORE {
        Some(Due::Ends)
    } else if !missing.is_empty() {
        Some(Due::LeavesOut(missing.join(", ")))
    } else if !issuer.by_firm && !issuer.names().same(names) {
        Some(Due::PermitsMore)
    } else {
        None
    }
}
