//! The commitments of one entry: listed, or folded into a root when there are many.

use std::collections::BTreeMap;

use super::tree::{leaf_hash, root_of};
use crate::record::{Commitment, Digest, FieldName};

/// The most commitments an entry lists; with more it carries the root of a tree over them.
pub const LISTED_MAX: usize = 256;

/// What an entry commits to, field by field, in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commitments(BTreeMap<FieldName, Commitment>);

impl Commitments {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; answers with the one it replaced, if the field was there already.
    pub fn insert(&mut self, field: FieldName, commitment: Commitment) -> Option<Commitment> {
        self.0.insert(field, commitment)
    }

    /// The commitment of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<Commitment> {
        self.0.get(field).copied()
    }

    /// All, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, Commitment)> {
        self.0.iter().map(|(field, commitment)| (field, *commitment))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What an entry carries when these are more than [`LISTED_MAX`]: the RFC 6962 root over `name ‖ 00 ‖ commitment`, in the
    /// order of the names. Its leaves are as unguessable as the salted commitments in them.
    #[must_use]
    pub fn root(&self) -> CommitmentsRoot {
        let leaves = self.iter().map(|(field, commitment)| {
            leaf_hash(&[field.as_str().as_bytes(), &[0], commitment.digest().as_bytes()].concat())
        });
        CommitmentsRoot { count: self.len() as u64, root: Commitment::from_digest(root_of(leaves)) }
    }
}

impl FromIterator<(FieldName, Commitment)> for Commitments {
    fn from_iter<I: IntoIterator<Item = (FieldName, Commitment)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// How many commitments there are, and the root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitmentsRoot {
    /// How many.
    pub count: u64,
    /// The root, written like a commitment.
    pub root: Commitment,
}

impl CommitmentsRoot {
    /// The root of nothing that anybody commits to.
    pub(super) const NONE: Commitment = Commitment::from_digest(Digest::ZERO);
}

/// What stands in an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// At most [`LISTED_MAX`], each by name.
    Listed(Commitments),
    /// More than that.
    Root(CommitmentsRoot),
}

impl Committed {
    /// Does the entry commit to exactly these?
    #[must_use]
    pub fn is_to(&self, commitments: &Commitments) -> bool {
        match self {
            Self::Listed(listed) => listed == commitments,
            Self::Root(root) => commitments.len() > LISTED_MAX && *root == commitments.root(),
        }
    }
}
