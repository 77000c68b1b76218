//! Witnessing: somebody elsewhere who remembers how far a log was, and signs only what continues that (C2SP `tlog-witness`).
//!
//! Invariant: a cosignature leaves only after what it says is durable, so a witness that was killed, restarted or asked twice at once never
//! contradicts itself. What it cannot remember it does not guess: without its state it does not start. The witness needs no archive, no
//! database and none of the firm's keys.
//!
//! And the log's side of it ([`Feed`]): checkpoints go out to the witnesses that settings name, and cosignatures come back and are kept.

mod audit;
mod client;
mod error;
mod evidence;
mod feed;
mod file;
mod judge;
mod keys;
mod quorum;
mod serve;
mod state;
mod target;

pub use audit::{AuditError, Audited, LogReader, Mismatch, audit};
pub use error::WitnessError;
pub use feed::Feed;
pub use file::{LogEntry, WitnessFile, WitnessSettings, template};
pub use judge::Refusal;
pub use keys::{begin, init, read_key};
pub use quorum::{Asked, Quorum, QuorumSettingsError};
pub use serve::{Witness, router};
pub use state::{Head, State};
pub use target::Target;
