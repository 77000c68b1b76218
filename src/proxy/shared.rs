//! What every connection of the proxy shares.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::decide::InterceptedHosts;
use super::device::Gate;
use super::http::held::Scratch;
use super::intercept::Leaves;
use super::unlisted::Unlisted;
use super::upstream::{Dialler, Drivers};
use crate::capture::Recorder;
use crate::record::{Clock, ExchangeId, Ids, Timestamp};
use crate::settings::ProxyLimits;
use crate::telemetry::Metrics;

/// Shared by every connection.
pub(crate) struct Shared {
    pub(crate) limits: ProxyLimits,
    pub(crate) plain_networks: Vec<crate::settings::Cidr>,
    pub(crate) hosts: watch::Receiver<Arc<InterceptedHosts>>,
    pub(crate) gate: Gate,
    pub(crate) dialler: Arc<Dialler>,
    pub(crate) drivers: Drivers,
    pub(crate) leaves: Leaves,
    /// None: settings say that hosts are not asked.
    pub(crate) unlisted: Option<Unlisted>,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) scratch: Scratch,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) metrics: Arc<Metrics>,
    /// No further request is begun.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn exchange_id(&self) -> ExchangeId {
        ExchangeId::new(self.ids.fresh())
    }

    pub(crate) fn hosts(&self) -> Arc<InterceptedHosts> {
        Arc::clone(&self.hosts.borrow())
    }
}
