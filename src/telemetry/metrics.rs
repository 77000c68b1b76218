//! The metrics, all of them, in OpenMetrics form at `/metrics`.
//!
//! Every label value is a `&'static str`, a word of a closed list in the code, but for the one that says which process this is. Nothing
//! that was sent or read can become one.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::record::{SourceId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Node {
    source: String,
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Key {
    key: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Every metric of the service. One value, shared by all parts; its methods never block and never fail.
pub struct Metrics {
    registry: Registry,
    node: Family<Node, Gauge>,
    capture_gap: Family<Cause, Counter>,
    captured: Family<Stage, Counter>,
    pass_through: Family<Reason, Counter>,
    refused: Family<Reason, Counter>,
    unlisted_asked: Family<Reason, Counter>,
    intercepted: Counter,
    connections: Gauge,
    leaves_minted: Counter,
    passwords_compared: Counter,
    spool_entries: Gauge,
    spool_bytes: Gauge,
    append_seconds: Histogram,
    append_group: Histogram,
    hold_seconds: Histogram,
    ledger_size: Gauge,
    published_at: AtomicI64,
    checkpoint_age: Seconds,
    projection_lag: Gauge,
    verified: Family<Reason, Counter>,
    verified_at: Seconds,
    recognitions_killed: Counter,
    api_requests: Family<Request, Counter>,
    api_seconds: Histogram,
    webhook_deliveries: Family<Reason, Counter>,
    webhooks_disabled: Family<Cause, Counter>,
    witness_asked: Family<Reason, Counter>,
    witness_alarms: Family<Cause, Counter>,
    witness_behind: Family<Key, Gauge>,
    witnessed_size: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// From 50 µs to about 27 s, doubling.
fn seconds() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.000_05, 2.0, 20))
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            node: Family::default(),
            capture_gap: Family::default(),
            captured: Family::default(),
            pass_through: Family::default(),
            refused: Family::default(),
            unlisted_asked: Family::default(),
            intercepted: Counter::default(),
            connections: Gauge::default(),
            leaves_minted: Counter::default(),
            passwords_compared: Counter::default(),
            spool_entries: Gauge::default(),
            spool_bytes: Gauge::default(),
            append_seconds: seconds(),
            append_group: Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(1.0, 2.0, 12)),
            hold_seconds: seconds(),
            ledger_size: Gauge::default(),
            published_at: AtomicI64::new(0),
            checkpoint_age: Seconds::default(),
            projection_lag: Gauge::default(),
            verified: Family::default(),
            verified_at: Seconds::default(),
            recognitions_killed: Counter::default(),
            api_requests: Family::default(),
            api_seconds: seconds(),
            webhook_deliveries: Family::default(),
            webhooks_disabled: Family::default(),
            witness_asked: Family::default(),
            witness_alarms: Family::default(),
            witness_behind: Family::default(),
            witnessed_size: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        // A counter's exported name gets the suffix `_total`.
        r.register(
            "node_info",
            "Which process this is: the source its entries name, and its version",
            self.node.clone(),
        );
        r.register("capture_gap", "What was seen but could not be kept or read, by cause", self.capture_gap.clone());
        r.register("captured", "Entries appended, by entry type", self.captured.clone());
        r.register("pass_through", "Connections tunnelled unread, by reason", self.pass_through.clone());
        r.register("refused", "Connections and requests refused, by reason", self.refused.clone());
        r.register("unlisted_hosts_asked", "Unlisted hosts asked for nodeinfo, by answer", self.unlisted_asked.clone());
        r.register("intercepted", "Connections decrypted", self.intercepted.clone());
        r.register("proxy_connections", "Device connections open now", self.connections.clone());
        r.register("leaves_minted", "Leaf certificates minted", self.leaves_minted.clone());
        r.register("passwords_compared", "Passwords of devices put to the slow hash", self.passwords_compared.clone());
        r.register("spool_entries", "Entries waiting in the spool for the archive", self.spool_entries.clone());
        r.register("spool_bytes", "Bytes the spool takes on disk", self.spool_bytes.clone());
        r.register("archive_append_seconds", "From draft to durable, one append", self.append_seconds.clone());
        r.register("archive_append_group", "Drafts committed together", self.append_group.clone());
        r.register("proxy_hold_seconds", "How long a write was held before release", self.hold_seconds.clone());
        r.register("ledger_size", "Entries in the ledger", self.ledger_size.clone());
        r.register("checkpoint_age_seconds", "Age of the newest checkpoint", self.checkpoint_age.clone());
        r.register("projection_lag_entries", "Entries not yet projected", self.projection_lag.clone());
        r.register("verifications", "Background verifications, by verdict", self.verified.clone());
        r.register("verified_timestamp_seconds", "When the last whole verification ended", self.verified_at.clone());
        r.register("recognitions_killed", "Rule runs stopped at their limit", self.recognitions_killed.clone());
        r.register("api_requests", "API requests, by route and status", self.api_requests.clone());
        r.register("api_request_seconds", "Time to answer an API request", self.api_seconds.clone());
        r.register("webhook_deliveries", "Attempts at webhooks, by what came of them", self.webhook_deliveries.clone());
        r.register("witness_asked", "Witnesses asked to cosign, by what came of it", self.witness_asked.clone());
        r.register("witness_alarms", "Witnesses that contradicted this log, by cause", self.witness_alarms.clone());
        r.register("witness_behind", "Entries not cosigned, by witness key id", self.witness_behind.clone());
        r.register("witnessed_size", "Entries under a checkpoint that meets the quorum", self.witnessed_size.clone());
        r.register("webhooks_disabled", "Webhooks the service disabled, by cause", self.webhooks_disabled.clone());
    }

    /// Which process this is. The id is one of ours, made at random at the first start: nothing that was sent or read.
    pub fn node(&self, source: SourceId) {
        let node = Node { source: source.to_string(), version: env!("CARGO_PKG_VERSION") };
        self.node.get_or_create(&node).set(1);
    }

    /// A witness was asked.
    pub fn witness_asked(&self, reason: &'static str) {
        self.witness_asked.get_or_create(&Reason { reason }).inc();
    }

    /// A witness contradicted this log.
    pub fn witness_alarm(&self, cause: &'static str) {
        self.witness_alarms.get_or_create(&Cause { cause }).inc();
    }

    /// So many entries of the newest checkpoint this witness has not cosigned. By key id: names are others'.
    pub fn witness_behind(&self, key: &str, entries: u64) {
        let key = Key { key: key.to_owned() };
        self.witness_behind.get_or_create(&key).set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// The newest checkpoint that meets the quorum has this size.
    pub fn witnessed(&self, size: u64) {
        self.witnessed_size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// A gap was noted.
    pub fn gap(&self, cause: &'static str) {
        self.capture_gap.get_or_create(&Cause { cause }).inc();
    }

    /// An entry of this type is durable.
    pub fn captured(&self, entry_type: &'static str) {
        self.captured.get_or_create(&Stage { kind: entry_type }).inc();
    }

    /// A connection is tunnelled unread.
    pub fn pass_through(&self, reason: &'static str) {
        self.pass_through.get_or_create(&Reason { reason }).inc();
    }

    /// An unlisted host was asked whether it is a social server.
    pub fn unlisted_asked(&self, reason: &'static str) {
        self.unlisted_asked.get_or_create(&Reason { reason }).inc();
    }

    /// A connection or request was refused.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// A connection is decrypted.
    pub fn intercepted(&self) {
        self.intercepted.inc();
    }

    /// A device connected.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// A device connection ended.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// A leaf was minted.
    pub fn leaf_minted(&self) {
        self.leaves_minted.inc();
    }

    /// A device's password was put to the slow hash: one that was never shown before, or is guessed.
    pub fn password_compared(&self) {
        self.passwords_compared.inc();
    }

    /// What the spool holds now.
    pub fn spool(&self, entries: u64, bytes: u64) {
        self.spool_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// One append took this long, from draft to durable.
    pub fn append(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// This many drafts were committed together.
    pub fn append_group(&self, drafts: usize) {
        self.append_group.observe(u32::try_from(drafts).unwrap_or(u32::MAX).into());
    }

    /// A write waited this long before its release.
    pub fn hold(&self, took: Duration) {
        self.hold_seconds.observe(took.as_secs_f64());
    }

    /// The ledger has this many entries.
    pub fn ledger_size(&self, entries: u64) {
        self.ledger_size.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A checkpoint was published at this time.
    pub fn checkpoint_published(&self, at: Timestamp) {
        self.published_at.store(at.unix_micros(), std::sync::atomic::Ordering::Relaxed);
    }

    /// This many entries wait for the projector.
    pub fn projection_lag(&self, entries: u64) {
        self.projection_lag.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A background verification ended.
    pub fn verified(&self, sound: bool, at: Timestamp) {
        self.verified.get_or_create(&Reason { reason: if sound { "sound" } else { "unsound" } }).inc();
        self.verified_at.set(seconds_of(at.unix_micros()));
    }

    /// A rule run was stopped at its limit.
    pub fn recognition_killed(&self) {
        self.recognitions_killed.inc();
    }

    /// The API answered.
    pub fn api_request(&self, route: &'static str, status: u16, took: Duration) {
        self.api_requests.get_or_create(&Request { route, status }).inc();
        self.api_seconds.observe(took.as_secs_f64());
    }

    /// A webhook was tried: `delivered`, `failed` or `dead`.
    pub fn webhook_delivery(&self, reason: &'static str) {
        self.webhook_deliveries.get_or_create(&Reason { reason }).inc();
    }

    /// The service disabled a webhook.
    pub fn webhook_disabled(&self, cause: &'static str) {
        self.webhooks_disabled.get_or_create(&Cause { cause }).inc();
    }

    /// The OpenMetrics text, with ages as of `now`.
    ///
    /// # Errors
    /// When a value cannot be written into a string, which does not happen.
    pub fn encode(&self, now: Timestamp) -> Result<String, fmt::Error> {
        let published = self.published_at.load(std::sync::atomic::Ordering::Relaxed);
        // Before the first checkpoint there is no age: NaN shows as "no data" and not as "fresh".
        let age = if published == 0 { f64::NAN } else { seconds_of((now.unix_micros() - published).max(0)) };
        self.checkpoint_age.set(age);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn seconds_of(micros: i64) -> f64 {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarms_have_the_promised_names() {
        let metrics = Metrics::new();
        metrics.gap("outage");
        metrics.pass_through("not_listed");
        metrics.refused("private_target");
        metrics.append(Duration::from_millis(3));
        metrics.checkpoint_published(Timestamp::EPOCH);
        let text = metrics.encode(Timestamp::EPOCH).unwrap();
        for line in [
            "capture_gap_total{cause=\"outage\"} 1",
            "pass_through_total{reason=\"not_listed\"} 1",
            "refused_total{reason=\"private_target\"} 1",
            "spool_entries 0",
            "archive_append_seconds_count 1",
            "checkpoint_age_seconds NaN",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_checkpoint_ages() {
        let metrics = Metrics::new();
        metrics.checkpoint_published(Timestamp::from_unix_micros(1_000_000).unwrap());
        let text = metrics.encode(Timestamp::from_unix_micros(3_500_000).unwrap()).unwrap();
        assert!(text.contains("checkpoint_age_seconds 2.5"), "{text}");
    }
}
