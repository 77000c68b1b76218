//! The exact bytes of one sealed field.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;

use super::bytes;
use super::get::record_id;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemBody, ProblemKind};
use crate::api::state::Api;
use crate::ledger::Committed;

/// One field, byte for byte as it was kept
///
/// `sha256(salt || bytes)` is the commitment in the entry (header `muniment-commitment`; `muniment-salt` is shown with the bytes,
/// in hex, so that it can be checked).
#[utoipa::path(get, path = "/v1/records/{id}/fields/{index}/{name}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"), ("index" = u64, Path, description = "Index of the entry that commits to it"),
        ("name" = String, Path, description = "The field's name, such as request.body"),
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 410, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, index, name)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let id = record_id(&id)?;
    let index: u64 = index.parse().map_err(|_source| Problem::parameter("index", "write an entry's index"))?;
    let mut seen = Seen { records: vec![id], query: Some(format!("index={index}&name={name}")), ..Seen::default() };
    let admission = caller.admit(&api, Operation::FieldsGet, &seen).await?;
    let entry = api.archive.entry(index).await?.filter(|entry| entry.record() == Some(id));
    let entry = entry.ok_or(Problem::new(ProblemKind::NotFound))?;
    let content = api.opened(&entry, id).await?;
    let commitment = match entry.committed() {
        Committed::Listed(listed) => listed.get(&name).map(|commitment| commitment.to_string()),
        Committed::Root(_) => None,
    };
    let key = api.archive.record_key(id).await?.ok_or(Problem::new(ProblemKind::NotFound))?;
    let field = name.parse().map_err(|_source| Problem::new(ProblemKind::NotFound))?;
    let salt = hex::encode(key.salt(entry.id(), &field).as_bytes());
    let checked = bytes::check(&api, entry, &content, &name).await?;
    seen.count = 1;
    let checked = api.show(admission, &seen, Withheld::new(checked)).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        // Whatever somebody posted, a browser must not run it as ours.
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.{name}\"")),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        (header::HeaderName::from_static("muniment-commitment"), commitment.unwrap_or_default()),
        (header::HeaderName::from_static("muniment-salt"), salt),
    ];
    Ok((headers, bytes::body(&api, checked)))
}
