//! The webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::Webhook;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;

/// A page of webhooks.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct WebhookPage {
    /// In the order in which they were set up.
    webhooks: Vec<Webhook>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// List webhooks: where events are sent by themselves, and on whose behalf
#[utoipa::path(get, path = "/v1/webhooks", tag = "live", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = WebhookPage)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<WebhookPage>, Problem> {
    let mut seen = Seen::default();
    let admission = caller.admit(&api, Operation::WebhooksList, &seen).await?;
    let rows = api.archive.webhooks(page.into()).await?;
    seen.count = rows.len();
    let next = page.next(&rows, |row| row.added_index);
    let answer = WebhookPage { webhooks: rows.into_iter().map(Into::into).collect(), next };
    Ok(Json(api.show(admission, &seen, Withheld::new(answer)).await?))
}
