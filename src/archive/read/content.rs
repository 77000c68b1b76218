//! Content: keys unwrapped, fields opened, and each compared with what the ledger says of it.
//!
//! Invariant: a value is handed out only if it is the one the entry commits to.

use std::collections::BTreeMap;
use std::io::{self, Write};

use sqlx::Row as _;

use crate::archive::ArchiveError;
use crate::archive::blobs::BlobStore;
use crate::archive::open::Archive;
use crate::archive::pool::Pool;
use crate::archive::row::{count, number};
use crate::archive::submission::BlobDigest;
use crate::ledger::{Commitments, Committed, Entry};
use crate::record::{
    Commitment, Committer, FieldName, MasterKey, RecordId, RecordKey, WrappedKey, unseal, unseal_stream,
};

/// The opened content of one entry.
#[derive(Debug, Clone, Default)]
pub struct Content(pub BTreeMap<FieldName, Field>);

/// One field.
#[derive(Debug, Clone)]
pub enum Field {
    /// Its value.
    Value(Vec<u8>),
    /// In the blob store; [`Archive::read_blob`] opens it.
    Blob {
        /// Which blob.
        digest: BlobDigest,
        /// Its sealed size.
        size: u64,
    },
}

impl Content {
    /// A value as text, if it is there and is text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.0.get(field) {
            Some(Field::Value(value)) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }
}

/// What is stored for one entry, still sealed.
#[derive(Debug, Default)]
pub(in crate::archive) struct SealedRow {
    pub(in crate::archive) fields: Vec<(FieldName, Vec<u8>)>,
    pub(in crate::archive) blobs: Vec<(FieldName, BlobDigest, u64)>,
}

pub(in crate::archive) fn field_name(name: &str) -> Result<FieldName, ArchiveError> {
    name.parse().map_err(|_source| ArchiveError::Row { table: "content", problem: "a field has no name of ours" })
}

/// Reads the sealed rows of one entry.
async fn sealed(pool: &Pool, index: u64) -> Result<SealedRow, ArchiveError> {
    let mut row = SealedRow::default();
    let found = sqlx::query("select names, ciphertexts from content.sealed where entry_index = $1")
        .bind(number(index))
        .fetch_optional(pool)
        .await?;
    if let Some(found) = found {
        let names: Vec<String> = found.try_get("names")?;
        let ciphertexts: Vec<Vec<u8>> = found.try_get("ciphertexts")?;
        for (name, ciphertext) in names.iter().zip(ciphertexts) {
            row.fields.push((field_name(name)?, ciphertext));
        }
    }
    let blobs = sqlx::query("select name, digest, size from content.blobs where entry_index = $1")
        .bind(number(index))
        .fetch_all(pool)
        .await?;
    for blob in blobs {
        let digest = BlobDigest(crate::archive::row::digest(&blob, "digest")?);
        row.blobs.push((field_name(blob.try_get("name")?)?, digest, count(blob.try_get("size")?)));
    }
    Ok(row)
}

/// Opens the inline fields and recomputes every commitment that can be recomputed from them.
pub(in crate::archive) fn open_fields(
    key: &RecordKey,
    entry: &Entry,
    row: &SealedRow,
) -> Result<(Content, Commitments), ArchiveError> {
    let mut content = Content::default();
    let mut commitments = Commitments::new();
    for (name, ciphertext) in &row.fields {
        let value = unseal(&key.sealing_key(entry.id(), name), ciphertext).map_err(|source| ArchiveError::Sealed {
            index: entry.index(),
            field: name.to_string(),
            source,
        })?;
        commitments.insert(name.clone(), Commitment::to(&key.salt(entry.id(), name), &value));
        content.0.insert(name.clone(), Field::Value(value));
    }
    for (name, digest, size) in &row.blobs {
        content.0.insert(name.clone(), Field::Blob { digest: *digest, size: *size });
    }
    Ok((content, commitments))
}

/// Writes a blob's value to `to` and answers with its commitment.
pub(in crate::archive) fn open_blob(
    blobs: &BlobStore,
    key: &RecordKey,
    entry: &Entry,
    name: &FieldName,
    digest: BlobDigest,
    to: &mut impl Write,
) -> Result<Commitment, ArchiveError> {
    let mut committing = Committing { committer: Committer::new(&key.salt(entry.id(), name)), to };
    let mut file = blobs.read(digest)?;
    unseal_stream(&key.sealing_key(entry.id(), name), &mut file, &mut committing)
        .map_err(|source| ArchiveError::Sealed { index: entry.index(), field: name.to_string(), source })?;
    Ok(committing.committer.finish())
}

struct Committing<'a, W> {
    committer: Committer,
    to: &'a mut W,
}

impl<W: Write> Write for Committing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        self.committer.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Fails where a field that was opened is not what the entry commits to.
pub(in crate::archive) fn check_listed(entry: &Entry, commitments: &Commitments) -> Result<(), ArchiveError> {
    let Committed::Listed(listed) = entry.committed() else { return Ok(()) };
    let wrong = commitments.iter().any(|(name, commitment)| listed.get(name.as_str()) != Some(commitment));
    if wrong {
        return Err(ArchiveError::Row {
            table: "content.sealed",
            problem: "a field is not the one the ledger commits to",
        });
    }
    Ok(())
}

/// The wrapped key of a record; none when it was disposed of, or never was.
pub(in crate::archive) async fn wrapped_key(pool: &Pool, record: RecordId) -> Result<Option<WrappedKey>, ArchiveError> {
    let bytes: Option<Vec<u8>> = sqlx::query_scalar("select wrapped from content.keys where record = $1")
        .bind(record.uuid())
        .fetch_optional(pool)
        .await?;
    bytes.map(|bytes| parse_key(&bytes)).transpose()
}

pub(in crate::archive) fn parse_key(bytes: &[u8]) -> Result<WrappedKey, ArchiveError> {
    WrappedKey::try_from(bytes)
        .map_err(|_source| ArchiveError::Row { table: "content.keys", problem: "not a wrapped key" })
}

pub(in crate::archive) fn unwrap(
    master: &MasterKey,
    record: RecordId,
    wrapped: &WrappedKey,
) -> Result<RecordKey, ArchiveError> {
    master.unwrap_key(record, wrapped).map_err(|source| ArchiveError::Key { record, source })
}

impl Archive {
    /// A record's key; none when the record was disposed of, or never was.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn record_key(&self, record: RecordId) -> Result<Option<RecordKey>, ArchiveError> {
        let wrapped = wrapped_key(&self.parts.reader, record).await?;
        wrapped.map(|wrapped| unwrap(&self.parts.options.master, record, &wrapped)).transpose()
    }

    /// The content of an entry, opened and checked against its commitments; none when its record was disposed of.
    ///
    /// # Errors
    /// See [`ArchiveError`]; content that does not fit its commitment is an error, never an answer.
    pub async fn content(&self, entry: &Entry) -> Result<Option<Content>, ArchiveError> {
        let Some(record) = entry.record() else { return Ok(Some(Content::default())) };
        let Some(key) = self.record_key(record).await? else { return Ok(None) };
        let row = sealed(&self.parts.reader, entry.index()).await?;
        let (content, commitments) = open_fields(&key, entry, &row)?;
        check_listed(entry, &commitments)?;
        Ok(Some(content))
    }

    /// Writes the value of a field that is in the blob store to `to`, from a blocking task. What was written counts only if
    /// the answer is `Ok`: the commitment is known at the end.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn read_blob<W: Write + Send + 'static>(
        &self,
        entry: &Entry,
        name: &FieldName,
        mut to: W,
    ) -> Result<W, ArchiveError> {
        let gone = ArchiveError::Row { table: "content.blobs", problem: "the field is not there" };
        let Some(record) = entry.record() else { return Err(gone) };
        let Some(key) = self.record_key(record).await? else { return Err(gone) };
        let row = sealed(&self.parts.reader, entry.index()).await?;
        let Some((name, digest, _size)) = row.blobs.into_iter().find(|(other, ..)| other == name) else {
            return Err(gone);
        };
        let (blobs, entry) = (self.parts.blobs.clone(), entry.clone());
        let task = tokio::task::spawn_blocking(move || {
            let commitment = open_blob(&blobs, &key, &entry, &name, digest, &mut to)?;
            check_listed(&entry, &std::iter::once((name, commitment)).collect())?;
            Ok(to)
        });
        task.await.unwrap_or(Err(ArchiveError::Blob { digest: digest.0, problem: "was not read to the end" }))
    }
}
