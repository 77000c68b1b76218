//! The settings file as typed: one struct a section, one documented field a key. This is the reference.
//!
//! Every key has a default, so an empty file and no file mean the same. Keys that are not here are refused. Lengths of time are
//! written `"30s"`, sizes `"64 MiB"`; a relative path means one beside the file. What the keys mean together is decided in [`Settings`](super::Settings).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Cidr, HostName, ParentProxy, Size, Span};
use crate::telemetry::LogFormat;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Where everything local lives: keys, the embedded Postgres, blobs, spool, the last checkpoint. Made at first start, readable
    /// by its owner only. Default: `/var/lib/muniment` for root, else `$XDG_DATA_HOME/muniment` or `~/.local/share/muniment`.
    pub data_dir: Option<PathBuf>,
    /// Whose archive this is.
    pub firm: Firm,
    /// The listener devices connect to.
    pub proxy: Proxy,
    /// The audit API.
    pub api: Api,
    /// Events that the service sends by itself.
    pub webhooks: Webhooks,
    /// How origins are reached.
    pub upstream: Upstream,
    /// Which hosts are decrypted.
    pub intercept: Intercept,
    /// How exchanges are recognised.
    pub recognition: Recognition,
    /// Where records are kept.
    pub archive: Archive,
    /// The firm's keys.
    pub keys: Keys,
    /// How long records are kept.
    pub retention: Retention,
    /// Backups of the archive.
    pub backup: Backup,
    /// Background verification.
    pub verification: Verification,
    /// How others vouch for checkpoints.
    pub witnessing: Witnessing,
    /// Those who are asked to cosign them.
    pub witnesses: Vec<Witness>,
    /// Logs.
    pub log: Log,
}

/// `[firm]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Firm {
    /// The legal entity, as certificates and pages show it.
    pub name: String,
    /// Name of the ledger in checkpoints (C2SP origin line), such as `archive.firm.example/ledger`. Fixed at the first start:
    /// changing it later makes another ledger in the eyes of every verifier.
    pub log_origin: String,
}

impl Default for Firm {
    fn default() -> Self {
        Self { name: "The firm".to_owned(), log_origin: "muniment.local/ledger".to_owned() }
    }
}

/// `[proxy]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Address of the plain listener. Device credentials are taken here only from loopback and `plain_networks`.
    pub listen: SocketAddr,
    /// Networks, besides loopback, whose plain connections may carry device credentials: a container bridge, a VPN.
    pub plain_networks: Vec<Cidr>,
    /// A TLS listener ("HTTPS proxy"), for devices anywhere.
    pub tls: Option<TlsListener>,
    /// Bounds of every connection.
    pub limits: ProxyLimits,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8470)),
            plain_networks: Vec::new(),
            tls: None,
            limits: ProxyLimits::default(),
        }
    }
}

/// `[proxy.tls]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsListener {
    /// Address of the TLS listener.
    pub listen: SocketAddr,
    /// PEM file: its certificate, then the intermediates.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
}

/// `[proxy.limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyLimits {
    /// Device connections open at once.
    pub connections: u32,
    /// Largest request or response head.
    pub head: Size,
    /// What of a held body stays in memory; the rest is held encrypted on disk.
    pub body_memory: Size,
    /// Largest body of a write that can be held; a larger one is refused.
    pub body: Size,
    /// All bodies on disk at once: held writes and copies of reads. A write that would pass it is refused.
    pub held_disk: Size,
    /// All bodies in memory at once: above it they go to the disk early, at twice it writes are refused.
    pub held_memory: Size,
    /// Largest response of a read that is looked at; a larger one streams through and is a gap.
    pub read: Size,
    /// Largest body of a request that reads, kept as the question that a read answers.
    pub query: Size,
    /// What is kept of the answer to a write.
    pub answer: Size,
    /// Time for a handshake or a head to arrive whole.
    pub head_timeout: Span,
    /// Time without a byte in either direction after which a connection is closed.
    pub idle_timeout: Span,
    /// Time for open exchanges to end after SIGTERM.
    pub drain_timeout: Span,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head: Size::kib(64),
            body_memory: Size::kib(256),
            body: Size::mib(1024),
            held_disk: Size::mib(16 * 1024),
            held_memory: Size::mib(256),
            read: Size::mib(64),
            query: Size::mib(1),
            answer: Size::mib(1),
            head_timeout: Span::seconds(15),
            idle_timeout: Span::seconds(300),
            drain_timeout: Span::seconds(20),
        }
    }
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address of the audit API.
    pub listen: SocketAddr,
    /// Networks, besides loopback, whose plain connections may carry an officer's token. With `api.tls`, every network may.
    pub plain_networks: Vec<Cidr>,
    /// Serve the API over TLS.
    pub tls: Option<Tls>,
    /// Time for one request to be answered.
    pub timeout: Span,
    /// Requests served at once; more are answered 503.
    pub requests: u32,
    /// Requests a second that one token may send, five times as many at once; 0 for no limit. Beyond that they are answered 429.
    pub rate_per_token: u32,
    /// The same for one address. Behind a reverse proxy everybody has one address: 0 there.
    pub rate_per_address: u32,
    /// How long an officer's token is taken, unless `officer add --expires` says otherwise.
    pub token_lifetime: Span,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8471)),
            plain_networks: Vec::new(),
            tls: None,
            timeout: Span::seconds(30),
            requests: 256,
            rate_per_token: 200,
            rate_per_address: 1_000,
            token_lifetime: Span::seconds(365 * 86_400),
        }
    }
}

/// `[api.tls]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the certificate, then the intermediates.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
}

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Private, loopback or link-local networks that webhooks may lead to. None by default. Only to loopback addresses among these may one
    /// lead over plain http.
    pub allow_networks: Vec<Cidr>,
    /// Time for one attempt: to reach the receiver, to send, and to be answered.
    pub timeout: Span,
    /// Attempts at one message before it is put with the dead letters.
    pub attempts: u32,
    /// Pause after the first failed attempt; four times as long after each further one.
    pub first_pause: Span,
    /// No pause is longer.
    pub longest_pause: Span,
    /// A webhook that has failed for so long is disabled.
    pub disable_after: Span,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            timeout: Span::seconds(15),
            attempts: 10,
            first_pause: Span::seconds(5),
            longest_pause: Span::seconds(3_600),
            disable_after: Span::seconds(5 * 86_400),
        }
    }
}

/// `[upstream]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// PEM files whose certificates are trusted besides the system's roots.
    pub extra_roots: Vec<PathBuf>,
    /// Host → address and port, instead of DNS: split DNS, private instances. An address given here may be private.
    pub resolve: BTreeMap<HostName, SocketAddr>,
    /// Parent proxy through which every origin is reached, such as `http://proxy.example:3128`.
    pub proxy: Option<ParentProxy>,
    /// Private, loopback or link-local networks devices may reach through the proxy. None by default: the proxy is no way in.
    pub allow_networks: Vec<Cidr>,
    /// Ports devices may CONNECT to. A port named in `resolve` need not be repeated.
    pub ports: Vec<u16>,
    /// Time to reach an origin: name, connection, TLS.
    pub connect_timeout: Span,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            extra_roots: Vec::new(),
            resolve: BTreeMap::new(),
            proxy: None,
            allow_networks: Vec::new(),
            ports: vec![80, 443],
            connect_timeout: Span::seconds(10),
        }
    }
}

/// `[intercept]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intercept {
    /// Hosts to decrypt besides those the network rules claim: Mastodon and AT Protocol servers, each by name.
    pub extra_hosts: Vec<HostName>,
    /// Hosts never to decrypt, whatever the rules claim.
    pub never: Vec<HostName>,
    /// Ask hosts that are tunnelled unread, once a day each, for their public nodeinfo: one that is a social server is a gap on record.
    pub ask_unlisted: bool,
}

impl Default for Intercept {
    fn default() -> Self {
        Self { extra_hosts: Vec::new(), never: Vec::new(), ask_unlisted: true }
    }
}

/// `[recognition]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recognition {
    /// Directory of network rules, `<network>/rules.toml` each. Default: those the program was built with.
    pub rules: Option<PathBuf>,
    /// Worker processes; 0 means one for each core, at most 8.
    pub workers: u16,
    /// Time for one rule's run; a rule that takes longer is switched off.
    pub run_timeout: Span,
    /// Memory of one worker process.
    pub memory: Size,
}

impl Default for Recognition {
    fn default() -> Self {
        Self { rules: None, workers: 0, run_timeout: Span::seconds(2), memory: Size::mib(512) }
    }
}

/// `[archive]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// Postgres, such as `postgres://muniment@db.firm.example/muniment?sslmode=verify-full`. DATABASE_URL wins over it; with a
    /// password, use that. With neither, a private Postgres runs in `data_dir`.
    pub url: Option<String>,
    /// When Postgres is away: `spool` (keep in an encrypted local journal, replay later) or `refuse` (answer 503).
    pub when_unavailable: WhenUnavailable,
    /// Largest spool; a full spool refuses.
    pub spool: Size,
    /// Directory of large content. Default: `blobs` in `data_dir`.
    pub blobs: Option<PathBuf>,
    /// Postgres connections of each role.
    pub connections: u32,
    /// Time for an append to be durable before the archive counts as away.
    pub append_timeout: Span,
    /// How often a checkpoint is published while there is something new.
    pub checkpoint_every: Span,
    /// Where the Postgres programs (initdb, postgres) are, for the embedded archive. Default: searched for.
    pub postgres_bindir: Option<PathBuf>,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            url: None,
            when_unavailable: WhenUnavailable::Spool,
            spool: Size::mib(1024),
            blobs: None,
            connections: 8,
            append_timeout: Span::seconds(10),
            checkpoint_every: Span::seconds(1),
            postgres_bindir: None,
        }
    }
}

/// What to do while Postgres is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// Keep in the local journal, replay in order.
    Spool,
    /// Refuse every write.
    Refuse,
}

/// `[keys]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// File with the master key (64 hex digits), readable by its owner only. MUNIMENT_MASTER_KEY wins over it. Default:
    /// `master.key` in `data_dir`, made at first start. Without this key nothing that was kept can be read again: back it up.
    pub master_key_file: Option<PathBuf>,
    /// Program, with its arguments, that prints the master key (64 hex digits), and each former one still needed on a line of its own: how a key
    /// service or a hardware module is asked, which keeps the master key sealed. Run at each start, and when a key is met that is not known. It
    /// wins over the file.
    pub master_key_command: Option<Vec<String>>,
}

/// `[retention]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The retention schedule: classes of records, and how long each is kept by which rule. Default: the one that the program was built
    /// with, `config/retention.toml`.
    pub schedule: Option<PathBuf>,
}

/// `[backup]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// How long backups of the archive are kept. A disposal is final when the last backup holding its key expires.
    pub retention: Span,
}

impl Default for Backup {
    fn default() -> Self {
        Self { retention: Span::seconds(35 * 86_400) }
    }
}

/// `[verification]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verification {
    /// In what time every entry and every content is read again and checked.
    pub every: Span,
}

impl Default for Verification {
    fn default() -> Self {
        Self { every: Span::seconds(86_400) }
    }
}

/// `[witnessing]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Witnessing {
    /// How often the newest checkpoint is sent to the witnesses, while there is a newer one than they have cosigned.
    pub every: Span,
    /// How many of the witnesses are enough: `all`, `any`, or a number in quotes.
    pub quorum: String,
    /// A policy file (C2SP tlog-policy) instead of `quorum`: whom verifiers are told to believe.
    pub policy: Option<PathBuf>,
    /// How long an export waits for a checkpoint that meets the quorum; then it goes on without, and says so.
    pub export_wait: Span,
}

impl Default for Witnessing {
    fn default() -> Self {
        Self { every: Span::seconds(10), quorum: "all".to_owned(), policy: None, export_wait: Span::seconds(20) }
    }
}

/// `[[witnesses]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Verifier key of the witness, as `muniment witness key` or its operator says it.
    pub vkey: String,
    /// What stands before `/add-checkpoint`, such as `https://witness.auditor.example`.
    pub url: String,
    /// Time for one answer.
    #[serde(default = "witness_timeout")]
    pub timeout: Span,
}

fn witness_timeout() -> Span {
    Span::seconds(10)
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module: `info,muniment::proxy=debug`.
    pub filter: String,
    /// `json` or `pretty`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Json }
    }
}
