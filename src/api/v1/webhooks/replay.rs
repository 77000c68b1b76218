//! Dead letters are tried again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::shown::webhook_id;
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::deliver::message;
use crate::api::once::{Doing, Done, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// Dead letters named at once at most.
const MOST: usize = 100;

/// What shall be tried again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Replay {
    /// Ids of dead letters, at most 100; all of them when it is left out
    #[serde(default)]
    #[schema(example = json!(["msg_0198c0de000070008000000000000000"]))]
    deliveries: Option<Vec<String>>,
}

/// What is tried again.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Replayed {
    /// Ids, in the order in which they are sent.
    deliveries: Vec<String>,
}

/// Try dead letters again: those named, or all
///
/// They are sent before what is newer, under their old ids, on behalf of the webhook's present owner. What is named and is no dead letter is left
/// out of the answer.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id")), request_body = Option<Replay>,
    responses((status = 202, body = Replayed), (status = 404, description = "`not-found`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`")))]
pub(in crate::api) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<Replay>,
) -> Result<Response, Problem> {
    let id = webhook_id(&text)?;
    let wrong = || {
        Problem::parameter(
            "deliveries",
            format!("write at most {MOST} ids such as msg_0198c0de000070008000000000000000"),
        )
    };
    let wanted: Option<Option<Vec<Uuid>>> =
        value.deliveries.as_ref().map(|ids| ids.iter().map(|text| message::read_id(text)).collect());
    let wanted = wanted.map(|ids| ids.filter(|ids| (1..=MOST).contains(&ids.len())).ok_or_else(wrong)).transpose()?;
    let named = value.deliveries.map_or_else(|| "all".to_owned(), |ids| ids.join(","));
    api.admit_to_webhook(&caller, Operation::WebhooksReplay, id, &format!("&deliveries={named}")).await?;
    let work = move |api: Arc<Api>, _doing: Doing| async move {
        let replayed = api.archive.replay_deliveries(id, wanted.as_deref()).await?;
        api.webhooks.wake();
        let deliveries = replayed.into_iter().map(message::id).collect();
        Done::accepted(&Replayed { deliveries })
    };
    api.once(caller.officer(), Operation::WebhooksReplay, &once, &bytes, work).await
}
