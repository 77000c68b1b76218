//! The service: builds every part, joins them, starts them from the bottom up and ends them from the top down.
//!
//! ```text
//! start  database → archive → settings entry → workers → spool, capture → projector, publisher, watch → api → proxy
//! stop   proxy (drains) → capture (works off, spools) → api → publisher, projector → archive → database
//! ```
//! Invariant: a part is started after everything it stands on and stopped before it. The proxy is the last to accept and the first
//! to stop, so whatever it takes can be kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Context;
use super::database::Database;
use super::join::{ArchiveBlobs, ArchiveDevices, ArchiveRecall};
use super::lifecycle::Alarm;
use super::{AppError, descriptors, in_force, master, recognition, schedule, tasks, tls};
use crate::access::Desk;
use crate::api::{self, Api, Installed, Listening, Patience, RateLimits, StreamBounds, Streams, Webhooks};
use crate::archive::{Append, Archive, Background, Schedule};
use crate::capture::spool::{Bounds, Directory, Journal, Spool, SpoolKey, SpoolParts};
use crate::capture::{Blobs, Capture, CaptureParts, Pace, Recorder, Workers};
use crate::exchange::Limits;
use crate::proxy::intercept::authority::Refreshed;
use crate::proxy::{Parts, Proxy, ProxyError};
use crate::retain::Retain;

/// What capture may take, twice, to work off what waits at the end.
const WORK_OFF: Duration = Duration::from_secs(10);

/// A running service.
pub(super) struct Service {
    /// Where devices connect.
    pub(super) proxy: SocketAddr,
    /// Where officers connect.
    pub(super) api: SocketAddr,
    /// Raised when the service cannot go on.
    pub(super) alarm: Alarm,
    pub(super) archive: Archive,
    database: Database,
    capture: Arc<Capture>,
    workers: Arc<Workers>,
    proxy_task: Part,
    api_task: Part,
    background: Part,
    /// Says that the service takes nothing new.
    draining: CancellationToken,
}

/// A task, or several, that end together.
#[derive(Default)]
struct Part {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Part {
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Service {
    /// Starts everything. What was started is stopped again when a later part cannot be.
    pub(super) async fn start(context: &Context) -> Result<Self, AppError> {
        let settings = &context.settings;
        // Bound first: that a port is taken is said at once, and not after a database was made.
        let listening = Listening::bind(settings.api.listen).await;
        let listening =
            listening.map_err(|source| AppError::Bind { key: "api.listen", address: settings.api.listen, source })?;
        let api_tls = settings.api.tls.as_ref().map(|tls| tls::server(&tls.certificate, &tls.key)).transpose()?;
        let database = Database::host(settings).await?;
        let archive = match context.archive(&database).await {
            Ok(archive) => archive,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        match Self::join(context, &archive, listening, api_tls).await {
            Ok(joined) => Ok(joined.with(archive, database)),
            Err(error) => {
                archive.close().await;
                database.close().await;
                Err(error)
            }
        }
    }

    async fn join(
        context: &Context,
        archive: &Archive,
        listening: Listening,
        api_tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Result<Joined, AppError> {
        let settings = &context.settings;
        let retention = schedule::load(settings)?;
        let (rules, sources) = recognition::load(settings)?;
        let listed = recognition::listed(settings)?;
        let hosts = recognition::hosts(&rules, &listed, settings);
        let authority = Arc::new(context.authority()?);
        // Before the first connection: without an issuing certificate nothing could be intercepted.
        if let Refreshed::Due(error) = authority.refresh(&hosts.names())? {
            tracing::warn!(error = %error, "the issuing certificate in use goes on until it ends");
        }
        let blobs: Arc<dyn Blobs> = Arc::new(ArchiveBlobs(archive.blobs().clone()));
        in_force::note(context, archive, Arc::clone(&blobs), rules.digest(), &retention, false).await?;
        let installed = Installed {
            authority: Some(Arc::clone(&authority)),
            rules: recognition::installed(&rules),
            rules_digest: Some(rules.digest()),
            backup_retention: settings.backup_retention,
        };
        let workers = Arc::new(recognition::workers(context, &sources).await?);
        let spool = Arc::new(spool(context, archive)?);
        let capture = Capture::start(CaptureParts {
            rules,
            listed,
            recognizer: Arc::<Workers>::clone(&workers),
            spool: Arc::clone(&spool),
            recall: Arc::new(ArchiveRecall(archive.clone())),
            blobs: Arc::clone(&blobs),
            master: context.master.clone(),
            scrub_key: context.scrub_key()?,
            limits: Limits::default(),
            pace: Pace::default(),
            clock: Arc::clone(&context.clock),
            ids: Arc::clone(&context.ids),
            entropy: Arc::clone(&context.entropy),
            metrics: Arc::clone(&context.metrics),
        })
        .await;
        let capture = Arc::new(capture);
        let alarm = Alarm::default();
        let devices = ArchiveDevices::new(archive.directory()?);
        let background = Part::default();
        let stop = || background.stop.clone();
        let schedule = Schedule { checkpoint: settings.archive.checkpoint_every, verify: settings.verify_every };
        let beside = Background::start(archive, schedule, tasks::on_archive_alarm(alarm.clone()));
        let followed = beside.followed();
        background.tasks.spawn(beside.run(stop()));
        background.tasks.spawn(tasks::watch(archive.clone(), alarm.clone(), stop()));
        background.tasks.spawn(Arc::clone(&devices).watch(stop()));
        if master::is_kept_here(&settings.master_key) {
            background.tasks.spawn(tasks::follow_master(context.master.clone(), stop()));
        }

        let feed = context.feed(archive)?;
        if let Some(feed) = &feed {
            background.tasks.spawn(Arc::clone(feed).run(stop()));
        }
        let retain = Retain::new(archive.clone(), Arc::clone(&context.ids)).with_schedule(retention);
        background.tasks.spawn(retain.clone().keep(stop()));

        let draining = CancellationToken::new();
        let desk = Desk::new(
            Arc::new(archive.clone()),
            Arc::clone(&context.clock),
            Arc::clone(&context.ids),
            Arc::clone(&context.entropy),
            context.master.clone(),
            blobs,
        );
        let (api_task, proxy_task) = (Part::default(), Part::default());
        let api_address = listening.address();
        let own =
            [api_address, settings.proxy.listen].into_iter().chain(settings.proxy.tls.as_ref().map(|tls| tls.listen));
        let webhooks =
            Webhooks::new(settings.webhooks.clone(), &settings.upstream, own.collect()).map_err(ProxyError::Trust)?;
        let api = Arc::new(Api {
            archive: archive.clone(),
            spool,
            desk,
            ids: Arc::clone(&context.ids),
            clock: Arc::clone(&context.clock),
            metrics: Arc::clone(&context.metrics),
            plain_networks: settings.api.plain_networks.clone(),
            installed,
            rates: RateLimits::new(settings.api.rate_per_token, settings.api.rate_per_address),
            timeout: settings.api.timeout,
            slots: Arc::new(Semaphore::new(settings.api.requests)),
            streams: Streams::new(StreamBounds::default(), followed, api_task.tasks.clone()),
            webhooks,
            retain,
            quorum: feed.map(|feed| Arc::clone(feed.quorum())),
            draining: draining.clone(),
        });

        let mut proxy_settings = settings.proxy.clone();
        proxy_settings.limits.connections = descriptors::fitting(proxy_settings.limits.connections);
        // The sender lives as long as the proxy: hosts change with the rules, which are read at start only.
        let (hosts_sender, hosts) = watch::channel(Arc::new(hosts));
        let proxy = Proxy::bind(Parts {
            settings: proxy_settings,
            upstream: settings.upstream.clone(),
            own_addresses: vec![api_address],
            scratch: context.home.dir("held")?,
            hosts,
            ask_unlisted: settings.intercept.ask_unlisted,
            devices,
            recorder: Arc::<Capture>::clone(&capture) as Arc<dyn Recorder>,
            authority,
            clock: Arc::clone(&context.clock),
            ids: Arc::clone(&context.ids),
            metrics: Arc::clone(&context.metrics),
        })
        .await?;
        let proxy_address = proxy.address();
        let patience = Patience::beside(settings.api.timeout);
        api_task.tasks.spawn(api::deliver(Arc::clone(&api), api_task.stop.clone()));
        api_task.tasks.spawn(listening.serve(api::router(api), api_tls, patience, api_task.stop.clone()));
        let stop = proxy_task.stop.clone();
        proxy_task.tasks.spawn(async move {
            proxy.run(stop).await;
            drop(hosts_sender);
        });
        Ok(Joined {
            proxy: proxy_address,
            api: api_address,
            alarm,
            capture,
            workers,
            proxy_task,
            api_task,
            background,
            draining,
        })
    }

    /// Drains and stops, from the top down.
    pub(super) async fn stop(self) {
        let Self { archive, database, capture, workers, proxy_task, api_task, background, draining, .. } = self;
        draining.cancel();
        proxy_task.end().await;
        match Arc::into_inner(capture) {
            Some(capture) => capture.shut_down(WORK_OFF).await,
            // Whoever still holds it is cut off with the runtime; what waits is in the spool or closed at the next start.
            None => tracing::error!("capture is still in use at the end and cannot be worked off"),
        }
        workers.shut_down().await;
        api_task.end().await;
        background.end().await;
        archive.close().await;
        database.close().await;
        tracing::info!("stopped");
    }
}

/// Everything but the archive, which outlives it.
struct Joined {
    proxy: SocketAddr,
    api: SocketAddr,
    alarm: Alarm,
    capture: Arc<Capture>,
    workers: Arc<Workers>,
    proxy_task: Part,
    api_task: Part,
    background: Part,
    draining: CancellationToken,
}

impl Joined {
    fn with(self, archive: Archive, database: Database) -> Service {
        let Self { proxy, api, alarm, capture, workers, proxy_task, api_task, background, draining } = self;
        Service { proxy, api, alarm, archive, database, capture, workers, proxy_task, api_task, background, draining }
    }
}

/// The archive with the journal in front of it.
fn spool(context: &Context, archive: &Archive) -> Result<Spool, AppError> {
    let settings = &context.settings.archive;
    let dir = context.home.path("spool");
    let directory = Directory::open(&dir).map_err(|source| AppError::Spool { dir, source })?;
    let bounds = Bounds { total: settings.spool, ..Bounds::default() };
    let key = SpoolKey::following(context.master.clone());
    let (clock, entropy) = (Arc::clone(&context.clock), Arc::clone(&context.entropy));
    let journal = Journal::open(Arc::new(directory), key, bounds, clock, entropy)?;
    Ok(Spool::new(SpoolParts {
        archive: Arc::new(archive.clone()) as Arc<dyn Append>,
        journal,
        when_unavailable: settings.when_unavailable,
        append_timeout: settings.append_timeout,
        clock: Arc::clone(&context.clock),
        ids: Arc::clone(&context.ids),
        metrics: Arc::clone(&context.metrics),
    }))
}
