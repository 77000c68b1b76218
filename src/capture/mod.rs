//! How it gets there: an exchange in, a receipt out.
//!
//! [`Recorder`] is all the proxy sees of it: a plan from a request head, a write that is durable before it may leave, the
//! origin's answer, reads, messages, gaps. What happens inside, in the order of a write:
//!
//! ```text
//! plan ─▶ scrub ─▶ recognize (worker process) ─▶ facts, seal ─▶ spool.keep ─▶ Receipt ─▶ outcome
//! ```
//!
//! Invariant (P1): [`Recorder::write`] answers `Ok` only when the record is durable, in the archive or in the spool. Nothing
//! but that waits for a disk: answers, reads and gaps go through bounded lanes, and what does not fit is itself a gap.

mod accounts;
mod attachments;
mod attribution;
mod closing;
mod core;
mod doubts;
mod entropy;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) use spool::fuzz;
mod gap;
mod gap_log;
mod gaps;
mod inline;
mod lane;
mod learned;
mod memory;
mod message;
mod observe;
mod outcome;
mod recall;
mod receipt;
mod recent;
mod recognizer;
mod recorder;
mod refusal;
mod retry;
mod seal;
mod seen;
mod service;
pub mod spool;
mod workers;
mod write;

pub use accounts::KnownAccount;
pub use entropy::{Entropy, EntropyError, SystemEntropy};
pub use gap::{Gap, GapCause};
pub use inline::InlineRecognizer;
pub use memory::MemoryJournal;
pub(crate) use outcome::unanswered;
pub use recall::{KnownItem, Place, Recall, RecallError, Repeatable, Unfinished};
pub use receipt::{Answer, NoAnswer, Receipt};
pub use recognizer::{Failure, Purpose, Question, Recognized, Recognizer, ReloadError};
pub use recorder::Recorder;
pub use refusal::{Refusal, RefusalReason};
pub(crate) use seal::Sealer;
pub use seal::{BlobWriter, Blobs, SealingError};
pub use service::{Capture, CaptureParts, Pace};
pub use workers::{WorkerCommand, Workers, WorkersSetting};
