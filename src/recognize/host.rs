//! Host patterns: what a network claims, and what settings list.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The text was no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host pattern: write a name such as social.example, or *.social.example for every name below it"
)]
pub struct HostPatternError(String);

/// A host name, or every name below one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this host (or address), lower case.
    Exact(String),
    /// Every name that ends in `.` and this; not the name itself.
    Below(String),
}

impl HostPattern {
    /// Whether it covers the host, which is lower case and has no trailing dot.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(parent) => host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')),
        }
    }

    /// The name, without the wildcard: what a name constraint is made of.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Below(name) => name,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let bad = || HostPatternError(text.chars().take(80).collect());
        let lower = text.to_ascii_lowercase();
        if let Ok(address) = lower.parse::<IpAddr>() {
            // As an authority writes it.
            return Ok(Self::Exact(address.to_canonical().to_string()));
        }
        let (name, below) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |name| (name, true));
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        // A bare top-level name below a wildcard would claim half the world.
        if name.len() > 253 || !name.split('.').all(label) || (below && !name.contains('.')) {
            return Err(bad());
        }
        Ok(if below { Self::Below(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// Hosts that settings list (`intercept.extra_hosts`): rules for any host apply to them.
#[derive(Debug, Clone, Default)]
pub struct ListedHosts {
    exact: HashSet<String>,
    below: Vec<HostPattern>,
}

impl ListedHosts {
    /// Whether the host is listed.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        self.exact.contains(host) || self.below.iter().any(|pattern| pattern.matches(host))
    }

    /// The patterns, in no particular order.
    pub fn patterns(&self) -> impl Iterator<Item = HostPattern> + '_ {
        self.exact.iter().cloned().map(HostPattern::Exact).chain(self.below.iter().cloned())
    }
}

impl FromIterator<HostPattern> for ListedHosts {
    fn from_iter<I: IntoIterator<Item = HostPattern>>(patterns: I) -> Self {
        let mut listed = Self::default();
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => {
                    listed.exact.insert(name);
                }
                below @ HostPattern::Below(_) => listed.below.push(below),
            }
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_names_below_and_not_the_name_itself_or_its_lookalikes() {
        let pattern: HostPattern = "*.bsky.network".parse().unwrap();
        assert!(pattern.matches("enoki.us-east.host.bsky.network"));
        assert!(!pattern.matches("bsky.network"));
        assert!(!pattern.matches("evilbsky.network"));
    }

    #[test]
    fn what_is_no_host_pattern_is_refused_with_an_example() {
        for text in
            ["", "*", "*.com", "https://social.example", "social..example", "a b", "*.*.example", "social.example:443"]
        {
            let error = text.parse::<HostPattern>().unwrap_err().to_string();
            assert!(error.contains("social.example"), "{text}: {error}");
        }
    }
}
