//! Why it can be trusted: entries, the hash chain, the Merkle tree, checkpoints and proofs.
//!
//! One hash for everything: `leaf = SHA-256(00 ‖ entry bytes)` is the chain link and the leaf of the tree. Bytes are fixed in
//! `docs/FORMAT.md`. Pure: places, times and keys are arguments; nothing here knows HTTP or Postgres.

mod actor;
mod commitments;
pub mod detail;
mod draft;
mod entry;
mod error;
mod scan;
mod tree;

pub use crate::record::SourceId;
pub use actor::{Actor, ActorError, EntryType};
pub use commitments::{Commitments, CommitmentsRoot, Committed, LISTED_MAX};
pub use draft::{Draft, Position, Stamped, sequence};
pub use entry::{Entry, StreamPosition};
pub use error::EntryError;
pub use scan::{ENTRY_MAX, INTEGER_MAX, LIST_MAX, STREAMS_MAX};
pub use tree::{Frontier, FrontierError, Node, leaf_hash, node_hash, root_of};
