//! The rule set: every network's rules, indexed by host and path; planning from a request head.
//!
//! Invariant: a set is whole or not there. Loading checks every file and every program first and reports all faults at
//! once, so a bad file leaves the running set alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Method;

use super::error::RuleErrors;
use super::host::{HostPattern, ListedHosts};
use super::index::PathTree;
use super::load;
use super::path::is_doubtful;
use super::plan::{Channel, Hold, Keep, Outbound, Plan, Release};
use super::rule::{ProgramText, Rule};
use super::source::Source;
use crate::exchange::{RequestHead, looks_like_login};
use crate::record::Digest;

/// One network's rules.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: Arc<str>,
    pub(crate) title: String,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) any_host: bool,
    pub(crate) account_cookies: Vec<String>,
    pub(crate) library: Option<ProgramText>,
    /// By [`super::program::ProgramNumber`].
    pub(crate) programs: Vec<ProgramText>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tree: PathTree,
    pub(crate) digest: Digest,
}

impl Network {
    /// The first rule that the head allows.
    pub(crate) fn first_rule(&self, head: &RequestHead) -> Option<&Rule> {
        self.tree.find(head.path(), &mut |number| self.rules.get(number as usize).filter(|rule| rule.head_allows(head)))
    }
}

/// Every network's rules.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) networks: Vec<Network>,
    exact: HashMap<String, Vec<usize>>,
    below: HashMap<String, Vec<usize>>,
    any: Vec<usize>,
    digest: Digest,
}

impl RuleSet {
    /// Reads, checks and indexes rule files, all or nothing.
    ///
    /// # Errors
    /// Every fault of every file, with its line and what would be right.
    pub fn load(sources: &[Source]) -> Result<Self, RuleErrors> {
        let networks = load::networks(sources)?;
        let mut set = Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            any: Vec::new(),
            digest: whole_digest(&networks),
            networks,
        };
        for (number, network) in set.networks.iter().enumerate() {
            for host in &network.hosts {
                let (map, name) = match host {
                    HostPattern::Exact(name) => (&mut set.exact, name),
                    HostPattern::Below(name) => (&mut set.below, name),
                };
                map.entry(name.clone()).or_default().push(number);
            }
            if network.any_host {
                set.any.push(number);
            }
        }
        Ok(set)
    }

    /// The rule files that are built in.
    ///
    /// # Errors
    /// None while the tests of this crate pass: they load the same files.
    pub fn embedded() -> Result<Self, RuleErrors> {
        Self::load(&Source::embedded())
    }

    /// SHA-256 over the networks' names and digests: the set's provenance.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Each network's name, title and digest.
    pub fn networks(&self) -> impl Iterator<Item = (&str, &str, Digest)> {
        self.networks.iter().map(|network| (&*network.name, network.title.as_str(), network.digest))
    }

    /// The hosts that rules claim by name: what is intercepted besides listed hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &HostPattern> {
        self.networks.iter().flat_map(|network| &network.hosts)
    }

    /// Whether a host is to be intercepted: claimed by a rule file, or listed.
    #[must_use]
    pub fn claims(&self, host: &str, listed: &ListedHosts) -> bool {
        self.exact.contains_key(host)
            || suffixes(host).any(|parent| self.below.contains_key(parent))
            || listed.contains(host)
    }

    /// What to do with a request on an intercepted host, from its head alone.
    ///
    /// A rule is believed as far as it can be: where the origin may find another path in the target, what may be a write is held whole,
    /// and a WebSocket is only ever what a rule about messages says of it. To ask for one takes nothing out of sight: a write is held all the same,
    /// and a read is one where the origin answers it.
    #[must_use]
    pub fn plan(&self, head: &RequestHead, listed: &ListedHosts) -> Plan {
        let found = self.first_rule(head, listed);
        let plan = found.map_or_else(|| catch_all(head), |(network, rule)| rule.plan(&network.name));
        // Looked at only where it matters: most of what passes by is safe by its method.
        let doubtful = || is_doubtful(head.path());
        if head.asks_for_websocket() {
            let held = |read| Channel { network: None, outbound: Outbound::Hold, inbound: false, read };
            return match plan {
                Plan::Messages(_) if !doubtful() => plan,
                Plan::Hold(_) => plan,
                Plan::Tee(tee) => Plan::Messages(held(Some(tee))),
                Plan::Messages(_) | Plan::Forward | Plan::Credential => Plan::Messages(held(None)),
            };
        }
        if !is_safe(&head.method) && doubtful() {
            let network = found.map(|(network, _rule)| Arc::clone(&network.name));
            return Plan::Hold(Hold { network, release: Release::Whole, keep: Keep::Whole });
        }
        plan
    }

    /// Whether a request may be something else than it looks like as it is `kept`, without its credentials: its path is open to two
    /// readings, or taking the credentials out led to other rules than those for what was `sent`.
    #[must_use]
    pub fn is_doubtful(&self, sent: &RequestHead, kept: &RequestHead, listed: &ListedHosts) -> bool {
        is_doubtful(sent.path()) || self.rules_for(sent, listed) != self.rules_for(kept, listed)
    }

    /// Every rule that the head allows, the first to speak first.
    fn rules_for(&self, head: &RequestHead, listed: &ListedHosts) -> Vec<&str> {
        let host = head.authority.host();
        let mut ids = Vec::new();
        for network in self.networks_of(host, listed.contains(host)) {
            network.tree.find(head.path(), &mut |number| {
                let rule = network.rules.get(number as usize).filter(|rule| rule.head_allows(head));
                ids.extend(rule.map(|rule| &*rule.id));
                None::<()>
            });
        }
        ids
    }

    /// Names of cookies that hold account ids and no secret, for the networks of this host.
    pub fn account_cookies<'s, 'h>(
        &'s self,
        host: &'h str,
        listed: &ListedHosts,
    ) -> impl Iterator<Item = &'s str> + use<'s, 'h> {
        self.networks_of(host, listed.contains(host))
            .flat_map(|network| network.account_cookies.iter().map(String::as_str))
    }

    pub(crate) fn first_rule(&self, head: &RequestHead, listed: &ListedHosts) -> Option<(&Network, &Rule)> {
        let host = head.authority.host();
        self.networks_of(host, listed.contains(host)).find_map(|network| Some(network).zip(network.first_rule(head)))
    }

    /// The networks that speak for a host: by name first, then those for any listed host.
    pub(crate) fn networks_of<'s, 'h>(
        &'s self,
        host: &'h str,
        listed: bool,
    ) -> impl Iterator<Item = &'s Network> + use<'s, 'h> {
        let exact = self.exact.get(host).into_iter().flatten();
        let below = suffixes(host).filter_map(|parent| self.below.get(parent)).flatten();
        let any = self.any.iter().filter(move |_network| listed);
        exact.chain(below).chain(any).filter_map(|number| self.networks.get(*number))
    }
}

/// Every parent name: `b.c` and `c` of `a.b.c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(host.split_once('.').map(|(_label, parent)| parent), |name| {
        name.split_once('.').map(|(_label, parent)| parent)
    })
}

fn whole_digest(networks: &[Network]) -> Digest {
    let by_name: BTreeMap<&str, Digest> = networks.iter().map(|network| (&*network.name, network.digest)).collect();
    let lines: String = by_name.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
    Digest::of(&[lines.as_bytes()])
}

/// No rule speaks about this request: whatever has the shape of a write is kept raw.
fn catch_all(head: &RequestHead) -> Plan {
    if is_safe(&head.method) {
        return Plan::Forward;
    }
    let keep = if looks_like_login(head.path()) { Keep::Head } else { Keep::Whole };
    Plan::Hold(Hold { network: None, release: Release::Whole, keep })
}

/// RFC 9110 §9.2.1. An unknown method is not known to be safe, and CONNECT is not.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

#[cfg(test)]
mod tests;
