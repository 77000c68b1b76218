//! The exact bytes of one sealed field.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::http::header::{HeaderMap, HeaderName};
use axum::response::Response;

use super::bytes::{self, Checked, WHOLE};
use super::range::Asked;
use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::path::{Path, number, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::ledger::Committed;
use crate::record::{FieldName, RecordId};

/// One field, byte for byte as it was kept
///
/// `sha256(salt || bytes)` is the commitment in the entry (header `muniment-commitment`; `muniment-salt` is shown with the bytes,
/// in hex, so that it can be checked). The entity tag is the digest of the whole; one range of it can be asked for.
#[utoipa::path(get, path = "/v1/records/{id}/fields/{index}/{name}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"), ("index" = u64, Path, description = "Index of the entry that commits to it"),
        ("name" = String, Path, description = "The field's name, such as request.body"),
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1048575`"),
        ("If-Range" = Option<String>, Header, description = "Answer the range only if the entity tag is still this one"),
        ("If-None-Match" = Option<String>, Header, description = "Answer 304 if the entity tag is among these")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream",
            headers(("muniment-commitment" = String, description = "What the entry commits to, where it lists its commitments"),
                ("muniment-salt" = String, description = "In hex"))),
        (status = 206, description = "The range of them that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "You have them"), (status = 416, description = "`range-not-satisfiable`"),
        (status = 404, description = "`not-found`"), (status = 410, description = "`disposed`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, index, name)): Path<(String, String, String)>,
    Query(NoParameters): Query<NoParameters>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&method, headers);
    let id = record_id(&id)?;
    let index: u64 = number("index", &index, "an entry's index")?;
    let range = asked.range().map(|range| format!("&range={range}")).unwrap_or_default();
    let query = Some(format!("index={index}&name={}{range}", name.escape_default()));
    let seen = Seen { records: vec![id], count: 1, query, ..Seen::default() };
    let admission = caller.admit(&api, Operation::FieldsGet, &seen).await?;
    let found = find(&api, id, index, &name).await.and_then(|(headers, checked)| asked.decide(headers, checked));
    Ok(api.show_found(admission, &seen, found).await?.answer(&api))
}

async fn find(api: &Api, id: RecordId, index: u64, name: &str) -> Result<(HeaderMap, Checked), Problem> {
    let none = || Problem::new(ProblemKind::NotFound);
    let entry = api.archive.entry(index).await?.filter(|entry| entry.record() == Some(id)).ok_or_else(none)?;
    let content = api.opened(&entry, id).await?;
    let mut headers = bytes::headers(&format!("{id}.{name}"));
    if let Committed::Listed(listed) = entry.committed()
        && let Some(commitment) = listed.get(name)
    {
        bytes::put(&mut headers, HeaderName::from_static("muniment-commitment"), &commitment.to_string());
    }
    let field: FieldName = name.parse().map_err(|_source| none())?;
    let key = api.archive.record_key(id).await?.ok_or_else(none)?;
    let salt = hex::encode(key.salt(entry.id(), &field).as_bytes());
    bytes::put(&mut headers, HeaderName::from_static("muniment-salt"), &salt);
    Ok((headers, bytes::check(api, entry, &content, name, WHOLE).await?))
}
