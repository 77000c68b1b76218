//! Heads as they leave: what belongs to one connection only is left behind (RFC 9110 §7.6.1), everything else goes as it came.
//!
//! `Alt-Svc` is left out of responses, so that a browser stays on TCP where it can be seen. No `Via` is added: the origin sees
//! what the device sent. `Connection: close` and `keep-alive` towards upstream are the device's own words.

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::fields::{FieldsRef, members};
use super::framing::Framing;
use super::message::{Answered, Incoming};
use super::shape::Shape;

/// Appends one field line.
pub(crate) fn line(queue: &mut BytesMut, name: &[u8], value: &[u8]) {
    queue.reserve(name.len() + value.len() + 4);
    queue.put_slice(name);
    queue.put_slice(b": ");
    queue.put_slice(value);
    queue.put_slice(b"\r\n");
}

/// What becomes of the fields that depend on how the request is released.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Release {
    /// We answered `100-continue` ourselves; the origin must not be asked again.
    pub(crate) expectation_met: bool,
    /// The upgrade goes along.
    pub(crate) upgrade: bool,
}

fn is_hop(name: &[u8]) -> bool {
    const HOP: [&[u8]; 9] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"upgrade",
        b"transfer-encoding",
        b"http2-settings",
    ];
    (2..=19).contains(&name.len()) && HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// The field names that `Connection` nominates. Those that frame, route, or say what the content is and who sends it, are not for a
/// peer to take away: the origin would be sent something else than what was recorded.
fn nominated(fields: FieldsRef<'_>) -> Vec<&[u8]> {
    const KEPT: [&[u8]; 6] =
        [b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie"];
    let mut names = Vec::new();
    fields.each(|name, value| {
        if name.eq_ignore_ascii_case(b"connection") {
            names.extend(members(value).filter(|member| !KEPT.iter().any(|kept| member.eq_ignore_ascii_case(kept))));
        }
    });
    names
}

struct Filter<'a> {
    nominated: Vec<&'a [u8]>,
    own: bool,
    alt_svc: bool,
    expect: bool,
    websocket_extensions: bool,
    length_seen: bool,
    drop_length: bool,
}

impl Filter<'_> {
    fn passes(&mut self, name: &[u8]) -> bool {
        if (is_hop(name) && !self.own)
            || (!self.nominated.is_empty() && self.nominated.iter().any(|n| name.eq_ignore_ascii_case(n)))
        {
            return false;
        }
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // One line, even where agreeing ones came.
                let first = !self.length_seen;
                self.length_seen = true;
                first && !self.drop_length
            }
            7 if self.alt_svc => !name.eq_ignore_ascii_case(b"alt-svc"),
            6 if self.expect => !name.eq_ignore_ascii_case(b"expect"),
            24 if self.websocket_extensions => !name.eq_ignore_ascii_case(b"sec-websocket-extensions"),
            _ => true,
        }
    }
}

fn request_filter<'a>(request: &'a Incoming, release: Release) -> Filter<'a> {
    Filter {
        nominated: if request.signals.nominates { nominated(request.fields()) } else { Vec::new() },
        own: false,
        alt_svc: false,
        expect: release.expectation_met,
        websocket_extensions: release.upgrade && request.is_websocket(),
        length_seen: false,
        drop_length: request.framing == Framing::Chunked,
    }
}

/// Writes a request's head for an HTTP/1 upstream; gives the framing that its body takes there.
pub(crate) fn request_http1(queue: &mut BytesMut, request: &Incoming, release: Release) -> Framing {
    if request.verbatim
        && !release.expectation_met
        && let Some(raw) = &request.raw
    {
        queue.extend_from_slice(&raw.head);
        return request.framing;
    }
    let head = &request.head;
    queue.extend_from_slice(head.method.as_str().as_bytes());
    queue.put_u8(b' ');
    queue.extend_from_slice(head.target.as_bytes());
    queue.extend_from_slice(b" HTTP/1.1\r\n");
    let from_http2 = request.raw.is_none();
    if request.fields().get("host").is_none() {
        // HTTP/2 has it as `:authority`, HTTP/1.0 may have it nowhere.
        line(queue, b"Host", host_value(head.scheme.as_str(), &head.authority).as_bytes());
    }
    let mut filter = request_filter(request, release);
    let mut cookies = Vec::new();
    let mut connection_written = false;
    request.fields().each(|name, value| {
        if from_http2 && name == b"cookie" {
            // RFC 9113 §8.2.3: crumbs are joined again where HTTP/1 needs one field.
            cookies.push(value);
        } else if filter.passes(name) {
            line(queue, name, value);
        } else if name.eq_ignore_ascii_case(b"connection") && !request.signals.nominates && !connection_written {
            connection_written = true;
            line(queue, name, value);
        } else if release.upgrade && name.eq_ignore_ascii_case(b"upgrade") {
            line(queue, name, value);
        }
    });
    if !cookies.is_empty() {
        line(queue, b"cookie", &cookies.join(&b"; "[..]));
    }
    let trailers_wanted =
        request.fields().get("te").is_some_and(|te| members(te).any(|m| m.eq_ignore_ascii_case(b"trailers")));
    if trailers_wanted {
        line(queue, b"TE", b"trailers");
    }
    if !connection_written {
        match (release.upgrade, trailers_wanted, request.signals.close) {
            (true, ..) => line(queue, b"Connection", b"Upgrade"),
            (false, true, true) => line(queue, b"Connection", b"TE, close"),
            (false, true, false) => line(queue, b"Connection", b"TE"),
            (false, false, true) => line(queue, b"Connection", b"close"),
            (false, false, false) => {}
        }
    }
    match request.framing {
        Framing::Chunked => line(queue, b"Transfer-Encoding", b"chunked"),
        // A device that ends the stream with the head says "no body"; over HTTP/1 a POST has to say so.
        Framing::None if from_http2 && !filter.length_seen && may_have_body(&head.method) => {
            line(queue, b"content-length", b"0");
        }
        _ => {}
    }
    queue.extend_from_slice(b"\r\n");
    request.framing
}

fn may_have_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// `Host` and `:authority` leave the scheme's own port out.
pub(crate) fn host_value(scheme: &str, authority: &crate::exchange::Authority) -> String {
    let default = if scheme == "https" { 443 } else { 80 };
    let text = authority.to_string();
    if authority.port() == default {
        text.rsplit_once(':').map_or_else(|| text.clone(), |(host, _port)| host.to_owned())
    } else {
        text
    }
}

/// A request's head for an HTTP/2 upstream.
pub(crate) fn request_http2(request: &Incoming, release: Release) -> Result<http::Request<()>, Shape> {
    let head = &request.head;
    let authority = host_of(request).unwrap_or_else(|| host_value(head.scheme.as_str(), &head.authority));
    let uri = http::Uri::builder()
        .scheme(head.scheme.as_str())
        .authority(authority)
        .path_and_query(head.target.as_str())
        .build()
        .map_err(|_source| Shape::Target)?;
    // What was judged and recorded is what is asked, to the byte.
    if uri.path_and_query().is_none_or(|target| target.as_str() != head.target) {
        return Err(Shape::Target);
    }
    let mut filter = request_filter(request, release);
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        if name != http::header::HOST && filter.passes(name.as_str().as_bytes()) {
            headers.try_append(name.clone(), value.clone()).map_err(|_source| Shape::TooManyFields)?;
        }
    }
    if request.fields().get("te").is_some_and(|te| members(te).any(|m| m.eq_ignore_ascii_case(b"trailers"))) {
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    let mut out = http::Request::new(());
    *out.method_mut() = head.method.clone();
    *out.uri_mut() = uri;
    *out.version_mut() = Version::HTTP_2;
    *out.headers_mut() = headers;
    Ok(out)
}

/// The host as the device wrote it (checked before against the connection's authority).
fn host_of(request: &Incoming) -> Option<String> {
    request.fields().get("host").and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
}

/// What the device leg needs to know of the request it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) is_head: bool,
    /// The connection carries another request after this one.
    pub(crate) persists: bool,
}

fn answer_filter<'a>(answer: &'a Answered, framing: Framing) -> Filter<'a> {
    Filter {
        nominated: if answer.signals.nominates { nominated(answer.fields.as_ref()) } else { Vec::new() },
        own: answer.own,
        alt_svc: true,
        expect: false,
        websocket_extensions: answer.status == StatusCode::SWITCHING_PROTOCOLS,
        length_seen: false,
        drop_length: framing == Framing::Chunked || answer.status.is_informational(),
    }
}

/// Writes a response's head for an HTTP/1 device; gives the framing of its body there.
pub(crate) fn answer_http1(queue: &mut BytesMut, answer: &Answered, asked: Asked) -> Framing {
    let old = asked.version == Version::HTTP_10;
    let framing = match answer.framing {
        Framing::Chunked | Framing::UntilClose if old => Framing::UntilClose,
        // So that the device sees a cut-off body as cut off, and keeps its connection.
        Framing::Chunked | Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let closes = framing == Framing::UntilClose || !asked.persists;
    let interim = answer.status.is_informational();
    if let super::fields::Fields::Raw(raw) = &answer.fields
        && !answer.signals.needs_rewrite
        && framing == answer.framing
        && answer.version == Version::HTTP_11
        && !old
        && (interim || !closes)
    {
        queue.extend_from_slice(&raw.head);
        return framing;
    }
    queue.extend_from_slice(b"HTTP/1.1 ");
    queue.extend_from_slice(answer.status.as_str().as_bytes());
    queue.put_u8(b' ');
    if answer.reason.is_empty() {
        queue.extend_from_slice(answer.status.canonical_reason().unwrap_or_default().as_bytes());
    } else {
        queue.extend_from_slice(&answer.reason);
    }
    queue.extend_from_slice(b"\r\n");
    let switching = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    let mut filter = answer_filter(answer, framing);
    answer.fields.as_ref().each(|name, value| {
        if filter.passes(name) || (switching && name.eq_ignore_ascii_case(b"upgrade")) {
            line(queue, name, value);
        }
    });
    if switching {
        line(queue, b"Connection", b"upgrade");
    } else if !interim {
        if framing == Framing::Chunked {
            line(queue, b"Transfer-Encoding", b"chunked");
        }
        let bodiless = asked.is_head || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if framing == Framing::None && !filter.length_seen && !bodiless {
            line(queue, b"content-length", b"0");
        }
        if closes {
            line(queue, b"Connection", b"close");
        } else if old {
            line(queue, b"Connection", b"keep-alive");
        }
    }
    queue.extend_from_slice(b"\r\n");
    framing
}

/// A response's head for an HTTP/2 device.
pub(crate) fn answer_http2(answer: &Answered) -> Result<http::Response<()>, Shape> {
    let mut filter = answer_filter(answer, answer.framing);
    let mut headers = HeaderMap::new();
    let mut failed = None;
    answer.fields.as_ref().each(|name, value| {
        if !filter.passes(name) {
            return;
        }
        let field = HeaderName::from_bytes(name).ok().zip(HeaderValue::from_bytes(value).ok());
        match field {
            Some((name, value)) => {
                failed = failed.or(headers.try_append(name, value).err().map(|_full| Shape::TooManyFields))
            }
            None => failed = Some(Shape::Field),
        }
    });
    if let Some(shape) = failed {
        return Err(shape);
    }
    let mut out = http::Response::new(());
    *out.status_mut() = answer.status;
    *out.version_mut() = Version::HTTP_2;
    *out.headers_mut() = headers;
    Ok(out)
}
