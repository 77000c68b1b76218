//! Why it can be trusted: entries, the hash chain, the Merkle tree, checkpoints and proofs.
