//! What an exchange means: network rules turn it into communications.
//!
//! A network is data: `config/networks/<name>/rules.toml`. [`RuleSet::plan`] reads a request head and tells the proxy what
//! to do; it runs in the proxy, on every request, and takes well under a microsecond where there is nothing to keep.
//!
//! Invariant: no clock, randomness, environment or socket; the same rule set says the same about the same bytes for ever.
//! It does not stop a program that never ends: `capture` runs workers as processes and kills them.

mod communication;
mod decoder;
mod draft;
mod engine;
mod error;
mod file;
pub mod fixtures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod host;
mod html;
mod index;
mod load;
mod path;
mod plan;
mod program;
mod rule;
mod set;
mod source;
pub mod worker;

pub use communication::{
    Attachment, AttachmentSource, Communication, Outcome, OutcomeItem, Party, Problem, ProblemKind, Recognition,
    Verdict,
};
pub use engine::{Ask, Engine, Task};
pub use error::{RuleError, RuleErrors};
pub use host::{HostPattern, HostPatternError, ListedHosts};
pub use plan::{Channel, Hold, Keep, Outbound, Plan, Release, Tee};
pub use set::RuleSet;
pub use source::Source;
