//! The leaf of an entry, hashed while the entry is read.
//!
//! SHA-256 in hardware is a chain of instructions that wait for each other, and leaves much of a core idle. Reading fills some of it: a block of the
//! hash with every value that is read takes less time than the one after the other.

use sha2::{Digest as _, Sha256};

use super::EntryError;
use super::quick::{self, Beside};
use super::scan::{Scanned, scan_strictly};
use crate::record::Digest;

/// What an entry says, and its leaf.
type WithLeaf<'a> = (Result<Scanned<'a>, EntryError>, Digest);

/// Reads and hashes an entry.
pub(super) fn scan_with_leaf(bytes: &[u8]) -> WithLeaf<'_> {
    let mut leaf = Leaf::new(bytes);
    let scanned = quick::scan(bytes, &mut leaf);
    (scanned.map_or_else(|| scan_strictly(bytes), Ok), leaf.finish())
}

/// A leaf hash that is not complete.
struct Leaf<'a> {
    hasher: Sha256,
    rest: &'a [u8],
}

impl<'a> Leaf<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        // The first block whole, so that all that follow are taken from where they lie.
        let Some((first, rest)) = bytes.split_first_chunk::<63>() else {
            return Self { hasher: Sha256::new_with_prefix([0]), rest: bytes };
        };
        let mut block = [0; 64];
        let [_zero, behind @ ..] = &mut block;
        *behind = *first;
        Self { hasher: Sha256::new_with_prefix(block), rest }
    }

    fn finish(self) -> Digest {
        Digest(self.hasher.chain_update(self.rest).finalize().into())
    }
}

impl Beside for Leaf<'_> {
    #[inline]
    fn step(&mut self) {
        if let Some((block, rest)) = self.rest.split_first_chunk::<64>() {
            self.hasher.update(block);
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::leaf_hash;

    #[test]
    fn a_leaf_hashed_in_steps_is_the_leaf() {
        for size in 0..400 {
            let bytes = vec![b'x'; size];
            for steps in 0..8 {
                let mut leaf = Leaf::new(&bytes);
                (0..steps).for_each(|_| leaf.step());
                assert_eq!(leaf.finish(), leaf_hash(&bytes), "{size} bytes, {steps} steps");
            }
        }
    }
}
