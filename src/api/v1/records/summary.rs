//! A record without its content: what lists show and what one record begins with.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::archive::RecordRow;
use crate::record::{AdvisorId, DeviceId, EntryId, Timestamp};

/// A record, without what was said.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RecordSummary {
    /// Which.
    id: Uuid,
    /// Index of its capture or observation: its place in the ledger.
    index: u64,
    /// Id of that entry.
    entry: Uuid,
    /// `capture` (sent through the proxy) or `observation` (seen in a read).
    #[serde(rename = "type")]
    kind: String,
    /// When it got its place.
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// When it was seen, by the clock of whoever saw it.
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    captured_at: Timestamp,
    /// The network, by the name of its rules.
    #[schema(example = "mastodon")]
    network: String,
    /// `http`, `websocket` or `sse`.
    transport: String,
    /// `outbound` or `inbound`, seen from the advisor.
    direction: String,
    /// What its communications are: `post`, `reply`, `message`…
    #[schema(example = json!(["post"]))]
    kinds: Vec<String>,
    /// What else must be known: `redacted`, `off_channel`…
    flags: Vec<String>,
    /// The rule that recognised it; none when it is kept raw.
    rule: Option<String>,
    /// Class of the HTTP method.
    method: Option<String>,
    /// The exchange it came in.
    exchange: Uuid,
    /// Bytes of the request body, message or fragment.
    size: u64,
    /// How many attachments.
    attachments: u64,
    /// The device it came through.
    device: Option<Uuid>,
    /// Whose record it is. More than one where a message belongs to several advisors.
    advisors: Vec<Uuid>,
    /// The capture that this one repeats: the device tried again.
    retry_of: Option<Uuid>,
    /// What the origin said; none until it did.
    outcome: Option<OutcomeSummary>,
    /// Index of the entry that disposed of its content.
    disposed: Option<u64>,
    /// What became of what was sealed: `none` (nothing was), `readable`, `unreadable`, `disposed`.
    #[schema(example = "readable")]
    content: String,
}

/// What the origin said.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct OutcomeSummary {
    /// `accepted`, `refused` or `unknown`.
    #[schema(example = "accepted")]
    state: String,
    /// HTTP status.
    status: Option<u64>,
    /// Id of the outcome entry.
    entry: Option<Uuid>,
}

impl RecordSummary {
    /// Its place in the ledger.
    pub(super) const fn index(&self) -> u64 {
        self.index
    }
}

impl From<RecordRow> for RecordSummary {
    fn from(row: RecordRow) -> Self {
        let outcome = row.outcome.map(EntryId::uuid);
        Self {
            id: row.record.uuid(),
            index: row.index,
            entry: row.entry.uuid(),
            kind: row.entry_type,
            at: row.at,
            captured_at: row.captured_at,
            network: row.network,
            transport: row.transport,
            direction: row.direction,
            kinds: row.kinds,
            flags: row.flags,
            rule: row.rule,
            method: row.method,
            exchange: row.exchange.uuid(),
            size: row.size,
            attachments: row.attachments,
            device: row.device.map(DeviceId::uuid),
            advisors: row.advisors.into_iter().map(AdvisorId::uuid).collect(),
            retry_of: row.retry_of.map(EntryId::uuid),
            outcome: row.state.map(|state| OutcomeSummary { state, status: row.status, entry: outcome }),
            disposed: row.disposed,
            content: row.content,
        }
    }
}
