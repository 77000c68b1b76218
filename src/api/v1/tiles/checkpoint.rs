//! The newest checkpoint, where tlog-tiles clients look for it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;

use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::api::v1::checkpoints::latest::latest;

/// The newest signed checkpoint, at its tlog-tiles address
#[utoipa::path(get, path = "/v1/checkpoint", tag = "ledger", security(("token" = [])),
    responses((status = 200, description = "The signed note", body = String, content_type = "text/plain"), (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn checkpoint(
    api: State<Arc<Api>>,
    caller: Caller,
    query: Query<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    latest(api, caller, query).await
}
