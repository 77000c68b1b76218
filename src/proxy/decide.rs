//! What becomes of a connection: intercept, pass through, refuse; always with a reason.

use std::collections::HashSet;

use crate::exchange::Authority;
use crate::recognize::HostPattern;
use crate::record::words;

use super::refuse::Refuse;

words! {
    /// Why a connection is tunnelled unread.
    PassThrough {
        /// No network rule claims the host, and settings do not list it.
        NotListed = "not_listed",
        /// Settings say that the host is never decrypted (`intercept.never`).
        NeverDecrypted = "never_decrypted",
    }
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Decrypt and record.
    Intercept,
    /// Tunnel unread.
    PassThrough(PassThrough),
    /// Do not connect.
    Refuse(Refuse),
}

/// The hosts that are decrypted, and those that never are.
#[derive(Debug, Clone, Default)]
pub struct InterceptedHosts {
    exact: HashSet<String>,
    below: HashSet<String>,
    never: HashSet<String>,
}

impl InterceptedHosts {
    /// From what rules claim and settings list, and what settings exempt.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = &'a HostPattern>,
        never: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut hosts = Self { never: never.into_iter().map(str::to_ascii_lowercase).collect(), ..Self::default() };
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => hosts.exact.insert(name.clone()),
                HostPattern::Below(name) => hosts.below.insert(name.clone()),
            };
        }
        hosts
    }

    /// What becomes of a connection to this host.
    #[must_use]
    pub fn decide(&self, host: &str) -> Decision {
        if self.never.contains(host) {
            return Decision::PassThrough(PassThrough::NeverDecrypted);
        }
        if self.claims(host) { Decision::Intercept } else { Decision::PassThrough(PassThrough::NotListed) }
    }

    fn claims(&self, host: &str) -> bool {
        let mut parents = std::iter::successors(host.split_once('.'), |(_label, rest)| rest.split_once('.'));
        self.exact.contains(host) || parents.any(|(_label, parent)| self.below.contains(parent))
    }

    /// Whether bytes hold the name of a host that is decrypted.
    pub(crate) fn are_named_in(&self, bytes: &[u8]) -> bool {
        let bytes = bytes.to_ascii_lowercase();
        let mut names = self.exact.iter().chain(&self.below).filter(|name| !self.never.contains(*name));
        names.any(|name| memchr::memmem::find(&bytes, name.as_bytes()).is_some())
    }

    /// Every name the firm CA may speak for, sorted; a wildcard stands as the name above it, which X.509 constraints include.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.exact.iter().chain(&self.below).filter(|name| !self.never.contains(*name)).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Reads the target of CONNECT: a host and a port, nothing else.
pub(crate) fn connect_target(target: &[u8]) -> Result<Authority, Refuse> {
    let text = std::str::from_utf8(target).map_err(|_source| Refuse::BadTarget)?;
    // RFC 9110 §9.3.6: there is no default port.
    let has_port = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && !port.is_empty());
    let authority = Authority::parse(text, 0).map_err(|_source| Refuse::BadTarget)?;
    if !has_port || authority.port() == 0 { Err(Refuse::BadTarget) } else { Ok(authority) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> InterceptedHosts {
        let patterns: Vec<HostPattern> =
            ["bsky.social", "*.host.bsky.network", "192.0.2.7"].map(|text| text.parse().unwrap()).to_vec();
        InterceptedHosts::new(&patterns, ["private.host.bsky.network"])
    }

    #[test]
    fn p3_only_listed_hosts_are_intercepted() {
        let hosts = hosts();
        for host in ["bsky.social", "a.host.bsky.network", "a.b.host.bsky.network", "192.0.2.7"] {
            assert_eq!(hosts.decide(host), Decision::Intercept, "{host}");
        }
        for host in ["social", "evil-bsky.social", "x.bsky.social", "host.bsky.network", "bsky.network", "192.0.2.8"] {
            assert_eq!(hosts.decide(host), Decision::PassThrough(PassThrough::NotListed), "{host}");
        }
        let never = Decision::PassThrough(PassThrough::NeverDecrypted);
        assert_eq!(hosts.decide("private.host.bsky.network"), never);
    }

    #[test]
    fn a_connect_target_is_host_and_port() {
        assert_eq!(connect_target(b"Social.Example:443").unwrap().to_string(), "social.example:443");
        assert_eq!(connect_target(b"[::1]:443").unwrap().to_string(), "[::1]:443");
        for bad in [
            "",
            "social.example",
            "social.example:",
            ":443",
            "social.example:0",
            "http://a:1",
            "a b:1",
            "a:1/x",
            "a@b:1",
            "::1:443",
        ] {
            assert_eq!(connect_target(bad.as_bytes()), Err(Refuse::BadTarget), "{bad}");
        }
    }
}
