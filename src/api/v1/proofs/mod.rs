//! Proofs: that an entry is in the tree, that the tree only grew.

pub(in crate::api) mod consistency;
pub(in crate::api) mod inclusion;
