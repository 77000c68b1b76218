//! Reads the one form an entry may have, without copying: every other spelling is refused.
//!
//! An entry is RFC 8785 JSON cut down further: its keys are known, its strings are printable ASCII without `"` and `\`, its
//! numbers are integers from 0 to 2^53 - 1, its `detail` is flat. So there is nothing to unescape and nothing to sort, and
//! canonical form can be checked in one pass at the speed of reading. Does not check hashes or links.

use super::detail::{self, Token};
use super::{EntryError, EntryType};
use crate::record::{Digest, is_field_byte, is_word};

/// Longest entry in bytes (an entry bundle has room for 16 bits).
pub const ENTRY_MAX: usize = 65_535;
/// The most streams an entry belongs to.
pub const STREAMS_MAX: usize = 128;
/// The most elements of a list inside `detail`.
pub const LIST_MAX: usize = 512;
/// Largest integer that every reader of JSON reads alike.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What one pass over the bytes finds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanned<'a> {
    pub(crate) actor: &'a str,
    pub(crate) at: &'a str,
    pub(crate) captured_at: &'a str,
    pub(crate) committed: ScannedCommitted<'a>,
    /// The object, braces included.
    pub(crate) detail: &'a [u8],
    pub(crate) id: u128,
    pub(crate) index: u64,
    pub(crate) previous: Digest,
    pub(crate) record: Option<u128>,
    pub(crate) source: u128,
    pub(crate) source_index: u64,
    /// What stands between the brackets.
    pub(crate) streams: &'a [u8],
    pub(crate) entry_type: EntryType,
}

/// The two ways to commit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScannedCommitted<'a> {
    /// What stands between the braces.
    Listed(&'a [u8]),
    Root {
        count: u64,
        root: &'a str,
    },
}

/// A place in the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, rest: bytes }
    }

    fn error(&self, expected: &'static str) -> EntryError {
        EntryError::Form { at: self.all.len().saturating_sub(self.rest.len()), expected }
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes read since `start`.
    fn since(&self, start: &Self) -> &'a [u8] {
        let size = start.rest.len().saturating_sub(self.rest.len());
        start.rest.get(..size).unwrap_or_default()
    }

    /// Steps over `literal` if it stands here.
    pub(crate) fn skip(&mut self, literal: &'static str) -> bool {
        match self.rest.strip_prefix(literal.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(crate) fn expect(&mut self, literal: &'static str) -> Result<(), EntryError> {
        if self.skip(literal) { Ok(()) } else { Err(self.error(literal)) }
    }

    /// A quoted string of printable ASCII without `"` and `\`.
    pub(crate) fn string(&mut self) -> Result<&'a str, EntryError> {
        self.expect("\"")?;
        let plain = self.rest.iter().take_while(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')).count();
        let (text, rest) = self.rest.split_at_checked(plain).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(b"\"") else {
            self.rest = rest;
            return Err(self.error("printable ascii without escapes, then \""));
        };
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_source| self.error("ascii"))
    }

    /// An integer from 0 to 2^53 - 1, without leading zeros.
    pub(crate) fn integer(&mut self) -> Result<u64, EntryError> {
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

    /// `N` bytes as they are.
    fn take<const N: usize>(&mut self, expected: &'static str) -> Result<&'a [u8; N], EntryError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.error(expected))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn uuid(&mut self) -> Result<u128, EntryError> {
        let start = *self;
        self.expect("\"")?;
        let text = self.take::<36>("a lower-case hyphenated uuid")?;
        let value = parse_uuid(text).ok_or_else(|| start.error("a lower-case hyphenated uuid"))?;
        self.expect("\"")?;
        Ok(value)
    }

    fn uuid_v7(&mut self) -> Result<u128, EntryError> {
        let start = *self;
        let value = self.uuid()?;
        if is_v7(value) { Ok(value) } else { Err(start.error("a uuid of version 7")) }
    }

    fn digest(&mut self) -> Result<Digest, EntryError> {
        let start = *self;
        self.expect("\"")?;
        let text = self.take::<64>("64 lower-case hex digits")?;
        let digest = parse_digest(text).ok_or_else(|| start.error("64 lower-case hex digits"))?;
        self.expect("\"")?;
        Ok(digest)
    }

    fn time(&mut self) -> Result<&'a str, EntryError> {
        let start = *self;
        let text = self.string()?;
        if is_time(text.as_bytes()) { Ok(text) } else { Err(start.error("a time like 2026-11-21T20:00:00.000000Z")) }
    }

    /// 43 characters of base64url whose spare bits are zero.
    pub(crate) fn commitment(&mut self) -> Result<&'a str, EntryError> {
        let start = *self;
        self.expect("\"")?;
        let text = self.take::<43>("43 characters of unpadded base64url")?;
        let canonical = text.iter().all(|b| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && text.last().is_some_and(|b| SPARE_BITS_ZERO.contains(b));
        let text = std::str::from_utf8(text).ok().filter(|_text| canonical);
        let text = text.ok_or_else(|| start.error("43 characters of unpadded base64url"))?;
        self.expect("\"")?;
        Ok(text)
    }

    /// A field name with its quotes.
    pub(crate) fn field_name(&mut self) -> Result<&'a str, EntryError> {
        let start = *self;
        let text = self.string()?;
        if (1..=64).contains(&text.len()) && text.bytes().all(is_field_byte) {
            Ok(text)
        } else {
            Err(start.error("a field name"))
        }
    }

    /// One value of `detail`.
    fn token(&mut self) -> Result<Token<'a>, EntryError> {
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
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a str) -> Result<(), EntryError>,
    ) -> Result<usize, EntryError> {
        self.expect("{")?;
        let mut count = 0_usize;
        let mut before: Option<&str> = None;
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

/// Last characters of 43 whose two spare bits are zero.
const SPARE_BITS_ZERO: &[u8] = b"AEIMQUYcgkosw048";

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A uuid as lower-case hex digits with hyphens.
pub(crate) fn parse_uuid(text: &[u8; 36]) -> Option<u128> {
    let mut value = 0_u128;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            value = value << 4 | u128::from(nibble(*byte)?);
        }
    }
    Some(value)
}

/// Version 7 of RFC 9562, with its variant.
pub(crate) const fn is_v7(uuid: u128) -> bool {
    uuid >> 76 & 0xf == 7 && uuid >> 62 & 0b11 == 0b10
}

/// A digest as 64 lower-case hex digits.
pub(crate) fn parse_digest(text: &[u8; 64]) -> Option<Digest> {
    let mut bytes = [0; 32];
    let (pairs, _rest) = text.as_chunks::<2>();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(Digest(bytes))
}

/// `YYYY-MM-DDThh:mm:ss.ffffffZ`, a moment that exists (no leap seconds).
pub(crate) fn is_time(text: &[u8]) -> bool {
    const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    let fits = text.len() == SHAPE.len()
        && text.iter().zip(SHAPE).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s });
    if !fits {
        return false;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).unwrap_or_default();
        digits.iter().fold(0_u32, |sum, d| sum * 10 + u32::from(d - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day) && number(11, 13) < 24 && number(14, 16) < 60 && number(17, 19) < 60
}

/// `device:<uuid>`, `advisor:<uuid>`, `officer:<uuid>` or `service:<word>`.
fn is_actor(text: &str) -> bool {
    let Some((sort, id)) = text.split_once(':') else { return false };
    match sort {
        "device" | "advisor" | "officer" => {
            <&[u8; 36]>::try_from(id.as_bytes()).is_ok_and(|id| parse_uuid(id).is_some())
        }
        "service" => is_word(id.as_bytes()),
        _ => false,
    }
}

/// Reads an entry.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned<'_>, EntryError> {
    if bytes.len() > ENTRY_MAX {
        return Err(EntryError::TooLong(bytes.len()));
    }
    let mut cursor = Cursor::new(bytes);
    let c = &mut cursor;
    c.expect("{\"actor\":")?;
    let start = *c;
    let actor = c.string()?;
    if !is_actor(actor) {
        return Err(start.error("an actor"));
    }
    c.expect(",\"at\":")?;
    let at = c.time()?;
    c.expect(",\"captured_at\":")?;
    let captured_at = c.time()?;
    let committed = scan_committed(c)?;
    c.expect(",\"detail\":")?;
    let start = *c;
    c.members(|c, _key| c.token().map(|_token| ()))?;
    let detail = c.since(&start);
    c.expect(",\"id\":")?;
    let id = c.uuid_v7()?;
    c.expect(",\"index\":")?;
    let index = c.integer()?;
    c.expect(",\"previous\":")?;
    let previous = c.digest()?;
    let record = if c.skip(",\"record\":") { Some(c.uuid_v7()?) } else { None };
    c.expect(",\"source\":")?;
    let source = c.uuid()?;
    c.expect(",\"source_index\":")?;
    let source_index = c.integer()?;
    c.expect(",\"streams\":[")?;
    let streams = scan_streams(c)?;
    c.expect("],\"type\":")?;
    let start = *c;
    let entry_type = c.string()?.parse().map_err(|_source| start.error("a type of entry"))?;
    c.expect(",\"v\":1}")?;
    if !c.is_at_end() {
        return Err(c.error("the end"));
    }
    check_detail(entry_type, detail)?;
    Ok(Scanned {
        actor,
        at,
        captured_at,
        committed,
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

fn scan_committed<'a>(c: &mut Cursor<'a>) -> Result<ScannedCommitted<'a>, EntryError> {
    if c.skip(",\"commitments_root\":{\"count\":") {
        let start = *c;
        let count = c.integer()?;
        if count <= super::LISTED_MAX as u64 {
            return Err(start.error("a count above 256"));
        }
        c.expect(",\"root\":")?;
        let root = c.commitment()?;
        c.expect("}")?;
        return Ok(ScannedCommitted::Root { count, root });
    }
    c.expect(",\"commitments\":")?;
    let start = *c;
    let count = c.members(|c, _field| c.commitment().map(|_commitment| ()))?;
    if count > super::LISTED_MAX {
        return Err(start.error("at most 256 commitments"));
    }
    let object = c.since(&start);
    Ok(ScannedCommitted::Listed(object.get(1..object.len().saturating_sub(1)).unwrap_or_default()))
}

fn scan_streams<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], EntryError> {
    let start = *c;
    let mut streams = Streams { cursor: *c, first: true };
    let mut count = 0_usize;
    let mut before = None;
    while let Some(stream) = streams.read()? {
        count += 1;
        if before.is_some_and(|before| before >= stream.0) || count > STREAMS_MAX {
            return Err(start.error("at most 128 streams in the order of their ids"));
        }
        before = Some(stream.0);
    }
    *c = streams.cursor;
    Ok(c.since(&start))
}

/// The streams of an entry, one after the other.
pub(crate) struct Streams<'a> {
    cursor: Cursor<'a>,
    first: bool,
}

impl<'a> Streams<'a> {
    pub(crate) const fn new(inside: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(inside), first: true }
    }

    fn read(&mut self) -> Result<Option<(u128, u64)>, EntryError> {
        let c = &mut self.cursor;
        if c.is_at_end() || c.rest.starts_with(b"]") {
            return Ok(None);
        }
        if !std::mem::take(&mut self.first) {
            c.expect(",")?;
        }
        c.expect("{\"id\":")?;
        let id = c.uuid()?;
        c.expect(",\"index\":")?;
        let index = c.integer()?;
        c.expect("}")?;
        Ok(Some((id, index)))
    }
}

impl Iterator for Streams<'_> {
    type Item = (u128, u64);

    /// Over bytes that were scanned before, so that nothing is lost here.
    fn next(&mut self) -> Option<(u128, u64)> {
        self.read().ok().flatten()
    }
}

/// Checks every member of a scanned `detail` against its type.
fn check_detail(entry_type: EntryType, object: &[u8]) -> Result<(), EntryError> {
    let mut check = detail::Check::new(entry_type);
    Cursor::new(object).members(|c, key| {
        let token = c.token()?;
        check.member(key, &token)
    })?;
    check.finish()
}

/// Calls `each` for every member of a scanned `detail`.
pub(crate) fn each_detail<'a>(object: &'a [u8], mut each: impl FnMut(&'a str, Token<'a>)) -> Result<(), EntryError> {
    Cursor::new(object).members(|c, key| {
        each(key, c.token()?);
        Ok(())
    })?;
    Ok(())
}
