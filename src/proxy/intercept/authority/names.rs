//! What the issuing CA may speak for, and the X.509 name constraints that say so.
//!
//! RFC 5280 §4.2.1.10: a permitted dNSName `x.test` covers `x.test` and every name below it, and there is no form that covers one
//! name only (a leading dot, which some verifiers understand, makes others refuse the certificate). So a host `x.test` is
//! `x.test`, and so is the pattern `*.x.test`; a name below a permitted one adds nothing and is left out. What is *intercepted*
//! is decided by the exact host list, not here.
//!
//! Invariant: everything else is closed. No dNSName permitted would mean every dNSName permitted, so a list without names permits
//! `nothing.invalid` (RFC 6761: never a host). All IP addresses are excluded, a family at a time, unless one of that family is
//! listed: then exactly the listed addresses are permitted. A top-level name would cover half the world and is unfit, except
//! `localhost`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustls::pki_types::DnsName;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

use super::der::{constructed, context, element, sequence};

/// Stands for no name at all.
const NO_NAME: &str = "nothing.invalid";
const DNS_NAME: u8 = 2;
const IP_ADDRESS: u8 = 7;

/// The hosts a CA may speak for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PermittedNames {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    unfit: Vec<String>,
}

impl PermittedNames {
    /// From hosts: names, addresses, and for a pattern `*.x.test` its `x.test`.
    pub(super) fn new<T: AsRef<str>>(hosts: impl IntoIterator<Item = T>) -> Self {
        let mut permitted = Self::default();
        let mut names = BTreeSet::new();
        for host in hosts {
            let host = host.as_ref().trim_end_matches('.').to_ascii_lowercase();
            if let Ok(address) = host.parse() {
                permitted.addresses.insert(address);
            } else if is_fit(&host) {
                names.insert(host);
            } else {
                permitted.unfit.push(host);
            }
        }
        permitted.names =
            names.iter().filter(|name| !above(name).any(|parent| names.contains(parent))).cloned().collect();
        permitted
    }

    /// Whether a CA so constrained may speak for the host (lower case, no trailing dot).
    pub(super) fn cover(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self.names.contains(host) || above(host).any(|parent| self.names.contains(parent)),
        }
    }

    /// Listed hosts that cannot stand in a certificate, and so cannot be intercepted.
    pub(super) fn unfit(&self) -> &[String] {
        &self.unfit
    }

    /// Names and addresses, in text.
    pub(super) fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string))
    }

    /// Those of the others that these do not cover.
    pub(super) fn missing(&self, others: &Self) -> Vec<String> {
        others.iter().filter(|host| !self.cover(host)).collect()
    }

    /// Whether both permit the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.names == other.names && self.addresses == other.addresses
    }

    /// The content of the extension `nameConstraints`.
    pub(super) fn to_der(&self) -> Vec<u8> {
        let subtree = |tag: u8, base: &[u8]| sequence(&[&element(context(tag), &[base])]);
        let mut permitted: Vec<u8> = self.names.iter().flat_map(|name| subtree(DNS_NAME, name.as_bytes())).collect();
        if self.names.is_empty() {
            permitted = subtree(DNS_NAME, NO_NAME.as_bytes());
        }
        for address in &self.addresses {
            permitted.extend(match address {
                IpAddr::V4(v4) => subtree(IP_ADDRESS, &[v4.octets(), [0xff; 4]].concat()),
                IpAddr::V6(v6) => subtree(IP_ADDRESS, &[v6.octets(), [0xff; 16]].concat()),
            });
        }
        let mut excluded = Vec::new();
        if !self.addresses.iter().any(IpAddr::is_ipv4) {
            excluded.extend(subtree(IP_ADDRESS, &[0; 8]));
        }
        if !self.addresses.iter().any(IpAddr::is_ipv6) {
            excluded.extend(subtree(IP_ADDRESS, &[0; 32]));
        }
        let permitted = element(constructed(0), &[&permitted]);
        let excluded = if excluded.is_empty() { excluded } else { element(constructed(1), &[&excluded]) };
        sequence(&[&permitted, &excluded])
    }

    /// Reads the extension back; nothing when it leaves more open than ours do, or says what we would not.
    pub(super) fn read(constraints: &NameConstraints<'_>) -> Option<Self> {
        let mut read = Self::default();
        for subtree in constraints.permitted_subtrees.iter().flatten() {
            match base(subtree)? {
                Base::Name(name) if name == NO_NAME => {}
                Base::Name(name) if is_fit(&name) => {
                    read.names.insert(name);
                }
                Base::Addresses { address, whole: false } => {
                    read.addresses.insert(address);
                }
                Base::Other => {}
                Base::Name(_) | Base::Addresses { whole: true, .. } => return None,
            }
        }
        let (mut v4, mut v6) = (false, false);
        for subtree in constraints.excluded_subtrees.iter().flatten() {
            match base(subtree)? {
                Base::Addresses { address, whole: true } => {
                    v4 |= address.is_ipv4();
                    v6 |= address.is_ipv6();
                }
                Base::Other => {}
                // A further exclusion could take back what is permitted.
                Base::Name(_) | Base::Addresses { whole: false, .. } => return None,
            }
        }
        let names = constraints.permitted_subtrees.iter().flatten().any(|s| matches!(s.base, GeneralName::DNSName(_)));
        let open = |excluded: bool, is_family: fn(&IpAddr) -> bool| excluded == read.addresses.iter().any(is_family);
        let closed = names && !open(v4, IpAddr::is_ipv4) && !open(v6, IpAddr::is_ipv6);
        closed.then_some(read)
    }
}

enum Base {
    Name(String),
    Addresses {
        address: IpAddr,
        whole: bool,
    },
    /// Mail, directory names and the like: no matter for TLS servers.
    Other,
}

/// One address, or the whole of its family; nothing for what our constraints never say.
fn base(subtree: &GeneralSubtree<'_>) -> Option<Base> {
    match &subtree.base {
        GeneralName::DNSName(name) => Some(Base::Name(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let (address, mask) = bytes.split_at_checked(bytes.len() / 2)?;
            let address: IpAddr = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
                (Ok(v4), _) => v4.into(),
                (_, Ok(v6)) => v6.into(),
                _ => return None,
            };
            let whole = mask.iter().all(|byte| *byte == 0);
            (whole || mask.iter().all(|byte| *byte == 0xff)).then_some(Base::Addresses { address, whole })
        }
        _ => Some(Base::Other),
    }
}

/// Every name above, nearest first.
fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.'), |(_label, rest)| rest.split_once('.')).map(|(_label, rest)| rest)
}

/// Whether it can stand in a certificate. One malformed constraint would make verifiers refuse the whole chain.
fn is_fit(name: &str) -> bool {
    DnsName::try_from(name).is_ok() && (name.contains('.') || name == "localhost")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::prelude::FromDer as _;

    use super::*;

    fn round(names: &PermittedNames) -> Option<PermittedNames> {
        let der = names.to_der();
        let (rest, parsed) = NameConstraints::from_der(&der).unwrap();
        assert!(rest.is_empty());
        PermittedNames::read(&parsed)
    }

    #[test]
    fn a_name_covers_itself_and_what_is_below_and_nothing_else() {
        let names = PermittedNames::new(["Social.Example.", "host.bsky.network", "a.host.bsky.network", "192.0.2.7"]);
        for host in ["social.example", "m.social.example", "a.host.bsky.network", "192.0.2.7"] {
            assert!(names.cover(host), "{host}");
        }
        for host in ["example", "evil-social.example", "bsky.network", "192.0.2.8", "::1", "nothing.invalid", ""] {
            assert!(!names.cover(host), "{host}");
        }
        assert_eq!(names.iter().collect::<Vec<_>>(), ["host.bsky.network", "social.example", "192.0.2.7"]);
    }

    #[test]
    fn what_cannot_stand_in_a_certificate_is_named_and_left_out() {
        let unfit = ["com", "*.social.example", "-a.example", "münchen.example", "a..example", "1.2.3", "host:443", ""];
        let names = PermittedNames::new(unfit.iter().chain(&["localhost", "xn--mnchen-3ya.example", "a_b.example"]));
        assert_eq!(names.unfit(), unfit);
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a_b.example", "localhost", "xn--mnchen-3ya.example"]);
    }

    #[test]
    fn constraints_read_back_as_written() {
        for hosts in
            [&[][..], &["a.test", "b.test"], &["192.0.2.7"], &["a.test", "::1"], &["::1", "10.0.0.1", "10.0.0.2"]]
        {
            let names = PermittedNames::new(hosts);
            assert_eq!(round(&names).as_ref(), Some(&names), "{hosts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_permitted_reads_back_and_covers_each_listed_host_and_what_is_below(
            hosts in proptest::collection::vec("([a-c]{1,2}\\.){1,3}(test|org)|127\\.0\\.0\\.[1-9]|fd00::[1-9]", 0..12),
            other in "([a-c]{1,2}\\.){0,4}(test|org)",
        ) {
            let names = PermittedNames::new(&hosts);
            prop_assert!(names.unfit().is_empty() && hosts.iter().all(|host| names.cover(host)));
            prop_assert_eq!(round(&names), Some(names.clone()));
            let below = hosts.iter().any(|host| other == *host || other.ends_with(&format!(".{host}")));
            prop_assert_eq!(names.cover(&other), below);
        }

        #[test]
        fn no_list_of_hosts_makes_malformed_constraints(hosts in proptest::collection::vec(".{0,300}", 0..6)) {
            let names = PermittedNames::new(&hosts);
            prop_assert_eq!(round(&names).map(|read| read.iter().collect::<Vec<_>>()), Some(names.iter().collect()));
        }
    }

    #[test]
    fn constraints_that_leave_addresses_or_names_open_are_not_taken() {
        let name = sequence(&[&element(context(DNS_NAME), &[b"a.test"])]);
        let v4 = sequence(&[&element(context(IP_ADDRESS), &[&[0; 8]])]);
        let v6 = sequence(&[&element(context(IP_ADDRESS), &[&[0; 32]])]);
        let top = sequence(&[&element(context(DNS_NAME), &[b"com"])]);
        let of = |permitted: &[&[u8]], excluded: &[&[u8]]| {
            let der = sequence(&[&element(constructed(0), permitted), &element(constructed(1), excluded)]);
            let (_rest, parsed) = NameConstraints::from_der(&der).unwrap();
            PermittedNames::read(&parsed)
        };
        assert!(of(&[&name], &[&v4, &v6]).is_some());
        assert!(of(&[&name], &[&v4]).is_none(), "every IPv6 address would be open");
        assert!(of(&[&name], &[&v6]).is_none(), "every IPv4 address would be open");
        assert!(of(&[&top], &[&v4, &v6]).is_none());
        assert!(of(&[&v4], &[&v6]).is_none());
        let der = sequence(&[&element(constructed(1), &[&v4, &v6])]);
        let (_rest, parsed) = NameConstraints::from_der(&der).unwrap();
        assert!(PermittedNames::read(&parsed).is_none(), "every name would be open");
    }
}
