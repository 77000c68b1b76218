//! One entry's exact bytes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemBody, ProblemKind};
use crate::api::state::Api;

/// One entry, exactly as it is hashed
///
/// `sha256(00 || body)` is its leaf, the next entry's `previous`, and what proofs are about. Nothing in it is anybody's words.
#[utoipa::path(get, path = "/v1/entries/{index}", tag = "ledger", security(("token" = [])),
    params(("index" = u64, Path, description = "Position in the ledger, from 0")),
    responses((status = 200, description = "The entry's bytes (RFC 8785 JSON); its leaf in the header `muniment-leaf`", body = Object),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(index): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let wrong = |_source| Problem::parameter("index", "write a position in the ledger, such as 42");
    let index: u64 = index.parse().map_err(wrong)?;
    let mut seen = Seen { query: Some(format!("index={index}")), ..Seen::default() };
    let admission = caller.admit(&api, Operation::EntriesGet, &seen).await?;
    let entry = api.archive.entry(index).await?.ok_or(Problem::new(ProblemKind::NotFound))?;
    seen.count = 1;
    seen.records = entry.record().into_iter().collect();
    let entry = api.show(admission, &seen, Withheld::new(entry)).await?;
    let leaf = entry.leaf().to_string();
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (LEAF, leaf)], entry.into_bytes()))
}

const LEAF: header::HeaderName = header::HeaderName::from_static("muniment-leaf");
