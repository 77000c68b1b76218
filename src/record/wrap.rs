//! Wrapping: record keys under the firm's master key.
//!
//! AES-256-GCM under a key derived per record, with a random nonce (so that wrapping again, on rotation, never meets the same
//! one) and the record id as additional data: a wrapped key moved to another record does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::master::One;
use super::{MasterKey, MasterKeyId, RecordId, RecordKey, WrappedKey};

/// A record key could not be wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// Another master key wrapped it.
    #[error("record key is wrapped by master key {0}, which was not given")]
    OtherMasterKey(MasterKeyId),
    /// It belongs to another record or was changed.
    #[error("wrapped record key does not open: it was changed, or belongs to another record")]
    Refused,
}

fn cipher(master: &One, record: RecordId) -> Result<LessSafeKey, WrapError> {
    let key = master.wrapping_key(record);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_source| WrapError::Refused)?))
}

impl MasterKey {
    /// Wraps a record's key; `nonce` is 12 random bytes.
    ///
    /// # Errors
    /// See [`WrapError`].
    pub fn wrap_key(&self, record: RecordId, key: &RecordKey, nonce: [u8; 12]) -> Result<WrappedKey, WrapError> {
        let mut sealed = Zeroizing::new([0; 48]);
        let (body, end) = sealed.split_at_mut(32);
        body.copy_from_slice(key.as_bytes());
        let master = self.current();
        let tag = cipher(&master, record)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(record.uuid().as_bytes()), body)
            .map_err(|_source| WrapError::Refused)?;
        end.copy_from_slice(tag.as_ref());
        Ok(WrappedKey::from_parts(master.id(), &nonce, &sealed))
    }

    /// Unwraps a record's key.
    ///
    /// # Errors
    /// See [`WrapError`].
    pub fn unwrap_key(&self, record: RecordId, wrapped: &WrappedKey) -> Result<RecordKey, WrapError> {
        let id = wrapped.master_key();
        let master = self.named(id).ok_or(WrapError::OtherMasterKey(id))?;
        let (_version, _id, nonce, sealed) = wrapped.split();
        let mut sealed = Zeroizing::new(sealed);
        let key = cipher(&master, record)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(record.uuid().as_bytes()),
                sealed.as_mut_slice(),
            )
            .map_err(|_source| WrapError::Refused)?;
        Ok(RecordKey::new(<[u8; 32]>::try_from(&*key).map_err(|_source| WrapError::Refused)?))
    }
}
