//! The checkpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::archive::Published;
use crate::record::{Digest, Timestamp};

/// One checkpoint.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Checkpoint {
    /// The log's name.
    origin: String,
    /// How many entries it covers.
    size: u64,
    /// Root hash of the tree over them, in hex.
    #[schema(value_type = String)]
    root: Digest,
    /// When it was published, by our clock.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// The signed note, verbatim.
    note: String,
}

/// A page of checkpoints.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Checkpoints {
    /// By size.
    checkpoints: Vec<Checkpoint>,
    /// Pass it as `after` for the next page; none on the last. Here it is a tree size.
    next: Option<u64>,
}

impl From<Published> for Checkpoint {
    fn from(published: Published) -> Self {
        let Published { checkpoint, note, at } = published;
        Self { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root, at, note }
    }
}

/// List checkpoints
#[utoipa::path(get, path = "/v1/checkpoints", tag = "ledger", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Checkpoints)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Checkpoints>, Problem> {
    caller.require(Permission::ReadLedger)?;
    let published = api.archive.checkpoints(page.into()).await?;
    let next = page.next(&published, |published| published.checkpoint.size);
    Ok(Json(Checkpoints { checkpoints: published.into_iter().map(Into::into).collect(), next }))
}
