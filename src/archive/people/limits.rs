//! Until when an officer's token is taken, and what it reaches.
//!
//! Sealed in the entry that registers the officer, beside the name: neither a row of the projections nor a hand in the tables can widen
//! it. What cannot be read lets nobody in.

use serde::{Deserialize, Serialize};

use crate::record::{AdvisorId, Timestamp};

/// The limits of a token. What is empty does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From then on it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Operations and permissions that it reaches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Whose records it reaches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advisors: Vec<AdvisorId>,
}

impl Limits {
    /// Nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(in crate::archive) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
