//! The API's listener: accepts, speaks TLS where it is set, bounds what a connection may do, drains on shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::stall::Moving;

/// Connections open at once; more wait in the system's queue.
const CONNECTIONS: usize = 1_024;
/// Largest request head, in bytes.
const HEAD_BOUND: usize = 32 * 1024;
/// The same over HTTP/2, and how many requests a connection may have open.
const HEAD_LIST_BOUND: u32 = 32 * 1024;
const STREAMS: u32 = 64;
/// Time for open requests to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The peer.
    pub(super) peer: SocketAddr,
    /// Over TLS.
    pub(super) tls: bool,
}

/// How long peers are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a handshake, and for a request head to arrive whole.
    pub head: Duration,
    /// For anything at all to move on a connection. Longer than a request may take: meanwhile nothing moves.
    pub idle: Duration,
}

impl Patience {
    /// Fits requests that may take this long.
    #[must_use]
    pub fn beside(request: Duration) -> Self {
        Self { head: Duration::from_secs(10), idle: request.saturating_add(Duration::from_secs(30)) }
    }
}

/// A bound listener that does not serve yet: its address is known before anything depends on it.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Binds.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets open requests end.
    pub async fn serve(
        self,
        router: Router,
        tls: Option<Arc<rustls::ServerConfig>>,
        patience: Patience,
        stop: CancellationToken,
    ) {
        let Self { listener, address: _ } = self;
        let tls = tls.map(TlsAcceptor::from);
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            // The wait for a place ends with the service as well: peers may hold every place.
            let next = async { (Arc::clone(&connections).acquire_owned().await, listener.accept().await) };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            let Ok(permit) = permit else { break };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors: give the open connections time to end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let arrival = Arrival { peer, tls: tls.is_some() };
            let connection = Connection { arrival, router: router.clone(), patience, watcher: graceful.watcher() };
            let tls = tls.clone();
            tokio::spawn(async move {
                connection.run(stream, tls).await;
                drop(permit);
            });
        }
        // Whoever comes now is refused at once, and does not wait for somebody who never accepts.
        drop(listener);
        // What has not ended by then is cut off when the runtime stops.
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!(reason = "drain_timeout", "open api requests did not end in time");
        }
    }
}

/// One connection, from its first byte to its last.
struct Connection {
    arrival: Arrival,
    router: Router,
    patience: Patience,
    watcher: Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match tls {
            None => self.http(stream).await,
            Some(tls) => {
                let Ok(Ok(stream)) = tokio::time::timeout(self.patience.head, tls.accept(stream)).await else { return };
                self.http(stream).await;
            }
        }
    }

    async fn http<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { arrival, router, patience, watcher } = self;
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(arrival);
            router.clone().oneshot(request)
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let http1 = &mut builder.http1();
        http1.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_BOUND).half_close(false);
        let http2 = &mut builder.http2();
        http2.timer(TokioTimer::new()).max_header_list_size(HEAD_LIST_BOUND).max_concurrent_streams(STREAMS);
        http2.keep_alive_interval(patience.head).keep_alive_timeout(patience.head);
        let stream = TokioIo::new(Moving::new(stream, patience.idle));
        let connection = builder.serve_connection(stream, service).into_owned();
        // A connection that breaks concerns the peer, who sees it; every answered request has its own line already.
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "api connection ended early");
        }
    }
}
