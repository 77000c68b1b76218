//! Request and response heads.

use http::{HeaderMap, Method, StatusCode, Version};

use super::Authority;

/// How the request would have travelled without the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request head.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The scheme of the target URI.
    pub scheme: Scheme,
    /// Host and port of the target URI (the connection's, not the Host header's).
    pub authority: Authority,
    /// Path and query as sent, beginning with `/` (or `*`).
    pub target: String,
    /// The version on the device leg.
    pub version: Version,
    /// Headers as sent, credentials included: redact before keeping.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// The path, without the query, as sent (not decoded).
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _query)| path)
    }

    /// The query as sent, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_path, query)| query)
    }

    /// Whether it asks to become a WebSocket (RFC 6455 §4.1). `Upgrade` is a list over any number of lines, and an origin may take any of
    /// its protocols, with a version or without.
    #[must_use]
    pub fn asks_for_websocket(&self) -> bool {
        let protocols = self.headers.get_all(http::header::UPGRADE).into_iter();
        let mut names = protocols
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
            .filter_map(|protocol| protocol.split(|b| *b == b'/').next());
        self.method == Method::GET && names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    }

    /// A header's first value, where it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A response head.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The version on the upstream leg.
    pub version: Version,
    /// Headers as received.
    pub headers: HeaderMap,
}
