//! The gaps.

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
use crate::archive::GapRow;
use crate::record::{AdvisorId, DeviceId, Timestamp};

/// One gap: something seen that could not be kept, or could not be read.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Gap {
    /// Index of its entry.
    index: u64,
    /// When it went on record.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
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
    /// The network, where known.
    network: Option<String>,
    /// The host, where known and not disposed of.
    host: Option<String>,
    /// The device, where known.
    device: Option<uuid::Uuid>,
    /// Bytes concerned, where known.
    size: Option<u64>,
    /// Whose communications it concerns.
    advisors: Vec<uuid::Uuid>,
}

/// A page of gaps.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Gaps {
    /// In ledger order.
    gaps: Vec<Gap>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Which gaps.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct GapsQuery {
    /// Only this advisor's
    #[param(value_type = Option<uuid::Uuid>)]
    advisor: Option<AdvisorId>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for GapsQuery {
    const NAMES: &'static [&'static str] = &["advisor", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { advisor: parameters.take("advisor")?, page: Page::take(parameters)? })
    }
}

impl From<GapRow> for Gap {
    fn from(row: GapRow) -> Self {
        Self {
            index: row.index,
            at: row.at,
            cause: row.cause,
            count: row.count,
            since: row.since,
            until: row.until,
            network: row.network,
            host: row.host,
            device: row.device.map(DeviceId::uuid),
            size: row.size,
            advisors: row.advisors.into_iter().map(AdvisorId::uuid).collect(),
        }
    }
}

/// List gaps
///
/// What was seen and could not be kept or read, each with its cause. No gap is ever without an entry.
#[utoipa::path(get, path = "/v1/gaps", tag = "integrity", security(("token" = [])), params(GapsQuery, PageQuery),
    responses((status = 200, body = Gaps)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<GapsQuery>,
) -> Result<Json<Gaps>, Problem> {
    let mut seen = Seen { advisor: query.advisor, ..Seen::default() };
    let admission = caller.admit(&api, Operation::GapsList, &seen).await?;
    let rows = api.archive.gaps(query.page.into(), query.advisor).await?;
    seen.count = rows.len();
    let next = query.page.next(&rows, |row| row.index);
    let answer = Withheld::new(Gaps { gaps: rows.into_iter().map(Into::into).collect(), next });
    Ok(Json(api.show(admission, &seen, answer).await?))
}
