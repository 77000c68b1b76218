//! A webhook is removed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::shown::{Condition, none, seen, webhook_id};
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Done, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{WebhookChange, WebhookSettings, WebhookState};
use crate::ledger::Actor;
use crate::record::{OfficerId, WebhookId};

/// Remove a webhook: nothing is delivered any more, its secrets and dead letters are destroyed
///
/// That it was there, and where it led, stays in the ledger and in `/v1/settings`.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the webhook must still have")),
    responses((status = 204, description = "It is gone"), (status = 404, description = "`not-found`"),
        (status = 412, description = "`precondition-failed`")))]
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    headers: HeaderMap,
    once: Once,
) -> Result<Response, Problem> {
    let (id, condition) = (webhook_id(&text)?, Condition::of(&headers)?);
    let webhook = api.archive.webhook(id).await?;
    let seen = seen(id, webhook.as_ref());
    let admission = caller.admit(&api, Operation::WebhooksDelete, &seen).await?;
    // Asked for again with the same key, it is gone and the answer is the same: whether it is there is asked below.
    let found = if once.has_key() { Ok(()) } else { webhook.map(|_webhook| ()).ok_or_else(none) };
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = move |api, doing| remove(api, doing, id, condition, by);
    api.once(by, Operation::WebhooksDelete, &once, &[], work).await
}

async fn remove(
    api: Arc<Api>,
    doing: Doing,
    id: WebhookId,
    condition: Condition,
    by: OfficerId,
) -> Result<Done, Problem> {
    let turn = api.archive.webhook_turn().await?;
    if !doing.is_done {
        let webhook = api.archive.webhook(id).await?.ok_or_else(none)?;
        condition.check(webhook.index)?;
        let settings = webhook.settings.map_or_else(
            // What cannot be read can still be removed.
            || WebhookSettings {
                webhook: id,
                state: WebhookState::Removed,
                cause: None,
                owner: by,
                url: String::new(),
                events: Vec::new(),
                advisor: None,
                network: None,
                description: None,
                from: webhook.added_index,
                secrets: Vec::new(),
            },
            |settings| WebhookSettings { state: WebhookState::Removed, secrets: Vec::new(), cause: None, ..settings },
        );
        api.archive.set_webhook(Actor::Officer(by), WebhookChange::Removed, doing.entry, &settings).await?;
    }
    drop(turn);
    api.archive.keep_webhook_secrets(id, &[]).await?;
    // What waited goes now, where nobody is at it; otherwise within a minute.
    api.archive.prune_deliveries().await?;
    api.webhooks.wake();
    Ok(Done { status: 204, location: None, etag: None, body: None })
}
