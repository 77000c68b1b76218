//! Why a command could not be done, and what the operator can do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::HomeError;
use super::tls::TlsError;
use crate::archive::embedded::EmbeddedError;
use crate::archive::{AppendError, ArchiveError};
use crate::recognize::RuleErrors;
use crate::recognize::worker::WorkerError;
use crate::record::CanonicalError;
use crate::settings::SettingsError;
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
            Self::Settings(_) => 2,
            Self::Rules(_) => 3,
            _ => 1,
        }
    }
}
