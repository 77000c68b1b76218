//! JSON as bytes: where each value begins and ends, so that one value can be replaced or taken out and the rest stays as sent.
//!
//! Strict RFC 8259, except that bytes above 0x7f in strings are not checked for UTF-8: a body with one broken character
//! is still read. Iterative with a bound on nesting, so depth costs no stack.

use std::borrow::Cow;
use std::ops::Range;

mod locate;

pub use locate::{Step, locate};

/// The bytes are no JSON text, or nest deeper than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at this byte.
    #[error("not json at byte {0}")]
    Syntax(usize),
    /// Nested too deeply.
    #[error("json nests deeper than {0}")]
    Depth(usize),
}

/// What stands at a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Begin(Shape),
    End(Shape),
    /// Span without the quotes.
    Key,
    /// Span without the quotes.
    String,
    Number,
    /// `true`, `false`, `null`.
    Word,
}

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    KeyOrEnd,
    Key,
    CommaOrEnd,
    Nothing,
}

/// Walks one JSON text.
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    open: Vec<Shape>,
    expect: Expect,
    depth: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(bytes: &'a [u8], depth: usize) -> Self {
        // A byte-order mark is common and harmless.
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { bytes, at, open: Vec::new(), expect: Expect::Value, depth }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    const fn syntax<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax(self.at))
    }

    fn after_value(&mut self) {
        self.expect = if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    /// The next token and its span; none at the end of a whole, valid text.
    pub(crate) fn next(&mut self) -> Result<Option<(Token, Range<usize>)>, JsonError> {
        self.skip_space();
        if self.expect == Expect::CommaOrEnd && self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
            self.expect = if self.open.last() == Some(&Shape::Object) { Expect::Key } else { Expect::Value };
        }
        let Some(byte) = self.peek() else {
            return if self.expect == Expect::Nothing { Ok(None) } else { self.syntax() };
        };
        match (self.expect, byte) {
            (Expect::Nothing, _) => self.syntax(),
            (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') => self.close(Shape::Object),
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') => self.close(Shape::Array),
            (Expect::Key | Expect::KeyOrEnd, b'"') => self.key(),
            (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte),
            _ => self.syntax(),
        }
        .map(Some)
    }

    fn close(&mut self, shape: Shape) -> Result<(Token, Range<usize>), JsonError> {
        if self.open.pop() != Some(shape) {
            return self.syntax();
        }
        self.at += 1;
        self.after_value();
        Ok((Token::End(shape), self.at - 1..self.at))
    }

    fn key(&mut self) -> Result<(Token, Range<usize>), JsonError> {
        let span = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.syntax();
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok((Token::Key, span))
    }

    fn value(&mut self, byte: u8) -> Result<(Token, Range<usize>), JsonError> {
        let begin = self.at;
        let token = match byte {
            b'{' | b'[' => {
                if self.open.len() >= self.depth {
                    return Err(JsonError::Depth(self.depth));
                }
                let (shape, expect) =
                    if byte == b'{' { (Shape::Object, Expect::KeyOrEnd) } else { (Shape::Array, Expect::ValueOrEnd) };
                self.open.push(shape);
                self.at += 1;
                self.expect = expect;
                return Ok((Token::Begin(shape), begin..self.at));
            }
            b'"' => {
                let span = self.string()?;
                self.after_value();
                return Ok((Token::String, span));
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return self.syntax(),
        };
        self.after_value();
        Ok((token, begin..self.at))
    }

    fn word(&mut self, word: &[u8]) -> Result<Token, JsonError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.syntax();
        }
        self.at += word.len();
        Ok(Token::Word)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == begin { self.syntax() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Token, JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Token::Number)
    }

    fn string(&mut self) -> Result<Range<usize>, JsonError> {
        self.at += 1;
        let begin = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(begin..self.at - 1);
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            let digits = self.bytes.get(self.at + 1..self.at + 5);
                            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                                return self.syntax();
                            }
                            self.at += 5;
                        }
                        _ => return self.syntax(),
                    }
                }
                Some(0..=0x1f) | None => return self.syntax(),
                Some(_) => self.at += 1,
            }
        }
    }
}

/// Checks that the bytes are one JSON text within the depth.
///
/// # Errors
/// See [`JsonError`].
pub fn check(bytes: &[u8], depth: usize) -> Result<(), JsonError> {
    let mut tokens = Tokens::new(bytes, depth);
    while tokens.next()?.is_some() {}
    Ok(())
}

/// Whether the first byte that counts opens an object or an array: what makes it worth trying to read as JSON.
pub(crate) fn may_be_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['))
}

/// A string's bytes with escapes undone, and where each came from: `origins[i]` is the offset in `raw` of the byte or
/// escape that made byte `i`; one more entry stands for the end.
pub(crate) fn unescape(raw: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut origins = Vec::with_capacity(raw.len() + 1);
    let mut at = 0;
    while let Some(byte) = raw.get(at).copied() {
        let origin = u32::try_from(at).unwrap_or(u32::MAX);
        let mut buffer = [0; 4];
        let (made, used): (&[u8], usize) = if byte == b'\\' {
            let (character, used) = escape_at(raw, at);
            (character.encode_utf8(&mut buffer).as_bytes(), used)
        } else {
            buffer = [byte, 0, 0, 0];
            (buffer.get(..1).unwrap_or_default(), 1)
        };
        bytes.extend_from_slice(made);
        origins.extend(std::iter::repeat_n(origin, made.len()));
        at += used;
    }
    origins.push(u32::try_from(at).unwrap_or(u32::MAX));
    (bytes, origins)
}

fn escape_at(raw: &[u8], at: usize) -> (char, usize) {
    let character = match raw.get(at + 1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let high = unit(raw, at + 2);
            if (0xd800..0xdc00).contains(&high) && raw.get(at + 6..at + 8) == Some(b"\\u") {
                let low = unit(raw, at + 8);
                if (0xdc00..0xe000).contains(&low) {
                    let point = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    return (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
                }
            }
            return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
        }
        Some(other) => char::from(*other),
        None => return ('\\', 1),
    };
    (character, 2)
}

fn unit(raw: &[u8], at: usize) -> u32 {
    let digits = raw.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xfffd)
}

/// A string's text; borrows where nothing is escaped and all is UTF-8.
pub(crate) fn text_of(raw: &[u8]) -> Cow<'_, str> {
    if raw.contains(&b'\\') {
        let (bytes, _origins) = unescape(raw);
        Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    } else {
        String::from_utf8_lossy(raw)
    }
}

#[cfg(test)]
mod tests;
