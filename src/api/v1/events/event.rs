//! One event, as it is sent: ids, kinds and facts that lists show, and nothing of what was said.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::archive::{EventFilter, EventRow, Happened};
use crate::record::{AdvisorId, DeviceId, EntryId, RecordId, Timestamp};

/// What events are about: names for `events`, and the `event` field of each.
pub(in crate::api) const NAMES: [&str; 5] = ["record", "outcome", "attribution", "gap", "alarm"];

/// Something that happened: the `data` of a server-sent event. Its `event` is sent as a field of its own too, and its index as `id`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Event {
    /// Index of its entry: its place in the ledger.
    index: u64,
    /// When it got its place; absent where only the entry says so.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Option<Timestamp>,
    /// The record concerned.
    record: Option<Uuid>,
    /// The network, where known.
    #[schema(example = "mastodon")]
    network: Option<String>,
    /// The device, where known.
    device: Option<Uuid>,
    /// Whose it is, as far as is known now.
    advisors: Vec<Uuid>,
    /// Where to read what it is about, at this API: the record, or the entry where there is none.
    #[schema(example = "/v1/records/0198c0de-0000-7000-8000-000000000000")]
    href: String,
    /// What happened.
    #[serde(flatten)]
    what: What,
}

/// What happened, by `event`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
enum What {
    /// Something was kept.
    Record {
        /// `capture` (sent through the proxy) or `observation` (seen in a read).
        r#type: String,
        /// `http`, `websocket` or `sse`.
        transport: String,
        /// `outbound` or `inbound`.
        direction: String,
        /// What its communications are.
        kinds: Vec<String>,
        /// What else must be known.
        flags: Vec<String>,
        /// Bytes.
        size: u64,
        /// How many attachments.
        attachments: u64,
        /// The capture it repeats.
        retry_of: Option<Uuid>,
    },
    /// An origin answered, or will not.
    Outcome {
        /// Id of the capture that it closes.
        capture: Uuid,
        /// `accepted`, `refused` or `unknown`.
        state: String,
        /// HTTP status.
        status: Option<u64>,
        /// Why it is unknown.
        cause: Option<String>,
    },
    /// A record turned out to be an advisor's.
    Attribution {},
    /// Something could not be kept, or not be read.
    Gap {
        /// Why: a word of a closed list, explained in docs/FORMAT.md.
        cause: String,
        /// How many times.
        count: u64,
        /// The first moment concerned.
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
        /// The last moment concerned.
        #[schema(value_type = String, format = DateTime)]
        until: Timestamp,
    },
    /// Something is wrong with the archive: somebody has to look.
    Alarm {
        /// `verification_failed`, `entry_damaged` or `webhook_disabled` (by the service).
        alarm: &'static str,
        /// How much was verified.
        scope: Option<String>,
        /// How many failures.
        failures: Option<u64>,
        /// The first index that failed.
        first_failure: Option<u64>,
        /// What is wrong with the entry, as a word.
        problem: Option<String>,
        /// The webhook that was disabled.
        webhook: Option<Uuid>,
    },
}

impl Event {
    pub(super) const fn name(&self) -> &'static str {
        match self.what {
            What::Record { .. } => "record",
            What::Outcome { .. } => "outcome",
            What::Attribution {} => "attribution",
            What::Gap { .. } => "gap",
            What::Alarm { .. } => "alarm",
        }
    }

    /// As it goes over the wire. JSON has no line ends in it, so one line is all of it.
    pub(super) fn write(&self, into: &mut String) -> Result<(), serde_json::Error> {
        let data = serde_json::to_string(self)?;
        into.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", self.index, self.name()));
        Ok(())
    }
}

/// The filter for these names; none where one of them is not known.
pub(in crate::api) fn filter(names: &str) -> Option<EventFilter> {
    let mut filter = EventFilter::default();
    for name in names.split(',') {
        match name {
            "record" => filter.records = true,
            "outcome" => filter.outcomes = true,
            "attribution" => filter.attributions = true,
            "gap" => filter.gaps = true,
            "alarm" => filter.alarms = true,
            _ => return None,
        }
    }
    Some(filter)
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        let entry = || format!("/v1/entries/{}", row.index);
        Self {
            href: row.record.map_or_else(entry, |record| format!("/v1/records/{record}")),
            index: row.index,
            at: row.at,
            record: row.record.map(RecordId::uuid),
            network: row.network,
            device: row.device.map(DeviceId::uuid),
            advisors: row.advisors.into_iter().map(AdvisorId::uuid).collect(),
            what: row.what.into(),
        }
    }
}

impl From<Happened> for What {
    fn from(what: Happened) -> Self {
        match what {
            Happened::Record { entry_type, transport, direction, kinds, flags, size, attachments, retry_of } => {
                let retry_of = retry_of.map(EntryId::uuid);
                Self::Record { r#type: entry_type, transport, direction, kinds, flags, size, attachments, retry_of }
            }
            Happened::Outcome { capture, state, status, cause } => {
                Self::Outcome { capture: capture.uuid(), state, status, cause }
            }
            Happened::Attribution => Self::Attribution {},
            Happened::Gap { cause, count, since, until } => Self::Gap { cause, count, since, until },
            Happened::VerificationFailed { scope, failures, first_failure } => Self::Alarm {
                alarm: "verification_failed",
                scope: Some(scope),
                failures: Some(failures),
                first_failure,
                problem: None,
                webhook: None,
            },
            Happened::WebhookStopped { webhook } => Self::Alarm {
                alarm: "webhook_disabled",
                scope: None,
                failures: None,
                first_failure: None,
                problem: None,
                webhook: Some(webhook.uuid()),
            },
            Happened::EntryDamaged { problem } => Self::Alarm {
                alarm: "entry_damaged",
                scope: None,
                failures: None,
                first_failure: None,
                problem: Some(problem),
                webhook: None,
            },
        }
    }
}
