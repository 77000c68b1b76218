//! One device.

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
use crate::record::{AdvisorId, DeviceId, Timestamp};

/// One device, with effective dates.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeviceDetail {
    /// Which: also its user name at the proxy.
    id: Uuid,
    /// Whose.
    advisor: Option<Uuid>,
    /// What it is called; none once that was disposed of.
    name: Option<String>,
    /// Since when it is let in.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// Until when; none while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Index of the entry that registered it.
    index: u64,
    /// Index of the entry that revoked it.
    revoked_index: Option<u64>,
    /// What changed when, oldest first.
    history: Vec<Change>,
}

/// One device, with effective dates and what changed when
#[utoipa::path(get, path = "/v1/devices/{id}", tag = "people", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The device's id")),
    responses((status = 200, body = DeviceDetail), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<DeviceDetail>, Problem> {
    let device: DeviceId = id(&text, "a device's id")?;
    let row = api.archive.device(device).await?;
    // Whose it is decides whether the token reaches it.
    let advisor = row.as_ref().and_then(|row| row.advisor);
    let subjects = advisor.map(AdvisorId::uuid).into_iter().chain([device.uuid()]).collect();
    let seen = Seen { count: 1, advisor, subjects, ..Seen::default() };
    let admission = caller.admit(&api, Operation::DevicesGet, &seen).await?;
    let found = match row {
        None => Err(nobody()),
        Some(row) => {
            let history = api.history(device.uuid()).await?;
            Ok(DeviceDetail {
                id: device.uuid(),
                advisor: row.advisor.map(AdvisorId::uuid),
                name: row.name,
                from: row.added_at,
                until: history.until,
                index: row.index,
                revoked_index: row.revoked_index,
                history: history.changes,
            })
        }
    };
    Ok(Json(api.show_found(admission, &seen, found).await?))
}
