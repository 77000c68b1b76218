//! What every handler may use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::access::Desk;
use crate::record::{Clock, Ids, OfficerId};
use crate::settings::Cidr;
use crate::telemetry::Metrics;

/// The API's parts, shared by all requests.
pub struct Api {
    /// For request ids.
    pub ids: Arc<dyn Ids>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// Where looks are admitted and written down.
    pub desk: Desk,
    /// Counted here, shown at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Networks, besides loopback, whose plain connections may carry a token.
    pub plain_networks: Vec<Cidr>,
    /// Time for one request.
    pub timeout: Duration,
    /// Requests served at once.
    pub slots: Semaphore,
}

/// Filled in by whoever finds out who asks, so that the request's log line has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(pub(super) Arc<OnceLock<OfficerId>>);

/// Route templates by their text, so that logs and metrics carry a template and never a path.
impl Api {
    /// The template as a word known at compile time.
    pub(super) fn route(&self, template: &str) -> &'static str {
        super::router::ROUTES.iter().find(|route| **route == template).copied().unwrap_or("unknown")
    }
}
