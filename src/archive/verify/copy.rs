//! Rows in bulk: `copy … to stdout (format binary)`, the fastest way out of Postgres, read without copying again.

use bytes::{Buf as _, Bytes};
use uuid::Uuid;

use crate::bundle::Row;
use crate::record::Digest;

/// Signature, flags and the length of an extension we do not know.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// One row of entries with what is stored for it.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) row: Row<'a>,
    /// The record the content is stored under; none where nothing is.
    pub(super) record: Option<Uuid>,
    pub(super) wrapped: Option<&'a [u8]>,
    pub(super) names: Vec<&'a [u8]>,
    pub(super) ciphertexts: Vec<&'a [u8]>,
}

/// Rows of a run of entries, in order. One statement for each run, so that no snapshot stays open for long: the head row
/// changes with every append, and what an old snapshot might still see cannot be cleaned up.
pub(super) fn statement(from: u64, until: u64, content: bool) -> String {
    if content {
        format!(
            "copy (select e.index, e.id, e.leaf, e.body, s.record, k.wrapped, s.names, s.ciphertexts
                     from ledger.entries e
                     left join content.sealed s on s.entry_index = e.index
                     left join content.keys k on k.record = s.record
                    where e.index >= {from} and e.index < {until} order by e.index) to stdout (format binary)"
        )
    } else {
        format!(
            "copy (select index, id, leaf, body from ledger.entries
                    where index >= {from} and index < {until} order by index) to stdout (format binary)"
        )
    }
}

/// Strips the header from the first message and drops the trailer; what is left is one row.
pub(super) fn row_of(mut message: Bytes) -> Option<Bytes> {
    if message.starts_with(HEADER) {
        message.advance(HEADER.len().saturating_add(4));
        let extension = usize::try_from(message.try_get_u32().ok()?).ok()?;
        if message.len() < extension {
            return None;
        }
        message.advance(extension);
    }
    // The trailer is a field count of -1.
    if message.is_empty() || message.starts_with(&[0xff, 0xff]) { None } else { Some(message) }
}

/// A place in a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn int<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (int, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*int)
    }

    /// The next field; `Some(None)` where it is null.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        let size = i32::from_be_bytes(self.int()?);
        let Ok(size) = usize::try_from(size) else { return Some(None) };
        let (field, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(Some(field))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.field()??.try_into().ok()
    }

    /// A one-dimensional array without nulls; empty where it is null.
    fn list(&mut self) -> Option<Vec<&'a [u8]>> {
        let Some(bytes) = self.field()? else { return Some(Vec::new()) };
        let mut inside = Fields(bytes);
        let dimensions = i32::from_be_bytes(inside.int()?);
        let (_has_nulls, _type) = (inside.int::<4>()?, inside.int::<4>()?);
        if dimensions != 1 {
            return if dimensions == 0 { Some(Vec::new()) } else { None };
        }
        let count = i32::from_be_bytes(inside.int()?);
        let _lower_bound = inside.int::<4>()?;
        let mut list = Vec::with_capacity(usize::try_from(count).ok()?.min(1024));
        for _element in 0..count {
            list.push(inside.field()??);
        }
        Some(list)
    }
}

/// Reads one row of [`statement`].
pub(super) fn parse(row: &[u8]) -> Option<Stored<'_>> {
    let mut fields = Fields(row);
    let columns = i16::from_be_bytes(fields.int()?);
    let index = u64::try_from(i64::from_be_bytes(fields.array()?)).ok()?;
    let id = Uuid::from_bytes(fields.array()?);
    let leaf = Digest(fields.array()?);
    let body = fields.field()??;
    let mut stored = Stored {
        row: Row { index, id, leaf, body },
        record: None,
        wrapped: None,
        names: Vec::new(),
        ciphertexts: Vec::new(),
    };
    if columns > 4 {
        stored.record = match fields.field()? {
            Some(record) => Some(Uuid::from_slice(record).ok()?),
            None => None,
        };
        stored.wrapped = fields.field()?;
        stored.names = fields.list()?;
        stored.ciphertexts = fields.list()?;
    }
    Some(stored)
}
