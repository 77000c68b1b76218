//! Serves a device that speaks HTTP/1 on an intercepted connection: one request after the other, until either side ends it.

use std::future::poll_fn;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Method, Version};

use super::conn::Conn;
use super::ends::DeviceEnd;
use super::exchange::{self, Served, Upgraded};
use super::fault::Fault;
use super::head::RequestStart;
use super::message::Incoming;
use super::shape::Shape;
use super::site::Site;
use super::{answer, exchange::asked};
use crate::capture::GapCause;
use crate::exchange::{Authority, Protocol};
use crate::proxy::end::End;
use crate::proxy::io::BoxIo;
use crate::proxy::patience::Patience;
use crate::proxy::refuse::{Refuse, Refused};
use crate::proxy::websocket;
use crate::settings::ProxyLimits;

/// Waits for the next request: as long as an idle connection may be kept for its first byte, then no longer than a head may take.
/// None when the device, or the service, ends the connection between requests.
pub(crate) async fn next_request(
    conn: &mut Conn,
    patience: &mut Patience,
    limits: &ProxyLimits,
    first: bool,
) -> Result<Option<RequestStart>, Fault> {
    patience.allow(if first { limits.head_timeout } else { limits.idle_timeout });
    let mut begun = first;
    poll_fn(|cx| {
        if let Poll::Ready(read) = conn.poll_request(cx) {
            return Poll::Ready(read);
        }
        if !begun && conn.has_input() {
            begun = true;
            patience.allow(limits.head_timeout);
        }
        if !conn.has_input() && patience.poll_stop(cx).is_ready() {
            return Poll::Ready(Ok(None));
        }
        if patience.poll(cx).is_ready() {
            return Poll::Ready(if conn.has_input() { Err(Fault::Stalled) } else { Ok(None) });
        }
        Poll::Pending
    })
    .await
}

/// Answers what could not be read as a request, and ends the connection.
pub(crate) async fn refuse_fault(conn: &mut Conn, fault: Fault) -> End {
    let refused: Refused = match fault {
        Fault::Shape(shape) => shape.into(),
        Fault::Stalled => Refuse::DeviceStalled.into(),
        Fault::Truncated | Fault::Io(_) | Fault::Http2(_) | Fault::WrongLength => return End::DeviceGone,
    };
    let end = End::Refused(refused.why);
    if answer::refuse_unread(conn, &refused).await.is_ok() {
        answer::linger(conn).await;
    }
    end
}

/// Serves the connection to its end.
pub(crate) async fn serve(site: &Site, io: BoxIo, already_read: BytesMut, patience: &mut Patience) -> End {
    site.speaks(Protocol::Http1);
    let mut conn = Conn::new(io, already_read).limited(site.shared.limits.head);
    let mut first = true;
    loop {
        let start = match next_request(&mut conn, patience, &site.shared.limits, first).await {
            Ok(Some(start)) => start,
            Ok(None) if first => return End::NoRequest,
            Ok(None) => return End::Closed,
            Err(fault) => {
                if matches!(fault, Fault::Shape(_)) {
                    site.gap(GapCause::MalformedExchange);
                }
                site.shared.metrics.refused(fault_word(&fault));
                return refuse_fault(&mut conn, fault).await;
            }
        };
        first = false;
        let request = match incoming(site, start) {
            Ok(request) => request,
            Err(refused) => {
                site.gap(GapCause::MalformedExchange);
                site.shared.metrics.refused(refused.why.as_str());
                if answer::refuse_unread(&mut conn, &refused).await.is_ok() {
                    answer::linger(&mut conn).await;
                }
                return End::Refused(refused.why);
            }
        };
        let mut asked = asked(&request);
        asked.persists &= !patience.is_stopping();
        let mut device = DeviceEnd::Http1 { conn: &mut conn, asked };
        match exchange::serve(site, &mut device, patience, request).await {
            Served::Kept => {}
            Served::Close => {
                answer::linger(&mut conn).await;
                return End::Closed;
            }
            Served::Upgraded(upgraded) => return switched(site, conn, *upgraded, patience).await,
        }
    }
}

async fn switched(site: &Site, conn: Conn, upgraded: Upgraded, patience: &mut Patience) -> End {
    websocket::serve(site, conn, upgraded, patience).await
}

pub(crate) const fn fault_word(fault: &Fault) -> &'static str {
    match fault {
        Fault::Shape(shape) => shape.word(),
        Fault::Stalled => Refuse::DeviceStalled.as_str(),
        _ => "device_gone",
    }
}

/// Reads the target: an intercepted connection has one authority, and no request may name another.
fn incoming(site: &Site, start: RequestStart) -> Result<Incoming, Refused> {
    let authority = site.connection().authority.clone();
    one_host(&start)?;
    let target = origin_form(&start.method, &start.target, &authority)?;
    Ok(Incoming::from_http1(start, site.scheme, authority, target)?)
}

/// RFC 9112 §3.2: exactly one Host in HTTP/1.1; HTTP/1.0 may have none.
pub(crate) fn one_host(start: &RequestStart) -> Result<(), Shape> {
    match (start.signals.hosts, start.version) {
        (1, _) | (0, Version::HTTP_10) => Ok(()),
        _ => Err(Shape::Host),
    }
}

fn origin_form(method: &Method, target: &Bytes, authority: &Authority) -> Result<String, Refused> {
    let text = std::str::from_utf8(target).map_err(|_source| Refused::from(Shape::Target))?;
    // RFC 9112 §3.2: no form of target has a fragment. Some readers end the path at one, others do not.
    if text.contains('#') {
        return Err(Shape::Target.into());
    }
    // A tunnel inside an intercepted connection would be out of sight.
    if *method == Method::CONNECT {
        return Err(Refuse::NotForProxy.into());
    }
    if text.starts_with('/') || (text == "*" && *method == Method::OPTIONS) {
        return Ok(text.to_owned());
    }
    // The absolute form is legal everywhere (RFC 9112 §3.2.2).
    let (_scheme, named, path) = absolute(text).ok_or(Shape::Target)?;
    if named != *authority {
        return Err(Refuse::Misdirected.into());
    }
    Ok(path)
}

/// Takes `http://host/path` apart.
pub(crate) fn absolute(text: &str) -> Option<(crate::exchange::Scheme, Authority, String)> {
    use crate::exchange::Scheme;
    if text.contains('#') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, default) = if scheme.eq_ignore_ascii_case("http") {
        (Scheme::Http, 80)
    } else if scheme.eq_ignore_ascii_case("https") {
        (Scheme::Https, 443)
    } else {
        return None;
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, ""),
    };
    // A user name in a target has no meaning and is a way to mislead (RFC 9110 §4.2.4): Authority takes none.
    let authority = Authority::parse(authority, default).ok()?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some((scheme, authority, path))
}
