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
    pub(super) id: Uuid,
    /// Index of its capture or observation: its place in the ledger.
    pub(super) index: u64,
    /// Id of that entry.
    pub(super) entry: Uuid,
    /// `capture` (sent through the proxy) or `observation` (seen in a read).
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// When it got its place.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    pub(super) at: Timestamp,
    /// When it was seen, by the clock of whoever saw it.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    pub(super) captured_at: Timestamp,
    /// The network, by the name of its rules.
    #[schema(example = "mastodon")]
    pub(super) network: String,
    /// `http`, `websocket` or `sse`.
    pub(super) transport: String,
    /// `outbound` or `inbound`, seen from the advisor.
    pub(super) direction: String,
    /// What its communications are: `post`, `reply`, `message`…
    #[schema(example = json!(["post"]))]
    pub(super) kinds: Vec<String>,
    /// What else must be known: `redacted`, `off_channel`…
    pub(super) flags: Vec<String>,
    /// The rule that recognised it; none when it is kept raw.
    pub(super) rule: Option<String>,
    /// Class of the HTTP method.
    pub(super) method: Option<String>,
    /// The exchange it came in.
    pub(super) exchange: Uuid,
    /// Bytes of the request body, message or fragment.
    pub(super) size: u64,
    /// How many attachments.
    pub(super) attachments: u64,
    /// The device it came through.
    pub(super) device: Option<Uuid>,
    /// Whose record it is. More than one where a message belongs to several advisors.
    pub(super) advisors: Vec<Uuid>,
    /// The capture that this one repeats: the device tried again.
    pub(super) retry_of: Option<Uuid>,
    /// What the origin said; none until it did.
    pub(super) outcome: Option<OutcomeSummary>,
    /// Index of the entry that disposed of its content.
    pub(super) disposed: Option<u64>,
    /// What became of what was sealed: `none` (nothing was), `readable`, `unreadable`, `disposed`.
    #[schema(example = "readable")]
    pub(super) content: String,
}

/// What the origin said.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct OutcomeSummary {
    /// `accepted`, `refused` or `unknown`.
    #[schema(example = "accepted")]
    pub(super) state: String,
    /// HTTP status.
    pub(super) status: Option<u64>,
    /// Id of the outcome entry.
    pub(super) entry: Option<Uuid>,
}

impl RecordSummary {
    /// Its place in the ledger.
    pub(super) const fn index(&self) -> u64 {
        self.index
    }

    /// Whether its content is still there.
    pub(super) const fn is_there(&self) -> bool {
        self.disposed.is_none()
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
