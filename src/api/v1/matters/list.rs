//! The matters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::MatterSummary;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;

/// A page of matters.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MatterPage {
    /// In the order in which they were opened.
    matters: Vec<MatterSummary>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// List matters: what holds, searches and exports are for
#[utoipa::path(get, path = "/v1/matters", tag = "holds", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = MatterPage)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<MatterPage>, Problem> {
    let mut seen = Seen::default();
    let admission = caller.admit(&api, Operation::MattersList, &seen).await?;
    let rows = api.archive.matters(page.into()).await?;
    seen.count = rows.len();
    let next = page.next(&rows, |row| row.added_index);
    let answer = MatterPage { matters: rows.into_iter().map(Into::into).collect(), next };
    Ok(Json(api.show(admission, &seen, Withheld::new(answer)).await?))
}
