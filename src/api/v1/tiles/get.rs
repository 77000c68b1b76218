//! One tile: hashes of the tree, or up to 256 entries.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::access::{Operation, Permission, Seen};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::ledger::{TILE_WIDTH, Tile, TilePath, bundle_bytes, tile_bytes};

/// One tile of the tree (C2SP tlog-tiles)
///
/// `tile/<level>/<index>[.p/<width>]` for hashes, `tile/entries/<index>[.p/<width>]` for entries. Reading entries is written down;
/// hashes say nothing about anybody.
#[utoipa::path(get, path = "/v1/tile/{*path}", tag = "ledger", security(("token" = [])),
    params(("path" = String, Path, description = "Such as 0/000, entries/x001/234.p/7", example = "0/000",
        pattern = r"^(entries|[0-9]|[1-5][0-9]|6[0-3])/(x([1-9][0-9]{2}|0[1-9][0-9]|00[1-9])/(x[0-9]{3}/){0,4})?[0-9]{3}(\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$")),
    responses((status = 200, description = "The tile", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(path): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    let wrong = |_source| Problem::parameter("path", "write a tlog-tiles path, such as 0/000 or entries/000.p/12");
    let bytes = match format!("tile/{path}").parse().map_err(wrong)? {
        TilePath::Hashes(tile) => {
            caller.require(Permission::ReadLedger)?;
            let hashes = api.archive.tile(tile).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
            tile_bytes(&hashes)
        }
        TilePath::Entries { index, width } => entries(&api, &caller, index, width).await?,
    };
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}

async fn entries(api: &Api, caller: &Caller, index: u64, width: u16) -> Result<Vec<u8>, Problem> {
    let mut seen = Seen { query: Some(format!("entries={index}&width={width}")), ..Seen::default() };
    let admission = caller.admit(api, Operation::EntriesTile, &seen).await?;
    let found = bundle(api, index, width).await;
    seen.count = usize::from(width);
    api.show_found(admission, &seen, found).await
}

async fn bundle(api: &Api, index: u64, width: u16) -> Result<Vec<u8>, Problem> {
    let none = || Problem::new(ProblemKind::NotFound);
    // Only what a checkpoint covers is in the tree that others see.
    let published = api.archive.checkpoint(None).await?.ok_or_else(none)?;
    Tile::at(0, index, published.checkpoint.size).filter(|there| there.width >= width).ok_or_else(none)?;
    let first = index.saturating_mul(u64::from(TILE_WIDTH));
    let entries = api.archive.entries(first..first.saturating_add(u64::from(width))).await?;
    if entries.len() != usize::from(width) {
        // Damaged where a checkpoint covers it: `muniment verify` says how.
        return Err(Problem::new(ProblemKind::Unreadable));
    }
    bundle_bytes(&entries).map_err(|error| Problem::internal(&error))
}
