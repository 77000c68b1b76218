//! Records by filter.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::explain::{FoundRecord, matches};
use super::filter::RecordsQuery;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::PageQuery;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::archive::RecordFilter;

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Records {
    /// In ledger order, or the best match first.
    records: Vec<FoundRecord>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// List and filter records
///
/// Shows what was kept without showing what was said. Searching by `text` or `words` tells what was said, so it needs the permission to read
/// content, and a purpose.
#[utoipa::path(get, path = "/v1/records", tag = "records", security(("token" = [])),
    params(RecordsQuery, PageQuery, ("Muniment-Purpose" = Option<String>, Header, description = "Why; required with `text` and `words`")),
    responses((status = 200, body = Records)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<RecordsQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Json<Records>, Problem> {
    let searches = query.text.is_some() || query.words.is_some();
    let operation = if searches { Operation::RecordsSearch } else { Operation::RecordsList };
    let filter = RecordFilter::from(&query);
    let mut seen = Seen { advisor: filter.advisor, query: typed, ..Seen::default() };
    let admission = caller.admit(&api, operation, &seen).await?;
    let rows = api.archive.records(&filter, query.page.into()).await?;
    seen.count = rows.len();
    seen.records = rows.iter().map(|row| row.record).collect();
    let next = query.page.next(&rows, |row| row.index).filter(|_next| !filter.by_relevance);
    let mut matches = if query.explain { matches(&api, &filter, &seen.records).await? } else { BTreeMap::new() };
    let records = rows.into_iter().map(|row| {
        let found = query.explain.then(|| matches.remove(&row.record).unwrap_or_default());
        FoundRecord { record: row.into(), matches: found }
    });
    let answer = Withheld::new(Records { records: records.collect(), next });
    Ok(Json(api.show(admission, &seen, answer).await?))
}
