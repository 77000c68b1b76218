//! Leaves in use: minted once per host, shared by every connection to it.
//!
//! Invariants: a hundred connections to a new host mint one leaf; a leaf of an issuer that was replaced is not given out again,
//! while connections that have it keep it; the number of leaves is bounded; a leaf is renewed long before it ends. Failures are
//! not remembered. TLS: ALPN `h2` and `http/1.1`, sessions may be resumed, early data is never accepted (a replayed request would
//! be one more than recorded).

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use rustls::ServerConfig;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::authority::{Authority, MintError};
use crate::record::Clock;
use crate::telemetry::Metrics;

/// Most leaves kept.
const MOST: u64 = 2048;
/// A leaf serves this long, far less than it is valid.
const SERVES: Duration = Duration::from_secs(24 * 3600);
/// Sessions that can be taken up again with TLS 1.2.
const SESSIONS: usize = 4096;

/// No leaf for this host.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeafError {
    /// It could not be minted.
    #[error(transparent)]
    Mint(Arc<MintError>),
    /// The TLS library does not take it.
    #[error("the tls library does not take the leaf: {0}")]
    Library(rustls::Error),
}

#[derive(Clone)]
struct Ready {
    certified: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
}

/// Issuer generation, period of time, host: a new issuer or a new day is another leaf.
type Key = (u64, i64, Box<str>);

/// Gives a leaf for each host.
pub struct Leaves {
    authority: Arc<Authority>,
    clock: Arc<dyn Clock>,
    base: ServerConfig,
    ready: Cache<Key, Ready>,
    metrics: Arc<Metrics>,
}

impl Leaves {
    /// # Errors
    /// When the TLS library refuses its own parameters.
    pub fn new(authority: Arc<Authority>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Self, LeafError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut base = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(LeafError::Library)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoLeaf));
        base.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        base.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        base.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(LeafError::Library)?;
        base.max_early_data_size = 0;
        // What a device uses.
        base.send_tls13_tickets = 1;
        let ready = Cache::builder().max_capacity(MOST).time_to_live(SERVES).build();
        Ok(Self { authority, clock, base, ready, metrics })
    }

    /// The TLS side towards a device that asked for this host.
    ///
    /// # Errors
    /// See [`LeafError`].
    pub async fn config(&self, host: &str) -> Result<Arc<ServerConfig>, LeafError> {
        self.ready(host).await.map(|ready| ready.config)
    }

    /// The leaf for this host, with its chain and key.
    ///
    /// # Errors
    /// See [`LeafError`].
    pub async fn certified(&self, host: &str) -> Result<Arc<CertifiedKey>, LeafError> {
        self.ready(host).await.map(|ready| ready.certified)
    }

    async fn ready(&self, host: &str) -> Result<Ready, LeafError> {
        let now = self.clock.now();
        let issuer = self.authority.issuer().map_err(|error| LeafError::Mint(Arc::new(error.into())))?;
        let period = now.date_time().unix_timestamp().div_euclid(SERVES.as_secs().cast_signed());
        let key = (issuer.generation(), period, host.into());
        let minted = self.ready.try_get_with(key, async move {
            let leaf = issuer.mint(host, now).map_err(|error| LeafError::Mint(Arc::new(error)))?;
            let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&leaf.key.into()).map_err(LeafError::Library)?;
            self.metrics.leaf_minted();
            let certified = Arc::new(CertifiedKey::new(leaf.chain, key));
            let mut config = self.base.clone();
            config.cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
            Ok(Ready { certified, config: Arc::new(config) })
        });
        minted.await.map_err(|error: Arc<LeafError>| (*error).clone())
    }
}

/// Stands in the configuration that others are copied from.
#[derive(Debug)]
struct NoLeaf;

impl rustls::server::ResolvesServerCert for NoLeaf {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
