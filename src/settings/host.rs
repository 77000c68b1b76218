//! Names of hosts, and the parent proxy.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text was not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host name; write it bare, such as social.example, without scheme, port, path or wildcard")]
pub struct HostError(String);

/// A DNS name or an address, lower case, without a trailing dot; an IPv6 address has no brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong = || HostError(text.chars().take(80).collect());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label_is_sound = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // All digits and dots, yet no address: a mistyped address, not a name.
        let is_mistyped_address = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if name.is_empty() || name.len() > 253 || is_mistyped_address || !name.split('.').all(label_is_sound) {
            return Err(wrong());
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text was not the address of a parent proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParentProxyError {
    /// Not `http://host:port`.
    #[error("`{0}` is not a parent proxy; write http://proxy.example:3128")]
    Form(String),
    /// It carries a user name or a password.
    #[error("a parent proxy's login does not belong in the file; set MUNIMENT_PARENT_PROXY_LOGIN=user:password")]
    Login,
}

/// An HTTP proxy through which muniment reaches every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentProxy {
    /// Where it is.
    pub host: HostName,
    /// Its port.
    pub port: u16,
}

impl FromStr for ParentProxy {
    type Err = ParentProxyError;

    fn from_str(text: &str) -> Result<Self, ParentProxyError> {
        let wrong = || ParentProxyError::Form(text.chars().take(80).collect());
        // Checked first, so that a password never stands in an error message.
        if text.contains('@') {
            return Err(ParentProxyError::Login);
        }
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Ok(Self { host: host.parse().map_err(|_source| wrong())?, port: port.parse().map_err(|_source| wrong())? })
    }
}

impl fmt::Display for ParentProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.as_str().contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(HostName);
as_text!(ParentProxy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lower_case_and_bare() {
        assert_eq!("Social.Example.".parse::<HostName>().unwrap().as_str(), "social.example");
        assert_eq!("::1".parse::<HostName>().unwrap().as_str(), "::1");
        for text in
            ["", ".", "https://social.example", "social.example:443", "*.example", "a..b", "-a.b", "127.0.0.256", "a b"]
        {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_parent_proxy_never_shows_its_login() {
        let shown = "http://user:secret@proxy.example:3128".parse::<ParentProxy>().unwrap_err().to_string();
        assert!(!shown.contains("secret") && shown.contains("MUNIMENT_PARENT_PROXY_LOGIN"), "{shown}");
        assert_eq!("http://[::1]:3128/".parse::<ParentProxy>().unwrap().to_string(), "http://[::1]:3128");
    }
}
