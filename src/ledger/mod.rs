//! Why it can be trusted: entries, the hash chain, the Merkle tree, checkpoints and proofs.
//!
//! One hash for everything: `leaf = SHA-256(00 ‖ entry bytes)` is the chain link and the leaf of the tree. Bytes are fixed in
//! `docs/FORMAT.md`. Pure: places, times and keys are arguments; nothing here knows HTTP or Postgres.

mod actor;
mod add_checkpoint;
mod attestation;
mod bytes;
mod chain;
mod checkpoint;
mod commitments;
mod cosignature;
mod cursor;
pub mod detail;
mod draft;
mod entry;
mod envelope;
mod error;
#[cfg(all(feature = "service", any(test, fuzzing)))]
pub(crate) mod fuzz;
mod leaf;
mod note;
mod note_key;
mod policy;
mod prepared;
mod proof;
mod quick;
mod scan;
mod spelling;
mod tile;
mod tlog_proof;
mod tree;

pub use crate::record::SourceId;
pub use actor::{Actor, ActorError, EntryType};
pub use add_checkpoint::{ADD_CHECKPOINT_MAX, AddCheckpoint, AddCheckpointError, PROOF_LINES_MAX};
pub use attestation::{Attestation, AttestationError};
pub use chain::{Break, Chain, Link, StreamPositions};
pub use checkpoint::{Checkpoint, CheckpointError};
pub(crate) use checkpoint::{parse_base64_digest, parse_decimal};
pub use commitments::{Commitments, CommitmentsRoot, Committed, LISTED_MAX};
pub use cosignature::{CosigningKey, parse_signature_lines};
pub use draft::{Draft, Position, Stamped, sequence};
pub use entry::{Entry, StreamPosition};
pub use envelope::{open_envelope, read_envelope, seal_envelope};
pub use error::EntryError;
pub use note::{NOTE_MAX, Note, NoteError, NoteSignature, SIGNATURES_MAX, Vouched};
pub use note_key::{KeyId, NoteKeyError, SigningKey, VerifyingKey};
pub use policy::{POLICY_MAX, Policy, PolicyError, QuorumError, bare_policy};
pub use prepared::{Place, Prepared};
pub use proof::{HashReader, MissingNode, Proof, ProofError, read_frontier, verify_consistency, verify_inclusion};
pub use scan::{ENTRY_MAX, INTEGER_MAX, LIST_MAX, STREAMS_MAX};
pub(crate) use spelling::{parse_digest, parse_uuid};
pub use tile::{TILE_WIDTH, Tile, TileError, TilePath, TileSet, bundle_bytes, parse_bundle, tile_bytes};
pub use tlog_proof::{TlogProof, TlogProofError};
pub use tree::{Frontier, FrontierError, Node, leaf_hash, node_hash, root_of};

#[cfg(test)]
mod tests;
