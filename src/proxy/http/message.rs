//! Requests and responses on their way through, whichever version either leg speaks.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

use super::fields::{Fields, FieldsRef, RawFields};
use super::framing::{self, Framing, Signals};
use super::head::{RequestStart, ResponseStart};
use super::shape::Shape;
use crate::exchange::{Authority, RequestHead, ResponseHead, Scheme};

/// A request whose head has been read.
pub(crate) struct Incoming {
    /// What capture and recognition see.
    pub(crate) head: RequestHead,
    /// The field lines as they came, where the device speaks HTTP/1.
    pub(crate) raw: Option<RawFields>,
    pub(crate) framing: Framing,
    pub(crate) signals: Signals,
    /// The raw head can go to an HTTP/1 upstream as it is.
    pub(crate) verbatim: bool,
}

impl Incoming {
    /// From an HTTP/1 leg, for a target that the connection (or the absolute form) decides.
    pub(crate) fn from_http1(
        start: RequestStart,
        scheme: Scheme,
        authority: Authority,
        target: String,
    ) -> Result<Self, Shape> {
        let verbatim =
            start.version == Version::HTTP_11 && !start.signals.needs_rewrite && start.target == target.as_bytes();
        let head = RequestHead {
            method: start.method,
            scheme,
            authority,
            target,
            version: start.version,
            headers: start.fields.map()?,
        };
        Ok(Self { head, raw: Some(start.fields), framing: start.framing, signals: start.signals, verbatim })
    }

    /// From an HTTP/2 leg.
    pub(crate) fn from_http2(
        parts: http::request::Parts,
        ends_here: bool,
        authority: Authority,
        target: String,
    ) -> Result<Self, Shape> {
        let signals = Signals { expects_continue: expects_continue(&parts.headers), ..Signals::default() };
        let head = RequestHead {
            method: parts.method,
            scheme: Scheme::Https,
            authority,
            target,
            version: Version::HTTP_2,
            headers: parts.headers,
        };
        let framing = framing::of_http2(ends_here, &head.headers)?;
        Ok(Self { head, raw: None, framing, signals, verbatim: false })
    }

    pub(crate) const fn fields(&self) -> FieldsRef<'_> {
        match &self.raw {
            Some(raw) => FieldsRef::Raw(raw),
            None => FieldsRef::Map(&self.head.headers),
        }
    }

    pub(crate) const fn has_body(&self) -> bool {
        !matches!(self.framing, Framing::None)
    }

    /// The value of `Upgrade`, where the device asks for one as RFC 9110 §7.8 says.
    pub(crate) fn upgrade(&self) -> Option<&[u8]> {
        if !(self.signals.upgrade && self.signals.upgrade_nominated && self.head.version == Version::HTTP_11) {
            return None;
        }
        self.fields().get("upgrade")
    }

    /// A WebSocket handshake: what the plan takes for one, and the upgrade goes along.
    pub(crate) fn is_websocket(&self) -> bool {
        self.upgrade().is_some() && self.head.asks_for_websocket()
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(http::header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A response whose head has been read.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) reason: Bytes,
    /// On the upstream leg.
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    pub(crate) signals: Signals,
    /// In our own name, so that fields of this connection are meant.
    pub(crate) own: bool,
}

impl Answered {
    pub(crate) fn from_http1(start: ResponseStart) -> Self {
        Self {
            status: start.status,
            reason: start.reason,
            version: start.version,
            fields: Fields::Raw(start.fields),
            framing: start.framing,
            signals: start.signals,
            own: false,
        }
    }

    pub(crate) fn from_http2(parts: http::response::Parts, ends_here: bool) -> Result<Self, Shape> {
        let framing = framing::of_http2(ends_here, &parts.headers)?;
        Ok(Self {
            status: parts.status,
            reason: Bytes::new(),
            version: Version::HTTP_2,
            fields: Fields::Map(parts.headers),
            framing,
            signals: Signals { needs_rewrite: true, ..Signals::default() },
            own: false,
        })
    }

    /// As capture and recognition see it.
    pub(crate) fn head(&self) -> Result<ResponseHead, Shape> {
        Ok(ResponseHead { status: self.status, version: self.version, headers: self.fields.map()? })
    }

    pub(crate) fn content_type_is(&self, wanted: &[&str]) -> bool {
        let Some(value) = self.fields.as_ref().get("content-type") else { return false };
        let essence = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        wanted.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted.as_bytes()))
    }
}
