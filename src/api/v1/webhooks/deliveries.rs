//! What a webhook has delivered, and what not: the last thousand that were taken, what waits, and the dead letters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::shown::{none, seen, webhook_id};
use crate::access::Operation;
use crate::api::caller::Caller;
use crate::api::deliver::message;
use crate::api::page::{Page, PageQuery};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{self, DeliveryState};
use crate::record::Timestamp;

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeliveriesQuery {
    /// Only those in this state: `waiting`, `delivered`, or `dead` for the dead letters
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for DeliveriesQuery {
    const NAMES: &'static [&'static str] = &["state", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let state = parameters.take_as("state", "waiting, delivered or dead")?;
        Ok(Self { state, page: Page::take(parameters)? })
    }
}

/// A message, and what became of it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Delivery {
    /// Its `webhook-id`.
    #[schema(example = "msg_0198c0de000070008000000000000000")]
    id: String,
    /// Its place among all deliveries: what pages go by.
    number: u64,
    /// `events` or `ping`.
    #[schema(example = "events")]
    sort: String,
    /// `waiting`, `delivered` or `dead`.
    #[schema(example = "dead")]
    state: String,
    /// Index of the first event in it.
    first: Option<u64>,
    /// Index of the last.
    last: Option<u64>,
    /// How many events.
    events: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    made_at: Timestamp,
    /// How often it was tried; of one that is replayed, since then.
    attempts: u64,
    /// When it was tried last.
    #[schema(value_type = Option<String>, format = DateTime)]
    tried_at: Option<Timestamp>,
    /// When it is tried next, while it waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// The status it was answered with last.
    #[schema(example = 503)]
    status: Option<u64>,
    /// Why it was not taken last time: `receiver_failed` (5xx), `receiver_refused` (4xx), `redirected`, `gone`, `timed_out`,
    /// `forbidden_address`, `name_not_resolved`, `upstream_unreachable`, `upstream_certificate`, `upstream_tls`, `upstream_broke`, …
    #[schema(example = "receiver_failed")]
    cause: Option<String>,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeliveryPage {
    /// In the order in which they were made.
    deliveries: Vec<Delivery>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
    /// The next place of the ledger that it delivers; none before it has begun.
    position: Option<u64>,
    /// Since when nothing could be delivered; none while it goes well.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
}

impl From<archive::Delivery> for Delivery {
    fn from(row: archive::Delivery) -> Self {
        Self {
            id: message::id(row.message),
            number: row.number,
            sort: row.sort,
            state: row.state,
            first: row.first,
            last: row.last,
            events: row.events,
            made_at: row.made_at,
            attempts: row.attempts,
            tried_at: row.tried_at,
            due_at: row.due_at,
            status: row.status,
            cause: row.cause,
        }
    }
}

/// List what a webhook has delivered, what waits, and its dead letters (`state=dead`)
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "live", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The webhook's id"), DeliveriesQuery, PageQuery),
    responses((status = 200, body = DeliveryPage), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn deliveries(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<DeliveryPage>, Problem> {
    let id = webhook_id(&text)?;
    let webhook = api.archive.webhook(id).await?;
    let mut seen = seen(id, webhook.as_ref());
    let admission = caller.admit(&api, Operation::WebhooksDeliveries, &seen).await?;
    let found = match webhook {
        None => Err(none()),
        Some(_webhook) => {
            let rows = api.archive.deliveries(id, query.state, query.page.into()).await?;
            let (position, failing_since) = api.archive.webhook_position(id).await?.unzip();
            seen.count = rows.len();
            let next = query.page.next(&rows, |row| row.number);
            let deliveries = rows.into_iter().map(Into::into).collect();
            Ok(DeliveryPage { deliveries, next, position, failing_since: failing_since.flatten() })
        }
    };
    Ok(Json(api.show_found(admission, &seen, found).await?))
}
