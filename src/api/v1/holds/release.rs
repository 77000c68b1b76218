//! A hold is released.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::shown::{Hold, hold_id, seen};
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::api::v1::matters::wanted::{TEXT, must};
use crate::ledger::Actor;
use crate::retain::RetainError;

/// Why a hold is released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Released {
    /// Why
    #[schema(example = "settled on 2026-11-20", max_length = 4000)]
    reason: String,
}

/// Release a hold: from now on it keeps nothing from disposal
///
/// It does not come back: place another one. What it covered stays in its history.
#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The hold's id")), request_body = Released,
    responses((status = 200, body = Hold), (status = 404, description = "`not-found`"), (status = 409, description = "`hold-released`"),
        (status = 413, description = "`body-too-large`"), (status = 415, description = "`unsupported-media-type`"),
        (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn release(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<Released>,
) -> Result<Response, Problem> {
    let id = hold_id(&text)?;
    let reason = must("reason", &value.reason, TEXT)?;
    let seen = seen(id);
    let admission = caller.admit(&api, Operation::HoldsRelease, &seen).await?;
    // Another process may have placed it a moment ago.
    api.archive.catch_up().await?;
    let found = api.archive.hold(id).await?.map(|_row| ()).ok_or_else(|| RetainError::NoSuchHold.into());
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = async move |api: Arc<Api>, doing: Doing| {
        if api.done_before(doing).await?.is_none() {
            api.retain.release(doing.entry, Actor::Officer(by), id, &reason).await?;
        }
        api.hold_done(200, id).await
    };
    api.once(by, Operation::HoldsRelease, &once, &bytes, work).await
}
