//! Records by filter.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::explain::{FoundRecord, matches};
use super::filter::{Filters, Showing, names};
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::RecordFilter;

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Records {
    /// In ledger order, or the best match first.
    records: Vec<FoundRecord>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
    /// The address of the next page, with everything that was asked, `as_of` too.
    next_page: Option<String>,
    /// With `sort=relevance`, the place of the oldest record that was ranked, where older ones were not: of what fits, the newest 10,000
    /// are.
    ranked_from: Option<u64>,
    /// The size of the ledger that was asked about; none where it is how things stand now.
    as_of: Option<u64>,
}

/// What the list takes.
pub(in crate::api) struct RecordsQuery {
    filters: Filters,
    showing: Showing,
    page: Page,
}

impl FromParameters for RecordsQuery {
    const NAMES: &'static [&'static str] = names!["sort", "explain", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let (filters, page) = (Filters::take(parameters)?, Page::take(parameters)?);
        Ok(Self { showing: Showing::take(parameters, &filters, &page)?, filters, page })
    }
}

/// The same question, going on behind this index.
fn next_page(typed: Option<&str>, next: u64) -> String {
    let asked = form_urlencoded::parse(typed.unwrap_or_default().as_bytes()).filter(|(name, _)| name != "after");
    let mut page = form_urlencoded::Serializer::new("/v1/records?".to_owned());
    page.extend_pairs(asked).append_pair("after", &next.to_string());
    page.finish()
}

/// List and filter records
///
/// Shows what was kept without showing what was said. Searching by `text` or `words` tells what was said, so it needs the permission to read
/// content, and a purpose.
#[utoipa::path(get, path = "/v1/records", tag = "records", security(("token" = [])),
    params(Filters, Showing, PageQuery, ("Muniment-Purpose" = Option<String>, Header, description = "Why; required with `text` and `words`")),
    responses((status = 200, body = Records), (status = 404, description = "`no-such-checkpoint`")))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<RecordsQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Json<Records>, Problem> {
    let RecordsQuery { filters, showing, page } = query;
    let operation = if filters.searches() { Operation::RecordsSearch } else { Operation::RecordsList };
    let filter = RecordFilter { by_relevance: showing.by_relevance(), ..RecordFilter::from(&filters) };
    let mut seen = Seen { advisor: filter.advisor, query: typed.clone(), ..Seen::default() };
    let admission = caller.admit(&api, operation, &seen).await?;
    let as_of = api.check_as_of(filter.as_of).await?;
    let (rows, ranked_from) = match filter.by_relevance {
        true => api.archive.best_records(&filter, page.into()).await?,
        false => (api.archive.records(&filter, page.into()).await?, None),
    };
    seen.count = rows.len();
    seen.records = rows.iter().map(|row| row.record).collect();
    let next = page.next(&rows, |row| row.index).filter(|_next| !filter.by_relevance);
    let next_page = next.map(|next| next_page(typed.as_deref(), next));
    let mut matches = if showing.explain { matches(&api, &filter, &seen.records).await? } else { BTreeMap::new() };
    let records = rows.into_iter().map(|row| {
        let found = showing.explain.then(|| matches.remove(&row.record).unwrap_or_default());
        FoundRecord { record: row.into(), matches: found }
    });
    let records = records.collect();
    Ok(Json(api.show(admission, &seen, Withheld::new(Records { records, next, next_page, ranked_from, as_of })).await?))
}
