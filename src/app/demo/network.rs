//! A small social network for `muniment demo` and for tests: a TLS server that speaks a subset of the Mastodon API.
//!
//! It keeps everything in memory and answers what a client needs to post, reply, read a thread and be told of a reply. It is
//! a network of its own, not a part of the proxy: it knows nothing of muniment and shares no state with it. It is not a mock
//! of any particular server; the tests against real ones are in `tests/real`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::statuses;
use crate::record::Clock;

/// A device that opens a connection and says nothing is dropped after this.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// One member of the network.
#[derive(Debug, Clone)]
pub struct Member {
    /// Account id, as the API gives it.
    pub id: String,
    /// Handle without the host.
    pub handle: String,
    /// Name shown beside the handle.
    pub display_name: String,
}

/// One item somebody wrote.
#[derive(Debug, Clone)]
pub struct Status {
    /// Item id.
    pub id: String,
    /// Handle of the author.
    pub author: String,
    /// The text as typed.
    pub text: String,
    /// The item this answers.
    pub in_reply_to: Option<String>,
    /// `public`, `unlisted`, `private` or `direct`.
    pub visibility: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339, when it was changed.
    pub edited_at: Option<String>,
    /// Handles that favourited it.
    pub favourites: Vec<String>,
    /// Handles that boosted it.
    pub boosts: Vec<String>,
}

/// What the network holds.
#[derive(Debug, Default)]
pub struct Content {
    /// Bearer token → member.
    pub members: BTreeMap<String, Member>,
    /// In the order written.
    pub statuses: Vec<Status>,
    /// Ids ever given out.
    pub last_id: u64,
}

/// The network's state, shared by its connections.
pub struct State {
    /// Name it is reached by.
    pub host: String,
    /// For `created_at`.
    pub clock: Arc<dyn Clock>,
    /// Members and items.
    pub content: Mutex<Content>,
}

/// A running network.
pub struct Network {
    state: Arc<State>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Network {
    /// Listens on loopback and serves HTTP/1.1 and HTTP/2 with the given TLS identity.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start(
        host: &str,
        members: Vec<(String, Member)>,
        tls: Arc<rustls::ServerConfig>,
        clock: Arc<dyn Clock>,
        port: u16,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let content = Content { members: members.into_iter().collect(), ..Content::default() };
        let state = Arc::new(State { host: host.to_owned(), clock, content: Mutex::new(content) });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, TlsAcceptor::from(tls), router(Arc::clone(&state)), stop.clone(), tasks.clone()));
        Ok(Self { state, address, stop, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every item the network accepted and still shows.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.state.content.lock().statuses.clone()
    }

    /// Closes the listener and every connection.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/api/v1/instance", get(statuses::instance))
        .route("/api/v1/accounts/verify_credentials", get(statuses::verify_credentials))
        .route("/api/v1/statuses", post(statuses::create))
        .route("/api/v1/statuses/{id}", get(statuses::show).put(statuses::edit).delete(statuses::delete))
        .route("/api/v1/statuses/{id}/context", get(statuses::context))
        .route("/api/v1/statuses/{id}/favourite", post(statuses::favourite))
        .route("/api/v1/statuses/{id}/reblog", post(statuses::reblog))
        .route("/api/v1/timelines/home", get(statuses::timeline))
        .route("/api/v1/notifications", get(statuses::notifications))
        .with_state(state)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = serve(stream, tls, router) => {}
                    }
                });
            }
            // Out of descriptors: give the open connections time to end.
            Err(_busy) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, router: Router) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else { return };
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that ends in an error has nobody to tell here; the client sees it.
    if builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await.is_err() {}
}
