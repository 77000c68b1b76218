//! The advisors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::archive::AdvisorRow;

/// One advisor.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Advisor {
    /// Which.
    id: uuid::Uuid,
    /// Name; none once it was disposed of.
    name: Option<String>,
    /// Index of the entry that registered them.
    index: u64,
    /// When that was.
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    added_at: crate::record::Timestamp,
    /// Index of the entry that ended it.
    revoked_index: Option<u64>,
}

/// A page of advisors.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Advisors {
    /// In ledger order.
    advisors: Vec<Advisor>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

impl From<AdvisorRow> for Advisor {
    fn from(row: AdvisorRow) -> Self {
        Self {
            id: row.advisor.uuid(),
            name: row.name,
            index: row.index,
            added_at: row.added_at,
            revoked_index: row.revoked_index,
        }
    }
}

/// List advisors
#[utoipa::path(get, path = "/v1/advisors", tag = "people", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Advisors)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Advisors>, Problem> {
    let mut seen = Seen::default();
    let admission = caller.admit(&api, Operation::AdvisorsList, &seen).await?;
    let rows = api.archive.advisors(page.into(), None).await?;
    seen.count = rows.len();
    seen.subjects = rows.iter().map(|row| row.advisor.uuid()).collect();
    let next = page.next(&rows, |row| row.index);
    let answer = Withheld::new(Advisors { advisors: rows.into_iter().map(Into::into).collect(), next });
    Ok(Json(api.show(admission, &seen, answer).await?))
}
