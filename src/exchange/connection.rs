//! Facts about the connection an exchange came over.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::record::{AdvisorId, DeviceId, Digest};

/// The text was not `host`, `host:port`, `[v6]` or `[v6]:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an authority is host:port, such as social.example:443")]
pub struct AuthorityError;

/// Host and port of a target. The host is lower case, without a trailing dot; an IPv6 address has no brackets here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// Builds one from parts.
    ///
    /// # Errors
    /// When the host is empty, longer than 253 bytes, or holds a byte that no host name or address has.
    pub fn new(host: &str, port: u16) -> Result<Self, AuthorityError> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let address = host.parse::<IpAddr>().is_ok();
        if host.is_empty() || host.len() > 253 || !(name || address) {
            return Err(AuthorityError);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// Parses `host[:port]`; `default_port` serves where the text has none.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AuthorityError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or(AuthorityError)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_source| AuthorityError)?;
            return match tail.strip_prefix(':') {
                Some(port) => Self::new(host, parse_port(port)?),
                None if tail.is_empty() => Self::new(host, default_port),
                None => Err(AuthorityError),
            };
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => Self::new(host, parse_port(port)?),
            Some(_) => Err(AuthorityError),
            None => Self::new(text, default_port),
        }
    }

    /// The host, lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The host as an address, where it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AuthorityError);
    }
    text.parse().map_err(|_source| AuthorityError)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        Self::parse(text, 443)
    }
}

/// What a leg speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the upstream handshake showed: origin evidence (it supports, and does not prove, who answered).
#[derive(Debug, Clone)]
pub struct UpstreamFacts {
    /// The address dialled.
    pub address: SocketAddr,
    /// `TLSv1.2`, `TLSv1.3`; none on clear text.
    pub tls_version: Option<&'static str>,
    /// What was negotiated.
    pub protocol: Protocol,
    /// SHA-256 over the DER of the certificates as sent, one after the other.
    pub chain_digest: Option<Digest>,
}

/// One device connection to one target.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The device that proved itself.
    pub device: DeviceId,
    /// Whose it is.
    pub advisor: AdvisorId,
    /// Where it came from.
    pub device_address: SocketAddr,
    /// The target of CONNECT (or of the absolute-form request).
    pub authority: Authority,
    /// What the device leg speaks.
    pub protocol: Protocol,
    /// What the upstream handshake showed.
    pub upstream: Option<UpstreamFacts>,
}
