//! Reaches an origin: name, address check, TCP, parent proxy, TLS; all within one time limit.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::{Allowed, Forbidden, OwnAddresses};
use super::parent;
use super::tls::{Offer, OriginTls, TrustError};
use crate::exchange::{Authority, Protocol, UpstreamFacts};
use crate::proxy::io::{BoxIo, Gathered};
use crate::proxy::refuse::{Refuse, Refused};
use crate::proxy::spare::is_exhausted;
use crate::settings::{ParentProxy, Upstream};

/// A head start for each address before the next one is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// A connection to an origin, with what it showed.
pub(crate) struct Dialled {
    pub(crate) io: BoxIo,
    pub(crate) facts: UpstreamFacts,
}

/// What to speak to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speak {
    /// Plain bytes: a tunnel, or `http://`.
    Plain,
    /// TLS, checked.
    Tls(Offer),
}

/// Reaches origins as settings say.
pub(crate) struct Dialler {
    settings: Upstream,
    login: Option<SecretString>,
    allowed: Allowed,
    tls: OriginTls,
}

impl Dialler {
    pub(crate) fn new(settings: Upstream, own: Vec<SocketAddr>) -> Result<Self, TrustError> {
        let tls = OriginTls::new(&settings.extra_roots)?;
        let allowed = Allowed { networks: settings.allow_networks.clone(), own: OwnAddresses::new(own) };
        Ok(Self { login: settings.proxy_login.clone(), settings, allowed, tls })
    }

    /// Whether devices may name this port.
    pub(crate) fn allows_port(&self, port: u16) -> bool {
        self.settings.ports.contains(&port)
    }

    /// Whether an address would be dialled where it is given as that.
    pub(crate) fn judge(&self, address: SocketAddr) -> Result<(), Refuse> {
        self.allowed.judge(address, false).map_err(|why| match why {
            Forbidden::Own => Refuse::OwnAddress,
            Forbidden::NotPublic => Refuse::ForbiddenAddress,
        })
    }

    /// Connects to the origin. For [`Speak::Tls`] it has proved who it is on return.
    pub(crate) async fn dial(&self, authority: &Authority, speak: Speak) -> Result<Dialled, Refused> {
        match timeout(self.settings.connect_timeout, self.connect(authority, speak)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Refused::new(Refuse::UpstreamTimeout)),
        }
    }

    async fn connect(&self, authority: &Authority, speak: Speak) -> Result<Dialled, Refused> {
        let named = self.named(authority);
        // A name that settings pin is reached directly: that is what pinning is for.
        let (io, address): (BoxIo, SocketAddr) = match (&self.settings.proxy, named) {
            (Some(parent), None) => self.through(parent, authority).await?,
            _ => {
                let addresses = self.resolve(authority, named).await?;
                let stream =
                    race(addresses).await.map_err(|source| Refused::because(unreachable_why(&source), &source))?;
                let address =
                    stream.peer_addr().map_err(|source| Refused::because(Refuse::UpstreamUnreachable, &source))?;
                (Box::new(Gathered::new(stream)), address)
            }
        };
        let Speak::Tls(offer) = speak else {
            let facts = UpstreamFacts { address, tls_version: None, protocol: Protocol::Http1, chain_digest: None };
            return Ok(Dialled { io, facts });
        };
        let (io, shown) = self
            .tls
            .connect(authority, io, offer)
            .await
            .map_err(|source| Refused::because(tls_why(&source), &source))?;
        let facts =
            UpstreamFacts { address, tls_version: shown.version, protocol: shown.protocol, chain_digest: shown.chain };
        Ok(Dialled { io, facts })
    }

    fn named(&self, authority: &Authority) -> Option<SocketAddr> {
        self.settings.resolve.iter().find(|(host, _address)| host.as_str() == authority.host()).map(|(_host, at)| *at)
    }

    /// The addresses that may be dialled, each one judged.
    async fn resolve(&self, authority: &Authority, named: Option<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let candidates: Vec<SocketAddr> = match (named, authority.ip()) {
            (Some(address), _) => vec![address],
            (None, Some(ip)) => vec![SocketAddr::new(ip, authority.port())],
            (None, None) => tokio::net::lookup_host((authority.host(), authority.port()))
                .await
                .map_err(|source| Refused::because(Refuse::NameNotResolved, &source))?
                .collect(),
        };
        if candidates.is_empty() {
            return Err(Refused::new(Refuse::NameNotResolved));
        }
        let mut refused = None;
        let mut addresses = Vec::new();
        for address in candidates {
            match self.allowed.judge(address, named.is_some()) {
                Ok(()) => addresses.push(address),
                Err(Forbidden::Own) => refused = Some(Refuse::OwnAddress),
                Err(Forbidden::NotPublic) => refused = refused.or(Some(Refuse::ForbiddenAddress)),
            }
        }
        match refused {
            Some(why) if addresses.is_empty() => Err(Refused::new(why)),
            _ => Ok(interleave(addresses)),
        }
    }

    async fn through(&self, parent: &ParentProxy, authority: &Authority) -> Result<(BoxIo, SocketAddr), Refused> {
        // The parent resolves names; addresses and this machine's own name are judged here all the same.
        let ip = authority.ip().or_else(|| is_localhost(authority.host()).then_some(IpAddr::from([127, 0, 0, 1])));
        if let Some(ip) = ip {
            self.allowed.judge(SocketAddr::new(ip, authority.port()), false).map_err(|why| {
                Refused::new(if why == Forbidden::Own { Refuse::OwnAddress } else { Refuse::ForbiddenAddress })
            })?;
        }
        let addresses = tokio::net::lookup_host((parent.host.as_str(), parent.port))
            .await
            .map_err(|source| Refused::because(Refuse::ParentUnreachable, &source))?
            .collect();
        let stream = race(addresses).await.map_err(|source| Refused::because(Refuse::ParentUnreachable, &source))?;
        let address = stream.peer_addr().map_err(|source| Refused::because(Refuse::ParentUnreachable, &source))?;
        let io = parent::connect(Box::new(Gathered::new(stream)), authority, self.login.as_ref()).await?;
        Ok((io, address))
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// IPv6 and IPv4 in turn, so that a broken family costs one head start.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut mixed = Vec::new();
    loop {
        match (six.next(), four.next()) {
            (None, None) => break,
            (one, other) => mixed.extend(one.into_iter().chain(other)),
        }
    }
    mixed.truncate(MOST_ADDRESSES);
    mixed
}

/// Connects to whichever address answers first; each is given a head start over the next.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses
        .into_iter()
        .zip(0_u32..)
        .map(|(address, place)| async move {
            tokio::time::sleep(HEAD_START * place).await;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        })
        .collect();
    let mut first_error = None;
    while let Some(result) = attempts.next().await {
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

fn unreachable_why(error: &io::Error) -> Refuse {
    match error.kind() {
        // Nothing is wrong with the origin.
        _ if is_exhausted(error) => Refuse::Overloaded,
        io::ErrorKind::TimedOut => Refuse::UpstreamTimeout,
        _ => Refuse::UpstreamUnreachable,
    }
}

fn tls_why(error: &io::Error) -> Refuse {
    let is_certificate = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(|error| {
        matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    });
    if is_certificate { Refuse::UpstreamCertificate } else { Refuse::UpstreamTls }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = interleave(["1.1.1.1:1", "1.1.1.2:1", "[2606::1]:1"].map(parse).to_vec());
        assert_eq!(mixed, ["[2606::1]:1", "1.1.1.1:1", "1.1.1.2:1"].map(parse));
    }
}
