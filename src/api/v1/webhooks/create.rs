//! A new webhook.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::WebhookWithSecret;
use super::wanted::{self, NewWebhook};
use crate::access::{Operation, Seen, Withheld};
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::deliver::MOST;
use crate::api::once::{Doing, Done, Once};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{SecretOf, WebhookChange, WebhookSettings, WebhookState};
use crate::ledger::Actor;
use crate::record::WebhookId;

/// Set up a webhook
///
/// From now on what happens is sent to `url` by itself: the events of `/v1/events`, in the same order, signed as Standard Webhooks has it. Each
/// message is a look of yours and on record before it leaves; once you are revoked, or your token ends, nothing leaves any more. The secret is
/// shown in this answer only.
#[utoipa::path(post, path = "/v1/webhooks", tag = "live", security(("token" = [])), request_body = NewWebhook,
    responses((status = 201, body = WebhookWithSecret),
        (status = 409, description = "`too-many-webhooks`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<NewWebhook>,
) -> Result<Response, Problem> {
    let (url, events) = (wanted::url(&api, &value.url)?, wanted::events(value.events.as_deref())?);
    let network = wanted::text("network", value.network.as_deref(), 100)?;
    let description = wanted::text("description", value.description.as_deref(), 200)?;
    let advisor = wanted::advisor(&api, value.advisor).await?;
    let seen = Seen { advisor, query: Some(format!("url={url}&events={}", events.join(","))), ..Seen::default() };
    let admission = caller.admit(&api, Operation::WebhooksCreate, &seen).await?;
    caller.vouches(Operation::WebhooksDeliver)?;
    // Not from the entry on that sets it up: that one is not known yet, and what came since was not asked for.
    let from = api.place_after("after", value.after).await?;
    api.show(admission, &seen, Withheld::new(())).await?;
    let owner = caller.officer();
    let settings = WebhookSettings {
        webhook: WebhookId::new(api.ids.fresh()),
        state: WebhookState::Enabled,
        cause: None,
        owner,
        url,
        events,
        advisor,
        network,
        description,
        from,
        secrets: Vec::new(),
    };
    api.once(owner, Operation::WebhooksCreate, &once, &bytes, move |api, doing| add(api, doing, settings)).await
}

async fn add(api: Arc<Api>, doing: Doing, settings: WebhookSettings) -> Result<Done, Problem> {
    let turn = api.archive.webhook_turn().await?;
    if let Some(entry) = api.done_before(doing).await? {
        let record = entry.record().ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        return api.webhook_done(201, WebhookId::new(record.uuid()), entry.index(), true).await;
    }
    if api.archive.count_webhooks().await? >= u64::from(MOST) {
        return Err(Problem::new(ProblemKind::TooManyWebhooks).detail(format!("there are {MOST}")));
    }
    let secret = api.archive.add_webhook_secret(settings.webhook).await?;
    let settings = WebhookSettings { secrets: vec![SecretOf { secret: secret.id, until: None }], ..settings };
    let by = Actor::Officer(settings.owner);
    let appended = api.archive.set_webhook(by, WebhookChange::Added, doing.entry, &settings).await?;
    drop(turn);
    api.webhooks.wake();
    api.webhook_done(201, settings.webhook, appended.index, true).await
}
