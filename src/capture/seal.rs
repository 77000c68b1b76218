//! Sealing: a value becomes a commitment in the draft and ciphertext beside it, under the secret of its record.
//!
//! Invariant: nothing leaves this file in the clear, and each field of each entry is sealed once (a fresh entry id each
//! time), so no key ever seals two values. Blocking: large bodies are read from disk and written to the blob store; callers
//! move that off the runtime's threads.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

use super::{Entropy, EntropyError};
use crate::archive::{
    self, ArchiveError, BlobDigest, BlobStore, INLINE_MAX, INLINE_SUM_MAX, SealedField, Stored, Submission,
};
use crate::exchange::Body;
use crate::ledger::{Commitments, Draft};
use crate::record::{
    Commitment, Committer, EntryId, FieldName, Ids, MasterKey, RecordId, RecordKey, Salt, SealError, TAG, WrapError,
    WrappedKey, seal, seal_stream, sealed_size,
};

/// Content could not be sealed, so it cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// No key could be made.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The record key could not be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The cipher refused, or a body could not be read or a blob written.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<io::Error> for SealingError {
    fn from(error: io::Error) -> Self {
        Self::Seal(error.into())
    }
}

impl Blobs for BlobStore {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(self.writer().map_err(as_io)?))
    }
}

/// Keeps the kind: a full disk is told from a broken one.
fn as_io(error: ArchiveError) -> io::Error {
    match error {
        ArchiveError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

impl BlobWriter for archive::BlobWriter {
    fn finish(self: Box<Self>) -> io::Result<(BlobDigest, u64)> {
        Self::finish(*self).map_err(as_io)
    }
}

/// Where large ciphertext goes.
pub trait Blobs: Send + Sync {
    /// Begins a blob.
    ///
    /// # Errors
    /// When the store cannot take one.
    fn create(&self) -> io::Result<Box<dyn BlobWriter>>;
}

/// A blob being written. Dropped unfinished, nothing of it stays.
pub trait BlobWriter: io::Write + Send {
    /// Makes it durable; answers with its name and size.
    ///
    /// # Errors
    /// When it may not be durable.
    fn finish(self: Box<Self>) -> io::Result<(BlobDigest, u64)>;
}

/// The secret of a record that is being captured: needed again for its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) record: RecordId,
    key: RecordKey,
}

impl Secret {
    /// The salt of a field, for who shows it together with the value.
    pub(crate) fn salt(&self, entry: EntryId, field: &FieldName) -> Salt {
        self.key.salt(entry, field)
    }
}

/// Makes secrets and envelopes.
pub(crate) struct Sealer {
    pub(crate) master: MasterKey,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) blobs: Arc<dyn Blobs>,
}

impl Sealer {
    /// A fresh record with its wrapped key, for the record's first entry.
    pub(crate) fn record(&self) -> Result<(Secret, WrappedKey), SealingError> {
        let (mut key, mut nonce) = (zeroize::Zeroizing::new([0; 32]), [0; 12]);
        self.entropy.fill(key.as_mut_slice())?;
        self.entropy.fill(&mut nonce)?;
        let secret = Secret { record: RecordId::new(self.ids.fresh()), key: RecordKey::new(*key) };
        let wrapped = self.master.wrap_key(secret.record, &secret.key, nonce)?;
        Ok((secret, wrapped))
    }

    /// An empty envelope for one fresh entry of a record.
    pub(crate) fn envelope<'a>(&'a self, secret: &'a Secret) -> Envelope<'a> {
        Envelope {
            sealer: self,
            secret,
            id: EntryId::new(self.ids.fresh()),
            commitments: Commitments::new(),
            sealed: Vec::new(),
            inline: 0,
        }
    }
}

/// What one entry commits to, as it is put together.
pub(crate) struct Envelope<'a> {
    sealer: &'a Sealer,
    secret: &'a Secret,
    id: EntryId,
    commitments: Commitments,
    sealed: Vec<SealedField>,
    inline: usize,
}

/// An envelope that is closed; it waits for the rest of its draft.
pub(crate) struct Sealed {
    pub(crate) id: EntryId,
    pub(crate) record: RecordId,
    pub(crate) commitments: Commitments,
    pub(crate) fields: Vec<SealedField>,
}

impl Envelope<'_> {
    /// The entry to be.
    pub(crate) const fn id(&self) -> EntryId {
        self.id
    }

    /// Puts a value in. The same name twice keeps the first.
    pub(crate) fn put(&mut self, name: FieldName, value: &[u8]) -> Result<(), SealingError> {
        if self.commitments.get(name.as_str()).is_some() {
            return Ok(());
        }
        if !self.fits_inline(value.len() as u64) {
            return self.put_blob(name, &mut &*value);
        }
        let commitment = Commitment::to(&self.secret.key.salt(self.id, &name), value);
        let ciphertext = seal(&self.secret.key.sealing_key(self.id, &name), value)?;
        self.inline += ciphertext.len();
        self.push(name, commitment, Stored::Inline(Bytes::from(ciphertext)));
        Ok(())
    }

    /// Puts a body in, wherever it is held.
    pub(crate) fn put_body(&mut self, name: FieldName, body: &Body) -> Result<(), SealingError> {
        match body {
            Body::Empty => self.put(name, &[]),
            Body::Memory(bytes) => self.put(name, bytes),
            Body::Held(source) if self.fits_inline(source.size()) => {
                let mut value = Vec::with_capacity(usize::try_from(source.size()).unwrap_or(0));
                source.reader()?.take(INLINE_MAX as u64).read_to_end(&mut value)?;
                self.put(name, &value)
            }
            Body::Held(source) => self.put_blob(name, &mut source.reader()?),
        }
    }

    pub(crate) fn close(self) -> Sealed {
        Sealed { id: self.id, record: self.secret.record, commitments: self.commitments, fields: self.sealed }
    }

    fn fits_inline(&self, size: u64) -> bool {
        let sealed = usize::try_from(sealed_size(size)).unwrap_or(usize::MAX);
        size <= (INLINE_MAX - TAG) as u64 && self.inline.saturating_add(sealed) <= INLINE_SUM_MAX
    }

    fn put_blob(&mut self, name: FieldName, from: &mut dyn Read) -> Result<(), SealingError> {
        let committer = Committer::new(&self.secret.key.salt(self.id, &name));
        let mut from = Committing { from, committer };
        let mut blob = self.sealer.blobs.create()?;
        seal_stream(&self.secret.key.sealing_key(self.id, &name), &mut from, &mut blob)?;
        let (digest, size) = blob.finish()?;
        self.push(name, from.committer.finish(), Stored::Blob { digest, size });
        Ok(())
    }

    fn push(&mut self, name: FieldName, commitment: Commitment, ciphertext: Stored) {
        self.commitments.insert(name.clone(), commitment);
        self.sealed.push(SealedField { name, ciphertext });
    }
}

impl Sealed {
    /// The submission: `draft` says the rest. `key` goes with the record's first entry.
    pub(crate) fn submit(
        self,
        key: Option<WrappedKey>,
        draft: impl FnOnce(EntryId, Commitments) -> Draft,
    ) -> Submission {
        let record = self.record;
        let draft = Draft { record: Some(record), ..draft(self.id, self.commitments) };
        Submission { draft, key: key.map(|key| (record, key)), sealed: self.fields }
    }
}

/// Commits to what passes through.
struct Committing<'a> {
    from: &'a mut dyn Read,
    committer: Committer,
}

impl Read for Committing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.committer.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
