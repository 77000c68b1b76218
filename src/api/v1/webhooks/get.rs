//! One webhook.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{self, HeaderName};

use super::shown::{Webhook, none, seen, tag, webhook_id};
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// One webhook: how it is set, since when, and by which entry
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id")),
    responses((status = 200, body = Webhook), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<([(HeaderName, String); 1], Json<Webhook>), Problem> {
    let id = webhook_id(&text)?;
    let webhook = api.archive.webhook(id).await?;
    let seen = seen(id, webhook.as_ref());
    let admission = caller.admit(&api, Operation::WebhooksGet, &seen).await?;
    let webhook = api.show_found(admission, &seen, webhook.ok_or_else(none)).await?;
    Ok(([(header::ETAG, tag(webhook.index))], Json(webhook.into())))
}
