//! A place in the bytes of an entry, and the tokens that may stand there.
//!
//! Invariant: nothing is unescaped, rounded or skipped; what is read is what stands there, or an error that says where.

use super::EntryError;
use super::bytes::{is_base64url, of_name};
use super::detail::Token;
use super::scan::{INTEGER_MAX, LIST_MAX};
use super::spelling::{is_time, is_v7, parse_digest, parse_uuid};
use crate::record::Digest;

/// A place in the bytes.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, rest: bytes }
    }

    pub(super) fn error(&self, expected: &'static str) -> EntryError {
        EntryError::Form { at: self.all.len().saturating_sub(self.rest.len()), expected }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes read since `start`.
    pub(super) fn since(&self, start: &Self) -> &'a [u8] {
        let size = start.rest.len().saturating_sub(self.rest.len());
        start.rest.get(..size).unwrap_or_default()
    }

    /// Does `literal` stand here?
    pub(super) fn stands(&self, literal: &'static str) -> bool {
        self.rest.starts_with(literal.as_bytes())
    }

    /// Steps over `literal` if it stands here.
    #[inline]
    pub(super) fn skip(&mut self, literal: &'static str) -> bool {
        match self.rest.strip_prefix(literal.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, literal: &'static str) -> Result<(), EntryError> {
        if self.skip(literal) { Ok(()) } else { Err(self.error(literal)) }
    }

    /// A quoted string of printable ASCII without `"` and `\`.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], EntryError> {
        self.expect("\"")?;
        // Every string here is short, and most are shorter than a search is worth setting up.
        let plain = self.rest.iter().take_while(|b| is_plain(**b)).count();
        let (text, rest) = self.rest.split_at_checked(plain).unwrap_or_default();
        self.rest = rest;
        if self.skip("\"") { Ok(text) } else { Err(self.error("printable ascii without escapes, then \"")) }
    }

    /// An integer from 0 to 2^53 - 1, without leading zeros.
    pub(super) fn integer(&mut self) -> Result<u64, EntryError> {
        let digits = self.rest.iter().take(17).take_while(|b| b.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        let value = text
            .iter()
            .fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))));
        if digits == 0 || digits > 16 || value > INTEGER_MAX || (digits > 1 && text.starts_with(b"0")) {
            return Err(self.error("an integer from 0 to 2^53 - 1 without leading zeros"));
        }
        self.rest = rest;
        Ok(value)
    }

    /// A quoted text of `N` bytes, whatever they are.
    #[inline]
    fn quoted<const N: usize>(&mut self, expected: &'static str) -> Result<&'a [u8; N], EntryError> {
        let start = *self;
        let error = || start.error(expected);
        let rest = self.rest.strip_prefix(b"\"").ok_or_else(error)?;
        let (text, rest) = rest.split_first_chunk::<N>().ok_or_else(error)?;
        self.rest = rest.strip_prefix(b"\"").ok_or_else(error)?;
        Ok(text)
    }

    pub(super) fn uuid(&mut self) -> Result<u128, EntryError> {
        const EXPECTED: &str = "a lower-case hyphenated uuid";
        let start = *self;
        parse_uuid(self.quoted(EXPECTED)?).ok_or_else(|| start.error(EXPECTED))
    }

    pub(super) fn uuid_v7(&mut self) -> Result<u128, EntryError> {
        let start = *self;
        let value = self.uuid()?;
        if is_v7(value) { Ok(value) } else { Err(start.error("a uuid of version 7")) }
    }

    pub(super) fn digest(&mut self) -> Result<Digest, EntryError> {
        const EXPECTED: &str = "64 lower-case hex digits";
        let start = *self;
        parse_digest(self.quoted(EXPECTED)?).ok_or_else(|| start.error(EXPECTED))
    }

    pub(super) fn time(&mut self) -> Result<&'a [u8; 27], EntryError> {
        const EXPECTED: &str = "a time like 2026-11-21T20:00:00.000000Z";
        let start = *self;
        let text = self.quoted(EXPECTED)?;
        if is_time(text) { Ok(text) } else { Err(start.error(EXPECTED)) }
    }

    /// 43 characters of base64url whose spare bits are zero.
    pub(super) fn commitment(&mut self) -> Result<&'a [u8; 43], EntryError> {
        const EXPECTED: &str = "43 characters of unpadded base64url";
        let start = *self;
        let text: &[u8; 43] = self.quoted(EXPECTED)?;
        let [.., last] = text;
        if is_base64url(text) && has_no_spare_bits(*last) { Ok(text) } else { Err(start.error(EXPECTED)) }
    }

    /// A field name with its quotes.
    #[inline]
    pub(super) fn field_name(&mut self) -> Result<&'a [u8], EntryError> {
        let start = *self;
        self.expect("\"")?;
        let size = of_name(self.rest);
        let (name, rest) = self.rest.split_at_checked(size).unwrap_or_default();
        self.rest = rest;
        if (1..=64).contains(&size) && self.skip("\"") { Ok(name) } else { Err(start.error("a field name")) }
    }

    /// One value of `detail`.
    pub(super) fn token(&mut self) -> Result<Token<'a>, EntryError> {
        match self.rest.first() {
            Some(b'"') => Ok(Token::Text(self.string()?)),
            Some(b'0'..=b'9') => Ok(Token::Count(self.integer()?)),
            Some(b'[') => {
                self.expect("[")?;
                let start = *self;
                let mut count = 0_usize;
                while !self.skip("]") {
                    if count > 0 {
                        self.expect(",")?;
                    }
                    self.string()?;
                    count += 1;
                    if count > LIST_MAX {
                        return Err(self.error("at most 512 elements"));
                    }
                }
                let inside = self.since(&start);
                Ok(Token::List(inside.get(..inside.len().saturating_sub(1)).unwrap_or_default()))
            }
            _ if self.skip("true") => Ok(Token::Bool(true)),
            _ if self.skip("false") => Ok(Token::Bool(false)),
            _ => Err(self.error("a string, an integer, true, false or a list of strings")),
        }
    }

    /// Calls `each` for every member of an object, whose keys must rise.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), EntryError>,
    ) -> Result<usize, EntryError> {
        self.expect("{")?;
        let mut count = 0_usize;
        let mut before: Option<&[u8]> = None;
        while !self.skip("}") {
            if before.is_some() {
                self.expect(",")?;
            }
            let start = *self;
            let key = self.field_name()?;
            if before.is_some_and(|before| before >= key) {
                return Err(start.error("a key after the one before in byte order"));
            }
            before = Some(key);
            self.expect(":")?;
            each(self, key)?;
            count += 1;
        }
        Ok(count)
    }
}

/// 43 characters hold two bits more than 32 bytes have; in the last, they are zero.
pub(super) const fn has_no_spare_bits(last: u8) -> bool {
    match last {
        b'A'..=b'Z' => (last - b'A').is_multiple_of(4),
        // The first small letter stands for 26.
        b'a'..=b'z' => (last - b'a') % 4 == 2,
        b'0'..=b'9' => (last - b'0').is_multiple_of(4),
        _ => false,
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_43_characters_is_one_of_sixteen() {
        let found: Vec<u8> = (0..=u8::MAX).filter(|last| has_no_spare_bits(*last)).collect();
        assert_eq!(found, b"048AEIMQUYcgkosw");
    }
}
