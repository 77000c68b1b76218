//! Leaves by host and issuer, minted once however many connections ask at the same moment.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use rustls::ServerConfig;

use super::leaf::{self, Leaf};
use super::{Authority, AuthorityError};
use crate::record::{Clock, Digest};
use crate::telemetry::Metrics;

/// Leaves kept.
const HOSTS: u64 = 10_000;
/// A leaf that nobody asked for this long is forgotten, and with it its key.
const UNUSED: Duration = Duration::from_secs(6 * 3600);
/// A leaf is made anew this long before it expires.
const MARGIN: time::Duration = time::Duration::hours(1);

/// The cache.
pub(crate) struct Leaves {
    authority: Arc<Authority>,
    cache: Cache<(Digest, String), Arc<Leaf>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Leaves {
    pub(crate) fn new(authority: Arc<Authority>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let cache = Cache::builder().max_capacity(HOSTS).time_to_idle(UNUSED).build();
        Self { authority, cache, clock, metrics }
    }

    /// What serves this host. Connections that are open keep the leaf they began with.
    pub(crate) async fn for_host(&self, host: &str) -> Result<Arc<ServerConfig>, Arc<AuthorityError>> {
        let issuing = self.authority.issuing();
        let key = (issuing.generation, host.to_owned());
        if let Some(leaf) = self.cache.get(&key).await {
            let left = leaf.not_after - self.clock.now().date_time();
            // Near the issuer's own end there is no better leaf to be had.
            if left > MARGIN || leaf.not_after >= issuing.not_after {
                return Ok(Arc::clone(&leaf.config));
            }
            self.cache.invalidate(&key).await;
        }
        let minting = async {
            let leaf = leaf::mint(&issuing, host, self.clock.now().date_time())?;
            self.metrics.leaf_minted();
            Ok::<_, AuthorityError>(Arc::new(leaf))
        };
        Ok(Arc::clone(&self.cache.try_get_with(key, minting).await?.config))
    }
}
