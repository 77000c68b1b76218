//! The proxy with everything around it, on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use muniment::proxy::intercept::authority::{Authority, Setup};
use muniment::proxy::{Credential, Device, Devices, DevicesError, InterceptedHosts, Parts, Proxy};
use muniment::recognize::HostPattern;
use muniment::record::{AdvisorId, DeviceId, MasterKey};
use muniment::settings::{self, ProxyLimits};
use muniment::telemetry::Metrics;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::device::{PASSWORD, USER};
use super::origin::OriginRoot;
use super::recorder::TestRecorder;
use crate::support::clock::{SteppingClock, TestIds};

/// One device, which can be revoked.
#[derive(Default)]
pub(crate) struct OneDevice {
    generation: watch::Sender<u64>,
    revoked: AtomicBool,
    pub(crate) asked: AtomicU64,
}

impl OneDevice {
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// As if it were another one from now on.
    pub(crate) fn restore(&self) {
        self.revoked.store(false, Ordering::SeqCst);
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Devices for OneDevice {
    fn verify<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let right = match credential {
            Credential::Basic { user, password } => user == USER && password.expose_secret() == PASSWORD,
            _ => false,
        };
        let right = right && !self.revoked.load(Ordering::SeqCst);
        let device = Device { id: DeviceId::new(Uuid::from_u128(1)), advisor: AdvisorId::new(Uuid::from_u128(2)) };
        Box::pin(async move { Ok(right.then_some(device)) })
    }

    fn stands(&self, _device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>> {
        Box::pin(async { Ok(!self.revoked.load(Ordering::SeqCst)) })
    }

    fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}

/// What a test chooses.
pub(crate) struct WorldBuilder {
    pub(crate) root: OriginRoot,
    intercepted: Vec<String>,
    never: Vec<String>,
    resolve: Vec<(String, SocketAddr)>,
    pub(crate) proxy: settings::file::Proxy,
    pub(crate) upstream: settings::file::Upstream,
    pub(crate) own: Vec<SocketAddr>,
    /// Unlisted hosts are asked. Most tests count what reaches an origin, so they are not.
    pub(crate) ask_unlisted: bool,
}

impl WorldBuilder {
    pub(crate) fn new() -> Self {
        let mut proxy = settings::file::Proxy::default();
        proxy.listen.set_port(0);
        Self {
            root: OriginRoot::new(),
            intercepted: Vec::new(),
            never: Vec::new(),
            resolve: Vec::new(),
            proxy,
            upstream: settings::file::Upstream::default(),
            own: Vec::new(),
            ask_unlisted: false,
        }
    }

    /// A host that is decrypted.
    pub(crate) fn listed(mut self, host: &str, origin: SocketAddr) -> Self {
        self.intercepted.push(host.to_owned());
        self.reachable(host, origin)
    }

    /// A host that is not.
    pub(crate) fn reachable(mut self, host: &str, origin: SocketAddr) -> Self {
        self.resolve.push((host.to_owned(), origin));
        self
    }

    pub(crate) fn never(mut self, host: &str) -> Self {
        self.never.push(host.to_owned());
        self
    }

    pub(crate) async fn start(self) -> World {
        let directory = tempfile::tempdir().unwrap();
        let origin_root = directory.path().join("origins.pem");
        std::fs::write(&origin_root, &self.root.pem).unwrap();
        let patterns: Vec<HostPattern> = self.intercepted.iter().map(|host| host.parse().unwrap()).collect();
        let hosts = Arc::new(InterceptedHosts::new(&patterns, self.never.iter().map(String::as_str)));
        let clock = SteppingClock::new();
        let setup = Setup {
            dir: directory.path().join("ca"),
            firm: "Test Firm".to_owned(),
            master: MasterKey::new([7; 32]),
            passphrase: None,
            clock: clock.clone(),
        };
        let authority = Arc::new(Authority::open_or_create(setup).unwrap());
        authority.refresh(&hosts.names()).unwrap();
        let firm_root = authority.export_pem();
        let ca_file = directory.path().join("firm.pem");
        std::fs::write(&ca_file, &firm_root).unwrap();
        let recorder = TestRecorder::new();
        let devices = Arc::new(OneDevice::default());
        let metrics = Arc::new(Metrics::new());
        let (hosts_sender, hosts_receiver) = watch::channel(hosts);
        let file = self.upstream;
        let mut resolve = file.resolve;
        resolve.extend(self.resolve.iter().map(|(host, address)| (host.parse().unwrap(), *address)));
        let mut ports = file.ports;
        ports.extend(resolve.values().map(SocketAddr::port));
        let parts = Parts {
            settings: settings::Proxy {
                listen: self.proxy.listen,
                plain_networks: self.proxy.plain_networks,
                tls: self.proxy.tls,
                limits: ProxyLimits::from(&self.proxy.limits),
            },
            upstream: settings::Upstream {
                extra_roots: vec![origin_root],
                resolve,
                proxy: file.proxy,
                proxy_login: Some("parent:secret".to_owned().into()),
                allow_networks: file.allow_networks,
                ports,
                connect_timeout: file.connect_timeout.0,
            },
            own_addresses: self.own,
            scratch: directory.path().to_owned(),
            hosts: hosts_receiver,
            ask_unlisted: self.ask_unlisted,
            devices: devices.clone(),
            recorder: recorder.clone(),
            authority: authority.clone(),
            clock: clock.clone(),
            ids: TestIds::new(),
            metrics: metrics.clone(),
        };
        let proxy = Proxy::bind(parts).await.unwrap();
        let (address, tls_address) = (proxy.address(), proxy.tls_address());
        let stop = CancellationToken::new();
        let running = tokio::spawn(proxy.run(stop.clone()));
        World {
            proxy: address,
            tls_proxy: tls_address,
            recorder,
            devices,
            metrics,
            authority,
            firm_root,
            ca_file,
            hosts: hosts_sender,
            clock,
            stop,
            running: Some(running),
            directory,
        }
    }
}

/// The proxy, running.
pub(crate) struct World {
    pub(crate) proxy: SocketAddr,
    pub(crate) tls_proxy: Option<SocketAddr>,
    pub(crate) recorder: Arc<TestRecorder>,
    pub(crate) devices: Arc<OneDevice>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) firm_root: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) hosts: watch::Sender<Arc<InterceptedHosts>>,
    pub(crate) clock: Arc<SteppingClock>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: Option<JoinHandle<()>>,
    pub(crate) directory: TempDir,
}

impl World {
    /// A metric's line, such as `refused_total{reason="malformed"} 1`.
    pub(crate) fn counts(&self, line: &str) -> bool {
        use muniment::record::Clock as _;
        let text = self.metrics.encode(self.clock.now()).unwrap();
        let found = text.lines().any(|l| l == line);
        if !found {
            eprintln!("{text}");
        }
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
