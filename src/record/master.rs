//! The firm's master keys: one wraps record keys, and it and others open what they have wrapped.
//!
//! Invariant: all clones are one ring, so that a key that came later is known wherever keys are unwrapped, without a restart. Where keys come from is
//! not known here: whoever knows can be asked for them again ([`MasterKey::with_source`]) when a name turns up that is not in the ring.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::key::{expand, extract};
use super::{MasterKeyId, RecordId};

/// What wrapping keys and names are derived for.
const WRAP: &[u8] = b"wrap";
const MASTER_KEY_ID: &[u8] = b"id";

/// One of them.
#[derive(Clone)]
pub(super) struct One {
    id: MasterKeyId,
    bytes: Zeroizing<[u8; 32]>,
    extracted: Zeroizing<[u8; 32]>,
}

impl One {
    fn new(bytes: &[u8; 32]) -> Self {
        let extracted = extract(bytes);
        let id = MasterKeyId(*expand(&extracted, &[MASTER_KEY_ID]));
        Self { id, bytes: Zeroizing::new(*bytes), extracted }
    }

    pub(super) const fn id(&self) -> MasterKeyId {
        self.id
    }

    /// The key that wraps one record's key. One per record, so that the number of records never wears out a nonce space.
    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "wrapping needs the feature `service`"))]
    pub(super) fn wrapping_key(&self, record: RecordId) -> Zeroizing<[u8; 32]> {
        expand(&self.extracted, &[WRAP, record.uuid().as_bytes()])
    }
}

/// Keys as they are kept: the one that wraps, and others that only open.
pub struct MasterSecrets {
    /// Wraps, and opens.
    pub current: Zeroizing<[u8; 32]>,
    /// Open.
    pub former: Vec<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for MasterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterSecrets(1 and {})", self.former.len())
    }
}

/// Reads keys from where they are kept; none where that cannot be done now.
pub type MasterSource = dyn Fn() -> Option<MasterSecrets> + Send + Sync;

struct Ring {
    current: One,
    former: Vec<One>,
}

impl Ring {
    fn new(secrets: &MasterSecrets) -> Self {
        let current = One::new(&secrets.current);
        let mut former: Vec<One> = Vec::new();
        for one in secrets.former.iter().map(|bytes| One::new(bytes)) {
            if one.id != current.id && former.iter().all(|known| known.id != one.id) {
                former.push(one);
            }
        }
        Self { current, former }
    }
}

/// The firm's master key, with those it was before as far as they are still given: wraps record keys. Rotation wraps them again.
#[derive(Clone)]
pub struct MasterKey {
    ring: Arc<RwLock<Arc<Ring>>>,
    source: Option<Arc<MasterSource>>,
}

impl MasterKey {
    /// From 32 bytes; there are no others.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self::of(&MasterSecrets { current: Zeroizing::new(bytes), former: Vec::new() })
    }

    /// One that wraps, and others that open.
    #[must_use]
    pub fn of(secrets: &MasterSecrets) -> Self {
        Self { ring: Arc::new(RwLock::new(Arc::new(Ring::new(secrets)))), source: None }
    }

    /// Asks there again when it meets the name of a key that it does not have.
    #[must_use]
    pub fn with_source(self, source: Arc<MasterSource>) -> Self {
        Self { source: Some(source), ..self }
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys again, for all clones; whether another one wraps now.
    pub fn refresh(&self) -> bool {
        let Some(secrets) = self.source.as_ref().and_then(|source| source()) else { return false };
        let ring = Arc::new(Ring::new(&secrets));
        let mut held = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let changed = held.current.id != ring.current.id;
        *held = ring;
        changed
    }

    /// Names the key that wraps, without showing it; stored with every key it wraps.
    #[must_use]
    pub fn id(&self) -> MasterKeyId {
        self.ring().current.id
    }

    /// Names of the others.
    #[must_use]
    pub fn former(&self) -> Vec<MasterKeyId> {
        self.ring().former.iter().map(One::id).collect()
    }

    /// The 32 bytes of the key that wraps; whoever takes them answers for them.
    #[must_use]
    pub fn as_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.ring().current.bytes.clone()
    }

    /// The bytes of all, the one that wraps first: for what was sealed under one of them and does not say which.
    #[must_use]
    pub fn every(&self) -> Vec<Zeroizing<[u8; 32]>> {
        let ring = self.ring();
        [&ring.current].into_iter().chain(&ring.former).map(|one| one.bytes.clone()).collect()
    }

    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "wrapping needs the feature `service`"))]
    pub(super) fn current(&self) -> One {
        self.ring().current.clone()
    }

    /// The key of this name, asked for again where it is not known.
    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "wrapping needs the feature `service`"))]
    pub(super) fn named(&self, id: MasterKeyId) -> Option<One> {
        self.known(id).or_else(|| {
            self.refresh();
            self.known(id)
        })
    }

    fn known(&self, id: MasterKeyId) -> Option<One> {
        let ring = self.ring();
        [&ring.current].into_iter().chain(&ring.former).find(|one| one.id == id).cloned()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}
