//! muniment's proxy with everything that a GET passes in service: device, decision, rules. Nothing is kept of it, so the recorder is never
//! asked for more than its plan.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use muniment::capture::{Gap, Receipt, Recorder, Refusal, RefusalReason};
use muniment::exchange::{Connection, Exchange, Message, RequestHead};
use muniment::proxy::intercept::authority::{Authority, Setup};
use muniment::proxy::{Credential, Device, Devices, DevicesError, InterceptedHosts, Parts, Proxy};
use muniment::recognize::{HostPattern, ListedHosts, Plan, RuleSet};
use muniment::record::{AdvisorId, Clock, DeviceId, Ids, MasterKey, Timestamp};
use muniment::settings::{self, ProxyLimits};
use muniment::telemetry::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{cold_host, fresh};

struct Rules(RuleSet, ListedHosts);

impl Recorder for Rules {
    fn plan(&self, _connection: &Connection, head: &RequestHead) -> Plan {
        self.0.plan(head, &self.1)
    }

    fn write(&self, _exchange: Exchange) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        Box::pin(async { Err(Refusal::new(RefusalReason::Stopping, "this bench only reads")) })
    }

    fn observe(&self, _exchange: Exchange) {}

    fn message<'a>(
        &'a self,
        _connection: &'a Arc<Connection>,
        _head: &'a RequestHead,
        _message: Message,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn gap(&self, _gap: Gap) {}
}

struct Anybody;

impl Devices for Anybody {
    fn verify<'a>(&'a self, _credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>> {
        let device = Device { id: DeviceId::new(Uuid::from_u128(1)), advisor: AdvisorId::new(Uuid::from_u128(2)) };
        Box::pin(async move { Ok(Some(device)) })
    }

    fn stands(&self, _device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>> {
        Box::pin(async { Ok(true) })
    }

    fn generation(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

struct System(AtomicU64);

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::new(time::OffsetDateTime::now_utc())
    }
}

impl Ids for System {
    fn fresh(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

/// `intercepts`: whether the origin's name is on the list.
pub async fn run(directory: &Path, origin: SocketAddr, intercepts: bool) {
    let mut listed: Vec<HostPattern> = vec!["*.bench.test".parse().unwrap()];
    if intercepts {
        listed.push("localhost".parse().unwrap());
    }
    let hosts = Arc::new(InterceptedHosts::new(&listed, []));
    let system = Arc::new(System(AtomicU64::new(1)));
    let setup = Setup {
        dir: directory.join("ca"),
        firm: "Bench".to_owned(),
        master: MasterKey::new([7; 32]),
        passphrase: None,
        clock: system.clone(),
    };
    let authority = Arc::new(Authority::open_or_create(setup).unwrap());
    authority.refresh(&hosts.names()).unwrap();
    std::fs::write(directory.join("muniment.pem"), authority.export_pem()).unwrap();
    let parts = Parts {
        settings: settings::Proxy {
            listen: "127.0.0.1:0".parse().unwrap(),
            plain_networks: Vec::new(),
            tls: None,
            limits: ProxyLimits::from(&settings::file::ProxyLimits::default()),
        },
        upstream: settings::Upstream {
            extra_roots: vec![directory.join("origin-root.pem")],
            resolve: (0..fresh::HOSTS)
                .map(cold_host)
                .chain(["localhost".to_owned()])
                .map(|name| (name.parse().unwrap(), origin))
                .collect(),
            proxy: None,
            proxy_login: None,
            allow_networks: Vec::new(),
            ports: vec![origin.port()],
            connect_timeout: settings::file::Upstream::default().connect_timeout.0,
        },
        own_addresses: Vec::new(),
        scratch: directory.to_owned(),
        hosts: watch::channel(hosts).1,
        ask_unlisted: false,
        devices: Arc::new(Anybody),
        recorder: Arc::new(Rules(RuleSet::embedded().unwrap(), listed.into_iter().collect())),
        authority,
        clock: system.clone(),
        ids: system,
        metrics: Arc::new(Metrics::new()),
    };
    let proxy = Proxy::bind(parts).await.unwrap();
    println!("{}", proxy.address().port());
    proxy.run(CancellationToken::new()).await;
}
