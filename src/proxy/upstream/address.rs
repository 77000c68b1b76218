//! Which addresses a device may be led to.
//!
//! The proxy stands inside the firm, so a device that could name any address could reach through it what it cannot reach itself
//! (server-side request forgery). Invariant: the address that is checked is the address that is dialled; a name is never
//! resolved a second time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::settings::Cidr;

/// Whether an address belongs to the public internet: everything that is private, local, shared, reserved or a group is not.
/// Cloud metadata services live in link-local and unique-local ranges and are covered by them.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64; // RFC 6598
    let this_network = a == 0;
    let protocols = a == 192 && b == 0 && c == 0; // RFC 6890
    let relay_anycast = a == 192 && b == 88 && c == 99; // RFC 7526
    let benchmarking = a == 198 && b & 0xfe == 18; // RFC 2544
    let reserved = a >= 240; // RFC 1112, and broadcast
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || shared
        || this_network
        || protocols
        || relay_anycast
        || benchmarking
        || reserved)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, ..] = address.segments();
    // Only 2000::/3 is global unicast. Tunnels that carry an IPv4 address are judged by it; what names a private or a
    // documentation network inside it is not public.
    let global = a & 0xe000 == 0x2000;
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    let protocols = a == 0x2001 && b < 0x200; // RFC 2928: Teredo, ORCHID, benchmarking
    let six_to_four = a == 0x2002;
    if six_to_four {
        let [high_a, high_b] = b.to_be_bytes();
        let [low_a, low_b] = c.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(high_a, high_b, low_a, low_b));
    }
    if address.octets().starts_with(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) {
        // NAT64 (RFC 6052)
        let [.., w, x, y, z] = address.octets();
        return is_public_v4(Ipv4Addr::new(w, x, y, z));
    }
    global && !documentation && !protocols
}

/// The service's own listeners, which nobody may reach through it: a device's credential must not open the audit API.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnAddresses(Vec<SocketAddr>);

impl OwnAddresses {
    pub(crate) fn new(listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(listeners.into_iter().collect())
    }

    /// Whether dialling `address` would reach one of them.
    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        let target = address.ip().to_canonical();
        self.0.iter().filter(|own| own.port() == address.port()).any(|own| {
            let listens_on = own.ip().to_canonical();
            // A listener on every address is reached by any address of this machine, loopback ones first.
            listens_on == target
                || target.is_unspecified()
                || (listens_on.is_unspecified() && (target.is_loopback() || is_of_this_machine(target)))
        })
    }
}

/// Asks the routing table (no packet is sent): this machine reaches its own addresses from the same address.
fn is_of_this_machine(target: IpAddr) -> bool {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((target, 9))?;
        socket.local_addr()
    };
    probe().is_ok_and(|local| local.ip().to_canonical() == target)
}

/// What settings allow beyond the public internet.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    pub(crate) networks: Vec<Cidr>,
    pub(crate) own: OwnAddresses,
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// One of our own listeners.
    Own,
    /// Not public, and not allowed in settings.
    NotPublic,
}

impl Allowed {
    /// Judges an address. `named` says that settings give it for this host (`upstream.resolve`).
    pub(crate) fn judge(&self, address: SocketAddr, named: bool) -> Result<(), Forbidden> {
        if self.own.contains(address) {
            return Err(Forbidden::Own);
        }
        if named || is_public(address.ip()) || self.networks.iter().any(|network| network.contains(address.ip())) {
            return Ok(());
        }
        Err(Forbidden::NotPublic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        let not_public = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff:1::1",
            "2001::1",
            "2001:10::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
        ];
        for text in not_public {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_own_listeners_are_never_reached_even_where_loopback_is_allowed() {
        let own = OwnAddresses::new(["127.0.0.1:8471".parse().unwrap(), "0.0.0.0:8470".parse().unwrap()]);
        let allowed = Allowed { networks: vec!["127.0.0.0/8".parse().unwrap(), "::/0".parse().unwrap()], own };
        for text in [
            "127.0.0.1:8471",
            "[::ffff:127.0.0.1]:8471",
            "0.0.0.0:8471",
            "127.0.0.1:8470",
            "127.9.9.9:8470",
            "[::1]:8470",
        ] {
            assert_eq!(allowed.judge(text.parse().unwrap(), true), Err(Forbidden::Own), "{text}");
        }
        assert_eq!(allowed.judge("127.0.0.1:443".parse().unwrap(), false), Ok(()));
        assert_eq!(allowed.judge("10.0.0.1:443".parse().unwrap(), false), Err(Forbidden::NotPublic));
        assert_eq!(allowed.judge("10.0.0.1:443".parse().unwrap(), true), Ok(()));
    }
}
