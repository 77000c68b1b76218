//! Witnessing: somebody elsewhere who remembers how far a log was, and signs only what continues that (C2SP `tlog-witness`).
//!
//! Invariant: a cosignature leaves only after what it says is durable, so a witness that was killed, restarted or asked twice at once never
//! contradicts itself. What it cannot remember it does not guess: without its state it does not start. The witness needs no archive, no
//! database and none of the firm's keys.

mod error;
mod evidence;
mod file;
mod judge;
mod keys;
mod serve;
mod state;

pub use error::WitnessError;
pub use file::{LogEntry, WitnessFile, WitnessSettings, template};
pub use judge::Refusal;
pub use keys::{begin, init, read_key};
pub use serve::{Witness, router};
pub use state::{Head, State};
