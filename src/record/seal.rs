//! Sealing: AES-256-GCM over the fields of a record, in chunks of 1 MiB.
//!
//! A value is cut into chunks of [`CHUNK`] bytes; the last one may be shorter (and is empty only when the value is). Chunk
//! `i` is sealed under the nonce `00×7 ‖ i (u32, big-endian) ‖ last (1 or 0)` with the additional data `entry id ‖ field`.
//! A value of at most 1 MiB is thus one chunk, sealed whole. Chunks that are cut off, appended, exchanged or taken from
//! another field do not open: the nonce says which chunk it is and whether it is the last, the key says of which field.
//!
//! **Why counted nonces are safe.** A key seals one field of one entry and nothing else ([`RecordKey::sealing_key`]), within
//! it each chunk has its own nonce, and an entry id stands for one content only: whoever makes an entry id seals each field
//! once, and a repeated append carries the bytes sealed the first time, never a fresh sealing of something else. A changed
//! content (another recognition, a correction) is a new entry with a new id and so with new keys.
//!
//! GCM does not bind a ciphertext to one key; the commitment in the ledger binds the value, so readers check it after opening.
//!
//! [`RecordKey::sealing_key`]: super::RecordKey::sealing_key

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::SealingKey;

/// Plain bytes per chunk.
pub const CHUNK: usize = 1 << 20;
/// Bytes a chunk grows by.
pub const TAG: usize = 16;

/// Content could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Wrong key, wrong entry or field, or bytes that were changed, cut or moved.
    #[error("sealed content does not open: it was changed, or belongs to another key, entry or field")]
    Refused,
    /// More than 2^32 chunks (4 PiB).
    #[error("content is too large to be sealed")]
    TooLarge,
    /// The reader or writer on the other side failed.
    #[error("sealed content cannot be read or written")]
    Io(#[from] io::Error),
}

/// Size of the sealed form of a value of `size` bytes.
#[must_use]
pub const fn sealed_size(size: u64) -> u64 {
    let chunks = if size == 0 { 1 } else { size.div_ceil(CHUNK as u64) };
    size.saturating_add(chunks.saturating_mul(TAG as u64))
}

/// One field's cipher with its additional data.
struct Cipher {
    key: LessSafeKey,
    aad: Vec<u8>,
}

impl Cipher {
    fn new(key: &SealingKey) -> Result<Self, SealError> {
        let unbound = UnboundKey::new(&AES_256_GCM, key.as_bytes()).map_err(|_source| SealError::Refused)?;
        let aad = [key.entry.uuid().as_bytes(), key.field.as_str().as_bytes()].concat();
        Ok(Self { key: LessSafeKey::new(unbound), aad })
    }

    fn nonce(chunk: u32, last: bool) -> Nonce {
        let [a, b, c, d] = chunk.to_be_bytes();
        Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(last)])
    }

    /// Seals `buffer` in place and appends the tag.
    fn seal(&self, chunk: u32, last: bool, buffer: &mut Vec<u8>) -> Result<(), SealError> {
        self.key
            .seal_in_place_append_tag(Self::nonce(chunk, last), Aad::from(&self.aad), buffer)
            .map_err(|_source| SealError::Refused)
    }

    /// Opens `buffer` in place and cuts the tag.
    fn open(&self, chunk: u32, last: bool, buffer: &mut Vec<u8>) -> Result<(), SealError> {
        let size = self
            .key
            .open_in_place(Self::nonce(chunk, last), Aad::from(&self.aad), buffer)
            .map_err(|_source| SealError::Refused)?
            .len();
        buffer.truncate(size);
        Ok(())
    }
}

/// Seals a value held in memory.
///
/// # Errors
/// See [`SealError`].
pub fn seal(key: &SealingKey, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(usize::try_from(sealed_size(value.len() as u64)).unwrap_or(0));
    if value.len() <= CHUNK {
        sealed.extend_from_slice(value);
        Cipher::new(key)?.seal(0, true, &mut sealed)?;
        return Ok(sealed);
    }
    seal_stream(key, &mut &*value, &mut sealed)?;
    Ok(sealed)
}

/// Opens a value held in memory.
///
/// # Errors
/// See [`SealError`].
pub fn unseal(key: &SealingKey, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    if sealed.len() <= CHUNK + TAG {
        let mut value = sealed.to_vec();
        Cipher::new(key)?.open(0, true, &mut value)?;
        return Ok(value);
    }
    let mut value = Vec::with_capacity(sealed.len());
    unseal_stream(key, &mut &*sealed, &mut value)?;
    Ok(value)
}

/// Seals everything `from` gives into `to`; answers with the size of the value. Holds one chunk in memory.
///
/// # Errors
/// See [`SealError`]; what was written so far is then worthless.
pub fn seal_stream(key: &SealingKey, from: &mut impl Read, to: &mut impl Write) -> Result<u64, SealError> {
    let cipher = Cipher::new(key)?;
    each_chunk(CHUNK, from, |chunk, last, buffer| {
        let size = buffer.len() as u64;
        cipher.seal(chunk, last, buffer)?;
        to.write_all(buffer)?;
        Ok(size)
    })
}

/// Opens everything `from` gives into `to`; answers with the size of the value. Holds one chunk in memory.
///
/// # Errors
/// See [`SealError`]. A chunk is written only after it opened, but only `Ok` says that the value is whole.
pub fn unseal_stream(key: &SealingKey, from: &mut impl Read, to: &mut impl Write) -> Result<u64, SealError> {
    let cipher = Cipher::new(key)?;
    each_chunk(CHUNK + TAG, from, |chunk, last, buffer| {
        cipher.open(chunk, last, buffer)?;
        // Only a value of no bytes has an empty chunk, so that a value has exactly one sealed form.
        if buffer.is_empty() && chunk > 0 {
            return Err(SealError::Refused);
        }
        to.write_all(buffer)?;
        Ok(buffer.len() as u64)
    })
}

/// Calls `each` with every chunk of `size` bytes, its number, and whether it is the last; adds up what `each` answers.
fn each_chunk<R: Read>(
    size: usize,
    from: &mut R,
    mut each: impl FnMut(u32, bool, &mut Vec<u8>) -> Result<u64, SealError>,
) -> Result<u64, SealError> {
    let mut total = 0_u64;
    let mut current = Vec::with_capacity(CHUNK + TAG);
    let mut next = Vec::with_capacity(CHUNK + TAG);
    let fill = |from: &mut R, buffer: &mut Vec<u8>| {
        buffer.clear();
        from.by_ref().take(size as u64).read_to_end(buffer)
    };
    fill(from, &mut current)?;
    for chunk in 0..=u32::MAX {
        // A chunk is the last when nothing follows it: one has to look ahead to know.
        let last = current.len() < size || fill(from, &mut next)? == 0;
        total = total.saturating_add(each(chunk, last, &mut current)?);
        if last {
            return Ok(total);
        }
        std::mem::swap(&mut current, &mut next);
    }
    Err(SealError::TooLarge)
}
