//! A log to be witnessed: leaves, checkpoints over them and proofs, without an archive.

use std::collections::HashMap;

use muniment::ledger::{AddCheckpoint, Checkpoint, Note, Proof, SigningKey, VerifyingKey, leaf_hash, root_of};
use muniment::record::Digest;

/// A log. Two of the same name with different leaves are two sides of a fork.
pub(crate) struct Log {
    key: SigningKey,
    leaves: Vec<Digest>,
}

impl Log {
    /// A log of a hundred entries. From `forked` on they are others than those of a log with another `side`.
    pub(crate) fn new(origin: &str, forked: u64, side: u8) -> Self {
        let leaf = |n: u64| {
            let side = if n < forked { 0 } else { side };
            leaf_hash(format!("entry {n} of side {side}").as_bytes())
        };
        Self { key: SigningKey::new(origin, &[5; 32]).unwrap(), leaves: (0..100).map(leaf).collect() }
    }

    /// A log under this key.
    pub(crate) fn with(key: SigningKey) -> Self {
        Self { key, ..Self::new("log.example", 100, 0) }
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    pub(crate) fn root(&self, size: u64) -> Digest {
        root_of(self.leaves[..size as usize].iter().copied())
    }

    pub(crate) fn checkpoint(&self, size: u64) -> String {
        let origin = self.key().name().to_owned();
        let checkpoint = Checkpoint { origin, size, root: self.root(size), extensions: vec![] };
        checkpoint.sign(&[&self.key]).unwrap().to_string()
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        let proof = Proof::consistency(old, new).unwrap();
        let read = |level: u8, index: u64| {
            let first = (index << level) as usize;
            root_of(self.leaves[first..first + (1 << level)].iter().copied())
        };
        let hashes: HashMap<_, _> = proof.nodes().map(|node| (node, read(node.level, node.index))).collect();
        proof.hashes(&hashes).unwrap()
    }

    pub(crate) fn request(&self, old: u64, new: u64) -> String {
        let proof = if old <= new { self.consistency(old, new) } else { Vec::new() };
        let note = Note::parse(self.checkpoint(new).as_bytes()).unwrap();
        AddCheckpoint { old, proof, note }.to_string()
    }
}
