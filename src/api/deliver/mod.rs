//! Webhooks at work: events that the service sends by itself, signed as Standard Webhooks has it.
//!
//! ```text
//! deliver ─▶ one worker a webhook, in one process at a time
//!            worker ─▶ message     a run of events beyond its position; the look is on record, then the message is queued
//!                   ─▶ attempt     to an address that was judged, signed, within one time limit; nothing of the answer is read but its head
//!                   ─▶ pause       tried again later, ever more rarely; in the end a dead letter
//! ```
//! Invariants (P5): whatever leaves is on record as a look of the webhook's owner before it leaves, and leaves only while the owner may look.
//! What leaves are ids, kinds, times and links: content is fetched with a token.

mod attempt;
pub(super) mod message;
mod pause;
mod signature;
mod target;
mod worker;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(super) use target::Target;
use worker::Worker;

use super::state::Api;
use crate::proxy::{Dialler, TrustError};
use crate::record::WebhookId;
use crate::settings;

/// Webhooks at most.
pub(super) const MOST: u32 = 32;
/// How often to look for webhooks that other processes set up, or died over.
const LOOK: Duration = Duration::from_secs(2);
/// How often to forget what is old.
const PRUNE: Duration = Duration::from_secs(60);

/// How webhooks are delivered.
pub struct Webhooks {
    settings: settings::Webhooks,
    dialler: Dialler,
    /// Wakes the workers of this process.
    wake: Notify,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Reaches receivers as origins are reached, but for the private networks that are allowed; never `own`.
    ///
    /// # Errors
    /// When no roots are trusted.
    pub fn new(
        settings: settings::Webhooks,
        upstream: &settings::Upstream,
        own: Vec<SocketAddr>,
    ) -> Result<Self, TrustError> {
        let upstream = settings::Upstream { allow_networks: settings.allow_networks.clone(), ..upstream.clone() };
        Ok(Self { dialler: Dialler::new(upstream, own)?, settings, wake: Notify::new() })
    }

    /// Something is new: do not wait for the next look.
    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }
}

/// Delivers until `stop`: every webhook that is enabled, each in a task of its own. One that is under way then is given up, and tried again by
/// whoever comes next.
pub async fn deliver(api: Arc<Api>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut running: HashMap<Id, WebhookId> = HashMap::new();
    let mut pruned = Instant::now();
    while !stop.is_cancelled() {
        while let Some(ended) = tasks.try_join_next_with_id() {
            running.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
        }
        let woken = api.webhooks.wake.notified();
        match api.archive.enabled_webhooks(MOST).await {
            Ok(enabled) => {
                for webhook in enabled {
                    if !running.values().any(|other| *other == webhook) {
                        let (worker, stop) = (Worker::new(Arc::clone(&api), webhook), stop.clone());
                        let task = tasks.spawn(async move {
                            stop.run_until_cancelled(worker.run()).await;
                        });
                        running.insert(task.id(), webhook);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "webhooks cannot be looked up"),
        }
        if pruned.elapsed() >= PRUNE {
            pruned = Instant::now();
            prune(&api).await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = woken => {}
            () = sleep(LOOK) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
    // Others need not wait until our places have run out.
    if let Err(error) = api.archive.let_webhooks_go(api.archive.source().uuid()).await {
        tracing::warn!(%error, "webhooks are taken over later by other processes");
    }
}

async fn prune(api: &Api) {
    if let Err(error) = api.archive.prune_deliveries().await {
        tracing::warn!(%error, "old deliveries cannot be forgotten");
    }
    if let Err(error) = api.archive.prune_answers().await {
        tracing::warn!(%error, "old answers cannot be forgotten");
    }
}
