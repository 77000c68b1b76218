//! Facts about the connection an exchange came over.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::record::{AdvisorId, DeviceId, Digest};

/// The text was not `host`, `host:port`, `[v6]` or `[v6]:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an authority is host:port, such as social.example:443")]
pub struct AuthorityError;

/// Host and port of a target, written in one way: lower case, without a trailing dot; an address in its shortest form, an IPv4 one as four
/// numbers whatever a resolver would take for it, an IPv6 one without brackets. What is compared is what is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// Builds one from parts.
    ///
    /// # Errors
    /// When the host is longer than 253 bytes, a label is empty, it holds a byte that no host name or address has, or it ends in a number
    /// and is no address.
    pub fn new(host: &str, port: u16) -> Result<Self, AuthorityError> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.len() > 253 {
            return Err(AuthorityError);
        }
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_name) if ends_in_number(host) => loose_v4(host).ok_or(AuthorityError)?.to_string(),
            Err(_name) if host.split('.').all(is_label) => host.to_ascii_lowercase(),
            Err(_name) => return Err(AuthorityError),
        };
        Ok(Self { host, port })
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

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// No top-level domain is a number: a resolver takes such a host for an address.
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !last.is_empty()
        && (last.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())))
}

/// An IPv4 address as `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal, the last for all bytes that are left.
fn loose_v4(host: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (part, 8),
            None => (part, 10),
        };
        let plain = digits.len() <= 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(digits, radix).ok().filter(|_number| plain)
    };
    let mut parts = host.split('.').map(number).collect::<Option<Vec<u64>>>()?;
    let last = parts.pop()?;
    let room = 32_u64.checked_sub(8 * parts.len() as u64).filter(|bits| *bits >= 8)?;
    if last >> room != 0 || parts.iter().any(|part| *part > 255) {
        return None;
    }
    let first = parts.iter().zip([24, 16, 8]).fold(0, |sum, (part, shift)| sum | part << shift);
    u32::try_from(first | last).ok().map(Ipv4Addr::from)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_in_one_way_whatever_a_resolver_would_read() {
        for (text, host) in [
            ("Social.Example:443", "social.example"),
            ("social.example.:443", "social.example"),
            ("a_b.example:443", "a_b.example"),
            ("[0:0::1]:443", "::1"),
            ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
            ("192.0.2.7.:443", "192.0.2.7"),
            ("3221225991:443", "192.0.2.7"),
            ("0xC0000207:443", "192.0.2.7"),
            ("0300.0.02.07:443", "192.0.2.7"),
            ("192.519:443", "192.0.2.7"),
            ("192.0.0x207:443", "192.0.2.7"),
            ("127.1:443", "127.0.0.1"),
            ("0:443", "0.0.0.0"),
        ] {
            assert_eq!(Authority::parse(text, 443).map(|authority| authority.host), Ok(host.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_empty_label_and_a_number_that_is_no_address_are_no_host() {
        for text in [
            "",
            ".",
            "..",
            "a..",
            "a..b",
            ".a",
            "social.example..",
            "256.1.1.1",
            "1.2.3.4.5",
            "4294967296",
            "08.1.1.1",
            "a.1",
            "a.0x1f",
            "0x",
            "1.0x",
            "+1",
            "1.+1",
            "192.0.2.7..",
        ] {
            assert_eq!(Authority::new(text, 443), Err(AuthorityError), "{text}");
        }
    }
}
