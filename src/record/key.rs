//! Keys: one secret per record, everything else derived from it.
//!
//! Invariant: whoever holds a record key can open that record and no other; without it, salts and content of the record are
//! gone for good. Key material is wiped when dropped and never printed. Derivations are fixed in `docs/FORMAT.md`.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{EntryId, FieldName};

/// What salts and sealing keys are derived for.
const SALT: &[u8] = b"salt";
const KEY: &[u8] = b"key";

/// The first half of HKDF, the same for everything that is derived from a secret.
pub(super) fn extract(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Hkdf::<Sha256>::extract(None, secret).0.into())
}

/// The second half.
pub(super) fn expand<const N: usize>(extracted: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    // Fails only where fewer than 32 bytes were extracted, or more than 255 × 32 are wanted: every N here is at most 32.
    let made =
        Hkdf::<Sha256>::from_prk(extracted).is_ok_and(|hkdf| hkdf.expand_multi_info(info, out.as_mut_slice()).is_ok());
    debug_assert!(made);
    out
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident $(, $extracted:ident)?) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            bytes: Zeroizing<[u8; 32]>,
            $($extracted: Zeroizing<[u8; 32]>,)?
        }

        impl $name {
            /// From 32 bytes.
            #[must_use]
            pub fn new(bytes: [u8; 32]) -> Self {
                Self { $($extracted: extract(&bytes),)? bytes: Zeroizing::new(bytes) }
            }

            /// The 32 bytes; whoever takes them answers for them.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.bytes
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret!(
    /// The one secret of a record: 32 random bytes, kept only wrapped by the firm's master key.
    RecordKey, extracted
);
secret!(
    /// What makes a commitment unguessable: one per entry and field. Shown together with the value, and only then.
    Salt
);
impl RecordKey {
    /// The salt of one field of one entry.
    #[must_use]
    pub fn salt(&self, entry: EntryId, field: &FieldName) -> Salt {
        Salt { bytes: expand(&self.extracted, &[SALT, entry.uuid().as_bytes(), field.as_str().as_bytes()]) }
    }

    /// The key that seals one field of one entry.
    #[must_use]
    pub fn sealing_key(&self, entry: EntryId, field: &FieldName) -> SealingKey {
        let key = expand(&self.extracted, &[KEY, entry.uuid().as_bytes(), field.as_str().as_bytes()]);
        SealingKey { key, entry, field: field.clone() }
    }
}

/// Seals one field of one entry; carries the additional data it is bound to.
#[derive(Clone)]
pub struct SealingKey {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) entry: EntryId,
    pub(super) field: FieldName,
}

impl SealingKey {
    /// The 32 bytes; whoever takes them answers for them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}, {})", self.entry, self.field)
    }
}

/// Which master key wrapped a record key: 8 bytes derived from it; text form is 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyId(pub(super) [u8; 8]);

impl MasterKeyId {
    /// The 8 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes were not a wrapped record key of this format version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a wrapped record key is 69 bytes and begins with 01")]
pub struct WrappedKeyError;

/// A record key under a master key: `01 ‖ master key id (8) ‖ nonce (12) ‖ ciphertext (32) ‖ tag (16)`. Destroying it
/// disposes of the record.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey([u8; WrappedKey::SIZE]);

impl WrappedKey {
    /// Size in bytes.
    pub const SIZE: usize = 1 + 8 + 12 + 32 + 16;
    const VERSION: u8 = 1;

    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "wrapping needs the feature `service`"))]
    pub(super) fn from_parts(id: MasterKeyId, nonce: &[u8; 12], sealed: &[u8; 48]) -> Self {
        let mut bytes = [Self::VERSION; Self::SIZE];
        let parts = id.0.iter().chain(nonce).chain(sealed);
        bytes.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// The bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which master key opens it.
    #[must_use]
    pub fn master_key(&self) -> MasterKeyId {
        let (_version, id, _nonce, _sealed) = self.split();
        MasterKeyId(id)
    }

    pub(super) fn split(&self) -> (u8, [u8; 8], [u8; 12], [u8; 48]) {
        let mut rest = self.0.into_iter();
        let mut take = || rest.next().unwrap_or_default();
        (take(), std::array::from_fn(|_| take()), std::array::from_fn(|_| take()), std::array::from_fn(|_| take()))
    }
}

impl TryFrom<&[u8]> for WrappedKey {
    type Error = WrappedKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, WrappedKeyError> {
        let bytes = <[u8; Self::SIZE]>::try_from(bytes).map_err(|_source| WrappedKeyError)?;
        if bytes.first() == Some(&Self::VERSION) { Ok(Self(bytes)) } else { Err(WrappedKeyError) }
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey(by {})", self.master_key())
    }
}
