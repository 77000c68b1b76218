//! What the operator sees: logs and metrics.
//!
//! Invariant: nothing here takes content. Labels are words known at compile time, log fields have the names in [`field`],
//! and neither bodies, credentials nor names of third parties have a field to go into. Alarms are metrics, not text searches.

pub mod field;
mod log;
mod metrics;

pub use log::{LogError, LogFormat, check_filter, start};
pub use metrics::Metrics;
