//! The proxy as one value: built from its parts, started on its sockets, drained at the end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decide::InterceptedHosts;
use super::device::{Devices, Gate};
use super::http::held::Scratch;
use super::intercept::authority::{Authority, REFRESH_EVERY, Refreshed};
use super::intercept::{LeafError, Leaves};
use super::listener::{self, Listener};
use super::shared::Shared;
use super::unlisted::{self, Unlisted};
use super::upstream::{Dialler, Drivers, TrustError};
use crate::capture::Recorder;
use crate::exchange;
use crate::record::{Clock, Ids};
use crate::settings;
use crate::telemetry::Metrics;

/// How often a trouble that lasts is said again.
const SAID_AGAIN: Duration = Duration::from_secs(3600);
/// Time for tasks to notice that they are aborted.
const ABORTING: Duration = Duration::from_secs(2);

/// The proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The trust in origins cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another program there?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The TLS listener's certificate or key cannot be used.
    #[error("proxy.tls: {path}: {wrong}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        wrong: String,
    },
    /// TLS towards devices cannot be set up.
    #[error(transparent)]
    Leaves(#[from] LeafError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// What the proxy is made of.
pub struct Parts {
    /// `[proxy]` of the settings.
    pub settings: settings::Proxy,
    /// `[upstream]` of the settings.
    pub upstream: settings::Upstream,
    /// Addresses that nobody may reach through the proxy: the API's, and whatever else the service listens on. The proxy's own are added.
    pub own_addresses: Vec<SocketAddr>,
    /// Directory for held bodies that memory cannot hold; on a disk with room. Files in it have no name and are encrypted.
    pub scratch: PathBuf,
    /// The hosts that are decrypted; may change while the proxy runs.
    pub hosts: watch::Receiver<Arc<InterceptedHosts>>,
    /// Hosts that are tunnelled unread are asked whether they are social servers (`intercept.ask_unlisted`).
    pub ask_unlisted: bool,
    /// Who the devices are.
    pub devices: Arc<dyn Devices>,
    /// Where exchanges go.
    pub recorder: Arc<dyn Recorder>,
    /// The firm CA.
    pub authority: Arc<Authority>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn Ids>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The proxy, bound to its sockets.
pub struct Proxy {
    shared: Arc<Shared>,
    authority: Arc<Authority>,
    listeners: Vec<Listener>,
    plain: SocketAddr,
    tls: Option<SocketAddr>,
    abort: CancellationToken,
    /// Hosts to be asked.
    asked: mpsc::Receiver<exchange::Authority>,
}

impl Proxy {
    /// Binds the sockets; nothing is accepted before [`Self::run`].
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn bind(parts: Parts) -> Result<Self, ProxyError> {
        let plain = bind(parts.settings.listen).await?;
        let mut listeners = vec![Listener { socket: plain.0, tls: None }];
        let mut tls_address = None;
        if let Some(tls) = &parts.settings.tls {
            let acceptor = acceptor(tls)?;
            let (socket, address) = bind(tls.listen).await?;
            tls_address = Some(address);
            listeners.push(Listener { socket, tls: Some(acceptor) });
        }
        let own = parts.own_addresses.into_iter().chain([plain.1]).chain(tls_address).collect();
        let abort = CancellationToken::new();
        let limits = parts.settings.limits;
        let drivers = Drivers {
            tasks: TaskTracker::new(),
            abort: abort.clone(),
            head_limit: u32::try_from(limits.head).unwrap_or(u32::MAX),
        };
        let (unlisted, asked) = Unlisted::new();
        let shared = Shared {
            limits,
            plain_networks: parts.settings.plain_networks,
            hosts: parts.hosts,
            gate: Gate::new(parts.devices).map_err(|_source| ProxyError::NoRandomness)?,
            dialler: Arc::new(Dialler::new(parts.upstream, own)?),
            drivers,
            leaves: Leaves::new(Arc::clone(&parts.authority), Arc::clone(&parts.clock), Arc::clone(&parts.metrics))?,
            unlisted: parts.ask_unlisted.then_some(unlisted),
            recorder: parts.recorder,
            scratch: Scratch::new(parts.scratch, limits.held_disk, limits.held_memory),
            clock: parts.clock,
            ids: parts.ids,
            metrics: parts.metrics,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            authority: parts.authority,
            listeners,
            plain: plain.1,
            tls: tls_address,
            abort,
            asked,
        })
    }

    /// Where the plain listener is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.plain
    }

    /// Where the TLS listener is.
    #[must_use]
    pub const fn tls_address(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Serves until `stop`, then drains: nothing new is begun, what is under way has `proxy.limits.drain_timeout`, then it is cut.
    pub async fn run(self, stop: CancellationToken) {
        let Self { shared, authority, listeners, abort, asked, .. } = self;
        let places = Arc::new(Semaphore::new(shared.limits.connections.min(Semaphore::MAX_PERMITS)));
        let (accepting, serving) = (TaskTracker::new(), TaskTracker::new());
        for listener in listeners {
            let task =
                listener::accept(Arc::clone(&shared), listener, Arc::clone(&places), serving.clone(), abort.clone());
            accepting.spawn(task);
        }
        accepting.spawn(unlisted::run(Arc::clone(&shared), asked));
        accepting.spawn(care_for_issuing(Arc::clone(&shared), authority));
        stop.cancelled().await;
        shared.stop.cancel();
        accepting.close();
        accepting.wait().await;
        serving.close();
        shared.drivers.tasks.close();
        if timeout(shared.limits.drain_timeout, serving.wait()).await.is_err() {
            tracing::warn!(count = serving.len(), "connections are cut off: they did not end in time");
        }
        abort.cancel();
        let ending = async {
            serving.wait().await;
            shared.drivers.tasks.wait().await;
        };
        if timeout(ABORTING, ending).await.is_err() {
            tracing::error!("connection tasks did not end when they were told to");
        }
    }
}

/// Keeps the issuing certificate valid, and fitting the list of hosts.
async fn care_for_issuing(shared: Arc<Shared>, authority: Arc<Authority>) {
    let mut hosts = shared.hosts.clone();
    // What is wrong is said when it begins and once an hour, not at every look.
    let mut said: Option<(String, Instant)> = None;
    loop {
        let names = hosts.borrow_and_update().names();
        let authority = Arc::clone(&authority);
        // Files, and an argon2 where a passphrase opens the root key.
        let wrong = match tokio::task::spawn_blocking(move || authority.refresh(&names)).await {
            Ok(Ok(Refreshed::Current | Refreshed::Replaced)) => None,
            Ok(Ok(Refreshed::Due(error)) | Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match wrong {
            Some(wrong) if said.as_ref().is_none_or(|(last, at)| *last != wrong || at.elapsed() > SAID_AGAIN) => {
                tracing::error!(error = %wrong, "the issuing certificate needs care");
                said = Some((wrong, Instant::now()));
            }
            Some(_) => {}
            None => said = None,
        }
        let changed = async {
            if hosts.changed().await.is_err() {
                // Nobody can change the list any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(REFRESH_EVERY) => {}
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ProxyError> {
    let failed = |source| ProxyError::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

fn acceptor(tls: &settings::file::TlsListener) -> Result<TlsAcceptor, ProxyError> {
    let wrong = |path: &PathBuf, wrong: String| ProxyError::Certificate { path: path.clone(), wrong };
    let certificates = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| wrong(&tls.certificate, source.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| wrong(&tls.key, source.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| wrong(&tls.certificate, source.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|source| wrong(&tls.certificate, source.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
