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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections open at once; more wait in the system's queue.
const CONNECTIONS: usize = 1_024;
/// Time for a handshake, and for a request head to arrive whole.
const HEAD: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const HEAD_BOUND: usize = 32 * 1024;
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
    pub async fn serve(self, router: Router, tls: Option<Arc<rustls::ServerConfig>>, stop: CancellationToken) {
        let tls = tls.map(TlsAcceptor::from);
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors: give the open connections time to end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let arrival = Arrival { peer, tls: tls.is_some() };
            let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
            tokio::spawn(async move {
                connection(stream, arrival, router, tls, watcher).await;
                drop(permit);
            });
        }
        // What has not ended by then is cut off when the runtime stops.
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!(reason = "drain_timeout", "open api requests did not end in time");
        }
    }
}

async fn connection(
    stream: TcpStream,
    arrival: Arrival,
    router: Router,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => http(stream, arrival, router, watcher).await,
        Some(tls) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HEAD, tls.accept(stream)).await else { return };
            http(stream, arrival, router, watcher).await;
        }
    }
}

async fn http<S>(stream: S, arrival: Arrival, router: Router, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(arrival);
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BOUND).half_close(false);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(32 * 1024).max_concurrent_streams(64);
    builder.http2().keep_alive_interval(HEAD).keep_alive_timeout(HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    // A connection that breaks concerns the peer, who sees it; every answered request has its own line already.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = %error, "api connection ended early");
    }
}
