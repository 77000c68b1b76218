//! How many records, and of which sort: what a search may be narrowed by.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::{Filters, names};
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{FacetCount, Facets, RecordFilter};

/// How many records of one value.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct FacetValue {
    /// The value, as the filter of this name takes it.
    #[schema(example = "mastodon")]
    value: String,
    /// Records that have it.
    #[schema(example = 42)]
    count: u64,
}

/// Counts, exact where `complete` is true. The most frequent values first; a record that has several values of a facet counts once for
/// each.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RecordFacets {
    /// Records found.
    #[schema(example = 1234)]
    total: u64,
    /// By network.
    network: Vec<FacetValue>,
    /// By kind of what they hold.
    kind: Vec<FacetValue>,
    /// By direction.
    direction: Vec<FacetValue>,
    /// By advisor whose they are.
    advisor: Vec<FacetValue>,
    /// By account of ours that acted.
    account: Vec<FacetValue>,
    /// By outcome, of captures; `none` where there is none.
    outcome: Vec<FacetValue>,
    /// By flag.
    flag: Vec<FacetValue>,
    /// By what became of the content.
    content: Vec<FacetValue>,
    /// By month in which they got their place (UTC), such as `2026-11`.
    month: Vec<FacetValue>,
    /// For a facet with more than 1,000 values: how many of them are not shown.
    #[schema(value_type = Object)]
    others: BTreeMap<String, u64>,
    /// Everything that the filter finds was counted. Otherwise it finds more than 50,000, and the newest 50,000 were counted.
    complete: bool,
    /// The place of the oldest record that was counted, where older ones were not.
    counted_from: Option<u64>,
    /// The size of the ledger that was asked about; none where it is how things stand now.
    as_of: Option<u64>,
}

impl From<FacetCount> for FacetValue {
    fn from(counted: FacetCount) -> Self {
        Self { value: counted.value, count: counted.count }
    }
}

impl RecordFacets {
    fn new(mut facets: Facets, as_of: Option<u64>) -> Self {
        let mut by = |facet| facets.by.remove(facet).into_iter().flatten().map(Into::into).collect();
        Self {
            network: by("network"),
            kind: by("kind"),
            direction: by("direction"),
            advisor: by("advisor"),
            account: by("account"),
            outcome: by("outcome"),
            flag: by("flag"),
            content: by("content"),
            month: by("month"),
            total: facets.total,
            others: facets.others,
            complete: facets.counted_from.is_none(),
            counted_from: facets.counted_from,
            as_of,
        }
    }
}

/// What the counts take.
pub(in crate::api) struct FacetsQuery(Filters);

impl FromParameters for FacetsQuery {
    const NAMES: &'static [&'static str] = names![];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Filters::take(parameters).map(Self)
    }
}

/// Count records by filter
///
/// Takes the filters of /v1/records and counts what they find: in all, and by what they may be narrowed by. All records, and those of
/// a span of time (`from`, `to`, `as_of`), are counted exactly however many they are. Of what any other filter finds the newest 50,000 are
/// counted, and `complete` is false where there are more: narrow it, by time first.
#[utoipa::path(get, path = "/v1/records/facets", tag = "records", security(("token" = [])),
    params(Filters, ("Muniment-Purpose" = Option<String>, Header, description = "Why; required with `text` and `words`")),
    responses((status = 200, body = RecordFacets), (status = 404, description = "`no-such-checkpoint`")))]
pub(in crate::api) async fn facets(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(FacetsQuery(filters)): Query<FacetsQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Json<RecordFacets>, Problem> {
    let operation = if filters.searches() { Operation::FacetsSearch } else { Operation::FacetsList };
    let filter = RecordFilter::from(&filters);
    let mut seen = Seen { advisor: filter.advisor, query: typed, ..Seen::default() };
    let admission = caller.admit(&api, operation, &seen).await?;
    let as_of = api.check_as_of(filter.as_of).await?;
    let facets = api.archive.facets(&filter).await?;
    seen.count = usize::try_from(facets.total).unwrap_or(usize::MAX);
    Ok(Json(api.show(admission, &seen, Withheld::new(RecordFacets::new(facets, as_of))).await?))
}
