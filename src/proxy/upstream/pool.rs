//! The connections of one device connection to one origin.
//!
//! Never shared between devices: an origin that ties a login to a connection would mix up advisors. An HTTP/2 connection carries any number of
//! requests; HTTP/1 ones carry one at a time, at most [`MOST`] beside each other, and the others wait.
//! Invariant: a request that was sent is never sent again; only one that could not be begun takes another connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::dial::{Dialled, Dialler, Speak};
use super::tls::Offer;
use crate::exchange::{Authority, Protocol, UpstreamFacts};
use crate::proxy::http::conn::Conn;
use crate::proxy::http::ends::UpstreamEnd;
use crate::proxy::refuse::{Refuse, Refused};

/// HTTP/1 connections beside each other, as browsers have it.
const MOST: usize = 6;
/// HTTP/2 receive windows: a stream's, and the connection's.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Time for a connection to say goodbye once its device has left.
const FAREWELL: Duration = Duration::from_secs(5);

/// Who owns the tasks that drive HTTP/2 connections.
#[derive(Clone)]
pub(crate) struct Drivers {
    pub(crate) tasks: TaskTracker,
    pub(crate) abort: CancellationToken,
    pub(crate) head_limit: u32,
}

#[derive(Default)]
struct Ready {
    idle: Vec<(Box<Conn>, UpstreamFacts)>,
    http2: Option<(h2::client::SendRequest<Bytes>, UpstreamFacts)>,
}

/// The connections.
pub(crate) struct Upstreams {
    dialler: Arc<Dialler>,
    drivers: Drivers,
    authority: Authority,
    encrypted: bool,
    ready: Mutex<Ready>,
    places: Arc<Semaphore>,
    left: CancellationToken,
    _leaving: DropGuard,
}

/// A connection for one request.
pub(crate) struct Taken {
    pub(crate) end: UpstreamEnd,
    pub(crate) facts: UpstreamFacts,
    /// It carried another request before, so its peer may have closed it without our knowing yet.
    pub(crate) reused: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Upstreams {
    pub(crate) fn new(dialler: Arc<Dialler>, drivers: Drivers, authority: Authority, encrypted: bool) -> Self {
        let places = Arc::new(Semaphore::new(MOST));
        let left = CancellationToken::new();
        let _leaving = left.clone().drop_guard();
        Self { dialler, drivers, authority, encrypted, ready: Mutex::default(), places, left, _leaving }
    }

    /// Takes in the connection that was made before CONNECT was answered.
    pub(crate) async fn adopt(&self, dialled: Dialled) -> Result<(), Refused> {
        let Dialled { io, facts } = dialled;
        if facts.protocol == Protocol::Http2 {
            let requests = self.handshake(io).await?;
            self.ready.lock().http2 = Some((requests, facts));
        } else {
            self.ready.lock().idle.push((self.http1(io), facts));
        }
        Ok(())
    }

    /// A connection for one request. `upgrade` asks for HTTP/1 whatever there is.
    pub(crate) async fn take(&self, upgrade: bool) -> Result<Taken, Refused> {
        if !upgrade && let Some(taken) = self.take_http2().await {
            return Ok(taken);
        }
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_closed| Refused::new(Refuse::Stopping))?;
        if let Some((conn, facts)) = self.take_idle().await {
            return Ok(Taken { end: UpstreamEnd::Http1(conn), facts, reused: true, _place: Some(place) });
        }
        let speak = match (self.encrypted, upgrade) {
            (false, _) => Speak::Plain,
            (true, true) => Speak::Tls(Offer::Http1),
            (true, false) => Speak::Tls(Offer::Both),
        };
        let Dialled { io, facts } = self.dialler.dial(&self.authority, speak).await?;
        if facts.protocol == Protocol::Http2 {
            let requests = self.handshake(io).await?;
            self.ready.lock().http2 = Some((requests.clone(), facts.clone()));
            return Ok(Taken {
                end: UpstreamEnd::Http2 { requests, stream: None },
                facts,
                reused: false,
                _place: None,
            });
        }
        let conn = self.http1(io);
        Ok(Taken { end: UpstreamEnd::Http1(conn), facts, reused: false, _place: Some(place) })
    }

    async fn take_http2(&self) -> Option<Taken> {
        let (mut requests, facts) = self.ready.lock().http2.clone()?;
        if poll_fn(|cx| requests.poll_ready(cx)).await.is_ok() {
            return Some(Taken {
                end: UpstreamEnd::Http2 { requests, stream: None },
                facts,
                reused: true,
                _place: None,
            });
        }
        // Closed, or going away: the next request dials anew.
        self.ready.lock().http2 = None;
        None
    }

    async fn take_idle(&self) -> Option<(Box<Conn>, UpstreamFacts)> {
        loop {
            let (mut conn, facts) = self.ready.lock().idle.pop()?;
            if poll_fn(|cx| std::task::Poll::Ready(conn.poll_is_idle(cx))).await {
                return Some((conn, facts));
            }
        }
    }

    /// Gives an HTTP/1 connection back that can carry another request.
    pub(crate) fn put(&self, taken: Taken) {
        if let UpstreamEnd::Http1(conn) = taken.end {
            self.ready.lock().idle.push((conn, taken.facts));
        }
    }

    fn http1(&self, io: crate::proxy::io::BoxIo) -> Box<Conn> {
        Box::new(Conn::new(io, BytesMut::new()).limited(self.drivers.head_limit as usize))
    }

    async fn handshake(&self, io: crate::proxy::io::BoxIo) -> Result<h2::client::SendRequest<Bytes>, Refused> {
        let handshake = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(self.drivers.head_limit)
            .enable_push(false)
            .handshake(io);
        let (requests, connection) =
            handshake.await.map_err(|source| Refused::because(Refuse::UpstreamBroke, &source))?;
        let (abort, left) = (self.drivers.abort.clone(), self.left.clone());
        let farewell = async move {
            left.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        self.drivers.tasks.spawn(async move {
            tokio::select! {
                // Its errors show on the streams.
                _ended = connection => {}
                () = farewell => {}
                () = abort.cancelled() => {}
            }
        });
        Ok(requests)
    }
}
