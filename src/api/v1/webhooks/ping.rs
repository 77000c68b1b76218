//! A test of a webhook.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::webhook_id;
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::deliver::message;
use crate::api::once::{Doing, Done, Once};
use crate::api::path::Path;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::WebhookState;

/// A test that was queued.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Pinged {
    /// The delivery: its `webhook-id`. What became of it stands in the list of deliveries.
    #[schema(example = "msg_0198c0de000070008000000000000000")]
    delivery: String,
}

/// Send a test to a webhook
///
/// It is signed and sent as any message, before what waits, and tried once. It says nothing but which webhook it is.
#[utoipa::path(post, path = "/v1/webhooks/{id}/ping", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id")),
    responses((status = 202, body = Pinged), (status = 404, description = "`not-found`"), (status = 409, description = "`webhook-disabled`"),
        (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn ping(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
) -> Result<Response, Problem> {
    let id = webhook_id(&text)?;
    api.admit_to_webhook(&caller, Operation::WebhooksPing, id, "").await?;
    let work = move |api: Arc<Api>, doing: Doing| async move {
        let (_webhook, settings) = api.readable_webhook(id).await?;
        if settings.state != WebhookState::Enabled {
            return Err(Problem::new(ProblemKind::WebhookDisabled));
        }
        let (body, message) = (message::ping(id, api.clock.now())?, doing.entry.uuid());
        if !api.archive.ping_webhook(id, message, &body).await? {
            return Err(Problem::new(ProblemKind::Busy).detail("as many tests of this webhook wait as may"));
        }
        api.webhooks.wake();
        Done::accepted(&Pinged { delivery: message::id(message) })
    };
    api.once(caller.officer(), Operation::WebhooksPing, &once, &[], work).await
}
