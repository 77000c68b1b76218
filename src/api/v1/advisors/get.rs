//! One advisor.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::path::{Path, id};
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::api::v1::history::{Change, nobody};
use crate::archive::Slice;
use crate::record::{AdvisorId, DeviceId, Timestamp};

/// Devices named at most.
const DEVICES: u32 = 500;

/// One advisor, with effective dates.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct AdvisorDetail {
    /// Which.
    id: Uuid,
    /// Name; none once it was disposed of.
    name: Option<String>,
    /// Since when their communications are kept.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// Until when; none while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Index of the entry that registered them.
    index: u64,
    /// Index of the entry that ended it.
    revoked_index: Option<u64>,
    /// Their devices, newest first; at most 500.
    devices: Vec<Uuid>,
    /// Entries in their stream: how many there are of them in the ledger, complete.
    entries: u64,
    /// What changed when, oldest first.
    history: Vec<Change>,
}

/// One advisor, with effective dates and what changed when
#[utoipa::path(get, path = "/v1/advisors/{id}", tag = "people", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The advisor's id")),
    responses((status = 200, body = AdvisorDetail), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<AdvisorDetail>, Problem> {
    let advisor: AdvisorId = id(&text, "an advisor's id")?;
    let seen = Seen { count: 1, advisor: Some(advisor), subjects: vec![advisor.uuid()], ..Seen::default() };
    let admission = caller.admit(&api, Operation::AdvisorsGet, &seen).await?;
    let found = found(&api, advisor).await?;
    Ok(Json(api.show_found(admission, &seen, found.ok_or_else(nobody)).await?))
}

async fn found(api: &Api, advisor: AdvisorId) -> Result<Option<AdvisorDetail>, Problem> {
    let newest = |limit| Slice { after: None, newest_first: true, limit };
    let Some(row) = api.archive.advisors(newest(1), Some(advisor)).await?.into_iter().next() else { return Ok(None) };
    let history = api.history(advisor.uuid()).await?;
    let devices = api.archive.devices(newest(DEVICES), Some(advisor)).await?;
    Ok(Some(AdvisorDetail {
        id: advisor.uuid(),
        name: row.name,
        from: row.added_at,
        until: history.until,
        index: row.index,
        revoked_index: row.revoked_index,
        devices: devices.into_iter().map(|device| device.device).map(DeviceId::uuid).collect(),
        entries: api.archive.stream_size(advisor).await?,
        history: history.changes,
    }))
}
