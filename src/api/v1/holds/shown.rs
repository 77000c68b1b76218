//! A hold as it is shown.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Seen;
use crate::api::once::Done;
use crate::api::path::id;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive::{HoldEntryRow, HoldRow};
use crate::record::{AdvisorId, HoldId, MatterId, Timestamp};

/// Entries told with a hold at most.
const MOST: u32 = 500;

/// A hold.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HoldSummary {
    /// Which.
    id: Uuid,
    /// The matter it is for.
    matter: Option<Uuid>,
    /// `in_force` or `released`.
    #[schema(example = "in_force")]
    state: &'static str,
    /// `records`, `custodians`, `everything`, or `selected`: what `query` finds, now and later.
    #[schema(example = "custodians")]
    covers: &'static str,
    /// Whose records, where it covers custodians.
    advisors: Vec<Uuid>,
    /// Only records with an entry at or after it…
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00.000000Z")]
    from: Option<Timestamp>,
    /// … and before it.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-07-01T00:00:00.000000Z")]
    to: Option<Timestamp>,
    /// How many records it names.
    records: u64,
    /// Where `query` selects: the size of the ledger up to which was looked. What lies beyond is held whatever it is.
    evaluated: Option<u64>,
    /// What selects: filters of `/v1/records`.
    #[schema(value_type = Option<Object>)]
    query: Option<Value>,
    /// What it is called; none once that was disposed of.
    name: Option<String>,
    /// Why it was placed, likewise.
    #[schema(example = "subpoena of 2026-11-20")]
    reason: Option<String>,
    /// Who placed it.
    #[schema(example = "officer:0198c0de-0000-7000-8000-000000000000")]
    placed_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    placed_at: Timestamp,
    /// Index of the entry that placed it.
    placed_index: u64,
    /// Index of its newest entry.
    index: u64,
    /// Who released it.
    released_by: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T20:00:00.000000Z")]
    released_at: Option<Timestamp>,
    /// Index of the entry that did.
    released_index: Option<u64>,
    /// Why.
    release_reason: Option<String>,
}

/// One entry of a hold.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HoldEntry {
    /// Its place in the ledger.
    index: u64,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// `placed`, `extended` or `released`.
    #[schema(example = "placed")]
    change: String,
    /// Who did it: `service:keeper` is the service, which looks for what a query selects.
    #[schema(example = "service:keeper")]
    by: String,
    /// How many records or advisors it names.
    targets: u64,
    /// Up to where was looked.
    evaluated: Option<u64>,
    /// Why.
    reason: Option<String>,
}

/// A hold, whole.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Hold {
    #[serde(flatten)]
    summary: HoldSummary,
    /// What became of it, oldest first: the newest 500 entries.
    history: Vec<HoldEntry>,
}

impl From<HoldRow> for HoldSummary {
    fn from(row: HoldRow) -> Self {
        let covers = match (row.selects, row.scope.as_str()) {
            (true, _) => "selected",
            (false, "stream") => "custodians",
            (false, "all") => "everything",
            (false, _) => "records",
        };
        Self {
            id: row.hold.uuid(),
            matter: row.matter.map(MatterId::uuid),
            state: if row.released_index.is_some() { "released" } else { "in_force" },
            covers,
            advisors: row.advisors.into_iter().map(AdvisorId::uuid).collect(),
            from: row.since,
            to: row.until,
            records: row.records,
            evaluated: row.evaluated,
            query: row.query.and_then(|query| serde_json::from_str(&query).ok()),
            name: row.name,
            reason: row.reason,
            placed_by: row.placed_by,
            placed_at: row.added_at,
            placed_index: row.added_index,
            index: row.index,
            released_by: row.released_by,
            released_at: row.released_at,
            released_index: row.released_index,
            release_reason: row.release_reason,
        }
    }
}

impl From<HoldEntryRow> for HoldEntry {
    fn from(row: HoldEntryRow) -> Self {
        Self {
            index: row.index,
            at: row.at,
            change: row.change,
            by: row.by,
            targets: row.targets,
            evaluated: row.evaluated,
            reason: row.reason,
        }
    }
}

/// Reads a hold's id.
pub(super) fn hold_id(text: &str) -> Result<HoldId, Problem> {
    id(text, "a hold's id")
}

/// What a look at a hold concerns.
pub(super) fn seen(id: HoldId) -> Seen {
    Seen { count: 1, query: Some(format!("hold={id}")), ..Seen::default() }
}

impl Api {
    /// A hold, whole; or the problem that there is none.
    pub(super) async fn whole_hold(&self, id: HoldId) -> Result<Hold, Problem> {
        let row = self.archive.hold(id).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
        let mut history = self.archive.hold_entries(id, MOST).await?;
        history.reverse();
        Ok(Hold { summary: row.into(), history: history.into_iter().map(Into::into).collect() })
    }

    /// The answer to what was done to it.
    pub(super) async fn hold_done(&self, status: u16, id: HoldId) -> Result<Done, Problem> {
        // Whoever did it may have been killed before it was projected.
        self.archive.catch_up().await?;
        let body = serde_json::to_value(self.whole_hold(id).await?).map_err(|error| Problem::internal(&error))?;
        let location = (status == 201).then(|| format!("/v1/holds/{id}"));
        Ok(Done { status, location, etag: None, body: Some(body) })
    }
}
