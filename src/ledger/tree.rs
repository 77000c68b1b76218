//! The Merkle tree of RFC 6962, section 2.1: hashes and the frontier that grows it.
//!
//! Invariant: a frontier holds exactly the roots of the perfect subtrees its size is made of, largest first, so a tree of any
//! size is carried on in at most 64 digests.

use crate::record::Digest;

/// The hash of a leaf: `SHA-256(00 ‖ bytes)`. For an entry it is both the chain link and the leaf of the tree.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Digest::of(&[&[0], bytes])
}

/// The hash of an inner node: `SHA-256(01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root over these leaves.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = Digest>) -> Digest {
    let mut frontier = Frontier::new();
    leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    frontier.root()
}

/// A perfect subtree: it covers the leaves from `index << level` to `(index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height: 0 is a leaf.
    pub level: u8,
    /// Position among the nodes of this level.
    pub index: u64,
}

/// The frontier did not fit its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frontier of {size} leaves has {expected} digests, not {found}")]
pub struct FrontierError {
    /// Number of leaves.
    pub size: u64,
    /// Digests it should have.
    pub expected: u32,
    /// Digests it has.
    pub found: usize,
}

/// The right edge of a tree: what must be known to append to it and to name its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, largest first: one per set bit of `size`.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a tree where it was left.
    ///
    /// # Errors
    /// When the number of digests is not the number of set bits of `size`.
    pub fn resume(size: u64, peaks: Vec<Digest>) -> Result<Self, FrontierError> {
        if peaks.len() == size.count_ones() as usize {
            Ok(Self { size, peaks })
        } else {
            Err(FrontierError { size, expected: size.count_ones(), found: peaks.len() })
        }
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_with(leaf, |_node, _hash| {});
    }

    /// Appends a leaf and tells every perfect subtree that it completes, the leaf itself first.
    pub fn push_with(&mut self, leaf: Digest, mut completed: impl FnMut(Node, Digest)) {
        let mut hash = leaf;
        let mut node = Node { level: 0, index: self.size };
        completed(node, hash);
        // Each set bit from the lowest is a subtree of the same height: the two make one of the next.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            node = Node { level: node.level.saturating_add(1), index: node.index >> 1 };
            completed(node, hash);
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root hash; of the empty tree it is the SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let from_the_right = self.peaks.iter().rev().copied();
        from_the_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| Digest::of(&[]))
    }
}
