//! Another secret for a webhook.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::shown::{WebhookWithSecret, webhook_id};
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Done, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{SecretOf, WebhookChange, WebhookSettings};
use crate::ledger::Actor;
use crate::record::{OfficerId, Timestamp, WebhookId};

/// How long the secret before signs too, when nobody says.
const USUAL: u32 = 86_400;
/// And at most.
const LONGEST: u32 = 7 * 86_400;

/// How a secret is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rotation {
    /// For how many seconds the secret before signs too: a day when it is left out, at most a week; 0 where it is known to somebody
    #[serde(default)]
    #[schema(example = 86400, minimum = 0, maximum = 604800)]
    keep: Option<u32>,
}

/// Give a webhook another secret
///
/// Until the one before has ended, each message carries both signatures, so receivers can change over in their own time. The new one is shown in
/// this answer only.
#[utoipa::path(post, path = "/v1/webhooks/{id}/secret", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id")), request_body = Option<Rotation>,
    responses((status = 200, body = WebhookWithSecret), (status = 404, description = "`not-found`"),
        (status = 413, description = "`body-too-large`"), (status = 415, description = "`unsupported-media-type`"),
        (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<Rotation>,
) -> Result<Response, Problem> {
    let id = webhook_id(&text)?;
    let keep = value.keep.unwrap_or(USUAL);
    if keep > LONGEST {
        return Err(Problem::parameter("keep", format!("write seconds, from 0 to {LONGEST}")));
    }
    api.admit_to_webhook(&caller, Operation::WebhooksRotate, id, "").await?;
    let by = caller.officer();
    let keep = Duration::from_secs(keep.into());
    api.once(by, Operation::WebhooksRotate, &once, &bytes, move |api, doing| replace(api, doing, id, keep, by)).await
}

async fn replace(api: Arc<Api>, doing: Doing, id: WebhookId, keep: Duration, by: OfficerId) -> Result<Done, Problem> {
    let turn = api.archive.webhook_turn().await?;
    if let Some(entry) = api.done_before(doing).await? {
        return api.webhook_done(200, id, entry.index(), true).await;
    }
    let (_webhook, settings) = api.readable_webhook(id).await?;
    let secret = api.archive.add_webhook_secret(id).await?;
    let until = api.clock.now().date_time().checked_add(time::Duration::try_from(keep).unwrap_or_default());
    // The one before, and no other: an older one has had its time.
    let before = settings.secrets.first().filter(|_secret| !keep.is_zero());
    let before = before.map(|before| SecretOf { until: until.map(Timestamp::new), ..*before });
    let secrets: Vec<SecretOf> = [SecretOf { secret: secret.id, until: None }].into_iter().chain(before).collect();
    let kept: Vec<Uuid> = secrets.iter().map(|secret| secret.secret).collect();
    let settings = WebhookSettings { secrets, ..settings };
    let appended = api.archive.set_webhook(Actor::Officer(by), WebhookChange::Secret, doing.entry, &settings).await?;
    api.archive.keep_webhook_secrets(id, &kept).await?;
    drop(turn);
    api.webhooks.wake();
    api.webhook_done(200, id, appended.index, true).await
}
