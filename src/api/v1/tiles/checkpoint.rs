//! The newest checkpoint, where tlog-tiles clients look for it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;

use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::state::Api;
use crate::api::v1::checkpoints::latest::latest;

/// The newest signed checkpoint, at its tlog-tiles address
#[utoipa::path(get, path = "/v1/checkpoint", tag = "ledger", security(("token" = [])),
    responses((status = 200, description = "The signed note", body = String, content_type = "text/plain"), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(in crate::api) async fn checkpoint(api: State<Arc<Api>>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    latest(api, caller).await
}
