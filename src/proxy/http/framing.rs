//! Where an HTTP/1 message ends, decided from its head (RFC 9112 §6), strictly.

use http::{Method, StatusCode, Version};

use super::fields::{RawFields, members};
use super::shape::Shape;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunked.
    Chunked,
    /// Until the connection ends (responses only).
    UntilClose,
}

/// What the fields say about the message and its connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// `Connection` names fields beyond `close` and `keep-alive`; they go no further.
    pub(crate) nominates: bool,
    pub(crate) upgrade_nominated: bool,
    pub(crate) upgrade: bool,
    pub(crate) hosts: u32,
    pub(crate) expects_continue: bool,
    /// Whether there is a field of this connection only, or one that is never passed on.
    pub(crate) needs_rewrite: bool,
}

/// How strictly repeated lengths are seen: a request's are refused; a response's may repeat when they agree, since origins do
/// that and the device is sent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Refused,
    Agreeing,
}

impl Signals {
    fn of(fields: &RawFields, repeats: Repeats) -> Result<Self, Shape> {
        let mut signals = Self::default();
        for (name, value) in fields.iter() {
            signals.see(name, value, repeats)?;
        }
        Ok(signals)
    }

    fn see(&mut self, name: &[u8], value: &[u8], repeats: Repeats) -> Result<(), Shape> {
        // By length first: most fields are none of these, and this runs for every field of every message.
        match name.len() {
            2 if is(name, b"te") => self.needs_rewrite = true,
            4 if is(name, b"host") => self.hosts = self.hosts.saturating_add(1),
            6 if is(name, b"expect") => {
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if is(name, b"upgrade") => {
                self.upgrade = true;
                self.needs_rewrite = true;
            }
            7 if is(name, b"alt-svc") => self.needs_rewrite = true,
            10 if is(name, b"connection") => {
                self.needs_rewrite = true;
                self.connection(value);
            }
            10 if is(name, b"keep-alive") => self.needs_rewrite = true,
            14 if is(name, b"content-length") => self.content_length(value, repeats)?,
            16 if is(name, b"proxy-connection") => {
                self.needs_rewrite = true;
                self.connection(value);
            }
            17 if is(name, b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Shape::Encoding);
                }
                self.chunked = true;
            }
            18 if is(name, b"proxy-authenticate") => self.needs_rewrite = true,
            19 if is(name, b"proxy-authorization") => self.needs_rewrite = true,
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in members(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_nominated = true;
                self.nominates = true;
            } else {
                self.nominates = true;
            }
        }
    }

    fn content_length(&mut self, value: &[u8], repeats: Repeats) -> Result<(), Shape> {
        let mut values = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let first = number(values.next().unwrap_or_default())?;
        for other in values {
            self.agree(first, number(other)?, repeats)?;
        }
        if let Some(before) = self.length {
            self.agree(before, first, repeats)?;
            // The line itself must not be passed on a second time.
            self.needs_rewrite = true;
        }
        self.length = Some(first);
        Ok(())
    }

    fn agree(&mut self, one: u64, other: u64, repeats: Repeats) -> Result<(), Shape> {
        if repeats == Repeats::Refused || one != other {
            return Err(Shape::RepeatedLength);
        }
        self.needs_rewrite = true;
        Ok(())
    }

    /// Whether the connection may carry another message after this one (RFC 9112 §9.3).
    pub(crate) const fn persists(&self, version: Version) -> bool {
        match version {
            Version::HTTP_10 => self.keep_alive && !self.close,
            _ => !self.close,
        }
    }
}

fn is(name: &[u8], lower: &[u8]) -> bool {
    name.eq_ignore_ascii_case(lower)
}

fn number(digits: &[u8]) -> Result<u64, Shape> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Shape::Length);
    }
    Ok(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// The framing of a request.
pub(crate) fn of_request(version: Version, fields: &RawFields) -> Result<(Framing, Signals), Shape> {
    let mut signals = Signals::of(fields, Repeats::Refused)?;
    // RFC 9110 §10.1.1: an HTTP/1.0 client cannot expect it.
    signals.expects_continue &= version == Version::HTTP_11;
    let framing = match (signals.chunked, signals.length) {
        (true, Some(_)) => return Err(Shape::LengthAndEncoding),
        (true, None) if version == Version::HTTP_10 => return Err(Shape::EncodingInOldVersion),
        (true, None) => Framing::Chunked,
        (false, Some(0) | None) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
    };
    Ok((framing, signals))
}

/// The framing of a response to `method`.
pub(crate) fn of_response(
    method: &Method,
    status: StatusCode,
    version: Version,
    fields: &RawFields,
) -> Result<(Framing, Signals), Shape> {
    let signals = Signals::of(fields, Repeats::Agreeing)?;
    if signals.chunked && signals.length.is_some() {
        return Err(Shape::LengthAndEncoding);
    }
    if signals.chunked && version == Version::HTTP_10 {
        return Err(Shape::EncodingInOldVersion);
    }
    let bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || *method == Method::HEAD;
    let framing = match (bodiless, signals.chunked, signals.length) {
        (true, ..) => Framing::None,
        (false, true, _) => Framing::Chunked,
        (false, false, Some(length)) => Framing::Length(length),
        (false, false, None) => Framing::UntilClose,
    };
    Ok((framing, signals))
}

/// The framing of a message that came over HTTP/2, as an HTTP/1 leg would have to frame it. (h2 itself checks that the data is
/// as long as Content-Length says, and refuses the fields of a connection.)
pub(crate) fn of_http2(ends_here: bool, headers: &http::HeaderMap) -> Result<Framing, Shape> {
    let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter();
    let length = lengths.next().map(|value| number(value.as_bytes())).transpose()?;
    if lengths.next().is_some() {
        return Err(Shape::RepeatedLength);
    }
    Ok(match (ends_here, length) {
        (true, _) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    })
}
