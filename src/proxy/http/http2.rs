//! Serves a device that speaks HTTP/2 on an intercepted connection: each stream in a task of its own.
//!
//! Extended CONNECT is not offered, so browsers open WebSockets over HTTP/1.1. Invariant: no stream's task outlives the connection.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{Method, Request};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ends::{DeviceEnd, DeviceStream};
use super::exchange::{self, Served};
use super::message::Incoming;
use super::shape::Shape;
use super::site::Site;
use super::stream::Receiver;
use crate::capture::GapCause;
use crate::exchange::{Authority, Protocol};
use crate::proxy::end::End;
use crate::proxy::io::BoxIo;
use crate::proxy::patience::Patience;
use crate::proxy::refuse::{Refuse, Refused};

/// Streams a device may have open at once.
const STREAMS: u32 = 128;
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Time for streams to notice that their connection is over, and to say what became of them.
const REPORTS: Duration = Duration::from_secs(5);
/// Time for the last frames of a connection that is over.
const FAREWELL: Duration = Duration::from_secs(2);

enum Tick {
    Stop,
    Idle,
}

/// Serves the connection to its end.
pub(crate) async fn serve(site: Arc<Site>, io: BoxIo) -> End {
    site.speaks(Protocol::Http2);
    let limits = site.shared.limits;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX));
    let mut connection = match timeout(limits.head_timeout, builder.handshake::<_, Bytes>(io)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return end_of(&site, &error),
        Err(_elapsed) => return End::DeviceStalled,
    };
    let mut streams = JoinSet::new();
    let mut served = 0_u64;
    let mut idle = Patience::new(limits.head_timeout, &site.shared.stop);
    let mut stopping = false;
    let end = loop {
        let quiet = streams.is_empty();
        let tick = std::future::poll_fn(|cx| {
            if !stopping && idle.poll_stop(cx).is_ready() {
                return Poll::Ready(Tick::Stop);
            }
            if quiet { idle.poll(cx).map(|()| Tick::Idle) } else { Poll::Pending }
        });
        let over = if served == 0 { End::NoRequest } else { End::Closed };
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    served += 1;
                    // A task is moved several times before it runs: only a pointer to it is.
                    streams.spawn(Box::pin(stream(Arc::clone(&site), request, respond)));
                }
                Some(Err(error)) => break end_of(&site, &error),
                None => break over,
            },
            Some(_ended) = streams.join_next() => idle.allow(limits.idle_timeout),
            tick = tick => match tick {
                Tick::Idle => break over,
                Tick::Stop => {
                    stopping = true;
                    connection.graceful_shutdown();
                }
            },
        }
    };
    // What is left of the streams has nobody to answer, but its record to close: each sees the end of its stream by itself.
    let mut is_closed = false;
    let reports = std::future::poll_fn(|cx| {
        is_closed = is_closed || connection.poll_closed(cx).is_ready();
        while std::task::ready!(streams.poll_join_next(cx)).is_some() {}
        Poll::Ready(())
    });
    let _in_time = timeout(REPORTS, reports).await;
    streams.shutdown().await;
    connection.graceful_shutdown();
    let _in_time = timeout(FAREWELL, std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
    end
}

fn end_of(site: &Site, error: &h2::Error) -> End {
    if error.is_io() || error.is_remote() {
        return End::DeviceGone;
    }
    site.gap(GapCause::MalformedExchange);
    site.shared.metrics.refused(Refuse::Malformed.as_str());
    End::Refused(Refuse::Malformed)
}

async fn stream(site: Arc<Site>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (parts, body) = request.into_parts();
    let receiver = Receiver::new(body);
    let ends_here = receiver.is_ended();
    let is_head = parts.method == Method::HEAD;
    let mut device = DeviceEnd::Http2(Box::new(DeviceStream::new(receiver, respond, is_head)));
    let mut patience = Patience::new(site.shared.limits.idle_timeout, &site.shared.stop);
    match incoming(&site, parts, ends_here) {
        Ok(request) => {
            // Whatever is served, the stream ends with it.
            if matches!(exchange::serve(&site, &mut device, &mut patience, request).await, Served::Close) {
                super::answer::linger_stream(&mut device).await;
            }
        }
        Err(refused) => {
            site.gap(GapCause::MalformedExchange);
            site.shared.metrics.refused(refused.why.as_str());
            if super::answer::refuse(&mut device, &refused, None).await.is_err() {
                device.abort();
            }
        }
    }
}

fn incoming(site: &Site, parts: http::request::Parts, ends_here: bool) -> Result<Incoming, Refused> {
    let authority = site.connection().authority.clone();
    if parts.method == Method::CONNECT {
        return Err(Refuse::NotForProxy.into());
    }
    if let Some(named) = parts.uri.authority() {
        let default = authority.port();
        let named = Authority::parse(named.as_str(), default).map_err(|_source| Refused::from(Shape::Target))?;
        if named != authority {
            return Err(Refuse::Misdirected.into());
        }
    } else if !parts.headers.contains_key(http::header::HOST) {
        return Err(Shape::Host.into());
    }
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = if target.is_empty() { "/".to_owned() } else { target.to_owned() };
    let names_a_resource = target.starts_with('/') || (target == "*" && parts.method == Method::OPTIONS);
    if !names_a_resource {
        return Err(Shape::Target.into());
    }
    Ok(Incoming::from_http2(parts, ends_here, authority, target)?)
}
