//! Every verification on record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::api::v1::integrity::get::Verification;

/// A page of verifications.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Verifications {
    /// In ledger order.
    verifications: Vec<Verification>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// List verifications: each time the archive was read again and checked, and what was found
///
/// Looking at it is not written down: counts and positions say nothing about anybody. The newest of each scope are in /v1/integrity.
#[utoipa::path(get, path = "/v1/verifications", tag = "integrity", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Verifications)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Verifications>, Problem> {
    caller.require(Permission::ReadIntegrity)?;
    let rows = api.archive.verification_history(page.into()).await?;
    let next = page.next(&rows, |row| row.index);
    Ok(Json(Verifications { verifications: rows.into_iter().map(Into::into).collect(), next }))
}
