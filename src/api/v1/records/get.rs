//! One record: what was said, where it came from, what the origin said, and the proof.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::communication::{self, Communication};
use super::summary::RecordSummary;
use crate::access::{Operation, Seen};
use crate::api::as_of::as_of;
use crate::api::caller::Caller;
use crate::api::path::{Path, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{Content, RecordRow};
use crate::ledger::{Committed, Entry, EntryType};
use crate::record::{RecordId, Timestamp};
use crate::retain::Retention;

/// Checkpoints are published every second while there is something new.
const NEXT_CHECKPOINT: u64 = 2;

/// One record, whole.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Record {
    #[serde(flatten)]
    summary: RecordSummary,
    /// What was said. Empty once it was disposed of.
    communications: Vec<Communication>,
    /// How it travelled.
    exchange_as_kept: ExchangeAsKept,
    /// Where it comes from.
    provenance: Provenance,
    /// Every entry of the record, oldest first, with the commitments in it and what they commit to.
    entries: Vec<RecordEntry>,
    /// Asked for with `proof=1`: a C2SP tlog-proof of the entry that made the record, under the checkpoint of `as_of`, or else the first
    /// that covers it. Each entry has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    /// The holds in force now that keep it from disposal.
    holds: Vec<HoldOn>,
    /// Until when it is kept, and by which rule, as the retention schedule in force now says. None once it was disposed of, where its entries
    /// cannot be read (then it stays), and with `as_of`.
    retention: Option<RetentionOf>,
    /// The size of the ledger that was asked about; none where it is how things stand now.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<u64>,
}

/// A hold that covers the record.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HoldOn {
    /// Which.
    hold: Uuid,
    /// `named` (the hold names the record), `custodian` (it covers one of its advisors), `everything`, or `not_evaluated` (its query has not been
    /// asked about this record yet).
    #[schema(example = "custodian")]
    why: String,
}

/// Until when a record is kept.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RetentionOf {
    /// The class of the schedule that keeps it the longest, as a disposal entry will name it.
    #[schema(example = "finra_4511")]
    rule: String,
    /// The rule of law that the class cites.
    #[schema(example = "FINRA Rule 4511(b)")]
    cites: String,
    /// How long that is.
    #[schema(example = "6 years")]
    keep: String,
    /// From what it is reckoned: `last_entry` or `fiscal_year_end`.
    #[schema(example = "last_entry")]
    runs_from: &'static str,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// The first moment at which it may be disposed of, where no hold keeps it: its classes have ended then, and the archive's own floor.
    #[schema(value_type = String, format = DateTime, example = "2032-11-21T20:00:00.000000Z")]
    earliest: Timestamp,
    /// The holds in force that keep it beyond.
    held_by: Vec<Uuid>,
}

impl From<Retention> for RetentionOf {
    fn from(retention: Retention) -> Self {
        let Retention { rule, cites, keep, runs_from, from, earliest, held_by, .. } = retention;
        let held_by = held_by.into_iter().map(|hold| hold.uuid()).collect();
        Self { rule, cites, keep, runs_from, from, earliest, held_by }
    }
}

/// The exchange, with credentials taken out.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::api) struct ExchangeAsKept {
    /// Facts about the connection and the origin's handshake.
    #[schema(value_type = Option<Object>)]
    connection: Option<Value>,
    /// Request line and headers.
    request_head: Option<String>,
    /// Status line and headers.
    response_head: Option<String>,
    /// What was taken out: `{place, name, dropped}` each.
    #[schema(value_type = Option<Vec<Object>>)]
    redactions: Option<Value>,
}

/// Where a record comes from.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Provenance {
    /// Digest of the rule set that recognised it.
    #[schema(value_type = Option<String>)]
    rules: Option<Value>,
    /// Who caused it: `device:<id>`.
    actor: String,
    /// Which proxy wrote it.
    source: Uuid,
    /// That proxy's own count.
    source_index: u64,
}

/// One entry of a record.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RecordEntry {
    /// Its place in the ledger.
    index: u64,
    /// Its id.
    id: Uuid,
    /// `capture`, `outcome`, `observation`, `attribution`…
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it got its place.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// Its leaf hash.
    leaf: String,
    /// What it says in the clear.
    #[schema(value_type = Object)]
    detail: Value,
    /// The sealed fields it commits to.
    fields: Vec<FieldLink>,
    /// Asked for with `proof=1`: a C2SP tlog-proof of this entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    /// Instead of it, where no checkpoint covers the entry yet: seconds until one may, so that asking again then gives the proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 2)]
    proof_in_seconds: Option<u64>,
}

/// One sealed field.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct FieldLink {
    /// Its name.
    #[schema(example = "0.text")]
    name: String,
    /// The commitment in the entry; none where the entry has only the root over many.
    commitment: Option<String>,
    /// Where its bytes can be read; none once disposed of.
    href: Option<String>,
}

/// What is wanted with the record.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RecordQuery {
    /// `1` to have the proofs too
    #[param(value_type = Option<u8>, maximum = 1)]
    proof: bool,
    /// As things stood when the ledger had this many entries: the size of a published checkpoint, see /v1/checkpoints
    #[param(value_type = Option<u64>)]
    as_of: Option<u64>,
}

impl FromParameters for RecordQuery {
    const NAMES: &'static [&'static str] = &["proof", "as_of"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let proof: Option<u8> = parameters.take_as("proof", "0 or 1")?;
        let proof = match proof {
            None | Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(Problem::parameter("proof", "write 0 or 1")),
        };
        Ok(Self { proof, as_of: as_of(parameters)? })
    }
}

/// One record with outcome, provenance, content and proof
#[utoipa::path(get, path = "/v1/records/{id}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which"), RecordQuery,
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, body = Record), (status = 404, description = "`not-found`; `no-such-checkpoint`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<RecordQuery>,
) -> Result<Json<Record>, Problem> {
    let id = record_id(&id)?;
    let asked = query.as_of.map(|size| format!("as_of={size}"));
    let seen = Seen { records: vec![id], count: 1, query: asked, ..Seen::default() };
    let admission = caller.admit(&api, Operation::RecordsGet, &seen).await?;
    let found = find(&api, id, &query).await;
    Ok(Json(api.show_found(admission, &seen, found).await?))
}

async fn find(api: &Api, id: RecordId, query: &RecordQuery) -> Result<Record, Problem> {
    let as_of = api.check_as_of(query.as_of).await?;
    let row = api.archive.record_as_of(id, as_of).await?;
    let mut row = row.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let mut entries = Vec::new();
    let places = api.archive.record_entries(id).await?;
    for index in places.into_iter().filter(|index| as_of.is_none_or(|size| *index < size)) {
        let entry = api.archive.entry(index).await?.ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        let content = open(api, &entry, &mut row).await?;
        entries.push((entry, content));
    }
    let mut record = assemble(row, &entries)?;
    record.as_of = as_of;
    if record.summary.is_there() {
        let holds = api.archive.holds_on(id).await?.into_iter();
        record.holds = holds.map(|on| HoldOn { hold: on.hold.uuid(), why: on.why }).collect();
        // By the schedule and the entries of now: an answer about how things stood would not stay the same.
        if as_of.is_none() {
            record.retention = api.retain.retention(id).await?.map(RetentionOf::from);
        }
    }
    if query.proof {
        prove(api, &mut record, as_of).await?;
    }
    Ok(record)
}

/// Adds the proof of each entry. What no checkpoint covers yet is published first; where that is somebody else's turn, the answer says
/// when to ask again.
async fn prove(api: &Api, record: &mut Record, as_of: Option<u64>) -> Result<(), Problem> {
    let newest = record.entries.iter().map(|entry| entry.index).max().unwrap_or_default();
    if as_of.is_none()
        && api.archive.checkpoint(Some(newest.saturating_add(1))).await?.is_none()
        && let Err(error) = api.archive.publish(false).await
    {
        tracing::warn!(%error, "a proof waits, because no checkpoint could be published");
    }
    for entry in &mut record.entries {
        match api.archive.inclusion(entry.index, as_of).await? {
            Some(inclusion) => entry.proof = Some(inclusion.proof.to_string()),
            None => entry.proof_in_seconds = Some(NEXT_CHECKPOINT),
        }
    }
    let first = record.entries.iter().find(|entry| entry.index == record.summary.index());
    record.proof = first.and_then(|entry| entry.proof.clone());
    Ok(())
}

/// The content of one entry; none when it was disposed of or cannot be read, which the row then says.
async fn open(api: &Api, entry: &Entry, row: &mut RecordRow) -> Result<Option<Content>, Problem> {
    let (content, whole) = match api.archive.content(entry).await.map_err(Problem::from) {
        Ok(Some(content)) => {
            let whole = match entry.committed() {
                Committed::Listed(listed) => listed.iter().all(|(name, _)| content.0.contains_key(name)),
                Committed::Root(_) => true,
            };
            (Some(content), whole)
        }
        Ok(None) => (None, row.disposed.is_some()),
        Err(problem) if problem.kind() == ProblemKind::Unreadable => (None, false),
        Err(problem) => return Err(problem),
    };
    if !whole {
        "unreadable".clone_into(&mut row.content);
    }
    Ok(content)
}

fn assemble(row: RecordRow, entries: &[(Entry, Option<Content>)]) -> Result<Record, Problem> {
    let missing = || Problem::new(ProblemKind::Unreadable);
    let (first, content) = entries.iter().find(|(entry, _)| entry.index() == row.index).ok_or_else(missing)?;
    let outcome = entries.iter().rev().find(|(entry, _)| entry.entry_type() == EntryType::Outcome);
    let answered = outcome.and_then(|(_, content)| content.as_ref());
    let readable = content.as_ref();
    let id = row.record.uuid();
    let exchange_as_kept = ExchangeAsKept {
        connection: readable.and_then(|c| communication::json(c, "connection")),
        request_head: readable.and_then(|c| communication::text(c, "request.head")),
        response_head: answered.or(readable).and_then(|c| communication::text(c, "response.head")),
        redactions: readable.and_then(|c| communication::json(c, "redactions")),
    };
    let provenance = Provenance {
        rules: first.detail().get("rules").cloned(),
        actor: first.actor().to_string(),
        source: first.source().uuid(),
        source_index: first.source_index(),
    };
    let communications = readable.map(|c| communication::all(id, &row.kinds, c, answered)).unwrap_or_default();
    let entries = entries.iter().map(|(entry, content)| record_entry(id, entry, content.as_ref())).collect();
    let summary = row.into();
    Ok(Record {
        summary,
        communications,
        exchange_as_kept,
        provenance,
        entries,
        proof: None,
        holds: Vec::new(),
        retention: None,
        as_of: None,
    })
}

fn record_entry(record: Uuid, entry: &Entry, content: Option<&Content>) -> RecordEntry {
    let commitment = |name: &str| match entry.committed() {
        Committed::Listed(listed) => listed.get(name).map(|commitment| commitment.to_string()),
        Committed::Root(_) => None,
    };
    let href = |name: &str| format!("/v1/records/{record}/fields/{}/{name}", entry.index());
    // Once disposed of, the commitments still say which fields there were.
    let fields = match (content, entry.committed()) {
        (Some(content), _) => {
            content.0.keys().map(|name| link(name.as_str(), commitment(name.as_str()), &href)).collect()
        }
        (None, Committed::Listed(listed)) => listed
            .iter()
            .map(|(name, commitment)| FieldLink {
                name: name.to_string(),
                commitment: Some(commitment.to_string()),
                href: None,
            })
            .collect(),
        (None, Committed::Root(_)) => Vec::new(),
    };
    RecordEntry {
        index: entry.index(),
        id: entry.id().uuid(),
        kind: entry.entry_type().as_str(),
        at: entry.at(),
        leaf: entry.leaf().to_string(),
        detail: Value::Object(entry.detail().clone()),
        fields,
        proof: None,
        proof_in_seconds: None,
    }
}

fn link(name: &str, commitment: Option<String>, href: &dyn Fn(&str) -> String) -> FieldLink {
    FieldLink { name: name.to_owned(), commitment, href: Some(href(name)) }
}
