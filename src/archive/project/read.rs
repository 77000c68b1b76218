//! Reads a run of entries with those fields that projections show.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::Projector;
use crate::archive::ArchiveError;
use crate::archive::read::{
    Content, Field, SealedRow, check_listed, field_name, open_blob, open_fields, parse_key, unwrap,
};
use crate::archive::row::{count, digest, number};
use crate::archive::submission::BlobDigest;
use crate::ledger::Entry;
use crate::record::{FieldName, RecordKey};

/// What of a text in the blob store is shown.
const SHOWN: usize = 256 << 10;

/// One place of the ledger.
#[derive(Debug)]
pub(super) struct Item {
    /// `None` where the bytes are no entry.
    pub(super) entry: Option<Entry>,
    /// What could be opened.
    pub(super) content: Content,
}

type Blobs = HashMap<u64, Vec<(FieldName, BlobDigest)>>;

/// Whole exchanges, fragments and attachments are not projected, so they are not even read.
const ENTRIES: &str = "
select e.index, e.body, s.record, k.wrapped, f.names, f.ciphertexts
  from ledger.entries e
  left join content.sealed s on s.entry_index = e.index
  left join content.keys k on k.record = s.record
  left join lateral (
       select array_agg(name) as names, array_agg(ciphertext) as ciphertexts
         from unnest(s.names, s.ciphertexts) u (name, ciphertext)
        where name !~ '^(request|response)\\.|^(message|connection)$|\\.(raw|attachment\\.[0-9]+)$') f on true
 where e.index >= $1 and e.index < $2
 order by e.index";

const TEXTS_IN_BLOBS: &str = "
select entry_index, name, digest from content.blobs
 where entry_index >= $1 and entry_index < $2 and name like '%.text'";

pub(super) async fn chunk(
    connection: &mut PgConnection,
    projector: &Projector,
    range: Range<u64>,
) -> Result<Vec<Item>, ArchiveError> {
    let (from, until) = (number(range.start), number(range.end));
    let mut blobs = Blobs::new();
    for row in sqlx::query(TEXTS_IN_BLOBS).bind(from).bind(until).fetch_all(&mut *connection).await? {
        let found = (field_name(row.try_get("name")?)?, BlobDigest(digest(&row, "digest")?));
        blobs.entry(count(row.try_get("entry_index")?)).or_default().push(found);
    }
    let rows = sqlx::query(ENTRIES).bind(from).bind(until).fetch_all(connection).await?;
    let mut items = Vec::with_capacity(rows.len());
    for (expected, row) in range.zip(&rows) {
        let index = count(row.try_get("index")?);
        if index != expected {
            // A hole: what follows cannot be projected in order.
            break;
        }
        items.push(item(projector, index, row, &blobs)?);
    }
    Ok(items)
}

fn item(projector: &Projector, index: u64, row: &PgRow, blobs: &Blobs) -> Result<Item, ArchiveError> {
    let entry = Entry::parse(row.try_get("body")?).ok().filter(|entry| entry.index() == index);
    let Some(entry) = entry else {
        tracing::error!(entry.index = index, "bytes that are no entry are not projected");
        return Ok(Item { entry: None, content: Content::default() });
    };
    let mut content = Content::default();
    if let (Some(record), Some(wrapped)) = (entry.record(), row.try_get::<Option<&[u8]>, _>("wrapped")?) {
        let names: Option<Vec<String>> = row.try_get("names")?;
        let ciphertexts: Option<Vec<Vec<u8>>> = row.try_get("ciphertexts")?;
        let opened = (|| {
            let key = unwrap(&projector.master, record, &parse_key(wrapped)?)?;
            let mut sealed = SealedRow::default();
            for (name, ciphertext) in names.iter().flatten().zip(ciphertexts.into_iter().flatten()) {
                sealed.fields.push((field_name(name)?, ciphertext));
            }
            let (mut content, commitments) = open_fields(&key, &entry, &sealed)?;
            check_listed(&entry, &commitments)?;
            for (name, digest) in blobs.get(&index).into_iter().flatten() {
                let text = beginning(projector, &key, &entry, name, *digest)?;
                content.0.insert(name.clone(), Field::Value(text));
            }
            Ok::<_, ArchiveError>(content)
        })();
        match opened {
            Ok(opened) => content = opened,
            Err(error) => tracing::error!(entry.index = index, %error, "content is not projected"),
        }
    }
    Ok(Item { entry: Some(entry), content })
}

/// The beginning of a text in the blob store; the whole of it is read, because only the whole proves itself.
fn beginning(
    projector: &Projector,
    key: &RecordKey,
    entry: &Entry,
    name: &FieldName,
    digest: BlobDigest,
) -> Result<Vec<u8>, ArchiveError> {
    let mut text = Beginning(Vec::new());
    let commitment = open_blob(&projector.blobs, key, entry, name, digest, &mut text)?;
    check_listed(entry, &std::iter::once((name.clone(), commitment)).collect())?;
    Ok(text.0)
}

struct Beginning(Vec<u8>);

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SHOWN.saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
