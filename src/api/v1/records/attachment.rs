//! One attachment, cut out of the request that carried it.
//!
//! Attachments are kept once, inside the request body; the communication says where. What is cut out is compared with the
//! digest that was taken when it was captured, so a wrong cut is never shown.

use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde::Deserialize;

use super::bytes::{self, Checked, WHOLE};
use super::communication;
use super::range::Asked;
use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::path::{Path, number, record_id};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::{Content, Field};
use crate::exchange::{Limits, multipart_boundary, read_multipart};
use crate::ledger::Entry;
use crate::record::{Digest, RecordId};

const BODY: &str = "request.body";
/// Bytes of the body in which its first boundary must show.
const PEEK: u64 = 512;

/// What is known of an attachment.
#[derive(Deserialize)]
struct Known {
    source: Source,
    media_type: Option<String>,
    digest: Option<Digest>,
}

/// Where its bytes are in the request.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Body,
    Part(u32),
}

/// One attachment
///
/// The entity tag is the digest of the whole; one range of it can be asked for, so that a large one can be fetched in parts or again
/// from where it broke off.
#[utoipa::path(get, path = "/v1/records/{id}/attachments/{number}/{position}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"),
        ("number" = u16, Path, description = "Which of its communications, from 0", maximum = 65535),
        ("position" = u16, Path, description = "Which of its attachments, from 0", maximum = 65535),
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1048575`"),
        ("If-Range" = Option<String>, Header, description = "Answer the range only if the entity tag is still this one"),
        ("If-None-Match" = Option<String>, Header, description = "Answer 304 if the entity tag is among these")),
    responses((status = 200, description = "The bytes; the type that was declared is in the header `muniment-media-type`",
            body = Vec<u8>, content_type = "application/octet-stream",
            headers(("muniment-media-type" = String, description = "What the sender called it"))),
        (status = 206, description = "The range of them that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "You have them"), (status = 416, description = "`range-not-satisfiable`"),
        (status = 404, description = "`not-found`"), (status = 410, description = "`disposed`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, communication, position)): Path<(String, String, String)>,
    Query(NoParameters): Query<NoParameters>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&method, headers);
    let id = record_id(&id)?;
    let place = Place {
        number: number("number", &communication, "which communication")?,
        position: number("position", &position, "which attachment")?,
    };
    let range = asked.range().map(|range| format!("&range={range}")).unwrap_or_default();
    let query = Some(format!("number={}&position={}{range}", place.number, place.position));
    let seen = Seen { records: vec![id], count: 1, query, ..Seen::default() };
    let admission = caller.admit(&api, Operation::FieldsGet, &seen).await?;
    let found = find(&api, id, place).await.and_then(|(headers, checked)| asked.decide(headers, checked));
    Ok(api.show_found(admission, &seen, found).await?.answer(&api))
}

/// Which attachment of a record.
#[derive(Clone, Copy)]
struct Place {
    number: u16,
    position: u16,
}

async fn find(api: &Api, id: RecordId, place: Place) -> Result<(HeaderMap, Checked), Problem> {
    let row = api.archive.record(id).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let entry = api.archive.entry(row.index).await?.ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
    let content = api.opened(&entry, id).await?;
    let listed = communication::json(&content, &format!("{}.attachments", place.number));
    let known = listed.as_ref().and_then(|listed| listed.get(usize::from(place.position))).cloned();
    let not_here = || Problem::new(ProblemKind::NotFound).detail("its bytes were not in this exchange");
    let known: Known = serde_json::from_value(known.unwrap_or_default()).map_err(|_elsewhere| not_here())?;
    let span = match known.source {
        Source::Body => WHOLE,
        Source::Part(part) => span(api, &entry, &content, part).await?.ok_or_else(lost)?,
    };
    let checked = bytes::check(api, entry, &content, BODY, span).await?;
    // The digest is of what was sent; a body that was kept decoded or redacted may hold something else there.
    if known.digest.is_some_and(|digest| digest != checked.digest) {
        return Err(lost());
    }
    Ok((headers(id, place, &known), checked))
}

fn lost() -> Problem {
    Problem::new(ProblemKind::NotFound)
        .detail("the attachment cannot be cut out of the body; read the field request.body")
}

/// Where a part of a multipart body stands in it; none where the body has no such part.
async fn span(api: &Api, entry: &Entry, content: &Content, part: u32) -> Result<Option<Range<u64>>, Problem> {
    let (name, field) = bytes::field(entry, content, BODY)?;
    let head = communication::text(content, "request.head").unwrap_or_default();
    let content_type = content_type(&head);
    match field {
        Field::Value(body) => Ok(find_part(body.as_slice(), &content_type, part).unwrap_or_default()),
        Field::Blob { .. } => {
            let failed = |error: io::Error| Problem::internal(&error);
            let (reader, writer) = io::pipe().map_err(failed)?;
            let finding = tokio::task::spawn_blocking(move || {
                let mut reader = io::BufReader::new(reader);
                let found = find_part(&mut reader, &content_type, part);
                // To the end, so that the writer, who checks the whole, can go on.
                io::copy(&mut reader, &mut io::sink())?;
                found
            });
            // Dropping the writer ends what the reader reads.
            drop(api.archive.read_blob(entry, name, writer).await?);
            Ok(finding.await.map_err(io::Error::other).map_err(failed)?.unwrap_or_default())
        }
    }
}

fn find_part(mut body: impl io::Read, content_type: &HeaderMap, part: u32) -> io::Result<Option<Range<u64>>> {
    let mut peek = Vec::new();
    body.by_ref().take(PEEK).read_to_end(&mut peek)?;
    let Some(boundary) = multipart_boundary(content_type, &peek) else { return Ok(None) };
    let parts = read_multipart(peek.as_slice().chain(body), &boundary, &Limits { field: 0, ..Limits::default() })?;
    let part = usize::try_from(part).ok().and_then(|part| parts.parts.get(part));
    Ok(part.map(|part| part.span.clone()))
}

/// The content type out of a kept head.
fn content_type(head: &str) -> HeaderMap {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lines = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let value = lines.next().and_then(|(_, value)| HeaderValue::from_str(value.trim()).ok());
    value.map(|value| (header::CONTENT_TYPE, value)).into_iter().collect()
}

fn headers(id: RecordId, place: Place, known: &Known) -> HeaderMap {
    let mut headers = bytes::headers(&format!("{id}.{}.{}", place.number, place.position));
    if let Some(declared) = &known.media_type {
        bytes::put(&mut headers, HeaderName::from_static("muniment-media-type"), declared);
    }
    headers
}
