//! A webhook is changed, disabled or enabled.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::shown::{Condition, Webhook, none, seen, webhook_id};
use super::wanted::{self, WebhookChanges};
use crate::access::{Operation, Seen};
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Done, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{WebhookChange, WebhookSettings, WebhookState};
use crate::ledger::Actor;
use crate::record::{AdvisorId, OfficerId, WebhookId};

/// What shall change, checked.
struct Changes {
    state: Option<WebhookState>,
    url: Option<String>,
    events: Option<Vec<String>>,
    advisor: Option<Option<AdvisorId>>,
    network: Option<Option<String>>,
    description: Option<Option<String>>,
}

impl Changes {
    async fn check(api: &Api, given: WebhookChanges) -> Result<Self, Problem> {
        let state = match given.state.as_deref() {
            None => None,
            Some("enabled") => Some(WebhookState::Enabled),
            Some("disabled") => Some(WebhookState::Disabled),
            Some(_other) => return Err(Problem::parameter("state", "write enabled or disabled")),
        };
        let text = |name, given: Option<Option<String>>, most| {
            given.map(|text| wanted::text(name, text.as_deref(), most)).transpose()
        };
        Ok(Self {
            state,
            url: given.url.as_deref().map(|url| wanted::url(api, url)).transpose()?,
            events: given.events.as_deref().map(|events| wanted::events(Some(events))).transpose()?,
            advisor: match given.advisor {
                None => None,
                Some(advisor) => Some(wanted::advisor(api, advisor).await?),
            },
            network: text("network", given.network, 100)?,
            description: text("description", given.description, 200)?,
        })
    }

    /// What it is then, and what that changes; none where it is that already.
    fn apply(self, before: &WebhookSettings, by: OfficerId) -> Option<(WebhookChange, WebhookSettings)> {
        let state = self.state.unwrap_or(before.state);
        let change = match (before.state, state) {
            (WebhookState::Enabled, WebhookState::Disabled) => WebhookChange::Disabled,
            (WebhookState::Disabled, WebhookState::Enabled) => WebhookChange::Enabled,
            _ => WebhookChange::Changed,
        };
        let after = WebhookSettings {
            state,
            cause: before.cause.clone().filter(|_cause| state == WebhookState::Disabled),
            url: self.url.unwrap_or_else(|| before.url.clone()),
            events: self.events.unwrap_or_else(|| before.events.clone()),
            advisor: self.advisor.unwrap_or(before.advisor),
            network: self.network.unwrap_or_else(|| before.network.clone()),
            description: self.description.unwrap_or_else(|| before.description.clone()),
            ..before.clone()
        };
        if after == *before {
            return None;
        }
        // Whoever decides what leaves, and where to, answers for it from then on.
        let owner = if change == WebhookChange::Disabled { before.owner } else { by };
        Some((change, WebhookSettings { owner, ..after }))
    }
}

/// Change a webhook: where to, which events, `enabled` or `disabled`
///
/// Whoever changes or enables it is its owner from then on: it delivers on their behalf. With `If-Match` it is changed only if it is still as you
/// have read it. A webhook that is enabled goes on where it was.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the webhook must still have")),
    request_body = WebhookChanges,
    responses((status = 200, body = Webhook), (status = 404, description = "`not-found`"), (status = 412, description = "`precondition-failed`"),
        (status = 413, description = "`body-too-large`"), (status = 415, description = "`unsupported-media-type`"),
        (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    headers: HeaderMap,
    once: Once,
    Given { bytes, value }: Given<WebhookChanges>,
) -> Result<Response, Problem> {
    let (id, condition) = (webhook_id(&text)?, Condition::of(&headers)?);
    if bytes.is_empty() {
        return Err(Problem::parameter("body", "is missing: say what shall change"));
    }
    let changes = Changes::check(&api, value).await?;
    let webhook = api.archive.webhook(id).await?;
    let seen = seen(id, webhook.as_ref());
    let admission = caller.admit(&api, Operation::WebhooksUpdate, &seen).await?;
    let only_disables = changes.state == Some(WebhookState::Disabled)
        && changes.url.is_none()
        && changes.events.is_none()
        && changes.advisor.is_none()
        && changes.network.is_none();
    if !only_disables {
        // On whose behalf it will deliver.
        caller.vouches(Operation::WebhooksDeliver)?;
    }
    // As it is, and as it shall be.
    let wanted = Seen { advisor: changes.advisor.unwrap_or(seen.advisor), ..seen.clone() };
    let admission = api.within_scope(admission, &wanted).await?;
    api.show_found(admission, &seen, webhook.map(|_webhook| ()).ok_or_else(none)).await?;
    let by = caller.officer();
    let work = move |api, doing| change(api, doing, id, condition, changes, by);
    api.once(by, Operation::WebhooksUpdate, &once, &bytes, work).await
}

async fn change(
    api: Arc<Api>,
    doing: Doing,
    id: WebhookId,
    condition: Condition,
    changes: Changes,
    by: OfficerId,
) -> Result<Done, Problem> {
    let turn = api.archive.webhook_turn().await?;
    if let Some(entry) = api.done_before(doing).await? {
        return api.webhook_done(200, id, entry.index(), false).await;
    }
    let (webhook, settings) = api.readable_webhook(id).await?;
    condition.check(webhook.index)?;
    let index = match changes.apply(&settings, by) {
        None => webhook.index,
        Some((change, settings)) => {
            if change == WebhookChange::Enabled {
                // A new start: it is not held against it that it failed before.
                api.archive.forgive_webhook(id).await?;
            }
            api.archive.set_webhook(Actor::Officer(by), change, doing.entry, &settings).await?.index
        }
    };
    drop(turn);
    api.webhooks.wake();
    api.webhook_done(200, id, index, false).await
}
