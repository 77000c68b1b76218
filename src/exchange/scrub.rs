//! The one way from an [`Exchange`] to anything that is stored or recognised.
//!
//! Invariant: nothing in a [`Scrubbed`] holds a credential. A body that passes a limit before all of it was searched is not
//! kept, nor is one that breaks off and shows a credential before; its loss is stated.

use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, Version};

use super::content::{Content, ReadBody, Unread};
use super::credential::{Hints, ScrubKey, SessionKey, hints, looks_like_login, session_key};
use super::edit::{apply, apply_to_body, in_order};
use super::redact::{Redaction, Redactor};
use super::{Body, BodyError, Exchange, Limits, Message, Opcode, RequestHead, ResponseHead};
use crate::record::Direction;

/// How to scrub.
#[derive(Debug, Clone)]
pub struct Scrub<'a> {
    /// For the digests that stand in place of tokens.
    pub key: &'a ScrubKey,
    /// Cookies that are account ids and no secret (`RuleSet::account_cookies`).
    pub account_cookies: &'a [&'a str],
    /// Bounds.
    pub limits: &'a Limits,
}

/// An exchange without its credentials.
#[derive(Debug, Clone)]
pub struct Scrubbed {
    /// What the credentials said about who acts.
    pub hints: Hints,
    /// The login it belongs to, by keyed digest.
    pub session: Option<SessionKey>,
    /// The request.
    pub request: ScrubbedRequest,
    /// The response, where there is one.
    pub response: Option<ScrubbedResponse>,
    /// What was taken out, and where.
    pub redactions: Vec<Redaction>,
}

/// A request without its credentials.
#[derive(Debug, Clone)]
pub struct ScrubbedRequest {
    /// The head with credentials replaced.
    pub head: RequestHead,
    /// The body.
    pub body: ScrubbedBody,
    /// Trailers with credentials replaced.
    pub trailers: Option<HeaderMap>,
}

/// A response without its credentials.
#[derive(Debug, Clone)]
pub struct ScrubbedResponse {
    /// The head with credentials replaced.
    pub head: ResponseHead,
    /// The body.
    pub body: ScrubbedBody,
    /// The body was taken whole.
    pub complete: bool,
}

/// A body without its credentials.
#[derive(Debug, Clone)]
pub struct ScrubbedBody {
    /// What to keep: the bytes as sent but for the values replaced.
    pub kept: Body,
    /// The content coding was undone in `kept`, because a value had to be replaced inside.
    pub decoded: bool,
    /// Why the body is not kept, when it is not.
    pub lost: Option<Unread>,
    /// A credential of the head stood in it, where nothing else gave it away: what is kept may mean something else than what was sent.
    pub repeats: bool,
    /// What it is, for recognition; bytes have credentials replaced and content coding undone.
    pub(crate) read: ReadBody,
    /// Size as sent.
    pub(crate) size: u64,
}

impl Scrub<'_> {
    /// Scrubs an exchange.
    ///
    /// # Errors
    /// When a held body cannot be read back.
    pub fn exchange(&self, exchange: &Exchange) -> Result<Scrubbed, BodyError> {
        let request = &exchange.request;
        let mut redactor = self.redactor(&request.head);
        let scrubbed = ScrubbedRequest {
            head: self.request_head(&mut redactor, &request.head),
            body: self.body(&mut redactor, "request.body", &request.head.headers, &request.body)?,
            trailers: request.trailers.as_ref().map(|trailers| {
                redactor.at("request.trailer");
                self.headers(&mut redactor, trailers)
            }),
        };
        let response = match &exchange.response {
            None => None,
            Some(response) => {
                redactor.at("response.header");
                let head = ResponseHead {
                    headers: self.headers(&mut redactor, &response.head.headers),
                    ..response.head.clone()
                };
                let body = self.body(&mut redactor, "response.body", &response.head.headers, &response.body)?;
                Some(ScrubbedResponse { head, body, complete: response.complete })
            }
        };
        Ok(Scrubbed {
            hints: hints(&request.head, self.account_cookies),
            session: session_key(&request.head, self.key),
            request: scrubbed,
            response,
            redactions: redactor.stated,
        })
    }

    /// Scrubs a message and the head of the request that opened its channel.
    #[must_use]
    pub fn message(&self, head: &RequestHead, message: &Message) -> ScrubbedMessage {
        let mut redactor = self.redactor(head);
        let scrubbed = self.request_head(&mut redactor, head);
        redactor.at("message");
        let data = &message.data.0;
        let text = message.opcode != Opcode::Binary || std::str::from_utf8(data).is_ok();
        let edits = if text { redactor.text(data) } else { Vec::new() };
        let edits = redactor.with_repeated(data, edits);
        let data = if edits.is_empty() { data.clone() } else { Bytes::from(apply(data, &edits)) };
        ScrubbedMessage {
            hints: hints(head, self.account_cookies),
            session: session_key(head, self.key),
            head: scrubbed,
            number: message.number,
            direction: message.direction,
            opcode: message.opcode,
            event: message.event.clone(),
            data,
            repeats: redactor.repeats,
            redactions: redactor.stated,
        }
    }

    /// The session that a request belongs to, without scrubbing it.
    #[must_use]
    pub fn session(&self, head: &RequestHead) -> Option<SessionKey> {
        session_key(head, self.key)
    }

    fn redactor(&self, head: &RequestHead) -> Redactor<'_> {
        let mut redactor = Redactor::new(self.key, looks_like_login(head.path()));
        redactor.remember(&head.headers, self.account_cookies);
        redactor
    }

    fn request_head(&self, redactor: &mut Redactor<'_>, head: &RequestHead) -> RequestHead {
        let headers = self.headers(redactor, &head.headers);
        redactor.at("request.target");
        let target = redactor.target(&head.target);
        RequestHead { target, headers, ..head.clone() }
    }

    fn headers(&self, redactor: &mut Redactor<'_>, headers: &HeaderMap) -> HeaderMap {
        let mut scrubbed = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            // A replaced value is made of the bytes of the old one and of plain letters: it always is a header value.
            let replaced = redactor
                .header(name, value.as_bytes(), self.account_cookies)
                .and_then(|bytes| http::HeaderValue::from_bytes(&bytes).ok());
            scrubbed.append(name, replaced.unwrap_or_else(|| value.clone()));
        }
        scrubbed
    }

    fn body(
        &self,
        redactor: &mut Redactor<'_>,
        place: &'static str,
        headers: &HeaderMap,
        body: &Body,
    ) -> Result<ScrubbedBody, BodyError> {
        redactor.at(place);
        let mut read = ReadBody::read(headers, body, self.limits)?;
        let mut edits = redactor.body(&read);
        if read.bytes.is_empty() && matches!(read.content, Content::Binary | Content::Multipart(_)) {
            edits = redactor.with_repeated_in(body, edits)?;
        }
        let mut repeats = redactor.repeats;
        let lost = match &read.content {
            Content::Unread(why @ (Unread::TooLarge | Unread::Bomb)) => Some(*why),
            // The credential may go on where we cannot read.
            Content::Unread(why) if !edits.is_empty() => Some(*why),
            Content::Multipart(parts) if parts.cut => Some(Unread::Parts),
            _ => None,
        };
        let size = body.size();
        let decoded = read.undone && !edits.is_empty() && lost.is_none();
        if let Content::Multipart(parts) = &mut read.content {
            for part in &mut parts.parts {
                for name in [&mut part.name, &mut part.filename, &mut part.media_type].into_iter().flatten() {
                    let named = redactor.named(name);
                    repeats |= named != *name;
                    *name = named;
                }
                let Some(field) = &mut part.field else { continue };
                let inside: Vec<_> = edits
                    .iter()
                    .filter(|edit| edit.range.start >= part.span.start && edit.range.end <= part.span.end)
                    .cloned()
                    .map(|mut edit| {
                        edit.range = edit.range.start - part.span.start..edit.range.end - part.span.start;
                        edit
                    })
                    .collect();
                if !inside.is_empty() {
                    *field = apply(field, &in_order(inside));
                }
            }
            parts.outside.clear();
        }
        if lost.is_some() {
            read.bytes = Bytes::new();
        } else if !edits.is_empty() && !read.bytes.is_empty() {
            read.bytes = Bytes::from(apply(&read.bytes, &edits));
        }
        let kept = match lost {
            Some(_) => Body::Empty,
            None if decoded => Body::from(read.bytes.clone()),
            None if read.undone => body.clone(),
            None => apply_to_body(body, edits).map_err(BodyError::Io)?,
        };
        Ok(ScrubbedBody { kept, decoded, lost, repeats, read, size })
    }
}

/// A message without its credentials.
#[derive(Debug, Clone)]
pub struct ScrubbedMessage {
    /// What the credentials of the opening request said about who acts.
    pub hints: Hints,
    /// The login it belongs to, by keyed digest.
    pub session: Option<SessionKey>,
    /// The head of the opening request.
    pub head: RequestHead,
    /// Position in its direction.
    pub number: u64,
    /// Which way it goes.
    pub direction: Direction,
    /// What it is.
    pub opcode: Opcode,
    /// SSE event name.
    pub event: Option<String>,
    /// The payload to keep.
    pub data: Bytes,
    /// As [`ScrubbedBody::repeats`], of the payload.
    pub repeats: bool,
    /// What was taken out.
    pub redactions: Vec<Redaction>,
}

impl ScrubbedBody {
    /// The bytes of a multipart part that is a file, out of the body as `sent`; none where there is no such part.
    ///
    /// # Errors
    /// When a held body cannot be read back.
    pub fn file(&self, sent: &Body, number: u32) -> io::Result<Option<Box<dyn Read + Send>>> {
        let Content::Multipart(parts) = &self.read.content else { return Ok(None) };
        // Where a coding was undone and values replaced, places have moved.
        let Some(part) = parts.parts.get(number as usize).filter(|_part| !self.decoded) else { return Ok(None) };
        let length = part.span.end.saturating_sub(part.span.start);
        if self.read.undone {
            let (start, end) = (usize::try_from(part.span.start), usize::try_from(part.span.end));
            let (Ok(start), Ok(end)) = (start, end) else { return Ok(None) };
            let bytes = if start <= end && end <= self.read.bytes.len() {
                self.read.bytes.slice(start..end)
            } else {
                return Ok(None);
            };
            return Ok(Some(Box::new(io::Cursor::new(bytes))));
        }
        let mut reader = sent.reader()?;
        io::copy(&mut reader.by_ref().take(part.span.start), &mut io::sink())?;
        Ok(Some(Box::new(reader.take(length))))
    }
}

impl ScrubbedMessage {
    /// The head of the opening request, as [`ScrubbedRequest::head_bytes`] writes it.
    #[must_use]
    pub fn head_bytes(&self) -> Bytes {
        request_head_bytes(&self.head)
    }
}

impl ScrubbedRequest {
    /// Request line and header lines as HTTP/1.1 would write them: what is kept of a head.
    #[must_use]
    pub fn head_bytes(&self) -> Bytes {
        request_head_bytes(&self.head)
    }
}

fn request_head_bytes(head: &RequestHead) -> Bytes {
    let mut bytes = Vec::with_capacity(512);
    let line = format!("{} {} {}\r\n", head.method, head.target, version(head.version));
    bytes.extend_from_slice(line.as_bytes());
    if !head.headers.contains_key(http::header::HOST) {
        // HTTP/2 has no Host header but says the same in :authority.
        bytes.extend_from_slice(format!("host: {}\r\n", head.authority).as_bytes());
    }
    header_lines(&mut bytes, &head.headers);
    bytes.into()
}

impl ScrubbedResponse {
    /// Status line and header lines as HTTP/1.1 would write them.
    #[must_use]
    pub fn head_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(512);
        let line = format!("{} {}\r\n", version(self.head.version), self.head.status.as_u16());
        bytes.extend_from_slice(line.as_bytes());
        header_lines(&mut bytes, &self.head.headers);
        bytes.into()
    }
}

fn header_lines(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests;
