//! Why a search found a record.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::summary::RecordSummary;
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::archive::{How, Match, RecordFilter, Within};
use crate::record::RecordId;

/// A record of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct FoundRecord {
    #[serde(flatten)]
    pub(super) record: RecordSummary,
    /// Where it holds what is looked for; with `explain` only. At most ten places of each term in each communication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) matches: Option<Vec<FoundIn>>,
}

/// A place that answers a search.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct FoundIn {
    /// Number of the communication in its record.
    communication: u32,
    /// `text`, or `attachments`: names and descriptions of what is attached.
    within: &'static str,
    /// What was looked for, as typed.
    #[schema(example = "guarantee")]
    term: String,
    /// What stands there.
    #[schema(example = "guaranteed")]
    found: String,
    /// Characters before it.
    at: usize,
    /// `same`, `folded` (the same without diacritics), `begins`, `inflected`, or `substring`.
    #[schema(example = "inflected")]
    how: &'static str,
    /// The language in which it is a form of the term (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "en")]
    language: Option<&'static str>,
}

/// Where these records hold what the filter looks for.
pub(super) async fn matches(
    api: &Api,
    filter: &RecordFilter,
    records: &[RecordId],
) -> Result<BTreeMap<RecordId, Vec<FoundIn>>, Problem> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for communication in api.archive.communications(records).await? {
        let found = filter.explain(&communication).into_iter();
        let found = found.map(|(within, found)| FoundIn::new(communication.number, within, found));
        all.entry(communication.record).or_default().extend(found);
    }
    Ok(all)
}

impl FoundIn {
    fn new(communication: u32, within: Within, Match { term, found, at, how }: Match) -> Self {
        let (how, language) = match how {
            How::Same => ("same", None),
            How::Folded => ("folded", None),
            How::Begins => ("begins", None),
            How::Inflected(language) => ("inflected", Some(language)),
            How::Substring => ("substring", None),
        };
        let within = match within {
            Within::Text => "text",
            Within::Attachments => "attachments",
        };
        Self { communication, within, term, found, at, how, language }
    }
}
