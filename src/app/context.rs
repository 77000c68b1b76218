//! What every part is handed: settings, the data directory with its keys, clock, ids, random bytes, metrics.

use std::sync::Arc;

use super::database::Database;
use super::{AppError, Home, SystemClock, SystemIds};
use crate::archive::{Archive, Options};
use crate::capture::{Entropy, SystemEntropy};
use crate::ledger::SigningKey;
use crate::record::{Clock, Ids, MasterKey};
use crate::settings::{Postgres, Settings};
use crate::telemetry::Metrics;

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
        let archive = &self.settings.archive;
        let options = Options {
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
        };
        Ok(Archive::open(options).await?)
    }

    /// Whether the private Postgres is used.
    pub(super) const fn is_embedded(&self) -> bool {
        matches!(self.settings.archive.postgres, Postgres::Embedded { .. })
    }
}
