//! One exchange: asks for a plan and obeys it.
//!
//! ```text
//! plan ─┬─ Forward, Credential ─ stream both ways, keep nothing
//!       ├─ Tee ───────────────── stream, hand the copy over at the end
//!       ├─ Messages ──────────── stream, hand over each message; a WebSocket goes on in `websocket`; with neither, perhaps a Tee
//!       └─ Hold ──────────────── `hold`: nothing leaves before its record is durable (P1)
//! ```

use std::pin::pin;
use std::sync::Arc;

use http::StatusCode;

use super::answer;
use super::ends::DeviceEnd;
use super::held::{Beyond, Keeper};
use super::hop::Release;
use super::message::{Answered, Incoming};
use super::relay::{Broken, Relay, Relayed, Source};
use super::site::Site;
use super::tap::{EventTap, Listener, Tap};
use super::{hold, hop};
use crate::capture::{Gap, GapCause};
use crate::exchange::{Authority, Body, Connection, Exchange, Request, Response, Scheme};
use crate::proxy::http::conn::Conn;
use crate::proxy::patience::Patience;
use crate::proxy::refuse::{Refuse, Refused};
use crate::proxy::sse::Cut;
use crate::proxy::upstream::Taken;
use crate::recognize::{Channel, Plan};
use crate::record::ExchangeId;

/// What follows an exchange on an HTTP/1 connection.
pub(crate) enum Served {
    /// Another request may come.
    Kept,
    /// The connection must end.
    Close,
    /// The connection now speaks something else.
    Upgraded(Box<Upgraded>),
}

/// A connection that was switched to another protocol.
pub(crate) struct Upgraded {
    pub(crate) upstream: Box<Conn>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) request: Incoming,
    pub(crate) exchange: ExchangeId,
    /// What to do with its messages; none where they are not looked at.
    pub(crate) channel: Option<Channel>,
}

/// An exchange under way.
pub(crate) struct Serving<'a, 'd> {
    pub(crate) site: &'a Site,
    pub(crate) device: &'a mut DeviceEnd<'d>,
    pub(crate) patience: &'a mut Patience,
}

/// Serves one request. Whatever happens, the device has been answered, or its stream or connection is broken off.
pub(crate) async fn serve(
    site: &Site,
    device: &mut DeviceEnd<'_>,
    patience: &mut Patience,
    request: Incoming,
) -> Served {
    let mut serving = Serving { site, device, patience };
    if let Err(refused) = same_host(site.scheme, &request) {
        site.gap(GapCause::MalformedExchange);
        return serving.refuse(&refused, &request).await;
    }
    // A tunnel may be open for days: whoever was revoked meanwhile is refused at the next request.
    if !site.device_stands().await {
        return serving.refuse(&Refuse::DeviceRevoked.into(), &request).await;
    }
    let plan = if site.listed { site.shared.recorder.plan(&site.connection(), &request.head) } else { Plan::Forward };
    match plan {
        Plan::Forward | Plan::Credential => serving.stream(request, None, false).await,
        Plan::Messages(channel) => {
            let tee = channel.read.is_some();
            serving.stream(request, Some(channel), tee).await
        }
        Plan::Tee(_) => serving.stream(request, None, true).await,
        // By itself, so that connections that send no post need no memory for it.
        Plan::Hold(order) => Box::pin(hold::serve(&mut serving, request, &order)).await,
    }
}

/// A request on an intercepted connection must name the host that the connection was opened to: what is recorded is what the
/// origin was asked (no domain fronting). A leaf names one host, so no device has a reason to reuse its connection for another.
fn same_host(scheme: Scheme, request: &Incoming) -> Result<(), Refused> {
    let authority = &request.head.authority;
    let default = if scheme == Scheme::Https { 443 } else { 80 };
    for value in request.head.headers.get_all(http::header::HOST) {
        let named = value.to_str().ok().and_then(|text| Authority::parse(text, default).ok());
        let Some(named) = named else { return Err(Refused::with(Refuse::Malformed, "the host field is malformed")) };
        let port_is_given = value.as_bytes().iter().rev().take_while(|b| **b != b']').any(|b| *b == b':');
        if named.host() != authority.host() || (port_is_given && named.port() != authority.port()) {
            return Err(Refuse::Misdirected.into());
        }
    }
    Ok(())
}

impl Serving<'_, '_> {
    /// Streams both ways. With `tee` a copy of both bodies is handed over, unless the connection is switched; with a channel, the
    /// messages of the response.
    async fn stream(&mut self, request: Incoming, channel: Option<Channel>, tee: bool) -> Served {
        let site = self.site;
        let upgrades = request.upgrade().is_some() && matches!(self.device, DeviceEnd::Http1 { .. });
        // h2c would move the exchange out of sight in the middle of it.
        let upgrades = upgrades && request.upgrade().is_none_or(|value| !value.eq_ignore_ascii_case(b"h2c"));
        // P1: what cannot be read is not spoken to a listed host.
        let may_switch = upgrades && (!site.listed || (channel.is_some() && request.is_websocket()));
        let mut taken = match self.reach(upgrades).await {
            Ok(taken) => taken,
            Err(refused) => return self.refuse(&refused, &request).await,
        };
        let connection = site.reached(&taken.facts);
        let (exchange, seen_at) = (site.shared.exchange_id(), site.shared.now());
        let scratch = &site.shared.scratch;
        let mut query = tee.then(|| Keeper::new(scratch.clone(), 0, site.shared.limits.query, Beyond::Refuse));
        let listener = Listener {
            recorder: &*site.shared.recorder,
            clock: &*site.shared.clock,
            connection: &connection,
            head: &request.head,
            exchange,
        };
        let (memory, most) = (site.shared.limits.body_memory, site.shared.limits.read);
        let listens = channel.as_ref().is_some_and(|channel| channel.inbound);
        let mut source = match &mut query {
            Some(keeper) if request.has_body() => Source::Copied(keeper),
            _ => Source::Device,
        };
        let mut relay = Relay {
            device: &mut *self.device,
            upstream: &mut taken.end,
            patience: &mut *self.patience,
            idle: site.shared.limits.idle_timeout,
            request: &request,
            source: &mut source,
            tap: Tap::None,
            endless: false,
            may_switch,
            revoked: pin!(site.revoked.cancelled()),
        };
        let relayed = relay
            .run(Release { upgrade: upgrades, ..Release::default() }, |answer, tap| {
                let cut = cut_of(answer);
                *tap = match cut {
                    Some(cut) if listens => Tap::Events(Box::new(EventTap::new(
                        listener,
                        cut,
                        answer.fields.as_ref().get("content-encoding"),
                    ))),
                    _ if tee => Tap::Copy(Some(Box::new(Keeper::new(scratch.clone(), memory, most, Beyond::Refuse)))),
                    _ => Tap::None,
                };
                cut.is_some()
            })
            .await;
        let copy = relay.into_tap().finish().await;
        drop(source);
        let switched = relayed.answer.as_ref().is_some_and(|answer| answer.status == StatusCode::SWITCHING_PROTOCOLS);
        if tee && !switched {
            let copied = Copied { query, copy };
            observe(site, &connection, &request, &relayed, exchange, seen_at, copied).await;
        }
        if switched && relayed.result.is_ok() {
            return self.switch(taken, connection, request, exchange, channel);
        }
        if matches!(relayed.result, Err(Broken::Switched)) {
            site.note(Gap::on(GapCause::UnknownUpgrade, &connection).exchange(exchange));
        }
        self.conclude(taken, relayed, &request).await
    }

    /// A connection to the origin, in bounded time.
    pub(crate) async fn reach(&mut self, upgrade: bool) -> Result<Taken, Refused> {
        self.patience.allow(self.site.shared.limits.idle_timeout);
        let mut taking = std::pin::pin!(self.site.upstreams.take(upgrade));
        std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(taken) = taking.as_mut().poll(cx) {
                return std::task::Poll::Ready(taken);
            }
            self.patience.poll(cx).map(|()| Err(Refuse::UpstreamTimeout.into()))
        })
        .await
    }

    fn switch(
        &self,
        taken: Taken,
        connection: Arc<Connection>,
        request: Incoming,
        exchange: ExchangeId,
        channel: Option<Channel>,
    ) -> Served {
        let super::ends::UpstreamEnd::Http1(upstream) = taken.end else { return Served::Close };
        Served::Upgraded(Box::new(Upgraded { upstream, connection, request, exchange, channel }))
    }

    /// After the relay: is the device answered, and what of the two connections?
    pub(crate) async fn conclude(&mut self, taken: Taken, relayed: Relayed, request: &Incoming) -> Served {
        let Relayed { answer, answered, sent_whole, result } = relayed;
        match result {
            Ok(()) => {
                let upstream_persists = answer.is_some_and(|answer| persists_upstream(&answer)) && sent_whole;
                if upstream_persists && !request.signals.close {
                    self.site.upstreams.put(taken);
                }
                match &*self.device {
                    DeviceEnd::Http1 { conn, asked } if asked.persists && conn.body_is_read() && conn.is_written() => {
                        Served::Kept
                    }
                    DeviceEnd::Http1 { .. } => Served::Close,
                    DeviceEnd::Http2(_) => Served::Kept,
                }
            }
            Err(broken) => {
                tracing::debug!(error = %broken, "exchange ended early");
                let mut taken = taken;
                taken.end.abort();
                if answered {
                    if matches!(broken, Broken::Revoked) {
                        self.site.shared.metrics.refused(Refuse::DeviceRevoked.as_str());
                    }
                    self.device.abort();
                    return Served::Close;
                }
                let refused = match broken {
                    // As if the origin had closed the device's own connection: its HTTP stack knows what to do then, and whether the
                    // request may be sent again is its decision and not ours.
                    Broken::NoAnswer if taken.reused && matches!(self.device, DeviceEnd::Http1 { .. }) => {
                        return Served::Close;
                    }
                    Broken::Upstream(fault) if fault.is_refused_stream() => {
                        self.device.refuse_stream();
                        return Served::Close;
                    }
                    broken => refusal_of(broken),
                };
                self.refuse(&refused, request).await
            }
        }
    }

    /// Answers with a refusal.
    pub(crate) async fn refuse(&mut self, refused: &Refused, request: &Incoming) -> Served {
        self.site.shared.metrics.refused(refused.why.as_str());
        let connection = self.site.connection();
        tracing::info!(
            device.id = %connection.device, upstream.authority = %connection.authority,
            reason = refused.why.as_str(), error = refused.detail.as_deref(), "request refused"
        );
        let body_is_read = self.device.body_is_read();
        if let DeviceEnd::Http1 { asked, .. } = &mut *self.device {
            asked.persists &= body_is_read;
        }
        let accept = request.fields().get("accept");
        if answer::refuse(self.device, refused, accept).await.is_err() {
            self.device.abort();
            return Served::Close;
        }
        match &*self.device {
            DeviceEnd::Http1 { asked, .. } if asked.persists => Served::Kept,
            _ => Served::Close,
        }
    }
}

/// Hands a read over, if it was kept whole.
async fn observe(
    site: &Site,
    connection: &Arc<Connection>,
    request: &Incoming,
    relayed: &Relayed,
    id: ExchangeId,
    seen_at: crate::record::Timestamp,
    copied: Copied,
) {
    let note = |cause| site.note(Gap::on(cause, connection).exchange(id));
    let Some(Ok(head)) = relayed.answer.as_ref().map(Answered::head) else { return };
    let query_is_over = copied.query.as_ref().is_some_and(Keeper::is_over);
    let Some(copy) = copied.copy.filter(|copy| !copy.is_over() && !query_is_over) else {
        return note(GapCause::ReadCapped);
    };
    let complete = match &relayed.result {
        Ok(()) => true,
        Err(Broken::Upstream(_) | Broken::UpstreamStalled) => {
            note(GapCause::ReadCut);
            false
        }
        // The device left; what it has seen is looked at, and nothing is missing that it could have read.
        Err(_) => false,
    };
    let query = match copied.query {
        Some(keeper) => keeper.finish().await,
        None => Ok(Body::Empty),
    };
    let (Ok(query), Ok(body)) = (query, copy.finish().await) else {
        return note(GapCause::ReadDropped);
    };
    site.shared.recorder.observe(Exchange {
        id,
        seen_at,
        connection: Arc::clone(connection),
        request: Request { head: request.head.clone(), body: query, trailers: None },
        response: Some(Response { head, body, complete, ended_at: site.shared.now() }),
    });
}

struct Copied {
    query: Option<Keeper>,
    copy: Option<Keeper>,
}

/// Whether upstream carries another request (RFC 9112 §9.3).
fn persists_upstream(answer: &Answered) -> bool {
    answer.version != http::Version::HTTP_2
        && answer.framing != super::framing::Framing::UntilClose
        && answer.signals.persists(answer.version)
}

/// Bodies that have no end are cut into messages.
pub(super) fn cut_of(answer: &Answered) -> Option<Cut> {
    if answer.content_type_is(&["text/event-stream"]) {
        Some(Cut::Events)
    } else if answer.content_type_is(&[
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/json-seq",
        "application/stream+json",
    ]) {
        Some(Cut::Lines)
    } else {
        None
    }
}

/// A failure as the device is told of it.
pub(crate) fn refusal_of(broken: Broken) -> Refused {
    use crate::capture::RefusalReason as Reason;
    match broken {
        Broken::Device(super::fault::Fault::Shape(shape)) => shape.into(),
        Broken::Device(fault) => Refused::because(Refuse::Malformed, &fault),
        Broken::DeviceStalled => Refuse::DeviceStalled.into(),
        Broken::DeviceGone => Refuse::DeviceStalled.into(),
        Broken::Upstream(fault) => Refused::because(Refuse::UpstreamBroke, &fault),
        Broken::NoAnswer => Refuse::UpstreamBroke.into(),
        Broken::UpstreamStalled => Refuse::UpstreamTimeout.into(),
        Broken::Held(error) => Refused::because(Refuse::NoRoom, &error),
        Broken::TooLarge => Refuse::TooLarge.into(),
        Broken::Switched => Refuse::UnknownProtocol.into(),
        Broken::Revoked => Refuse::DeviceRevoked.into(),
        Broken::NotKept(refusal) => {
            let why = match refusal.reason() {
                Reason::Overloaded => Refuse::Overloaded,
                Reason::Stopping => Refuse::Stopping,
                Reason::SpoolUnavailable => Refuse::NoRoom,
                Reason::BodyTooLarge => Refuse::TooLarge,
                Reason::BodyUndecodable => Refuse::Undecodable,
                _ => Refuse::NotKept,
            };
            Refused::because(why, &refusal)
        }
    }
}

/// The request's version and method, as its answer needs them.
pub(crate) fn asked(request: &Incoming) -> hop::Asked {
    hop::Asked {
        version: request.head.version,
        is_head: request.head.method == http::Method::HEAD,
        persists: request.signals.persists(request.head.version),
    }
}
