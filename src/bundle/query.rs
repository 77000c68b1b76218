//! What was asked for: the text that an export entry commits to, so that nobody can say later that something else was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::renditions::Rendition;
use crate::record::{AdvisorId, Timestamp, canonical};

const FORMAT: &str = "muniment-query/1";

/// What a bundle was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleQuery {
    /// Those of whom all records of the range are wanted; none where the bundle does not say that it holds all of anything.
    pub advisors: Vec<AdvisorId>,
    /// How many entries of the ledger were looked at.
    pub as_of: u64,
    /// The bundle that answers it.
    pub bundle: Uuid,
    /// Everything that was asked, as it was typed.
    pub filter: BTreeMap<String, String>,
    format: String,
    /// What it holds besides what every bundle has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renditions: Vec<Rendition>,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when; this moment is no longer of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl BundleQuery {
    /// A query for a bundle, as of so many entries, without a filter.
    #[must_use]
    pub fn new(bundle: Uuid, as_of: u64) -> Self {
        let (advisors, filter) = (Vec::new(), BTreeMap::new());
        let format = FORMAT.to_owned();
        Self { advisors, as_of, bundle, filter, format, renditions: Vec::new(), from: None, until: None }
    }

    /// Its one spelling.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, lists and a count: nothing in it has no canonical form.
        canonical(self).unwrap_or_default()
    }

    /// Reads it; none where it is spelled in another way, or names an advisor or a rendition twice.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let query: Self = serde_json::from_slice(json).ok()?;
        let sound = query.format == FORMAT
            && query.advisors.is_sorted_by(|a, b| a < b)
            && query.renditions.is_sorted_by(|a, b| a < b);
        (sound && query.to_json() == json).then_some(query)
    }
}
