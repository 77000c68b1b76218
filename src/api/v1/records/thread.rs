//! The conversation around a record: what it answers, and what answers it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::said::Said;
use super::summary::RecordSummary;
use crate::access::{Operation, Seen};
use crate::api::as_of::as_of;
use crate::api::caller::Caller;
use crate::api::page::Page;
use crate::api::path::{Path, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::Slice;
use crate::record::RecordId;

/// What one record says in the conversation.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InThread {
    #[serde(flatten)]
    record: RecordSummary,
    /// What it says there: sent, seen, changed or taken back.
    communications: Vec<Said>,
    /// Where its versions are: what it was before, and what became of it.
    #[schema(example = "/v1/records/0198c0de-0000-7000-8000-000000000000/versions")]
    versions: String,
}

/// A page of a conversation.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Thread {
    /// In ledger order: the advisor's own and what others wrote. An edit or a deletion stands where it happened.
    thread: Vec<InThread>,
    /// The network's ids of the conversation, where it has any.
    conversations: Vec<String>,
    /// The items that began it, as far as anything names them; they may never have been seen.
    roots: Vec<String>,
    /// It has more branches than are followed; search by `conversation` or `item` for the rest.
    more: bool,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
    /// The size of the ledger that was asked about; none where it is how things stand now.
    as_of: Option<u64>,
}

/// Which part of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ThreadQuery {
    /// Records at most, 1 to 500
    #[param(value_type = Option<u32>, default = 50, minimum = 1, maximum = 500)]
    limit: u32,
    /// Go on after this entry index: the `next` of the page before
    #[param(value_type = Option<u64>)]
    after: Option<u64>,
    /// As things stood when the ledger had this many entries: the size of a published checkpoint, see /v1/checkpoints
    #[param(value_type = Option<u64>)]
    as_of: Option<u64>,
}

impl FromParameters for ThreadQuery {
    const NAMES: &'static [&'static str] = &["limit", "after", "as_of"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let Page { limit, after, .. } = Page::take_oldest(parameters)?;
        Ok(Self { limit, after, as_of: as_of(parameters)? })
    }
}

/// The conversation around a record
///
/// What it answers, what began it, what answers it, and every message of the conversation, from the oldest on; what was seen of others'
/// words is part of it.
#[utoipa::path(get, path = "/v1/records/{id}/thread", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"), ThreadQuery,
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, body = Thread), (status = 404, description = "`not-found`; `no-such-checkpoint`")))]
pub(in crate::api) async fn thread(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ThreadQuery>,
) -> Result<Json<Thread>, Problem> {
    let id = record_id(&id)?;
    let said = |name: &str, value: Option<u64>| value.map(|value| format!("{name}={value}"));
    let asked: Vec<String> = said("after", query.after).into_iter().chain(said("as_of", query.as_of)).collect();
    let asked = Some(asked.join("&")).filter(|asked| !asked.is_empty());
    let mut seen = Seen { records: vec![id], count: 1, query: asked, ..Seen::default() };
    let admission = caller.admit(&api, Operation::RecordsThread, &seen).await?;
    let found = find(&api, id, &query).await;
    if let Ok(found) = &found {
        seen.count = found.thread.len();
        seen.records = std::iter::once(id).chain(found.thread.iter().map(|one| RecordId::new(one.record.id))).collect();
        seen.records.sort_unstable();
        seen.records.dedup();
    }
    Ok(Json(api.show_found(admission, &seen, found).await?))
}

async fn find(api: &Api, id: RecordId, query: &ThreadQuery) -> Result<Thread, Problem> {
    let as_of = api.check_as_of(query.as_of).await?;
    let row = api.archive.record_as_of(id, as_of).await?;
    let row = row.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let links = api.archive.links(&row, as_of).await?;
    let slice = Slice { after: query.after, newest_first: false, limit: query.limit };
    let (thread, next) = api.archive.thread(&links, &row.network, slice, as_of).await?;
    let thread = thread.into_iter().map(|(row, said)| InThread {
        versions: format!("/v1/records/{}/versions", row.record),
        record: row.into(),
        communications: said.into_iter().map(Into::into).collect(),
    });
    Ok(Thread {
        thread: thread.collect(),
        conversations: links.conversations.into_iter().collect(),
        roots: links.roots.into_iter().collect(),
        more: links.is_cut,
        next,
        as_of,
    })
}
