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
    pub(crate) actor: &'a [u8],
    pub(crate) at: &'a [u8; 27],
    pub(crate) captured_at: &'a [u8; 27],
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
        root: &'a [u8; 43],
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
    #[inline]
    pub(crate) fn skip(&mut self, literal: &'static str) -> bool {
        match self.rest.strip_prefix(literal.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(crate) fn expect(&mut self, literal: &'static str) -> Result<(), EntryError> {
        if self.skip(literal) { Ok(()) } else { Err(self.error(literal)) }
    }

    /// A quoted string of printable ASCII without `"` and `\`.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a [u8], EntryError> {
        self.expect("\"")?;
        // Every string here is short, and most are shorter than a search is worth setting up.
        let plain = self.rest.iter().take_while(|b| is_plain(**b)).count();
        let (text, rest) = self.rest.split_at_checked(plain).unwrap_or_default();
        self.rest = rest;
        if self.skip("\"") { Ok(text) } else { Err(self.error("printable ascii without escapes, then \"")) }
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

    pub(crate) fn uuid(&mut self) -> Result<u128, EntryError> {
        const EXPECTED: &str = "a lower-case hyphenated uuid";
        let start = *self;
        parse_uuid(self.quoted(EXPECTED)?).ok_or_else(|| start.error(EXPECTED))
    }

    fn uuid_v7(&mut self) -> Result<u128, EntryError> {
        let start = *self;
        let value = self.uuid()?;
        if is_v7(value) { Ok(value) } else { Err(start.error("a uuid of version 7")) }
    }

    fn digest(&mut self) -> Result<Digest, EntryError> {
        const EXPECTED: &str = "64 lower-case hex digits";
        let start = *self;
        parse_digest(self.quoted(EXPECTED)?).ok_or_else(|| start.error(EXPECTED))
    }

    fn time(&mut self) -> Result<&'a [u8; 27], EntryError> {
        const EXPECTED: &str = "a time like 2026-11-21T20:00:00.000000Z";
        let start = *self;
        let text = self.quoted(EXPECTED)?;
        if is_time(text) { Ok(text) } else { Err(start.error(EXPECTED)) }
    }

    /// 43 characters of base64url whose spare bits are zero.
    pub(crate) fn commitment(&mut self) -> Result<&'a [u8; 43], EntryError> {
        const EXPECTED: &str = "43 characters of unpadded base64url";
        let start = *self;
        let text: &[u8; 43] = self.quoted(EXPECTED)?;
        // No early end: without one, the compiler looks at many bytes at a time.
        let plain = text.iter().fold(true, |ok, b| ok & (b.is_ascii_alphanumeric() | (*b == b'-') | (*b == b'_')));
        let whole = text.last().is_some_and(|last| SPARE_BITS_ZERO.contains(last));
        if plain && whole { Ok(text) } else { Err(start.error(EXPECTED)) }
    }

    /// A field name with its quotes.
    #[inline]
    pub(crate) fn field_name(&mut self) -> Result<&'a [u8], EntryError> {
        let start = *self;
        self.expect("\"")?;
        let size = self.rest.iter().take(65).take_while(|b| is_field_byte(**b)).count();
        let (name, rest) = self.rest.split_at_checked(size).unwrap_or_default();
        self.rest = rest;
        if (1..=64).contains(&size) && self.skip("\"") { Ok(name) } else { Err(start.error("a field name")) }
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

/// Last characters of 43 whose two spare bits are zero.
const SPARE_BITS_ZERO: &[u8] = b"AEIMQUYcgkosw048";

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Eight lower-case hex digits as a number, and whether they are that. All eight at once, because an entry has hundreds.
const fn unhex(digits: [u8; 8]) -> (u32, bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits);
    // A letter has the bit 40; its low half counts from 1, which stands for ten.
    let letters = text >> 6 & EACH;
    let values = (text & (0x0f * EACH)).wrapping_add(letters.wrapping_mul(9));
    // Whatever was not a digit does not come out again as it went in.
    let above_nine = values.wrapping_add(6 * EACH) >> 4 & EACH;
    let again = values.wrapping_add(0x30 * EACH).wrapping_add(above_nine.wrapping_mul(0x27));
    let fits = again == text && values & (0xf0 * EACH) == 0;
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, fits)
}

/// A uuid as lower-case hex digits with hyphens.
pub(crate) fn parse_uuid(text: &[u8; 36]) -> Option<u128> {
    let [a0, a1, a2, a3, a4, a5, a6, a7, h0, rest @ ..] = *text;
    let [b0, b1, b2, b3, h1, c0, c1, c2, c3, h2, rest @ ..] = rest;
    let [d0, d1, d2, d3, h3, e0, e1, e2, e3, f @ ..] = rest;
    let (a, a_fits) = unhex([a0, a1, a2, a3, a4, a5, a6, a7]);
    let (b, b_fits) = unhex([b0, b1, b2, b3, c0, c1, c2, c3]);
    let (d, d_fits) = unhex([d0, d1, d2, d3, e0, e1, e2, e3]);
    let (f, f_fits) = unhex(f);
    let fits = a_fits & b_fits & d_fits & f_fits & ([h0, h1, h2, h3] == *b"----");
    fits.then_some(u128::from(a) << 96 | u128::from(b) << 64 | u128::from(d) << 32 | u128::from(f))
}

/// A digest as 64 lower-case hex digits.
pub(crate) fn parse_digest(text: &[u8; 64]) -> Option<Digest> {
    let (groups, _rest) = text.as_chunks::<8>();
    let mut bytes = [0; 32];
    let mut fits = true;
    for (to, digits) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
        let (value, good) = unhex(*digits);
        *to = value.to_be_bytes();
        fits &= good;
    }
    fits.then_some(Digest(bytes))
}

/// Version 7 of RFC 9562, with its variant.
pub(crate) const fn is_v7(uuid: u128) -> bool {
    uuid >> 76 & 0xf == 7 && uuid >> 62 & 0b11 == 0b10
}

/// `YYYY-MM-DDThh:mm:ss.ffffffZ`, a moment that exists (no leap seconds).
pub(crate) fn is_time(text: &[u8; 27]) -> bool {
    const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    let fits =
        text.iter().zip(SHAPE).fold(true, |ok, (b, s)| ok & if *s == b'0' { b.is_ascii_digit() } else { b == s });
    let [y0, y1, y2, y3, _, m0, m1, _, d0, d1, _, h0, h1, _, n0, n1, _, s0, s1, ..] = text;
    let number = |tens: &u8, ones: &u8| u32::from(tens & 0xf) * 10 + u32::from(ones & 0xf);
    let (year, month, day) = (number(y0, y1) * 100 + number(y2, y3), number(m0, m1), number(d0, d1));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    fits && (1..=days).contains(&day) && number(h0, h1) < 24 && number(n0, n1) < 60 && number(s0, s1) < 60
}

/// `device:<uuid>`, `advisor:<uuid>`, `officer:<uuid>` or `service:<word>`.
fn is_actor(text: &[u8]) -> bool {
    let person = [&b"device:"[..], b"advisor:", b"officer:"].into_iter().find_map(|sort| text.strip_prefix(sort));
    match person {
        Some(id) => id.try_into().is_ok_and(|id| parse_uuid(id).is_some()),
        None => text.strip_prefix(b"service:").is_some_and(is_word),
    }
}

/// The type, which stands at the end, so that `detail` can be read with its type known.
fn find_type(bytes: &[u8]) -> Option<EntryType> {
    let rest = bytes.strip_suffix(b"\",\"v\":1}")?;
    let word = rest.rsplit(|b| *b == b'"').next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Reads an entry.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned<'_>, EntryError> {
    if bytes.len() > ENTRY_MAX {
        return Err(EntryError::TooLong(bytes.len()));
    }
    let mut cursor = Cursor::new(bytes);
    let c = &mut cursor;
    let entry_type = find_type(bytes)
        .ok_or(EntryError::Form { at: bytes.len(), expected: "a type of entry and version 1 before the end" })?;
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
    let mut check = detail::Check::new(entry_type);
    c.members(|c, key| {
        let token = c.token()?;
        check.member(key, &token)
    })?;
    check.finish()?;
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
    // What was found from the end must be what stands here.
    let start = *c;
    if c.string()? != entry_type.as_str().as_bytes() {
        return Err(start.error("the type that stands before the end"));
    }
    c.expect(",\"v\":1}")?;
    if !c.is_at_end() {
        return Err(c.error("the end"));
    }
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

/// Calls `each` for every member of a scanned `detail`.
pub(crate) fn each_detail<'a>(object: &'a [u8], mut each: impl FnMut(&'a [u8], Token<'a>)) -> Result<(), EntryError> {
    Cursor::new(object).members(|c, key| {
        each(key, c.token()?);
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_hex_number_counts() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"0a9f1b2e";
                digits[place] = byte;
                let text = std::str::from_utf8(&digits).ok();
                let lower = |text: &&str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let expected = text.filter(lower).and_then(|text| u32::from_str_radix(text, 16).ok());
                let (value, fits) = unhex(digits);
                assert_eq!(fits.then_some(value), expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn a_uuid_is_read_as_it_is_written() {
        let text = b"0198c0de-1234-7abc-8def-00ad0f1e2d3c";
        assert_eq!(parse_uuid(text), Some(0x0198_c0de_1234_7abc_8def_00ad_0f1e_2d3c));
        for at in 0..36 {
            for wrong in [b'-', b'g', b'A', b'0' - 1, 0xff] {
                let mut other = *text;
                other[at] = wrong;
                assert_eq!(parse_uuid(&other).is_some(), other == *text, "{at}");
            }
        }
    }
}
