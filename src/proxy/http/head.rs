//! HTTP/1 heads, read strictly.
//!
//! httparse tokenises; what it and other readers tolerate (bare LF, folds, blanks) is refused before it sees the bytes. Sans-I/O:
//! bytes in, a head or a [`Shape`] out. Limits: `proxy.limits.head` bytes, [`FIELD_LIMIT`] fields.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode, Version};

use super::fields::{Line, RawFields};
use super::framing::{self, Framing, Signals};
use super::shape::Shape;

/// Largest head, in bytes, where settings say nothing else.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;
/// Most field lines in a head.
pub(crate) const FIELD_LIMIT: usize = 128;

/// A request's head on an HTTP/1 leg.
#[derive(Clone)]
pub(crate) struct RequestStart {
    pub(crate) method: Method,
    pub(crate) target: Bytes,
    pub(crate) version: Version,
    pub(crate) fields: RawFields,
    pub(crate) framing: Framing,
    pub(crate) signals: Signals,
}

/// A response's head on an HTTP/1 leg.
#[derive(Clone)]
pub(crate) struct ResponseStart {
    pub(crate) status: StatusCode,
    pub(crate) reason: Bytes,
    pub(crate) version: Version,
    pub(crate) fields: RawFields,
    pub(crate) framing: Framing,
    pub(crate) signals: Signals,
}

/// How far a head that is still incomplete has been looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    line_start: usize,
    lines: usize,
    skipped_blank: bool,
}

/// Takes one whole head (with its empty line) off the front of `buffer`, once it is there.
pub(crate) fn take(buffer: &mut BytesMut, progress: &mut Progress, limit: usize) -> Result<Option<Bytes>, Shape> {
    if progress.line_start == 0 && !progress.skipped_blank && buffer.starts_with(b"\r\n") {
        // RFC 9112 §2.2: an empty line before a request is to be borne; one, so that bytes arriving in another rhythm are
        // read the same way.
        buffer.advance(2);
        progress.skipped_blank = true;
    }
    loop {
        let rest = buffer.get(progress.line_start..).unwrap_or_default();
        let Some(feed) = memchr::memchr(b'\n', rest) else {
            // Bytes of the unfinished line count, so that a line without end is refused in time.
            return if buffer.len() > limit { Err(Shape::HeadTooLarge) } else { Ok(None) };
        };
        let line = rest.get(..feed).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else { return Err(Shape::BareLineFeed) };
        let end = progress.line_start + feed + 1;
        if end > limit {
            return Err(Shape::HeadTooLarge);
        }
        if line.is_empty() {
            if progress.lines == 0 {
                return Err(Shape::StartLine);
            }
            *progress = Progress::default();
            return Ok(Some(buffer.split_to(end).freeze()));
        }
        if progress.lines > 0 && line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            return Err(Shape::Folded);
        }
        progress.lines += 1;
        // The first line is not a field.
        if progress.lines > FIELD_LIMIT + 1 {
            return Err(Shape::TooManyFields);
        }
        progress.line_start = end;
    }
}

/// Reads a request's head.
pub(crate) fn request(head: &Bytes) -> Result<RequestStart, Shape> {
    let mut headers = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(head).map_err(|error| shape_of(error, head))?;
    if status.is_partial() {
        return Err(Shape::StartLine);
    }
    let version = version(parsed.version)?;
    let method =
        Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_source| Shape::StartLine)?;
    let target = head.slice_ref(parsed.path.ok_or(Shape::StartLine)?.as_bytes());
    let fields = fields(head, parsed.headers)?;
    let (framing, signals) = framing::of_request(version, &fields)?;
    Ok(RequestStart { method, target, version, fields, framing, signals })
}

/// Reads the head of a response to `method`.
pub(crate) fn response(head: &Bytes, method: &Method) -> Result<ResponseStart, Shape> {
    let mut headers = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = parsed.parse(head).map_err(|error| shape_of(error, head))?;
    if status.is_partial() {
        return Err(Shape::StartLine);
    }
    let version = version(parsed.version)?;
    let status = StatusCode::from_u16(parsed.code.ok_or(Shape::StartLine)?).map_err(|_source| Shape::StartLine)?;
    // httparse gives an empty static text where the phrase has bytes beyond ASCII.
    let reason = match parsed.reason {
        Some(reason) if !reason.is_empty() => head.slice_ref(reason.as_bytes()),
        _ => Bytes::new(),
    };
    let fields = fields(head, parsed.headers)?;
    let (framing, signals) = framing::of_response(method, status, version, &fields)?;
    Ok(ResponseStart { status, reason, version, fields, framing, signals })
}

/// Reads a trailer section: field lines and an empty line, as taken by [`take`] with a stand-in first line.
pub(crate) fn trailers(section: &Bytes) -> Result<http::HeaderMap, Shape> {
    let mut headers = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    match httparse::parse_headers(section, &mut headers) {
        Ok(httparse::Status::Complete((_length, parsed))) => fields(section, parsed)?.map(),
        Ok(httparse::Status::Partial) | Err(_) => Err(Shape::Trailers),
    }
}

fn version(minor: Option<u8>) -> Result<Version, Shape> {
    match minor {
        Some(0) => Ok(Version::HTTP_10),
        Some(1) => Ok(Version::HTTP_11),
        _ => Err(Shape::Version),
    }
}

fn fields(head: &Bytes, parsed: &[httparse::Header<'_>]) -> Result<RawFields, Shape> {
    let base = head.as_ptr().addr();
    let span = |part: &[u8]| -> Result<(u32, u32), Shape> {
        if part.is_empty() {
            // httparse's empty value may point outside the head.
            return Ok((0, 0));
        }
        let from = part.as_ptr().addr().checked_sub(base).ok_or(Shape::Field)?;
        let to = from.checked_add(part.len()).filter(|to| *to <= head.len()).ok_or(Shape::Field)?;
        Ok((u32::try_from(from).map_err(|_source| Shape::Field)?, u32::try_from(to).map_err(|_source| Shape::Field)?))
    };
    let mut lines = Vec::with_capacity(parsed.len());
    for header in parsed {
        lines.push(Line { name: span(header.name.as_bytes())?, value: span(header.value)? });
    }
    Ok(RawFields { head: head.clone(), lines })
}

fn shape_of(error: httparse::Error, head: &[u8]) -> Shape {
    match error {
        httparse::Error::TooManyHeaders => Shape::TooManyFields,
        httparse::Error::Version => Shape::Version,
        httparse::Error::HeaderName if has_space_before_colon(head) => Shape::SpaceBeforeColon,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => Shape::Field,
        httparse::Error::Token | httparse::Error::Status => Shape::StartLine,
    }
}

fn has_space_before_colon(head: &[u8]) -> bool {
    head.split(|b| *b == b'\n').skip(1).any(|line| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        name.len() < line.len() && name.last().is_some_and(|b| matches!(b, b' ' | b'\t'))
    })
}
