//! [`Settings`]: what the file and the environment mean together. Built once, at start; only this travels further.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::file::{self, WhenUnavailable};
use super::{Cidr, HostName, ParentProxy};
use crate::telemetry::LogFormat;

mod resolve;

/// What the settings mean.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything local lives.
    pub data_dir: PathBuf,
    /// Whose archive this is.
    pub firm: file::Firm,
    /// The listener devices connect to.
    pub proxy: Proxy,
    /// The audit API.
    pub api: Api,
    /// Events that the service sends by itself.
    pub webhooks: Webhooks,
    /// How origins are reached.
    pub upstream: Upstream,
    /// Which hosts are decrypted.
    pub intercept: file::Intercept,
    /// How exchanges are recognised.
    pub recognition: Recognition,
    /// Where records are kept.
    pub archive: Archive,
    /// The master key.
    pub master_key: MasterKey,
    /// Seals the key of the root certificate, where it is not the master key that does.
    pub ca_passphrase: Option<SecretString>,
    /// The retention schedule; none means the one built in.
    pub schedule: Option<PathBuf>,
    /// How long backups of the archive are kept.
    pub backup_retention: Duration,
    /// In what time everything is verified again.
    pub verify_every: Duration,
    /// How others vouch for checkpoints.
    pub witnessing: Witnessing,
    /// Logs.
    pub log: Log,
    in_force: serde_json::Value,
}

/// See [`file::Proxy`].
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The plain listener.
    pub listen: SocketAddr,
    /// Networks, besides loopback, whose plain connections may carry device credentials.
    pub plain_networks: Vec<Cidr>,
    /// The TLS listener.
    pub tls: Option<file::TlsListener>,
    /// Bounds of every connection.
    pub limits: ProxyLimits,
}

/// See [`file::ProxyLimits`].
#[derive(Debug, Clone, Copy)]
pub struct ProxyLimits {
    /// Device connections open at once.
    pub connections: usize,
    /// Largest head, in bytes.
    pub head: usize,
    /// What of a held body stays in memory, in bytes.
    pub body_memory: usize,
    /// Largest body that can be held, in bytes.
    pub body: u64,
    /// All held bodies on disk, in bytes.
    pub held_disk: u64,
    /// All held bodies in memory, in bytes.
    pub held_memory: usize,
    /// Largest copy of a response that is looked at, in bytes.
    pub read: u64,
    /// Largest copy of the body of a request that reads, in bytes.
    pub query: u64,
    /// What is kept of the answer to a write, in bytes.
    pub answer: u64,
    /// Time for a handshake or a head.
    pub head_timeout: Duration,
    /// Time without a byte.
    pub idle_timeout: Duration,
    /// Time to drain.
    pub drain_timeout: Duration,
}

/// See [`file::Api`].
#[derive(Debug, Clone)]
pub struct Api {
    /// The listener.
    pub listen: SocketAddr,
    /// Networks, besides loopback, whose plain connections may carry a token.
    pub plain_networks: Vec<Cidr>,
    /// Certificate and key, where it is served over TLS.
    pub tls: Option<file::Tls>,
    /// Time for one request.
    pub timeout: Duration,
    /// Requests served at once.
    pub requests: usize,
    /// Requests a second of one token; 0 for no limit.
    pub rate_per_token: u32,
    /// Requests a second of one address; 0 for no limit.
    pub rate_per_address: u32,
    /// How long a token is taken.
    pub token_lifetime: Duration,
}

/// See [`file::Webhooks`].
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Private networks that webhooks may lead to.
    pub allow_networks: Vec<Cidr>,
    /// Time for one attempt.
    pub timeout: Duration,
    /// Attempts at one message.
    pub attempts: u32,
    /// Pause after the first failed attempt.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// A webhook that has failed for so long is disabled.
    pub disable_after: Duration,
}

/// See [`file::Upstream`].
#[derive(Debug, Clone)]
pub struct Upstream {
    /// PEM files trusted besides the system's roots.
    pub extra_roots: Vec<PathBuf>,
    /// Host → address and port, instead of DNS.
    pub resolve: BTreeMap<HostName, SocketAddr>,
    /// The parent proxy.
    pub proxy: Option<ParentProxy>,
    /// `user:password` for it.
    pub proxy_login: Option<SecretString>,
    /// Private networks devices may reach.
    pub allow_networks: Vec<Cidr>,
    /// Ports devices may reach.
    pub ports: Vec<u16>,
    /// Time to reach an origin.
    pub connect_timeout: Duration,
}

/// See [`file::Recognition`].
#[derive(Debug, Clone)]
pub struct Recognition {
    /// Directory of network rules; none means those built in.
    pub rules: Option<PathBuf>,
    /// Worker processes.
    pub workers: usize,
    /// Time for one rule's run.
    pub run_timeout: Duration,
    /// Memory of one worker, in bytes.
    pub memory: u64,
}

/// See [`file::Archive`].
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where Postgres is.
    pub postgres: Postgres,
    /// What to do while it is away.
    pub when_unavailable: WhenUnavailable,
    /// Largest spool, in bytes.
    pub spool: u64,
    /// Directory of large content.
    pub blobs: PathBuf,
    /// Connections of each role.
    pub connections: u32,
    /// Time for an append to be durable.
    pub append_timeout: Duration,
    /// How often a checkpoint is published.
    pub checkpoint_every: Duration,
}

/// Where Postgres is.
#[derive(Debug, Clone)]
pub enum Postgres {
    /// A private one in this directory.
    Embedded {
        /// Its data directory.
        dir: PathBuf,
        /// Where its programs are, when it was said.
        bindir: Option<PathBuf>,
    },
    /// One that somebody else runs.
    Server {
        /// For the running service.
        url: SecretString,
        /// For `migrate`, `rebuild` and `verify`.
        owner_url: SecretString,
    },
}

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum MasterKey {
    /// From this file, made at first start where `may_make`.
    File {
        /// Which file.
        path: PathBuf,
        /// It is the default file, so the first start makes it; a file that was named must be there.
        may_make: bool,
    },
    /// From the environment: 64 hex digits, and former ones, parted by spaces.
    Given(SecretString, SecretString),
    /// What this program prints.
    Command(Vec<String>),
}

/// See [`file::Witnessing`] and [`file::Witness`].
#[derive(Debug, Clone)]
pub struct Witnessing {
    /// How often the witnesses are asked.
    pub every: Duration,
    /// How many are enough, as typed.
    pub quorum: String,
    /// The policy's file.
    pub policy: Option<PathBuf>,
    /// How long an export waits.
    pub wait: Duration,
    /// The witnesses.
    pub witnesses: Vec<Witness>,
}

/// See [`file::Witness`].
#[derive(Debug, Clone)]
pub struct Witness {
    /// Its verifier key, as typed.
    pub vkey: String,
    /// Where it is, as typed.
    pub url: String,
    /// Time for one answer.
    pub timeout: Duration,
}

/// See [`file::Log`].
#[derive(Debug, Clone)]
pub struct Log {
    /// Levels by module.
    pub filter: String,
    /// How a line is written.
    pub format: LogFormat,
}

impl Settings {
    /// The settings in force as one JSON object: every key with its value, defaults included, secrets left out.
    /// Its canonical digest is what a `settings` entry states.
    #[must_use]
    pub const fn in_force(&self) -> &serde_json::Value {
        &self.in_force
    }
}
