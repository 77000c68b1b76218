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
use crate::api::caller::Caller;
use crate::api::path::{Path, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{Content, RecordRow};
use crate::ledger::{Committed, Entry, EntryType};
use crate::record::{RecordId, Timestamp};

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
    /// Asked for with `proof=1`: a C2SP tlog-proof of the record's first entry under the newest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
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
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// Its leaf hash.
    leaf: String,
    /// What it says in the clear.
    #[schema(value_type = Object)]
    detail: Value,
    /// The sealed fields it commits to.
    fields: Vec<FieldLink>,
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
    /// `1` to have the proof too
    #[param(value_type = Option<u8>, maximum = 1)]
    proof: bool,
}

impl FromParameters for RecordQuery {
    const NAMES: &'static [&'static str] = &["proof"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let proof: Option<u8> = parameters.take_as("proof", "0 or 1")?;
        match proof {
            None | Some(0) => Ok(Self { proof: false }),
            Some(1) => Ok(Self { proof: true }),
            Some(_) => Err(Problem::parameter("proof", "write 0 or 1")),
        }
    }
}

/// One record with outcome, provenance, content and proof
#[utoipa::path(get, path = "/v1/records/{id}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which"), RecordQuery,
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, body = Record), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<RecordQuery>,
) -> Result<Json<Record>, Problem> {
    let id = record_id(&id)?;
    let seen = Seen { records: vec![id], count: 1, ..Seen::default() };
    let admission = caller.admit(&api, Operation::RecordsGet, &seen).await?;
    let found = find(&api, id, query.proof).await;
    Ok(Json(api.show_found(admission, &seen, found).await?))
}

async fn find(api: &Api, id: RecordId, proof: bool) -> Result<Record, Problem> {
    let mut row = api.archive.record(id).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let mut entries = Vec::new();
    for index in api.archive.record_entries(id).await? {
        let entry = api.archive.entry(index).await?.ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        let content = open(api, &entry, &mut row).await?;
        entries.push((entry, content));
    }
    assemble(api, row, &entries, proof).await
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

async fn assemble(
    api: &Api,
    row: RecordRow,
    entries: &[(Entry, Option<Content>)],
    proof: bool,
) -> Result<Record, Problem> {
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
    let proof = if proof { Some(api.proof_text(first).await?) } else { None };
    let entries = entries.iter().map(|(entry, content)| record_entry(id, entry, content.as_ref())).collect();
    Ok(Record { summary: row.into(), communications, exchange_as_kept, provenance, entries, proof })
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
    }
}

fn link(name: &str, commitment: Option<String>, href: &dyn Fn(&str) -> String) -> FieldLink {
    FieldLink { name: name.to_owned(), commitment, href: Some(href(name)) }
}
