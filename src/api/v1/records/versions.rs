//! What a record speaks of, before and after each change.

use std::collections::BTreeMap;
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
use crate::api::path::{Path, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{CommunicationRow, RecordRow, Versions};
use crate::record::{EntryId, RecordId};

/// How a version came about.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum How {
    /// It was sent.
    Sent,
    /// It was changed.
    Edit,
    /// It was taken back.
    Deletion,
    /// It was seen in what a device loaded.
    Seen,
    /// It is a newer recognition of what was kept before.
    Reparsed,
}

/// One version.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Version {
    /// How it came about.
    how: How,
    /// Index of the entry of the version it replaces; none for the first.
    replaces: Option<u64>,
    /// The record that holds it, with when, outcome, and what became of its content.
    record: RecordSummary,
    /// What it says.
    communication: Said,
}

/// The versions of what a record speaks of.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RecordVersions {
    /// In ledger order: the item before and after each edit and deletion, as it was seen, and as it was recognised again.
    versions: Vec<Version>,
    /// There are more than 500; search by `item` for the rest.
    more: bool,
    /// The size of the ledger that was asked about; none where it is how things stand now.
    as_of: Option<u64>,
}

/// As of when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct VersionsQuery {
    /// As things stood when the ledger had this many entries: the size of a published checkpoint, see /v1/checkpoints
    #[param(value_type = Option<u64>)]
    as_of: Option<u64>,
}

impl FromParameters for VersionsQuery {
    const NAMES: &'static [&'static str] = &["as_of"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { as_of: as_of(parameters)? })
    }
}

/// What a post was before it was edited, and what became of it
#[utoipa::path(get, path = "/v1/records/{id}/versions", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"), VersionsQuery,
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, body = RecordVersions), (status = 404, description = "`not-found`; `no-such-checkpoint`")))]
pub(in crate::api) async fn versions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<VersionsQuery>,
) -> Result<Json<RecordVersions>, Problem> {
    let id = record_id(&id)?;
    let asked = query.as_of.map(|size| format!("as_of={size}"));
    let mut seen = Seen { records: vec![id], count: 1, query: asked, ..Seen::default() };
    let admission = caller.admit(&api, Operation::RecordsVersions, &seen).await?;
    let found = find(&api, id, query.as_of).await;
    if let Ok(found) = &found {
        seen.count = found.versions.len();
        seen.records.extend(found.versions.iter().map(|version| RecordId::new(version.record.id)));
        seen.records.sort_unstable();
        seen.records.dedup();
    }
    Ok(Json(api.show_found(admission, &seen, found).await?))
}

async fn find(api: &Api, id: RecordId, as_of: Option<u64>) -> Result<RecordVersions, Problem> {
    let as_of = api.check_as_of(as_of).await?;
    let row = api.archive.record_as_of(id, as_of).await?;
    let row = row.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let Versions { versions, is_cut } = api.archive.versions(&row, as_of).await?;
    let named: Vec<EntryId> =
        versions.iter().flat_map(|(row, _)| [row.derived_from, row.previous_version]).flatten().collect();
    let places: BTreeMap<EntryId, u64> = api.archive.places(&named).await?.into_iter().collect();
    let replaced: Vec<Option<u64>> =
        (0..versions.len()).map(|at| replaces(versions.get(..=at).unwrap_or_default(), &places)).collect();
    let versions = versions.into_iter().zip(replaced);
    let versions = versions.map(|((row, said), replaces)| {
        let how = how(&row, &said);
        Version { how, replaces, record: row.into(), communication: said.into() }
    });
    Ok(RecordVersions { versions: versions.collect(), more: is_cut, as_of })
}

fn how(row: &RecordRow, said: &CommunicationRow) -> How {
    match said.kind.as_str() {
        _ if row.derived_from.is_some() => How::Reparsed,
        "deletion" => How::Deletion,
        "edit" => How::Edit,
        _ if said.edited_from.is_some() => How::Edit,
        _ if row.entry_type == "observation" => How::Seen,
        _ => How::Sent,
    }
}

/// Which version the last of these replaces: the one that its entry names, or else the newest before it that speaks of the same item,
/// was not refused, and was not itself taken back.
fn replaces(until: &[(RecordRow, CommunicationRow)], places: &BTreeMap<EntryId, u64>) -> Option<u64> {
    let ((row, said), before) = until.split_last()?;
    if let Some(named) = row.derived_from.or(row.previous_version) {
        return places.get(&named).copied();
    }
    let of = said.edited_from.as_ref().or(said.item.as_ref())?;
    let same = |(other, earlier): &&(RecordRow, CommunicationRow)| {
        let bears = earlier.item.as_ref() == Some(of) || earlier.edited_from.as_ref() == Some(of);
        bears && other.record != row.record && other.state.as_deref() != Some("refused") && earlier.kind != "deletion"
    };
    before.iter().rev().find(same).map(|(row, _)| row.index)
}
