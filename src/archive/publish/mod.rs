//! Publishing: entries are integrated into the tree, and the tree is signed.
//!
//! Invariant: we sign only what continues what we signed before. What was signed last is kept twice: in the database, where
//! publishers compare and swap it, and in a file beside it, so that a database restored from an old backup cannot be signed
//! into another history.

mod cosigned;
mod integrate;
mod last;
mod prove;
mod sign;

pub use cosigned::Witnessed;
pub use last::Guard;
pub use prove::{Consistency, Inclusion, Published};
