//! Takes a body apart as its framing says. Sans-I/O: bytes in, pieces out; a malformed chunk is a [`Shape`].
//!
//! Chunk extensions are read over (RFC 9112 §7.1.1 lets a recipient ignore them) and not passed on.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;

use super::framing::Framing;
use super::head;
use super::shape::Shape;

/// Longest chunk-size line, with its extensions.
const SIZE_LINE_LIMIT: usize = 512;
/// Largest trailer section.
const TRAILER_LIMIT: usize = 16 * 1024;

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers {
        scanned: usize,
    },
    /// The trailers were handed out; the end comes next.
    Ended,
}

/// Where in a body the reader is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder(State);

impl Decoder {
    pub(crate) const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Whether the body has been read to its end.
    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.0, State::Ended | State::Length(0))
    }

    /// The next piece, or nothing when more bytes are needed. After [`Piece::End`] it gives that again.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, Shape> {
        loop {
            match self.0 {
                State::Ended | State::Length(0) => {
                    self.0 = State::Ended;
                    return Ok(Some(Piece::End));
                }
                _ if buffer.is_empty() => return Ok(None),
                State::Length(left) => {
                    let data = take_up_to(buffer, left);
                    self.0 = State::Length(left - data.len() as u64);
                    return Ok(Some(Piece::Data(data)));
                }
                State::UntilClose => return Ok(Some(Piece::Data(buffer.split().freeze()))),
                State::ChunkSize => match size_line(buffer)? {
                    None => return Ok(None),
                    Some(0) => self.0 = State::Trailers { scanned: 0 },
                    Some(size) => self.0 = State::ChunkData(size),
                },
                State::ChunkData(left) => {
                    let data = take_up_to(buffer, left);
                    let left = left - data.len() as u64;
                    self.0 = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Some(Piece::Data(data)));
                }
                State::ChunkEnd => match (buffer.first(), buffer.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        buffer.advance(2);
                        self.0 = State::ChunkSize;
                    }
                    (Some(b'\r'), None) => return Ok(None),
                    _ => return Err(Shape::Chunk),
                },
                State::Trailers { scanned } => match trailer_section(buffer, scanned)? {
                    Section::Partial(scanned) => {
                        self.0 = State::Trailers { scanned };
                        return Ok(None);
                    }
                    Section::Empty => self.0 = State::Ended,
                    Section::Fields(fields) => {
                        self.0 = State::Ended;
                        return Ok(Some(Piece::Trailers(fields)));
                    }
                },
            }
        }
    }

    /// The connection ended here: the end of the body, or the middle of it.
    pub(crate) const fn ends_with_connection(&self) -> bool {
        matches!(self.0, State::Ended | State::Length(0) | State::UntilClose)
    }
}

fn take_up_to(buffer: &mut BytesMut, limit: u64) -> Bytes {
    let length = usize::try_from(limit).unwrap_or(usize::MAX).min(buffer.len());
    buffer.split_to(length).freeze()
}

fn size_line(buffer: &mut BytesMut) -> Result<Option<u64>, Shape> {
    let Some(feed) = memchr::memchr(b'\n', buffer) else {
        return if buffer.len() > SIZE_LINE_LIMIT { Err(Shape::Chunk) } else { Ok(None) };
    };
    if feed > SIZE_LINE_LIMIT {
        return Err(Shape::Chunk);
    }
    let line = buffer.get(..feed).and_then(|line| line.strip_suffix(b"\r")).ok_or(Shape::Chunk)?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let extensions = line.get(digits..).unwrap_or_default();
    // Only `;` may follow the size (with blanks before it, RFC 9112 §7.1.1), and nothing that another reader could take for
    // the end of the line.
    let extensions_are_sound = extensions.trim_ascii_start().first().is_none_or(|b| *b == b';')
        && (extensions.is_empty() || extensions.contains(&b';'))
        && !extensions.iter().any(|b| b.is_ascii_control() && *b != b'\t');
    // 15 digits are enough for any body, and cannot overflow in any reader.
    if !(1..=15).contains(&digits) || !extensions_are_sound {
        return Err(Shape::Chunk);
    }
    let size = line.iter().take(digits).fold(0_u64, |sum, digit| sum * 16 + u64::from(hex(*digit)));
    buffer.advance(feed + 1);
    Ok(Some(size))
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

enum Section {
    Partial(usize),
    Empty,
    Fields(HeaderMap),
}

fn trailer_section(buffer: &mut BytesMut, mut scanned: usize) -> Result<Section, Shape> {
    loop {
        let rest = buffer.get(scanned..).unwrap_or_default();
        let Some(feed) = memchr::memchr(b'\n', rest) else {
            return if buffer.len() > TRAILER_LIMIT { Err(Shape::Trailers) } else { Ok(Section::Partial(scanned)) };
        };
        let line = rest.get(..feed).and_then(|line| line.strip_suffix(b"\r")).ok_or(Shape::BareLineFeed)?;
        if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            return Err(Shape::Folded);
        }
        let ends_here = line.is_empty();
        scanned += feed + 1;
        if scanned > TRAILER_LIMIT {
            return Err(Shape::Trailers);
        }
        if ends_here {
            let section = buffer.split_to(scanned).freeze();
            return if section.len() == 2 {
                Ok(Section::Empty)
            } else {
                Ok(Section::Fields(safe(head::trailers(&section)?)))
            };
        }
    }
}

/// Trailers must not frame, route or authenticate (RFC 9110 §6.5.1): a reader that merges them into the head would believe them.
fn safe(trailers: HeaderMap) -> HeaderMap {
    const NEVER: [&str; 9] = [
        "transfer-encoding",
        "content-length",
        "host",
        "connection",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ];
    // Built anew rather than by removal, which would disturb the order.
    let mut kept = HeaderMap::with_capacity(trailers.len());
    for (name, value) in &trailers {
        if !NEVER.contains(&name.as_str()) && kept.try_append(name.clone(), value.clone()).is_err() {
            break;
        }
    }
    kept
}
