//! The API on an archive of its own; and a second one beside it that shares the database, as another process would.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muniment::access::{Desk, Token};
use muniment::api::{Api, Installed, Listening, Patience, RateLimits, StreamBounds, Streams, Webhooks, deliver};
use muniment::archive::{Append, Archive, BlobDigest, BlobStore, Followed, Follower, Limits, Options};
use muniment::capture::spool::{Bounds, Directory, Journal, Spool, SpoolKey, SpoolParts};
use muniment::capture::{BlobWriter, Blobs, SystemEntropy};
use muniment::ledger::Actor;
use muniment::record::OfficerId;
use muniment::retain::Retain;
use muniment::settings::{self, WhenUnavailable};
use muniment::telemetry::Metrics;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::Call;
use crate::support::archive::{TestArchive, master};
use crate::support::postgres::Database;
use crate::support::relay::Relay;

/// What tests vary.
pub(super) struct Setting {
    pub(super) slots: usize,
    pub(super) timeout: Duration,
    pub(super) append_timeout: Duration,
    pub(super) patience: Patience,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// Requests a second of one token and one address; 0 for no limit.
    pub(super) rates: (u32, u32),
    /// With a relay between archive and Postgres that can be cut.
    pub(super) relay: bool,
    /// With projections that follow the ledger by themselves.
    pub(super) follow: bool,
    pub(super) streams: StreamBounds,
    /// How webhooks are delivered; they are not where `deliver` is false.
    pub(super) webhooks: settings::Webhooks,
    pub(super) extra_roots: Vec<PathBuf>,
    pub(super) deliver: bool,
}

/// Webhooks to this machine, tried again soon.
pub(super) fn webhooks() -> settings::Webhooks {
    settings::Webhooks {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        timeout: Duration::from_secs(2),
        attempts: 4,
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        disable_after: Duration::from_secs(3_600),
    }
}

/// Origins as they are reached by default.
fn upstream(extra_roots: Vec<PathBuf>) -> settings::Upstream {
    settings::Upstream {
        extra_roots,
        resolve: std::iter::once(("hooks.test".parse().unwrap(), "127.0.0.1:443".parse().unwrap())).collect(),
        proxy: None,
        proxy_login: None,
        allow_networks: Vec::new(),
        ports: vec![443],
        connect_timeout: Duration::from_secs(2),
    }
}

impl Default for Setting {
    fn default() -> Self {
        let timeout = Duration::from_secs(30);
        let append_timeout = Duration::from_secs(10);
        Self {
            slots: 64,
            timeout,
            append_timeout,
            patience: Patience::beside(timeout),
            tls: None,
            rates: (0, 0),
            relay: false,
            follow: false,
            streams: StreamBounds::default(),
            webhooks: webhooks(),
            extra_roots: Vec::new(),
            deliver: false,
        }
    }
}

/// A served API, and what it is made of.
pub(super) struct World {
    pub(super) instance: Instance,
    pub(super) relay: Option<Relay>,
    pub(super) test: TestArchive,
}

/// One served API.
pub(super) struct Instance {
    pub(super) address: SocketAddr,
    pub(super) slots: Arc<Semaphore>,
    pub(super) draining: CancellationToken,
    pub(super) spool: Arc<Spool>,
    pub(super) stop: CancellationToken,
    pub(super) serving: tokio::task::JoinHandle<()>,
    pub(super) streaming: TaskTracker,
    pub(super) delivering: Option<tokio::task::JoinHandle<()>>,
    _follower: Option<Follower>,
    _spool: TempDir,
}

/// An officer who was added.
pub(super) struct Officer {
    pub(super) id: OfficerId,
    pub(super) token: String,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Setting::default()).await
    }

    pub(super) async fn with(setting: Setting) -> Self {
        Self::on(Database::fresh().await, setting).await
    }

    /// On a database that may hold something already.
    pub(super) async fn on(database: Database, setting: Setting) -> Self {
        let relay = if setting.relay { Some(Relay::before(&database).await) } else { None };
        let metrics = Arc::new(Metrics::new());
        let service = relay.as_ref().map(|relay| relay.through(database.service()));
        let change = |options: Options| Options {
            append_timeout: setting.append_timeout,
            metrics: Arc::clone(&metrics),
            service: service.unwrap_or_else(|| options.service.clone()),
            ..options
        };
        let test = TestArchive::on(database, change).await;
        let instance = Instance::start(&test, test.archive.clone(), metrics, &setting).await;
        Self { instance, relay, test }
    }

    /// The API once more, on the same database, with a data directory of its own.
    pub(super) async fn second(&self, data_dir: &Path) -> Instance {
        self.second_with(data_dir, &Setting::default()).await
    }

    /// The same with another setting.
    pub(super) async fn second_with(&self, data_dir: &Path, setting: &Setting) -> Instance {
        let archive = self.test.open_again(data_dir).await.unwrap();
        Instance::start(&self.test, archive, Arc::new(Metrics::new()), setting).await
    }

    /// An officer in these roles.
    pub(super) async fn officer(&self, roles: &[&str]) -> Officer {
        let token = Token::fresh(&SystemEntropy).unwrap();
        let added = self.test.archive.add_officer(by(), "Olga Officer", roles, token.digest()).await.unwrap();
        Officer { id: added.id, token: token.reveal().to_owned() }
    }

    /// An officer whose token ends, or reaches only so far.
    pub(super) async fn officer_within(&self, roles: &[&str], limits: &Limits) -> Officer {
        let token = Token::fresh(&SystemEntropy).unwrap();
        let added = self.test.archive.add_officer_within(by(), "Olga Officer", roles, token.digest(), limits).await;
        Officer { id: added.unwrap().id, token: token.reveal().to_owned() }
    }

    /// Everything that is in the ledger is in the projections.
    pub(super) async fn project(&self) {
        let size = self.test.archive.head_size().await.unwrap();
        self.test.archive.project(size).await.unwrap();
    }

    pub(super) fn get(&self, path: &str) -> Call {
        self.instance.get(path)
    }
}

pub(super) fn by() -> Actor {
    Actor::Service("cli".try_into().unwrap())
}

impl Instance {
    pub(super) fn get(&self, path: &str) -> Call {
        Call::new(self.address, path)
    }

    async fn start(test: &TestArchive, archive: Archive, metrics: Arc<Metrics>, setting: &Setting) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (slots, draining, stop) =
            (Arc::new(Semaphore::new(setting.slots)), CancellationToken::new(), CancellationToken::new());
        let spool = spool(test, &archive, dir.path(), &metrics);
        let follower = setting.follow.then(|| Follower::start(&archive));
        let followed = follower.as_ref().map_or_else(|| watch::channel(Followed::default()).1, Follower::followed);
        let streaming = TaskTracker::new();
        let retain = Retain::new(archive.clone(), Arc::clone(&test.ids) as Arc<_>)
            .with_schedule(Arc::new(muniment::retain::schedule::Schedule::built_in().unwrap()));
        let api = Api {
            spool: Arc::clone(&spool),
            desk: desk(test, Arc::new(archive.clone())),
            archive,
            ids: Arc::clone(&test.ids) as Arc<_>,
            clock: Arc::clone(&test.clock) as Arc<_>,
            metrics: Arc::clone(&metrics),
            plain_networks: Vec::new(),
            installed: Installed::default(),
            rates: RateLimits::new(setting.rates.0, setting.rates.1),
            timeout: setting.timeout,
            slots: Arc::clone(&slots),
            streams: Streams::new(setting.streams, followed, streaming.clone()),
            webhooks: Webhooks::new(setting.webhooks.clone(), &upstream(setting.extra_roots.clone()), Vec::new())
                .unwrap(),
            retain,
            // A policy that asks nobody: every checkpoint meets it.
            quorum: Some(Arc::new(muniment::witness::Quorum {
                witnesses: Vec::new(),
                policy: muniment::ledger::Policy::parse(b"quorum none\n").unwrap(),
                text: "quorum none\n".to_owned(),
                every: Duration::from_secs(10),
                wait: Duration::ZERO,
            })),
            draining: draining.clone(),
        };
        let api = Arc::new(api);
        let delivering = setting.deliver.then(|| tokio::spawn(deliver(Arc::clone(&api), stop.clone())));
        let listening = Listening::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listening.address();
        let serving = tokio::spawn(listening.serve(
            muniment::api::router(api),
            setting.tls.clone(),
            setting.patience,
            stop.clone(),
        ));
        Self { address, slots, draining, spool, stop, serving, streaming, delivering, _follower: follower, _spool: dir }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A desk that appends here.
pub(super) fn desk(test: &TestArchive, append: Arc<dyn Append>) -> Desk {
    let blobs = Arc::new(TestBlobs(test.archive.blobs().clone()));
    let (clock, ids) = (Arc::clone(&test.clock), Arc::clone(&test.ids));
    Desk::new(append, clock, ids, Arc::new(SystemEntropy), master(), blobs)
}

fn spool(test: &TestArchive, archive: &Archive, dir: &Path, metrics: &Arc<Metrics>) -> Arc<Spool> {
    let (disk, key) = (Arc::new(Directory::open(dir).unwrap()), SpoolKey::derive(&master().as_bytes()));
    let clock = Arc::clone(&test.clock) as Arc<dyn muniment::record::Clock>;
    let journal = Journal::open(disk, key, Bounds::default(), Arc::clone(&clock), Arc::new(SystemEntropy)).unwrap();
    Arc::new(Spool::new(SpoolParts {
        archive: Arc::new(archive.clone()),
        journal,
        when_unavailable: WhenUnavailable::Spool,
        append_timeout: Duration::from_secs(1),
        clock,
        ids: Arc::clone(&test.ids) as Arc<_>,
        metrics: Arc::clone(metrics),
    }))
}

/// The archive's blob store, as the service hands it to the desk.
struct TestBlobs(BlobStore);

struct TestWriter(muniment::archive::BlobWriter);

impl Blobs for TestBlobs {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(TestWriter(self.0.writer().map_err(io::Error::other)?)))
    }
}

impl Write for TestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl BlobWriter for TestWriter {
    fn finish(self: Box<Self>) -> io::Result<(BlobDigest, u64)> {
        self.0.finish().map_err(io::Error::other)
    }
}
