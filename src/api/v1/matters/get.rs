//! One matter.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::shown::{Matter, matter_id, seen};
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// One matter: its custodians, what they were told, its holds, and everything that became of it
#[utoipa::path(get, path = "/v1/matters/{id}", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The matter's id")),
    responses((status = 200, body = Matter), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<Matter>, Problem> {
    let id = matter_id(&text)?;
    let seen = seen(id, None);
    let admission = caller.admit(&api, Operation::MattersGet, &seen).await?;
    let found = api.whole_matter(id).await;
    Ok(Json(api.show_found(admission, &seen, found).await?))
}
