//! A temporary file without a name, sealed under a key that lives only in this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::Scratch;

/// What sealing adds to a chunk.
pub(super) const TAG: usize = 16;

/// A file of sealed chunks.
pub(super) struct SealedFile {
    file: File,
    key: LessSafeKey,
    scratch: Scratch,
    taken: AtomicU64,
}

impl SealedFile {
    pub(super) fn create(scratch: &Scratch) -> io::Result<Self> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_source| io::Error::other("no random bytes"))?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_source| io::Error::other("cipher refused its key"))?;
        Ok(Self {
            file: tempfile::tempfile_in(&scratch.directory)?,
            key: LessSafeKey::new(key),
            scratch: scratch.clone(),
            taken: AtomicU64::new(0),
        })
    }

    fn nonce(chunk: u64) -> Nonce {
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(4).zip(chunk.to_be_bytes()) {
            *to = from;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    pub(super) fn write(&self, chunk: u64, offset: u64, mut data: Vec<u8>) -> io::Result<()> {
        let size = (data.len() + TAG) as u64;
        if self.scratch.used.fetch_add(size, Ordering::Relaxed).saturating_add(size) > self.scratch.total {
            self.scratch.used.fetch_sub(size, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.taken.fetch_add(size, Ordering::Relaxed);
        self.key
            .seal_in_place_append_tag(Self::nonce(chunk), Aad::empty(), &mut data)
            .map_err(|_source| io::Error::other("chunk cannot be sealed"))?;
        self.file.write_all_at(&data, offset)
    }

    pub(super) fn read(&self, chunk: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length + TAG];
        self.file.read_exact_at(&mut data, offset)?;
        let plain = self
            .key
            .open_in_place(Self::nonce(chunk), Aad::empty(), &mut data)
            .map_err(|_source| io::Error::new(io::ErrorKind::InvalidData, "held chunk was changed"))?
            .len();
        data.truncate(plain);
        Ok(data)
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        self.scratch.used.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
