//! A device connection from its first byte: which device, which target, and what becomes of it.
//!
//! ```text
//! CONNECT host:port ─▶ device ─▶ decision ─▶ origin reached (and proved, if it is to be decrypted) ─▶ 200 ─▶ intercept | tunnel
//! GET http://host/  ─▶ device ─▶ decision ─▶ one exchange, and the next request
//! ```
//! Invariant: CONNECT is answered with 200 only when the origin has been reached; before that the device gets an answer it can read.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::BytesMut;
use http::Method;

use super::decide::{Decision, PassThrough, connect_target};
use super::device::Device;
use super::end::End;
use super::http::conn::Conn;
use super::http::ends::DeviceEnd;
use super::http::exchange::{Served, asked};
use super::http::framing::Framing;
use super::http::head::RequestStart;
use super::http::http1::{absolute, fault_word, next_request, one_host, refuse_fault};
use super::http::message::Incoming;
use super::http::site::Site;
use super::http::{answer, exchange, hop};
use super::io::{BoxIo, Rewound};
use super::patience::Patience;
use super::refuse::{Refuse, Refused};
use super::shared::Shared;
use super::upstream::{Dialled, Offer, Speak};
use super::{intercept, tunnel, websocket};
use crate::capture::GapCause;
use crate::exchange::{Authority, Protocol, Scheme};
use crate::settings::is_trusted_plain;

/// Where a device connection came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    /// Over TLS, so that a credential may travel.
    pub(crate) encrypted: bool,
}

/// What is to be said of a connection when it is over.
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) device: Option<Device>,
    pub(crate) authority: Option<Authority>,
}

/// Serves a device connection to its end.
pub(crate) async fn serve(shared: &Arc<Shared>, io: BoxIo, arrival: Arrival) -> Ended {
    let mut front = Front {
        shared,
        arrival,
        patience: Patience::new(shared.limits.head_timeout, &shared.stop),
        device: None,
        authority: None,
        generation: 0,
        site: None,
    };
    let end = front.serve(Conn::new(io, BytesMut::new()).limited(shared.limits.head)).await;
    Ended { end, device: front.device, authority: front.authority }
}

struct Front<'a> {
    shared: &'a Arc<Shared>,
    arrival: Arrival,
    patience: Patience,
    device: Option<Device>,
    /// The state of the directory in which it was admitted.
    generation: u64,
    authority: Option<Authority>,
    /// Of the last absolute-form request: the next one mostly goes to the same place.
    site: Option<(Device, Site)>,
}

/// A target that was reached.
enum Reached {
    Tunnel(Device, Dialled),
    Intercepted(Arc<Site>),
}

impl Front<'_> {
    async fn serve(&mut self, mut conn: Conn) -> End {
        let mut first = true;
        loop {
            let start = match next_request(&mut conn, &mut self.patience, &self.shared.limits, first).await {
                Ok(Some(start)) => start,
                Ok(None) if first => return End::NoRequest,
                Ok(None) => return End::Closed,
                Err(fault) => {
                    self.shared.metrics.refused(fault_word(&fault));
                    return refuse_fault(&mut conn, fault).await;
                }
            };
            first = false;
            if start.method != Method::CONNECT {
                match self.absolute(conn, start).await {
                    Ok(same) => conn = same,
                    Err(end) => return end,
                }
                continue;
            }
            match self.connect(&start).await {
                Ok(reached) => return self.open(conn, reached).await,
                Err(refused) => {
                    if let Some(end) = self.refuse(&mut conn, &refused, &start).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Answers a refusal; the end, where the connection cannot go on. A browser asks again on the same connection, with its
    /// credential.
    async fn refuse(&mut self, conn: &mut Conn, refused: &Refused, start: &RequestStart) -> Option<End> {
        self.shared.metrics.refused(refused.why.as_str());
        let persists = start.signals.persists(start.version) && start.framing == Framing::None;
        let asked = hop::Asked { version: start.version, is_head: start.method == Method::HEAD, persists };
        let mut device = DeviceEnd::Http1 { conn, asked };
        let accept = start.fields.iter().find(|(name, _value)| name.eq_ignore_ascii_case(b"accept"));
        let sent = answer::refuse(&mut device, refused, accept.map(|(_name, value)| value)).await;
        if persists && sent.is_ok() {
            return None;
        }
        answer::linger(conn).await;
        Some(End::Refused(refused.why))
    }

    async fn admit(&mut self, start: &RequestStart) -> Result<Device, Refused> {
        if !self.arrival.encrypted && !is_trusted_plain(self.arrival.from.ip(), &self.shared.plain_networks) {
            // Not even asked for: whoever asks makes the device send it.
            return Err(Refuse::CredentialInClear.into());
        }
        let mut shown = start.fields.iter().filter(|(name, _value)| name.eq_ignore_ascii_case(b"proxy-authorization"));
        let (_name, value) = shown.next().ok_or(Refuse::NoCredential)?;
        if shown.next().is_some() {
            return Err(Refuse::WrongCredential.into());
        }
        // Read before: what changes while we ask is asked again.
        self.generation = self.shared.gate.generation();
        let device = self.shared.gate.admit(self.arrival.from.ip(), value).await?;
        self.device = Some(device);
        Ok(device)
    }

    fn decide(&self, authority: &Authority) -> Result<Decision, Refused> {
        if !self.shared.dialler.allows_port(authority.port()) {
            return Err(Refuse::ForbiddenPort.into());
        }
        match self.shared.hosts().decide(authority.host()) {
            Decision::Refuse(why) => Err(why.into()),
            decision => Ok(decision),
        }
    }

    async fn connect(&mut self, start: &RequestStart) -> Result<Reached, Refused> {
        // RFC 9110 §9.3.6: content of CONNECT has no meaning, and what follows it belongs to the tunnel.
        if start.framing != Framing::None {
            return Err(Refused::with(Refuse::Malformed, "CONNECT has no body"));
        }
        if start.signals.hosts > 1 {
            return Err(super::http::shape::Shape::Host.into());
        }
        let authority = connect_target(&start.target)?;
        let device = self.admit(start).await?;
        self.authority = Some(authority.clone());
        let decision = self.decide(&authority)?;
        if let Decision::PassThrough(why) = decision {
            let dialled = self.shared.dialler.dial(&authority, Speak::Plain).await?;
            self.passes(why, device, &authority);
            return Ok(Reached::Tunnel(device, dialled));
        }
        let scheme = if authority.port() == 80 { Scheme::Http } else { Scheme::Https };
        let speak = if scheme == Scheme::Https { Speak::Tls(Offer::Both) } else { Speak::Plain };
        let dialled = match self.shared.dialler.dial(&authority, speak).await {
            Ok(dialled) => dialled,
            Err(refused) => {
                if matches!(refused.why, Refuse::UpstreamCertificate | Refuse::UpstreamTls) {
                    self.shared.recorder.gap(device.gap(GapCause::OriginUnproved, &authority));
                }
                return Err(refused);
            }
        };
        let site = self.site(device, scheme, authority, true);
        site.reached(&dialled.facts);
        site.upstreams.adopt(dialled).await?;
        Ok(Reached::Intercepted(Arc::new(site)))
    }

    fn site(&self, device: Device, scheme: Scheme, authority: Authority, listed: bool) -> Site {
        let shared = Arc::clone(self.shared);
        Site::new(shared, (device, self.generation), self.arrival.from, scheme, authority, Protocol::Http1, listed)
    }

    fn passes(&self, why: PassThrough, device: Device, authority: &Authority) {
        self.shared.metrics.pass_through(why.as_str());
        let gap = match why {
            PassThrough::NeverDecrypted => Some(device.gap(GapCause::PassedThrough, authority)),
            PassThrough::NotListed => {
                self.shared.unlisted.as_ref().and_then(|unlisted| unlisted.seen(authority, device))
            }
        };
        gap.into_iter().for_each(|gap| self.shared.recorder.gap(gap));
    }

    async fn open(&mut self, mut conn: Conn, reached: Reached) -> End {
        conn.head_queue().extend_from_slice(b"HTTP/1.1 200 Connection established\r\n\r\n");
        if std::future::poll_fn(|cx| conn.poll_flush(cx)).await.is_err() {
            return End::DeviceGone;
        }
        let (io, first) = conn.into_parts();
        match reached {
            Reached::Tunnel(device, dialled) => {
                let hosts = self.shared.hosts();
                let idle = self.shared.limits.idle_timeout;
                let confirmed = AtomicU64::new(self.generation);
                let revoked = pin!(self.shared.gate.revoked(device.id, &confirmed));
                let relayed = tunnel::relay(io, first, dialled.io, &hosts, &mut self.patience, idle, revoked);
                let tunnelled = relayed.await;
                if let End::Refused(why) = tunnelled.end {
                    self.shared.metrics.refused(why.as_str());
                }
                tracing::debug!(size_bytes = tunnelled.up.saturating_add(tunnelled.down), "tunnel ended");
                tunnelled.end
            }
            Reached::Intercepted(site) => {
                let io = Rewound::over(io, first);
                site.watched(pin!(intercept::serve(Arc::clone(&site), io, BytesMut::new(), &mut self.patience))).await
            }
        }
    }

    /// A request in absolute form: one exchange. Gives the connection back when another request may follow.
    async fn absolute(&mut self, mut conn: Conn, start: RequestStart) -> Result<Conn, End> {
        let (device, scheme, authority, target) = match self.absolute_target(&start).await {
            Ok(found) => found,
            Err(refused) => {
                return match self.refuse(&mut conn, &refused, &start).await {
                    Some(end) => Err(end),
                    None => Ok(conn),
                };
            }
        };
        let decision = match self.decide(&authority) {
            Ok(decision) => decision,
            Err(refused) => {
                return match self.refuse(&mut conn, &refused, &start).await {
                    Some(end) => Err(end),
                    None => Ok(conn),
                };
            }
        };
        self.authority = Some(authority.clone());
        let listed = decision == Decision::Intercept;
        if let Decision::PassThrough(why) = decision {
            self.passes(why, device, &authority);
        }
        let site = match self.site.take() {
            Some((of, site)) if of == device && site.is(scheme, &authority, listed) => site,
            _ => self.site(device, scheme, authority.clone(), listed),
        };
        let request = match Incoming::from_http1(start, scheme, authority, target) {
            Ok(request) => request,
            Err(shape) => {
                self.shared.metrics.refused(shape.word());
                return Err(refuse_fault(&mut conn, shape.into()).await);
            }
        };
        let mut asked = asked(&request);
        asked.persists &= !self.patience.is_stopping();
        let mut end = DeviceEnd::Http1 { conn: &mut conn, asked };
        let served = site.watched(pin!(exchange::serve(&site, &mut end, &mut self.patience, request))).await;
        match served {
            Served::Kept => {
                self.site = Some((device, site));
                Ok(conn)
            }
            Served::Close => {
                answer::linger(&mut conn).await;
                Err(End::Closed)
            }
            Served::Upgraded(upgraded) => {
                Err(site.watched(pin!(websocket::serve(&site, conn, *upgraded, &mut self.patience))).await)
            }
        }
    }

    async fn absolute_target(&mut self, start: &RequestStart) -> Result<(Device, Scheme, Authority, String), Refused> {
        one_host(start)?;
        let text = std::str::from_utf8(&start.target).map_err(|_source| Refused::new(Refuse::BadTarget))?;
        if text.starts_with('/') || text == "*" {
            return Err(Refuse::NotForProxy.into());
        }
        let (scheme, authority, target) = absolute(text).ok_or(Refuse::BadTarget)?;
        Ok((self.admit(start).await?, scheme, authority, target))
    }
}
