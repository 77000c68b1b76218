//! The credentials of the head wherever else they stand, in opaque bytes as well.
//!
//! Invariant: what something else takes out as a whole is not taken out twice; what it takes out in part goes altogether.

use std::io::{self, Read as _};
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::Redactor;
use crate::exchange::Body;
use crate::exchange::credential::Sort;
use crate::exchange::edit::{Edit, in_order};

/// Of a body that stays where it is, as much is in memory at once.
const CHUNK: u64 = 256 << 10;

impl Redactor<'_> {
    /// The head's credentials where they are repeated.
    pub(crate) fn with_repeated(&mut self, bytes: &[u8], edits: Vec<Edit>) -> Vec<Edit> {
        let mut edits = in_order(edits);
        let known = edits.len();
        for (value, replacement) in &self.repeated {
            for at in memchr::memmem::find_iter(bytes, value) {
                let range = at as u64..(at + value.len()) as u64;
                if !is_within(&range, edits.get(..known).unwrap_or_default()) {
                    edits.push(Edit { range, with: replacement.clone().into_bytes() });
                }
            }
        }
        self.with_found(edits, known)
    }

    /// The same for a body that stays where it is, an upload for instance: read once, from start to end.
    pub(crate) fn with_repeated_in(&mut self, body: &Body, edits: Vec<Edit>) -> io::Result<Vec<Edit>> {
        let mut edits = in_order(edits);
        let Some(longest) = self.repeated.iter().map(|(value, _replacement)| value.len()).max() else {
            return Ok(edits);
        };
        let searched = AhoCorasick::new(self.repeated.iter().map(|(value, _replacement)| value));
        // Patterns are a few hundred bytes of a head whose size is bounded: none is too many.
        let searched = searched.map_err(io::Error::other)?;
        let known = edits.len();
        let (mut reader, mut buffer, mut begin) = (body.reader()?, Vec::new(), 0);
        while (&mut reader).take(CHUNK).read_to_end(&mut buffer)? > 0 {
            // One may begin with another, so all are wanted, also those that overlap.
            for found in searched.find_overlapping_iter(&buffer) {
                let Some((_value, with)) = self.repeated.get(found.pattern().as_usize()) else { continue };
                let range = begin + found.start() as u64..begin + found.end() as u64;
                if !is_within(&range, edits.get(..known).unwrap_or_default()) {
                    edits.push(Edit { range, with: with.clone().into_bytes() });
                }
            }
            // What may be the beginning of one stays for the next turn.
            let done = buffer.len().saturating_sub(longest - 1);
            buffer.drain(..done);
            begin += done as u64;
        }
        Ok(self.with_found(edits, known))
    }

    fn with_found(&mut self, edits: Vec<Edit>, known: usize) -> Vec<Edit> {
        if edits.len() > known {
            self.repeats = true;
            self.state(Sort::Token, "credential of the head");
        }
        in_order(edits)
    }
}

/// Whether a place is taken out already, as a whole; `edits` are in order.
fn is_within(range: &Range<u64>, edits: &[Edit]) -> bool {
    let next = edits.partition_point(|edit| edit.range.end <= range.start);
    edits.get(next).is_some_and(|edit| edit.range.start <= range.start && range.end <= edit.range.end)
}
