//! What stands beside the archive and is part of the system that regulators ask about.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::intercept::authority::Authority;
use crate::record::Digest;

/// The rules of one network.
#[derive(Debug, Clone)]
pub struct InstalledRules {
    /// Which network.
    pub network: String,
    /// In words.
    pub title: String,
    /// Of its rule file.
    pub digest: Digest,
}

/// What runs here.
#[derive(Default)]
pub struct Installed {
    /// The firm's certificate authority; none where this process intercepts nothing.
    pub authority: Option<Arc<Authority>>,
    /// The rules of each network.
    pub rules: Vec<InstalledRules>,
    /// Of all of them together.
    pub rules_digest: Option<Digest>,
    /// How long backups are kept.
    pub backup_retention: Duration,
}
