//! Where a webhook leads: an HTTPS address; plain HTTP to this machine only, and only where settings allow it.

use http::Uri;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Webhooks;
use crate::exchange::Authority;
use crate::settings::Cidr;

/// Longest address.
const LONGEST: usize = 2_000;

/// Where to, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Target {
    pub(super) authority: Authority,
    pub(super) tls: bool,
    /// As the request line has it.
    pub(super) path: String,
    /// As the header `Host` has it.
    pub(super) host: String,
}

impl Target {
    /// Reads an address; the error says what would be right. A name is judged by its addresses whenever it is dialled.
    fn read(text: &str, allowed: &[Cidr]) -> Result<Self, String> {
        let form = || "write an address such as https://hooks.firm.example/muniment".to_owned();
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{}, in at most {LONGEST} ascii characters", form()));
        }
        if text.contains('#') {
            return Err("a fragment (#…) is never sent: leave it out".to_owned());
        }
        let uri: Uri = text.parse().map_err(|_source| form())?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(form)?;
        if authority.as_str().contains('@') {
            return Err(
                "a name or password in the address would stand in lists and in the ledger: leave it out".to_owned()
            );
        }
        let (tls, port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(form()),
        };
        let parsed = Authority::parse(authority.as_str(), port).map_err(|_source| form())?;
        if !tls && !is_loopback(&parsed, allowed) {
            let loopback = "plain http is for loopback addresses that webhooks.allow_networks names";
            return Err(format!("{loopback}; {}", form()));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { authority: parsed, tls, path, host: authority.as_str().to_owned() })
    }
}

/// Whether it is this machine, by its address or the name every machine has for itself.
fn is_loopback(authority: &Authority, allowed: &[Cidr]) -> bool {
    let named = (authority.host() == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = authority.ip().or(named).filter(IpAddr::is_loopback);
    address.is_some_and(|address| allowed.iter().any(|network| network.contains(address)))
}

impl Webhooks {
    /// Where a webhook may lead; the error says what would be right.
    pub(in crate::api) fn target(&self, text: &str) -> Result<Target, String> {
        let target = Target::read(text, &self.settings.allow_networks)?;
        if let Some(ip) = target.authority.ip() {
            let judged = self.dialler.judge(SocketAddr::new(ip, target.authority.port()));
            judged.map_err(|why| format!("{}: name networks of your own in webhooks.allow_networks", why.as_str()))?;
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, allowed: &[&str]) -> Result<Target, String> {
        let allowed: Vec<Cidr> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Target::read(text, &allowed)
    }

    #[test]
    fn an_address_is_taken_apart_and_what_is_none_is_refused_with_what_would_be_right() {
        let target = read("https://Hooks.Example:8443/a/b?c=d", &[]).unwrap();
        assert_eq!((target.authority.host(), target.authority.port(), target.tls), ("hooks.example", 8443, true));
        assert_eq!((target.path.as_str(), target.host.as_str()), ("/a/b?c=d", "Hooks.Example:8443"));
        assert_eq!(read("https://hooks.example", &[]).unwrap().path, "/");
        for (bad, hint) in [
            ("", "https://"),
            ("hooks.example", "https://"),
            ("ftp://hooks.example/", "https://"),
            ("https:///path", "https://"),
            ("https://hooks example/", "ascii"),
            ("https://hüks.example/", "ascii"),
            ("https://user:secret@hooks.example/", "password"),
            ("https://hooks.example/#part", "fragment"),
            ("http://hooks.example/", "loopback"),
            ("http://127.0.0.1/", "loopback"),
            ("javascript:alert(1)", "https://"),
        ] {
            let said = read(bad, &[]).unwrap_err();
            assert!(said.contains(hint), "{bad}: {said}");
        }
        assert!(read(&format!("https://a.example/{}", "x".repeat(2_000)), &[]).is_err());
    }

    #[test]
    fn plain_http_is_for_this_machine_and_only_where_it_is_allowed() {
        for good in ["http://127.0.0.1:8080/x", "http://localhost:8080/x"] {
            assert!(!read(good, &["127.0.0.0/8"]).unwrap().tls, "{good}");
        }
        assert!(read("http://[::1]:1/", &["::1"]).is_ok());
        for bad in ["http://10.0.0.1/", "http://localhost.example/", "http://127.0.0.1.example/", "http://[::1]/"] {
            assert!(read(bad, &["10.0.0.0/8", "127.0.0.0/8"]).is_err(), "{bad}");
        }
    }
}
