//! How it gets there: an exchange in, a receipt out.
//!
//! [`Recorder`] is all the proxy sees of it: a plan from a request head, a write that is durable before it may leave, the
//! origin's answer, reads, messages, gaps.

mod entropy;
mod gap;
mod receipt;
mod recorder;
mod refusal;
pub mod spool;

pub use entropy::{Entropy, EntropyError, SystemEntropy};
pub use gap::{Gap, GapCause};
pub use receipt::{Answer, NoAnswer, Receipt};
pub use recorder::Recorder;
pub use refusal::{Refusal, RefusalReason};
