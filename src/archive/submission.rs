//! What a writer hands over to be appended: a draft, and what it commits to, already sealed.
//!
//! Invariant: a submission that passes [`Submission::check`] fits its draft field by field, so that every commitment in the
//! ledger has its content beside it until it is disposed of.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::AppendError;
use crate::ledger::Draft;
use crate::record::{Digest, EntryId, FieldName, RecordId, Timestamp, WrappedKey};

/// Largest sealed field that lives in a row; larger ones go to the blob store.
pub const INLINE_MAX: usize = 256 << 10;
/// Largest sum of a submission's inline fields.
pub const INLINE_SUM_MAX: usize = 4 << 20;

/// A draft with what it commits to.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The entry to be.
    pub draft: Draft,
    /// The wrapped key of the draft's record, with the record's first entry only.
    pub key: Option<(RecordId, WrappedKey)>,
    /// One for each commitment of the draft.
    pub sealed: Vec<SealedField>,
}

/// One field, sealed.
#[derive(Debug, Clone)]
pub struct SealedField {
    /// Which.
    pub name: FieldName,
    /// Its sealed bytes.
    pub ciphertext: Stored,
}

/// Where sealed bytes are.
#[derive(Debug, Clone)]
pub enum Stored {
    /// Here, to be stored in a row; at most [`INLINE_MAX`] bytes.
    Inline(Bytes),
    /// In the blob store already, and durable there.
    Blob {
        /// Its name.
        digest: BlobDigest,
        /// Its size in bytes, sealed.
        size: u64,
    },
}

/// Name of a blob: SHA-256 of its ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobDigest(pub Digest);

/// The place an entry got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Which entry.
    pub entry: EntryId,
    /// Its place.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Digest,
    /// When it got its place.
    pub at: Timestamp,
}

/// The one way into the ledger.
pub trait Append: Send + Sync {
    /// Durable on return: the entry, its content and its key are committed. The same id again answers with the first one's
    /// place. After [`AppendError::Unavailable`] the entry may be durable; asking again with the same id finds out.
    fn append(&self, submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>>;
}

impl Submission {
    /// An entry that commits to nothing.
    #[must_use]
    pub const fn plain(draft: Draft) -> Self {
        Self { draft, key: None, sealed: Vec::new() }
    }

    /// Checks everything that can be checked without the database, so that nothing fails under the head lock.
    ///
    /// # Errors
    /// [`AppendError::Draft`] or [`AppendError::Content`].
    pub fn check(&self) -> Result<(), AppendError> {
        self.draft.check().map_err(|source| AppendError::Draft { entry: self.draft.id, source })?;
        self.check_content()
    }

    /// Checks what the draft commits to; the draft itself is checked when it is prepared.
    pub(super) fn check_content(&self) -> Result<(), AppendError> {
        let entry = self.draft.id;
        let problem = |problem| Err(AppendError::Content { entry, problem });
        if !self.sealed.is_empty() && self.draft.record.is_none() {
            return problem("sealed fields need the record whose key seals them");
        }
        if self.key.as_ref().is_some_and(|(record, _key)| self.draft.record != Some(*record)) {
            return problem("the key is of another record");
        }
        let names: BTreeSet<&FieldName> = self.sealed.iter().map(|field| &field.name).collect();
        if names.len() != self.sealed.len() {
            return problem("a field is there twice");
        }
        // Both come in the order of the names.
        if !names.into_iter().eq(self.draft.commitments.iter().map(|(name, _commitment)| name)) {
            return problem("the sealed fields are not those that are committed to");
        }
        if self.sealed.iter().any(|field| field.inline_size() > INLINE_MAX) || self.inline_size() > INLINE_SUM_MAX {
            return problem("a field this large belongs into the blob store");
        }
        Ok(())
    }

    /// Bytes that go into rows.
    pub(super) fn inline_size(&self) -> usize {
        self.sealed.iter().map(SealedField::inline_size).sum()
    }
}

impl SealedField {
    fn inline_size(&self) -> usize {
        match &self.ciphertext {
            Stored::Inline(bytes) => bytes.len(),
            Stored::Blob { .. } => 0,
        }
    }
}
