//! Reads an entry that looks like nearly all of them, at the speed of comparing bytes; for any other, says no more than that it does not.
//!
//! Invariant: what is read here is what [`super::scan`] reads, in every field; a property test holds the two together. What is not read here
//! (a reserved type, folded commitments, several streams, anything that is wrong) is left to it, which knows why.

use super::LISTED_MAX;
use super::bytes::{is_base64url, of_name};
use super::cursor::has_no_spare_bits;
use super::detail::{Key, Shape, keys};
use super::scan::{ENTRY_MAX, INTEGER_MAX, LIST_MAX, Scanned, ScannedStreams, find_type};
use super::spelling::{is_time, is_v7, parse_digest, parse_uuid};
use crate::record::Digest;

/// Work that is done beside the reading, a step with every value that is read.
pub(super) trait Beside {
    /// Does the next step.
    fn step(&mut self);
}

impl Beside for () {
    #[inline]
    fn step(&mut self) {}
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

/// Reads an entry, unless it is one to look at more closely.
pub(super) fn scan<'a>(bytes: &'a [u8], beside: &mut impl Beside) -> Option<Scanned<'a>> {
    if bytes.len() > ENTRY_MAX {
        return None;
    }
    let entry_type = find_type(bytes)?;
    let keys = keys(entry_type)?;
    let mut rest = Rest(bytes);
    rest.skip(b"{\"actor\":\"")?;
    let start = rest;
    rest.actor()?;
    let actor = rest.since(start)?;
    beside.step();
    rest.skip(b"\",\"at\":\"")?;
    let at = rest.time()?;
    beside.step();
    rest.skip(b"\",\"captured_at\":\"")?;
    let captured_at = rest.time()?;
    rest.skip(b"\",\"commitments\":{")?;
    rest.commitments(beside)?;
    rest.skip(b",\"detail\":")?;
    let start = rest;
    rest.detail(keys, beside)?;
    let detail = rest.since(start)?;
    rest.skip(b",\"id\":\"")?;
    let id = rest.uuid().filter(|id| is_v7(*id))?;
    beside.step();
    rest.skip(b"\",\"index\":")?;
    let index = rest.integer()?;
    rest.skip(b",\"previous\":\"")?;
    let previous = rest.digest()?;
    beside.step();
    rest.skip(b"\",\"")?;
    let record = match rest.skip(b"record\":\"") {
        Some(()) => {
            let record = rest.uuid().filter(|id| is_v7(*id))?;
            rest.skip(b"\",\"")?;
            Some(record)
        }
        None => None,
    };
    beside.step();
    rest.skip(b"source\":\"")?;
    let source = rest.uuid()?;
    beside.step();
    rest.skip(b"\",\"source_index\":")?;
    let source_index = rest.integer()?;
    rest.skip(b",\"streams\":[")?;
    let streams = rest.stream()?;
    beside.step();
    rest.skip(b"],\"type\":\"")?;
    rest.0 = rest.0.strip_prefix(entry_type.as_str().as_bytes())?;
    (rest.0 == b"\",\"v\":1}").then_some(Scanned {
        actor,
        at,
        captured_at,
        detail,
        id,
        index,
        previous,
        record,
        source,
        source_index,
        streams,
        entry_type,
    })
}

impl<'a> Rest<'a> {
    #[inline(always)]
    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    /// Steps over what must stand here.
    #[inline(always)]
    fn skip<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        if chunk != literal {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    /// The bytes read since `start`.
    fn since(self, start: Self) -> Option<&'a [u8]> {
        start.0.get(..start.0.len() - self.0.len())
    }

    #[inline]
    fn uuid(&mut self) -> Option<u128> {
        parse_uuid(self.chunk()?)
    }

    #[inline]
    fn digest(&mut self) -> Option<Digest> {
        parse_digest(self.chunk()?)
    }

    #[inline]
    fn time(&mut self) -> Option<&'a [u8; 27]> {
        self.chunk().filter(|text| is_time(text))
    }

    #[inline]
    fn integer(&mut self) -> Option<u64> {
        let (mut value, mut rest) = (0, self.0);
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            value = u64::wrapping_add(u64::wrapping_mul(value, 10), u64::from(digit - b'0'));
            rest = after;
        }
        let digits = self.0.len() - rest.len();
        let is_plain = digits == 1 || !self.0.starts_with(b"0");
        self.0 = rest;
        // More digits than 16 have run over.
        (is_plain && matches!(digits, 1..=16) && value <= INTEGER_MAX).then_some(value)
    }

    fn actor(&mut self) -> Option<()> {
        match self.0 {
            [b'd', b'e', b'v', b'i', b'c', b'e', b':', rest @ ..]
            | [b'a', b'd', b'v', b'i', b's', b'o', b'r', b':', rest @ ..]
            | [b'o', b'f', b'f', b'i', b'c', b'e', b'r', b':', rest @ ..] => {
                self.0 = rest;
                self.uuid().map(|_id| ())
            }
            _ => {
                self.skip(b"service:")?;
                self.word()
            }
        }
    }

    /// A word, without its quotes.
    #[inline]
    fn word(&mut self) -> Option<()> {
        let (word, rest) = self.0.split_at_checked(of_name(self.0))?;
        self.0 = rest;
        (word.len() <= 64 && word.first()?.is_ascii_alphanumeric()).then_some(())
    }

    /// One of some words, without its quotes.
    #[inline]
    fn one_of(&mut self, words: &[&str]) -> Option<()> {
        let (word, rest) = self.0.split_at_checked(of_name(self.0))?;
        self.0 = rest;
        words.iter().any(|known| known.as_bytes() == word).then_some(())
    }

    /// Members behind the brace, and the brace at their end.
    #[inline]
    fn commitments(&mut self, beside: &mut impl Beside) -> Option<()> {
        if self.skip(b"}").is_some() {
            return Some(());
        }
        let mut before: Option<&[u8]> = None;
        for _ in 0..LISTED_MAX {
            beside.step();
            self.skip(b"\"")?;
            let (name, rest) = self.0.split_at_checked(of_name(self.0))?;
            if !matches!(name.len(), 1..=64) || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            self.0 = rest;
            let [b'"', b':', b'"', commitment @ .., b'"', end] = self.chunk::<48>()? else { return None };
            let [.., last] = commitment;
            if !is_base64url(commitment) || !has_no_spare_bits(*last) {
                return None;
            }
            match end {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
        None
    }

    /// The members that the type has, braces included.
    #[inline]
    fn detail(&mut self, keys: &[Key], beside: &mut impl Beside) -> Option<()> {
        self.skip(b"{")?;
        let mut is_first = true;
        for key in keys {
            let mut value = *self;
            if !is_first && value.skip(b",").is_none() {
                // At the end.
                if key.required {
                    return None;
                }
                continue;
            }
            if value.key(key.name).is_none() {
                if key.required {
                    return None;
                }
                continue;
            }
            beside.step();
            value.value(key.shape)?;
            *self = value;
            is_first = false;
        }
        self.skip(b"}")
    }

    /// A key with its quotes and its colon.
    #[inline]
    fn key(&mut self, name: &str) -> Option<()> {
        self.skip(b"\"")?;
        let (key, rest) = self.0.split_at_checked(name.len())?;
        self.0 = rest;
        self.skip(b"\":")?;
        (key == name.as_bytes()).then_some(())
    }

    #[inline]
    fn value(&mut self, shape: Shape) -> Option<()> {
        match shape {
            Shape::Bool => self.skip(b"true").or_else(|| self.skip(b"false")),
            Shape::Count => self.integer().map(|_count| ()),
            Shape::Words | Shape::ListOf(_) | Shape::Uuids => {
                self.skip(b"[")?;
                if self.skip(b"]").is_some() {
                    return Some(());
                }
                for _ in 0..LIST_MAX {
                    self.text(match shape {
                        Shape::Words => Shape::Word,
                        Shape::ListOf(words) => Shape::OneOf(words),
                        _ => Shape::Uuid,
                    })?;
                    match self.chunk()? {
                        b"," => {}
                        b"]" => return Some(()),
                        _ => return None,
                    }
                }
                None
            }
            _ => self.text(shape),
        }
    }

    /// A value with quotes.
    #[inline]
    fn text(&mut self, shape: Shape) -> Option<()> {
        self.skip(b"\"")?;
        match shape {
            Shape::Uuid => self.uuid().map(|_id| ())?,
            Shape::Digest => self.digest().map(|_digest| ())?,
            Shape::Time => self.time().map(|_time| ())?,
            Shape::Word => self.word()?,
            Shape::OneOf(words) => self.one_of(words)?,
            _ => return None,
        }
        self.skip(b"\"")
    }

    /// The only stream, or none.
    #[inline]
    fn stream(&mut self) -> Option<ScannedStreams<'a>> {
        if self.0.starts_with(b"]") {
            return Some(ScannedStreams::None);
        }
        self.skip(b"{\"id\":\"")?;
        let id = self.uuid()?;
        self.skip(b"\",\"index\":")?;
        let index = self.integer()?;
        self.skip(b"}")?;
        Some(ScannedStreams::One(id, index))
    }
}
