//! Replacing some bytes of a body and leaving all others as they were sent.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, BodySource};

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// What is taken out.
    pub(crate) range: Range<u64>,
    /// What is put there.
    pub(crate) with: Vec<u8>,
}

/// Edits in order and apart. Of two that overlap, the one that begins first (and of those, the longer) stands for both: what
/// either of them takes out is gone.
pub(crate) fn in_order(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    edits.dedup_by(|next, kept| {
        let overlaps = next.range.start < kept.range.end;
        if overlaps {
            kept.range.end = kept.range.end.max(next.range.end);
        }
        overlaps
    });
    edits
}

/// The bytes with the edits made; `edits` are in order.
pub(crate) fn apply(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut edited = Vec::with_capacity(bytes.len());
    let mut at = 0_usize;
    for edit in edits {
        let (start, end) = (to_usize(edit.range.start), to_usize(edit.range.end));
        edited.extend_from_slice(bytes.get(at..start).unwrap_or_default());
        edited.extend_from_slice(&edit.with);
        at = end;
    }
    edited.extend_from_slice(bytes.get(at..).unwrap_or_default());
    edited
}

/// A body with the edits made; a held one is edited while it is read.
pub(crate) fn apply_to_body(body: &Body, edits: Vec<Edit>) -> io::Result<Body> {
    if edits.is_empty() {
        return Ok(body.clone());
    }
    Ok(match body {
        Body::Empty => Body::Empty,
        Body::Memory(bytes) => Body::from(Bytes::from(apply(bytes, &edits))),
        Body::Held(source) => Body::Held(Arc::new(Edited { source: Arc::clone(source), edits })),
    })
}

fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// A held body that is edited while it is read.
struct Edited {
    source: Arc<dyn BodySource>,
    edits: Vec<Edit>,
}

impl BodySource for Edited {
    fn size(&self) -> u64 {
        self.edits.iter().fold(self.source.size(), |size, edit| {
            size.saturating_add(edit.with.len() as u64).saturating_sub(edit.range.end.saturating_sub(edit.range.start))
        })
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(EditedReader {
            inner: self.source.reader()?,
            at: 0,
            edits: self.edits.clone().into(),
            replacement: io::Cursor::new(Vec::new()),
        }))
    }
}

struct EditedReader {
    inner: Box<dyn Read + Send>,
    at: u64,
    edits: std::collections::VecDeque<Edit>,
    replacement: io::Cursor<Vec<u8>>,
}

impl Read for EditedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let from_replacement = self.replacement.read(out)?;
            if from_replacement > 0 || out.is_empty() {
                return Ok(from_replacement);
            }
            let until = self.edits.front().map_or(u64::MAX, |edit| edit.range.start);
            if self.at < until {
                let read = (&mut self.inner).take(until - self.at).read(out)?;
                self.at += read as u64;
                return Ok(read);
            }
            let Some(edit) = self.edits.pop_front() else { return Ok(0) };
            let skip = edit.range.end.saturating_sub(edit.range.start);
            self.at += io::copy(&mut (&mut self.inner).take(skip), &mut io::sink())?;
            self.replacement = io::Cursor::new(edit.with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct InMemory(Vec<u8>);

    impl BodySource for InMemory {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(self.0.clone())))
        }
    }

    proptest::proptest! {
        #[test]
        fn a_held_body_is_edited_as_one_in_memory(
            bytes in proptest::collection::vec(0_u8..9, 0..60),
            cuts in proptest::collection::vec((0_u64..60, 0_u64..9, "[a-z]{0,5}"), 0..6),
        ) {
            let size = bytes.len() as u64;
            let edits = in_order(cuts.into_iter().map(|(start, length, with)| {
                let start = start.min(size);
                Edit { range: start..(start + length).min(size), with: with.into_bytes() }
            }).collect());
            let expected = apply(&bytes, &edits);
            let held = apply_to_body(&Body::Held(Arc::new(InMemory(bytes))), edits).unwrap();
            proptest::prop_assert_eq!(held.size(), expected.len() as u64);
            proptest::prop_assert_eq!(held.bytes(1000).unwrap().to_vec(), expected);
        }
    }
}
