//! Trees and proofs against the definitions of RFC 6962 (written down naively here) and against the crate `ct-merkle`.

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use crate::ledger::{
    Frontier, Node, Proof, ProofError, leaf_hash, node_hash, read_frontier, root_of, verify_consistency,
    verify_inclusion,
};
use crate::record::Digest;

fn leaves(size: u64) -> Vec<Digest> {
    (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// Every perfect subtree of the tree, told by the frontier as it grows.
fn stored(leaves: &[Digest]) -> HashMap<Node, Digest> {
    let mut stored = HashMap::new();
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push_with(*leaf, |node, hash| assert!(stored.insert(node, hash).is_none()));
    }
    stored
}

/// MTH of RFC 6962, section 2.1.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at((leaves.len().next_power_of_two()) / 2);
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// PATH of section 2.1.1.
fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return vec![];
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if m < k { (path(m, left), right) } else { (path(m - k, right), left) };
    path.push(mth(other));
    path
}

/// SUBPROOF of section 2.1.2.
fn subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if known { vec![] } else { vec![mth(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) =
        if m <= k { (subproof(m, left, known), right) } else { (subproof(m - k, right, false), left) };
    proof.push(mth(other));
    proof
}

const SIZES: u64 = 130;

#[test]
fn roots_are_those_of_rfc_6962_for_every_size() {
    let all = leaves(520);
    let stored = stored(&all);
    for size in 0..=520 {
        let leaves = &all[..size];
        assert_eq!(root_of(leaves.iter().copied()), mth(leaves), "size {size}");
        let size = size as u64;
        assert_eq!(Proof::root(size).hashes(&stored).unwrap(), [mth(leaves)]);
        let frontier = read_frontier(size, &stored).unwrap();
        assert_eq!((frontier.root(), frontier.size()), (mth(leaves), size));
        assert_eq!(Frontier::resume(size, frontier.peaks().to_vec()), Ok(frontier));
        assert!(Frontier::resume(size + 1 + size % 2, vec![Digest::ZERO; 64]).is_err());
    }
}

#[test]
fn every_inclusion_proof_verifies_at_its_place_and_nowhere_else() {
    let all = leaves(SIZES);
    let stored = stored(&all);
    for size in 1..=SIZES {
        let tree = &all[..size as usize];
        let root = mth(tree);
        for index in 0..size {
            let proof = Proof::inclusion(index, size).unwrap().hashes(&stored).unwrap();
            assert_eq!(proof, path(index as usize, tree));
            let leaf = tree[index as usize];
            assert_eq!(verify_inclusion(&leaf, index, size, &root, &proof), Ok(()));
            for other in (0..size.min(40)).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &root, &proof).is_err(), "{index} shown as {other}");
            }
            let mut longer = proof.clone();
            longer.push(Digest::ZERO);
            assert!(verify_inclusion(&leaf, index, size, &root, &longer).is_err());
            if let Some((_last, shorter)) = proof.split_last() {
                assert!(verify_inclusion(&leaf, index, size, &root, shorter).is_err());
            }
        }
        assert_eq!(Proof::inclusion(size, size), Err(ProofError::NotInTree { index: size, size }));
    }
}

#[test]
fn proofs_verify_for_all_sizes_up_to_some_hundreds() {
    let all = leaves(300);
    let stored = stored(&all);
    let roots: Vec<_> = (0..=300).map(|size| read_frontier(size, &stored).unwrap().root()).collect();
    for (size, root) in (0..).zip(&roots) {
        for (index, leaf) in (0..size).zip(&all) {
            let proof = Proof::inclusion(index, size).unwrap().hashes(&stored).unwrap();
            assert_eq!(verify_inclusion(leaf, index, size, root, &proof), Ok(()));
        }
        for (old, old_root) in (0..=size).zip(&roots) {
            let proof = Proof::consistency(old, size).unwrap().hashes(&stored).unwrap();
            assert_eq!(verify_consistency((old, old_root), (size, root), &proof), Ok(()));
        }
    }
}

#[test]
fn every_consistency_proof_verifies_and_none_for_another_history() {
    let all = leaves(SIZES);
    let stored = stored(&all);
    for new in 0..=SIZES {
        let tree = &all[..new as usize];
        let root = mth(tree);
        for old in 0..=new {
            let proof = Proof::consistency(old, new).unwrap().hashes(&stored).unwrap();
            let expected = if old == 0 { vec![] } else { subproof(old as usize, tree, true) };
            assert_eq!(proof, expected);
            let old_root = mth(&tree[..old as usize]);
            assert_eq!(verify_consistency((old, &old_root), (new, &root), &proof), Ok(()));
            assert!(verify_consistency((old, &Digest::ZERO), (new, &root), &proof).is_err());
            if old > 0 {
                assert!(verify_consistency((old, &old_root), (new, &Digest::ZERO), &proof).is_err());
            }
            for at in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[at].0[7] ^= 1;
                assert!(verify_consistency((old, &old_root), (new, &root), &wrong).is_err());
            }
        }
        assert_eq!(Proof::consistency(new + 1, new), Err(ProofError::Shrinks { old: new + 1, new }));
    }
}

#[test]
fn another_implementation_makes_the_same_roots_and_proofs() {
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut other_root_before = other.root();
    let mut frontier = Frontier::new();
    let mut stored = HashMap::new();
    for n in 0..SIZES {
        other.push(n.to_be_bytes().to_vec());
        frontier.push_with(leaf_hash(&n.to_be_bytes()), |node, hash| {
            stored.insert(node, hash);
        });
        assert_eq!(other.root().as_bytes().as_slice(), frontier.root().as_bytes());
        let size = n + 1;
        for index in 0..size {
            let ours = Proof::inclusion(index, size).unwrap().hashes(&stored).unwrap().concat_bytes();
            let theirs = other.prove_inclusion(index as usize);
            assert_eq!(theirs.as_bytes(), ours);
            other.root().verify_inclusion(&index.to_be_bytes().to_vec(), index, &theirs).unwrap();
        }
        for old in 1..size {
            let ours = Proof::consistency(old, size).unwrap().hashes(&stored).unwrap().concat_bytes();
            assert_eq!(other.prove_consistency((size - old) as usize).as_bytes(), ours);
        }
        if n > 0 {
            let proof = other.prove_consistency(1);
            other.root().verify_consistency(&other_root_before, &proof).unwrap();
        }
        other_root_before = other.root();
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for Vec<Digest> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|digest| digest.0).collect()
    }
}

#[test]
fn a_proof_needs_only_the_nodes_it_names() {
    let all = leaves(SIZES);
    let stored = stored(&all);
    for proof in [Proof::inclusion(77, 100).unwrap(), Proof::consistency(77, 130).unwrap(), Proof::root(127)] {
        let fetched: HashMap<_, _> = proof.nodes().map(|node| (node, stored[&node])).collect();
        assert_eq!(proof.hashes(&fetched).unwrap(), proof.hashes(&stored).unwrap());
        assert!(proof.hashes(&HashMap::new()).is_err());
    }
}

#[test]
fn sizes_at_the_end_of_the_range_do_not_overflow() {
    for proof in [
        Proof::inclusion(u64::MAX - 1, u64::MAX).unwrap(),
        Proof::inclusion(0, u64::MAX).unwrap(),
        Proof::consistency(u64::MAX - 1, u64::MAX).unwrap(),
        Proof::consistency(1, u64::MAX).unwrap(),
        Proof::root(u64::MAX),
    ] {
        assert!(proof.nodes().count() < 5000);
    }
    assert!(verify_inclusion(&Digest::ZERO, u64::MAX - 1, u64::MAX, &Digest::ZERO, &[Digest::ZERO; 64]).is_err());
    let one = (1, &Digest::ZERO);
    assert!(verify_consistency(one, (u64::MAX, &Digest::ZERO), &[Digest::ZERO; 64]).is_err());
}
