//! What every part is handed: settings, the data directory with its keys, clock, ids, random bytes, metrics.

use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::database::Database;
use super::{AppError, Home, SystemClock, SystemIds};
use crate::archive::{Archive, Options};
use crate::capture::{Blobs, Entropy, Sealer, SystemEntropy};
use crate::exchange::ScrubKey;
use crate::ledger::SigningKey;
use crate::proxy::ProxyError;
use crate::proxy::intercept::authority::{Authority, Setup};
use crate::record::{Clock, Ids, MasterKey};
use crate::settings::Settings;
use crate::telemetry::Metrics;
use crate::witness::{Feed, Quorum};

/// Built once, by the command that runs.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) home: Home,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) master: MasterKey,
    pub(super) signing: SigningKey,
}

impl Context {
    /// Opens the data directory, making it and its keys at the first start.
    pub(super) fn open(settings: Settings) -> Result<Self, AppError> {
        let home = Home::open(&settings.data_dir)?;
        let entropy = Arc::new(SystemEntropy);
        let master = home.master_key(&settings.master_key, &*entropy)?;
        let signing = home.log_key(&settings.firm.log_origin, &*entropy)?;
        Ok(Self {
            home,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            entropy,
            metrics: Arc::new(Metrics::new()),
            master,
            signing,
            settings,
        })
    }

    /// Opens the archive. On an embedded database a command shares the source of `serve`: the head's lock keeps their counts in
    /// one order.
    pub(super) async fn archive(&self, database: &Database) -> Result<Archive, AppError> {
        Ok(Archive::open(self.options(database)).await?)
    }

    /// Those who are asked to cosign checkpoints; none where the settings name none.
    pub(super) fn feed(&self, archive: &Archive) -> Result<Option<Arc<Feed>>, AppError> {
        let quorum = Quorum::new(&self.settings.witnessing, self.signing.verifying_key())?;
        let feed = quorum.map(|quorum| {
            let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
            Feed::new(archive.clone(), Arc::new(quorum), &self.settings.upstream, clock, metrics)
        });
        Ok(feed.transpose().map_err(ProxyError::Trust)?.map(Arc::new))
    }

    /// What the archive is opened, or verified, with.
    pub(super) fn options(&self, database: &Database) -> Options {
        let archive = &self.settings.archive;
        Options {
            service: database.service().clone(),
            data_dir: self.settings.data_dir.clone(),
            blobs: archive.blobs.clone(),
            master: self.master.clone(),
            signing: self.signing.clone(),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            metrics: Arc::clone(&self.metrics),
            connections: archive.connections,
            append_timeout: archive.append_timeout,
            durable: true,
        }
    }

    /// Seals what an entry commits to.
    pub(super) fn sealer(&self, blobs: Arc<dyn Blobs>) -> Sealer {
        Sealer { master: self.master.clone(), entropy: Arc::clone(&self.entropy), ids: Arc::clone(&self.ids), blobs }
    }

    /// Digests credentials, so that the same one is recognised without being kept. Another key than anything else's.
    pub(super) fn scrub_key(&self) -> Result<ScrubKey, AppError> {
        let mut key = Zeroizing::new([0; 32]);
        let derived = Hkdf::<Sha256>::new(None, self.master.as_bytes().as_slice());
        derived.expand(b"muniment redaction v1", key.as_mut_slice()).map_err(|_length| AppError::Derive)?;
        Ok(ScrubKey::new(*key))
    }

    /// The firm CA, made at first start.
    pub(super) fn authority(&self) -> Result<Authority, AppError> {
        Ok(Authority::open_or_create(Setup {
            dir: self.home.path("ca"),
            firm: self.settings.firm.name.clone(),
            master: self.master.clone(),
            passphrase: self.settings.ca_passphrase.clone(),
            clock: Arc::clone(&self.clock),
        })?)
    }
}
