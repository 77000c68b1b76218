//! The holds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::shown::HoldSummary;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::record::MatterId;

/// A page of holds.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HoldPage {
    /// In the order in which they were placed; released ones among them.
    holds: Vec<HoldSummary>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Which holds.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct HoldFilter {
    /// Only those of this matter
    #[param(value_type = Option<Uuid>)]
    matter: Option<MatterId>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for HoldFilter {
    const NAMES: &'static [&'static str] = &["matter", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let matter = parameters.take_as("matter", "a matter's id, such as 0198c0de-0000-7000-8000-000000000000")?;
        Ok(Self { matter, page: Page::take(parameters)? })
    }
}

/// List holds: what may not be disposed of, for what, and since when
#[utoipa::path(get, path = "/v1/holds", tag = "holds", security(("token" = [])), params(HoldFilter, PageQuery),
    responses((status = 200, body = HoldPage)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(filter): Query<HoldFilter>,
) -> Result<Json<HoldPage>, Problem> {
    let mut seen = Seen { query: filter.matter.map(|matter| format!("matter={matter}")), ..Seen::default() };
    let admission = caller.admit(&api, Operation::HoldsList, &seen).await?;
    let rows = api.archive.holds(filter.page.into(), filter.matter).await?;
    seen.count = rows.len();
    let next = filter.page.next(&rows, |row| row.added_index);
    let answer = HoldPage { holds: rows.into_iter().map(Into::into).collect(), next };
    Ok(Json(api.show(admission, &seen, Withheld::new(answer)).await?))
}
