//! A submission on its way to the writer, with everything done that needs no place in the ledger.
//!
//! Made by whoever asks for the append, so that the writer, which is one for all, only has to put it together with others.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::PgRecordEncoder;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, Postgres};
use sqlx::types::Type;

use crate::archive::AppendError;
use crate::archive::submission::{BlobDigest, SealedField, Stored, Submission};
use crate::ledger::{Draft, EntryType, Prepared};
use crate::record::{FieldName, RecordId, SourceId, WrappedKey};

/// One append that was checked.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) prepared: Prepared,
    /// A disposal that destroys, and not the note that files were swept: it goes alone.
    pub(super) destroys: bool,
    pub(super) wrapped: Option<WrappedKey>,
    pub(super) fields: Option<Fields>,
    pub(super) blobs: Vec<Blob>,
    /// Bytes that go into rows.
    pub(super) size: usize,
}

/// A field that lies in the blob store.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) name: FieldName,
    pub(super) digest: BlobDigest,
    pub(super) size: u64,
}

/// The inline fields of an entry as the server reads a row of `content.sealed`, but for the entry's index.
#[derive(Debug)]
pub(super) struct Fields(Vec<u8>);

impl Parcel {
    /// Checks a submission of this source and spells it out.
    ///
    /// # Errors
    /// [`AppendError::Draft`] or [`AppendError::Content`].
    pub(super) fn new(submission: Submission, source: SourceId) -> Result<Self, AppendError> {
        submission.check_content()?;
        let size = submission.inline_size();
        let Submission { draft, key, sealed } = submission;
        let entry = draft.id;
        let prepared = Prepared::new(&draft, source).map_err(|source| AppendError::Draft { entry, source })?;
        let unfit = |_error| AppendError::Content { entry, problem: "a field does not fit into a row" };
        let fields = draft.record.map(|record| Fields::new(record, &sealed)).transpose().map_err(unfit)?.flatten();
        let blobs = sealed.into_iter().filter_map(|field| match field.ciphertext {
            Stored::Inline(_) => None,
            Stored::Blob { digest, size } => Some(Blob { name: field.name, digest, size }),
        });
        Ok(Self {
            prepared,
            destroys: destroys(&draft),
            wrapped: key.map(|(_record, wrapped)| wrapped),
            fields,
            blobs: blobs.collect(),
            size,
        })
    }
}

fn destroys(draft: &Draft) -> bool {
    draft.entry_type == EntryType::Disposal
        && draft.detail.get("phase").and_then(serde_json::Value::as_str) == Some("destroyed")
}

impl Fields {
    /// Where the index stands: behind the number of columns, and its own type and length.
    const INDEX: std::ops::Range<usize> = 12..20;

    /// `None` when nothing lies in rows.
    fn new(record: RecordId, sealed: &[SealedField]) -> Result<Option<Self>, BoxDynError> {
        let inline = sealed.iter().filter_map(|field| match &field.ciphertext {
            Stored::Inline(bytes) => Some((field.name.as_str(), bytes.as_ref())),
            Stored::Blob { .. } => None,
        });
        let (names, ciphertexts): (Vec<&str>, Vec<&[u8]>) = inline.unzip();
        if names.is_empty() {
            return Ok(None);
        }
        let mut buffer = PgArgumentBuffer::default();
        // Two heads of arrays, and the lengths of their elements.
        buffer.reserve(
            128 + names.iter().map(|name| name.len() + 8).sum::<usize>()
                + ciphertexts.iter().map(|bytes| bytes.len()).sum::<usize>(),
        );
        let mut row = PgRecordEncoder::new(&mut buffer);
        // The columns in the order of the table.
        row.encode(0_i64)?.encode(record.uuid())?.encode(names)?.encode(ciphertexts)?;
        row.finish();
        Ok(Some(Self(std::mem::take(&mut *buffer))))
    }
}

/// A row of `content.sealed`, sent as one: put together from a row for each field, the server would have to sort them first.
pub(super) struct SealedRow<'a> {
    pub(super) entry: i64,
    pub(super) fields: &'a Fields,
}

impl SealedRow<'_> {
    pub(super) const fn size(&self) -> usize {
        self.fields.0.len()
    }
}

impl Type<Postgres> for SealedRow<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("content.sealed")
    }
}

impl PgHasArrayType for SealedRow<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("content.sealed")
    }
}

impl Encode<'_, Postgres> for SealedRow<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let start = buffer.len();
        buffer.extend_from_slice(&self.fields.0);
        let index = buffer.get_mut(start + Fields::INDEX.start..start + Fields::INDEX.end);
        index.ok_or("a row without columns")?.copy_from_slice(&self.entry.to_be_bytes());
        Ok(IsNull::No)
    }
}
