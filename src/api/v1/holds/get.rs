//! One hold.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::shown::{Hold, hold_id, seen};
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// One hold: what it covers, why, and everything that became of it
#[utoipa::path(get, path = "/v1/holds/{id}", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The hold's id")),
    responses((status = 200, body = Hold), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<Hold>, Problem> {
    let id = hold_id(&text)?;
    let seen = seen(id);
    let admission = caller.admit(&api, Operation::HoldsGet, &seen).await?;
    let found = api.whole_hold(id).await;
    Ok(Json(api.show_found(admission, &seen, found).await?))
}
