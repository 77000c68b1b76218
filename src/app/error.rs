//! Why a command could not be done, and what the operator can do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::HomeError;
use super::demo::DemoError;
use super::tls::TlsError;
use crate::archive::embedded::EmbeddedError;
use crate::archive::{AppendError, ArchiveError};
use crate::capture::spool::JournalError;
use crate::capture::{EntropyError, ReloadError, SealingError};
use crate::proxy::ProxyError;
use crate::proxy::intercept::authority::AuthorityError;
use crate::recognize::worker::WorkerError;
use crate::recognize::{HostPatternError, RuleErrors};
use crate::record::{AdvisorId, CanonicalError, DeviceId, OfficerId, SourceId, Timestamp, WordError};
use crate::settings::{SettingsError, Span};
use crate::telemetry::LogError;

/// A command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings cannot be meant.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The private Postgres cannot be run.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The archive cannot be opened or used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An export could not be made.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// The retention schedule cannot be meant.
    #[error("the retention schedule is wrong: {0}")]
    Schedule(#[from] crate::retain::schedule::ScheduleError),
    /// Records could not be disposed of, or holds not looked at.
    #[error(transparent)]
    Retain(#[from] crate::retain::RetainError),
    /// The settings of witnesses cannot be meant.
    #[error(transparent)]
    Witnesses(#[from] crate::witness::QuorumSettingsError),
    /// An audit could not be made, or found something.
    #[error(transparent)]
    Audit(#[from] crate::witness::AuditError),
    /// A witness cannot work.
    #[error(transparent)]
    Witness(#[from] crate::witness::WitnessError),
    /// Nobody said why.
    #[error("--reason says too little or too much")]
    Reason(#[source] crate::access::PurposeError),
    /// A search for words that cannot be made.
    #[error("--query {0}")]
    Words(#[source] crate::archive::WordQueryError),
    /// A database address that no longer parses.
    #[error("the address of the database cannot be read")]
    Url,
    /// A listener's certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("{key} {address} cannot be listened on")]
    Bind {
        /// The settings key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime or a signal handler could not be set up.
    #[error("the system refused what every service needs")]
    System(#[source] std::io::Error),
    /// Logging could not start.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The answer could not be written.
    #[error("the answer cannot be written to standard output")]
    Output(#[source] std::io::Error),
    /// The answer has no JSON form.
    #[error("the answer has no json form")]
    Json(#[from] serde_json::Error),
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The directory of rules cannot be read.
    #[error("rules in {} cannot be read", .directory.display())]
    RulesUnreadable {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The rules are wrong.
    #[error("the network rules are wrong:\n{0}")]
    Rules(#[from] RuleErrors),
    /// A recognition worker lost its pipe.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A name that is none.
    #[error("a name has 1 to 200 characters, none of them a control character")]
    Name,
    /// Nobody has this id.
    #[error("there is no active advisor {0}")]
    NoSuchAdvisor(AdvisorId),
    /// Nothing has this id.
    #[error("there is no device {0}")]
    NoSuchDevice(DeviceId),
    /// Nobody has this id.
    #[error("there is no officer {0}")]
    NoSuchOfficer(OfficerId),
    /// It was revoked before.
    #[error("it was revoked already")]
    AlreadyRevoked,
    /// A token that was over before it began.
    #[error("the token would have ended already; give --expires a time to come")]
    Expired,
    /// The scope does not fit the role.
    #[error(
        "a token for some advisors only is for the role compliance alone: the other roles answer for the whole of the archive"
    )]
    ScopeOfRole,
    /// No such proxy.
    #[error("no proxy with the source id {0} has appended to this archive")]
    NoSuchSource(SourceId),
    /// It is this one.
    #[error(
        "this is the source id of this data directory; start `muniment serve` here, and it closes what it left open"
    )]
    OwnSource,
    /// It may be alive.
    #[error("it appended last at {last_at}, which is not {silent_for} ago; stop it, or wait")]
    SourceAppends {
        /// Its last entry.
        last_at: Timestamp,
        /// What is asked for.
        silent_for: Span,
    },
    /// The ledger is empty.
    #[error("there is nothing to sign yet: the ledger has no entry")]
    NothingToPublish,
    /// A word of ours is not one.
    #[error(transparent)]
    Word(#[from] WordError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The spool cannot be opened.
    #[error("the spool in {} cannot be opened", .dir.display())]
    Spool {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The spool cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Recognition workers cannot be started.
    #[error(transparent)]
    Workers(#[from] ReloadError),
    /// A listed host is none.
    #[error(transparent)]
    Host(#[from] HostPatternError),
    /// What settings say could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealingError),
    /// The proxy cannot start.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The firm CA cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A proof that does not verify.
    #[error("the proof would not verify: {0}")]
    UnsoundProof(String),
    /// The master key is not kept here.
    #[error("the master key is kept elsewhere, and replaced there")]
    KeysElsewhere,
    /// A former master key cannot be forgotten yet.
    #[error("a former master key is still needed: {what}")]
    KeyNeeded {
        /// For what.
        what: String,
    },
    /// No key could be derived from the master key.
    #[error("a key cannot be derived from the master key")]
    Derive,
    /// The service found that it cannot go on.
    #[error("the service could not go on; the log says why")]
    Fatal,
    /// A file cannot be written.
    #[error("{} cannot be written", .path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The demo came to nothing.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Stopped by a signal before it was done.
    #[error("stopped by a signal")]
    Interrupted,
}

impl AppError {
    /// What the operator can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Settings(_) => Some("config/muniment.toml shows every key; `muniment check-config` tries a file"),
            Self::Schedule(_) => Some("config/retention.toml explains every key; `muniment check-config` tries a file"),
            Self::KeysElsewhere => Some(
                "make the new key the first one that is given and the old one a former one (MUNIMENT_FORMER_MASTER_KEYS, or the next line of the program in keys.master_key_command), start every `serve` again, and run `muniment keys rotate-master`",
            ),
            Self::KeyNeeded { .. } => Some("run `muniment keys rotate-master` again, and let `serve` empty its spool"),
            Self::NoSuchAdvisor(_) => Some("`muniment advisor list` shows who there is"),
            Self::NoSuchDevice(_) => Some("`muniment device list` shows what there is"),
            Self::NoSuchOfficer(_) => Some("`muniment officer list` shows who there is"),
            Self::NoSuchSource(_) => Some("GET /v1/system lists them under `sources`"),
            Self::SourceAppends { .. } => Some("--silent-for takes a shorter length, where somebody knows"),
            Self::Bind { .. } => {
                Some("another process has it, or it is not an address of this machine; `muniment doctor` looks")
            }
            _ => None,
        }
    }

    /// 2 for what was typed, 1 for what happened.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_)
            | Self::Schedule(_)
            | Self::Witnesses(_)
            | Self::Witness(crate::witness::WitnessError::Settings { .. })
            | Self::Name
            | Self::NoSuchAdvisor(_)
            | Self::NoSuchDevice(_)
            | Self::NoSuchOfficer(_)
            | Self::NoSuchSource(_)
            | Self::OwnSource
            | Self::SourceAppends { .. }
            | Self::AlreadyRevoked
            | Self::Expired
            | Self::ScopeOfRole => 2,
            Self::Rules(_)
            | Self::Audit(crate::witness::AuditError::Unsound { .. } | crate::witness::AuditError::Root { .. }) => 3,
            _ => 1,
        }
    }
}
