//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! A proof is made in two steps, so that this module reads nothing itself: [`Proof`] says which perfect subtrees it needs
//! ([`Proof::nodes`]), and puts the hashes together once it can read them ([`Proof::hashes`]).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::tree::{Frontier, Node, node_hash};
use crate::record::Digest;

/// A proof that cannot be asked for, or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry is not in a tree of this size.
    #[error("a tree of {size} entries has no entry {index}")]
    NotInTree {
        /// Index asked for.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A tree does not shrink.
    #[error("a tree of {old} entries does not grow into one of {new}")]
    Shrinks {
        /// Size of the earlier tree.
        old: u64,
        /// Size of the later tree.
        new: u64,
    },
    /// The hashes do not lead to the root.
    #[error("proof does not lead to the root hash")]
    Refuted,
}

/// Where hashes of perfect subtrees are read.
pub trait HashReader {
    /// What can go wrong.
    type Error;

    /// The hash of a perfect subtree.
    ///
    /// # Errors
    /// When it cannot be read.
    fn hash(&self, node: Node) -> Result<Digest, Self::Error>;
}

/// A hash that was not fetched before it was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hash of subtree {} at level {} is missing", .0.index, .0.level)]
pub struct MissingNode(pub Node);

impl HashReader for HashMap<Node, Digest> {
    type Error = MissingNode;

    fn hash(&self, node: Node) -> Result<Digest, MissingNode> {
        self.get(&node).copied().ok_or(MissingNode(node))
    }
}

impl HashReader for BTreeMap<Node, Digest> {
    type Error = MissingNode;

    fn hash(&self, node: Node) -> Result<Digest, MissingNode> {
        self.get(&node).copied().ok_or(MissingNode(node))
    }
}

/// The perfect subtrees a run of leaves is made of, largest first. The run starts where a tree of its size can start, which
/// holds for every run a proof speaks of.
fn nodes_of(run: &Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut start = run.start;
    while let Some(bits) = run.end.checked_sub(start).and_then(u64::checked_ilog2) {
        nodes.push(Node { level: u8::try_from(bits).unwrap_or(u8::MAX), index: start >> bits });
        start = start.saturating_add(1 << bits);
    }
    nodes
}

/// Root over a run of leaves.
fn read_run<R: HashReader>(run: &Range<u64>, reader: &R) -> Result<Digest, R::Error> {
    let mut root = None;
    for node in nodes_of(run).into_iter().rev() {
        let left = reader.hash(node)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(root.unwrap_or_else(|| Digest::of(&[])))
}

/// Largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// A proof that is to be made: the runs of leaves whose roots are its hashes, in the order of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof(Vec<Range<u64>>);

impl Proof {
    /// The root of a tree alone: what [`Proof::hashes`] then gives is that one hash.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(std::iter::once(0..size).collect())
    }

    /// That entry `index` is in the tree of `size` entries: from the leaf's sibling upwards.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, ProofError> {
        if index >= size {
            return Err(ProofError::NotInTree { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut runs = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                runs.push(middle..end);
                end = middle;
            } else {
                runs.push(start..middle);
                start = middle;
            }
        }
        runs.reverse();
        Ok(Self(runs))
    }

    /// That the tree of `new` entries begins with the tree of `old` entries.
    ///
    /// # Errors
    /// When `old` is larger than `new`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, ProofError> {
        if old > new {
            return Err(ProofError::Shrinks { old, new });
        }
        let (mut start, mut end) = (0, new);
        let mut runs = Vec::new();
        if old > 0 && old < new {
            while old != end {
                let middle = start + split(end - start);
                if old <= middle {
                    runs.push(middle..end);
                    end = middle;
                } else {
                    runs.push(start..middle);
                    start = middle;
                }
            }
            // The old root itself is known to whoever checks, unless the old tree ends inside a right subtree.
            if start > 0 {
                runs.push(start..end);
            }
            runs.reverse();
        }
        Ok(Self(runs))
    }

    /// What must be readable before [`Proof::hashes`] is called.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flat_map(nodes_of)
    }

    /// Makes the proof.
    ///
    /// # Errors
    /// When a hash cannot be read.
    pub fn hashes<R: HashReader>(&self, reader: &R) -> Result<Vec<Digest>, R::Error> {
        self.0.iter().map(|run| read_run(run, reader)).collect()
    }
}

/// The frontier of the tree of `size` entries.
///
/// # Errors
/// When a hash cannot be read.
pub fn read_frontier<R: HashReader>(size: u64, reader: &R) -> Result<Frontier, R::Error> {
    let peaks = nodes_of(&(0..size)).into_iter().map(|node| reader.hash(node)).collect::<Result<Vec<_>, _>>()?;
    // One peak per set bit of the size, by construction.
    Ok(Frontier::resume(size, peaks).unwrap_or_default())
}

/// Checks that `leaf` is entry `index` of the tree of `size` entries with this root.
///
/// # Errors
/// [`ProofError::NotInTree`] and [`ProofError::Refuted`].
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NotInTree { index, size });
    }
    // Position of the node on the way up, and of the last node of its level (RFC 9162, section 2.1.3.2).
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Refuted);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The rightmost node of an incomplete level has no sibling there: it rises unchanged.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::Refuted) }
}

/// Checks that the tree of `new` entries begins with the tree of `old` entries. Every tree begins with the empty one.
///
/// # Errors
/// [`ProofError::Shrinks`] and [`ProofError::Refuted`].
pub fn verify_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrinks { old, new });
    }
    let holds = |yes| if yes { Ok(()) } else { Err(ProofError::Refuted) };
    if old == new {
        return holds(proof.is_empty() && old_root == new_root);
    }
    if old == 0 {
        return holds(proof.is_empty() && *old_root == Digest::of(&[]));
    }
    // RFC 9162, section 2.1.4.2: a perfect old tree is its own first hash.
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Refuted)?;
        (*first, rest)
    };
    let skipped = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> skipped, (new - 1) >> skipped);
    let (mut old_hash, mut new_hash) = (first, first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Refuted);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    holds(last == 0 && old_hash == *old_root && new_hash == *new_root)
}
