//! One entry's exact bytes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::path::{Path, number};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// One entry, exactly as it is hashed
///
/// `sha256(00 || body)` is its leaf, the next entry's `previous`, and what proofs are about. Nothing in it is anybody's words.
#[utoipa::path(get, path = "/v1/entries/{index}", tag = "ledger", security(("token" = [])),
    params(("index" = u64, Path, description = "Position in the ledger, from 0")),
    responses((status = 200, description = "The entry's bytes (RFC 8785 JSON); its leaf in the header `muniment-leaf`", body = Object,
        headers(("muniment-leaf" = String, description = "Its leaf, in hex"))), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(index): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    let index: u64 = number("index", &index, "a position in the ledger")?;
    let mut seen = Seen { query: Some(format!("index={index}")), ..Seen::default() };
    let admission = caller.admit(&api, Operation::EntriesGet, &seen).await?;
    let found = api.archive.entry(index).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound));
    seen.count = 1;
    seen.records = found.iter().filter_map(|entry| entry.record()).collect();
    let entry = api.show_found(admission, &seen, found).await?;
    let leaf = entry.leaf().to_string();
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (LEAF, leaf)], entry.into_bytes()))
}

const LEAF: header::HeaderName = header::HeaderName::from_static("muniment-leaf");
