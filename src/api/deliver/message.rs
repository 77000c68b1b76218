//! What is sent: a run of events, or a test. Ids, kinds, times and links; what was said stays in the house.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::problem::Problem;
use crate::api::v1::events::event::Event;
use crate::api::v1::events::portion::Portion;
use crate::archive::{EventPage, NewMessage};
use crate::record::{Ids, Timestamp, WebhookId};

/// Bytes of a message: a run that is longer is cut after the event that makes it so.
const BYTES: usize = 64 * 1024;

/// A run of events.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Run {
    /// Which webhook.
    webhook: Uuid,
    /// In ledger order.
    events: Vec<Event>,
}

/// A test.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Ping {
    /// Which webhook.
    webhook: Uuid,
}

/// What a webhook delivers, in the form of Standard Webhooks. Its id is in the header `webhook-id`, the same at every attempt.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub(in crate::api) enum WebhookData {
    /// A run of events.
    #[serde(rename = "muniment.events")]
    Events(Run),
    /// A test that an officer asked for.
    #[serde(rename = "muniment.ping")]
    Ping(Ping),
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct WebhookMessage {
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    timestamp: Timestamp,
    #[serde(flatten)]
    data: WebhookData,
}

/// The id of a message, as receivers see it.
pub(in crate::api) fn id(message: Uuid) -> String {
    format!("msg_{}", message.as_simple())
}

/// The other way; none where it is no id of a message.
pub(in crate::api) fn read_id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text.strip_prefix("msg_")?).ok()
}

fn write(now: Timestamp, data: WebhookData) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(&WebhookMessage { timestamp: now, data }).map_err(|error| Problem::internal(&error))
}

/// A test.
pub(in crate::api) fn ping(webhook: WebhookId, now: Timestamp) -> Result<Vec<u8>, Problem> {
    write(now, WebhookData::Ping(Ping { webhook: webhook.uuid() }))
}

/// A run that is about to be queued.
pub(super) struct Made {
    pub(super) message: NewMessage,
    pub(super) portion: Portion,
}

/// As much of a page as fits; none where nothing happened.
pub(super) fn events(
    webhook: WebhookId,
    page: EventPage,
    now: Timestamp,
    ids: &dyn Ids,
) -> Result<Option<Made>, Problem> {
    let (mut events, mut size) = (Vec::new(), 0);
    let portion = Portion::of(page, BYTES, |event| {
        size += serde_json::to_vec(&event)?.len();
        events.push(event);
        Ok(size)
    })?;
    let Some(portion) = portion else { return Ok(None) };
    let count = u64::try_from(portion.count).unwrap_or(u64::MAX);
    let body = write(now, WebhookData::Events(Run { webhook: webhook.uuid(), events }))?;
    let message = NewMessage { message: ids.fresh(), range: portion.range, events: count, body };
    Ok(Some(Made { message, portion }))
}
