//! The devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::DeviceRow;
use crate::record::AdvisorId;

/// One device.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Device {
    /// Which: also its user name at the proxy.
    id: uuid::Uuid,
    /// Whose.
    advisor: Option<uuid::Uuid>,
    /// What it is called; none once that was disposed of.
    name: Option<String>,
    /// Index of the entry that registered it.
    index: u64,
    /// When that was.
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    added_at: crate::record::Timestamp,
    /// Index of the entry that revoked it.
    revoked_index: Option<u64>,
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Devices {
    /// In ledger order.
    devices: Vec<Device>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Which devices.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DevicesQuery {
    /// Only this advisor's
    #[param(value_type = Option<uuid::Uuid>)]
    advisor: Option<AdvisorId>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for DevicesQuery {
    const NAMES: &'static [&'static str] = &["advisor", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { advisor: parameters.take("advisor")?, page: Page::take(parameters)? })
    }
}

impl From<DeviceRow> for Device {
    fn from(row: DeviceRow) -> Self {
        Self {
            id: row.device.uuid(),
            advisor: row.advisor.map(AdvisorId::uuid),
            name: row.name,
            index: row.index,
            added_at: row.added_at,
            revoked_index: row.revoked_index,
        }
    }
}

/// List devices
#[utoipa::path(get, path = "/v1/devices", tag = "people", security(("token" = [])), params(DevicesQuery, PageQuery),
    responses((status = 200, body = Devices)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<DevicesQuery>,
) -> Result<Json<Devices>, Problem> {
    let mut seen = Seen { advisor: query.advisor, ..Seen::default() };
    let admission = caller.admit(&api, Operation::DevicesList, &seen).await?;
    let rows = api.archive.devices(query.page.into(), query.advisor).await?;
    seen.count = rows.len();
    // Whose they are as well: a device by its name, an account by its handle, say something of their advisor.
    let owners = rows.iter().filter_map(|row| row.advisor).map(AdvisorId::uuid);
    seen.subjects = owners.chain(rows.iter().map(|row| row.device.uuid())).collect();
    let next = query.page.next(&rows, |row| row.index);
    let answer = Withheld::new(Devices { devices: rows.into_iter().map(Into::into).collect(), next });
    Ok(Json(api.show(admission, &seen, answer).await?))
}
