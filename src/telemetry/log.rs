//! Starts logging: JSON lines for machines, plain lines for a terminal, always on standard error.
//!
//! Standard output belongs to what a command was asked for.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// Logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("`{filter}` is not a log filter; write a level such as `info`, or `info,muniment::proxy=debug`")]
    Filter {
        /// As written.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else started logging in this process.
    #[error("logging was started before")]
    Twice(#[from] TryInitError),
}

/// Reads a filter such as `info,muniment::proxy=debug`.
///
/// # Errors
/// When the text is not a filter.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::from_str(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the filter cannot be read, or logging runs already.
pub fn start(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let registry = tracing_subscriber::registry().with(parse(filter)?);
    match format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true);
            registry.with(lines.with_span_list(false).with_writer(std::io::stderr)).try_init()?;
        }
        LogFormat::Pretty => {
            let lines = tracing_subscriber::fmt::layer().compact().with_target(false);
            registry
                .with(
                    lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_writer(std::io::stderr),
                )
                .try_init()?;
        }
    }
    Ok(())
}
