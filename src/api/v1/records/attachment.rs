//! One attachment, cut out of the request that carried it.
//!
//! Attachments are kept once, inside the request body; the communication says where. What is cut out is compared with the size
//! and digest that were taken when it was captured, so a wrong cut is never shown.

use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use serde::Deserialize;
use uuid::Uuid;

use super::communication;
use super::get::record_id;
use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemBody, ProblemKind};
use crate::api::state::Api;
use crate::archive::{Content, Field};
use crate::exchange::{Limits, multipart_boundary, read_multipart};
use crate::ledger::Entry;
use crate::record::Digest;

/// Largest body an attachment is cut out of in memory. Beyond it the body itself can be read, which streams.
const LARGEST: usize = 64 << 20;
const BODY: &str = "request.body";

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
#[utoipa::path(get, path = "/v1/records/{id}/attachments/{number}/{position}", tag = "records", security(("token" = [])),
    params(("id" = Uuid, Path, description = "Which record"),
        ("number" = u16, Path, description = "Which of its communications, from 0"),
        ("position" = u16, Path, description = "Which of its attachments, from 0"),
        ("Muniment-Purpose" = String, Header, description = "Why you look: 3 to 500 characters")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 410, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, number, position)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let id = record_id(&id)?;
    let place =
        |name, text: &str| text.parse::<u16>().map_err(|_source| Problem::parameter(name, "write a number from 0"));
    let (number, position) = (place("number", &number)?, place("position", &position)?);
    let query = Some(format!("number={number}&position={position}"));
    let mut seen = Seen { records: vec![id], query, ..Seen::default() };
    let admission = caller.admit(&api, Operation::FieldsGet, &seen).await?;
    let row = api.archive.record(id).await?.ok_or(Problem::new(ProblemKind::NotFound))?;
    let entry = api.archive.entry(row.index).await?.ok_or(Problem::new(ProblemKind::Internal))?;
    let content = api.opened(&entry, id).await?;
    let listed = communication::json(&content, &format!("{number}.attachments"));
    let known = listed.as_ref().and_then(|listed| listed.get(usize::from(position))).cloned();
    let not_here = || Problem::new(ProblemKind::NotFound).detail("its bytes were not in this exchange");
    let known: Known = serde_json::from_value(known.unwrap_or_default()).map_err(|_elsewhere| not_here())?;
    let body = whole_body(&api, &entry, &content).await?;
    let bytes = cut(&known, &content, body)?;
    seen.count = 1;
    let bytes = api.show(admission, &seen, Withheld::new(bytes)).await?;
    Ok((headers(id.uuid(), number, position, &known), bytes))
}

/// The request body, which is in memory from here on.
async fn whole_body(api: &Api, entry: &Entry, content: &Content) -> Result<Vec<u8>, Problem> {
    let (name, field) = content.0.get_key_value(BODY).ok_or(Problem::new(ProblemKind::NotFound))?;
    let too_large = || {
        let href = format!("read /v1/records/…/fields/{}/{BODY} instead", entry.index());
        Problem::new(ProblemKind::NotFound).detail(format!("the body is too large to cut it out; {href}"))
    };
    match field {
        Field::Value(value) => Ok(value.clone()),
        Field::Blob { size, .. } if *size > LARGEST as u64 => Err(too_large()),
        Field::Blob { .. } => Ok(api.archive.read_blob(entry, name, Bounded(Vec::new())).await?.0),
    }
}

fn cut(known: &Known, content: &Content, body: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let lost = || {
        Problem::new(ProblemKind::NotFound)
            .detail("the attachment cannot be cut out of the body; read the field request.body")
    };
    let bytes = match known.source {
        Source::Body => body,
        Source::Part(number) => {
            let head = communication::text(content, "request.head").unwrap_or_default();
            let boundary = multipart_boundary(&content_type(&head), &body).ok_or_else(lost)?;
            let parts = read_multipart(body.as_slice(), &boundary, &Limits::default()).map_err(|_broken| lost())?;
            let part = usize::try_from(number).ok().and_then(|number| parts.parts.get(number)).ok_or_else(lost)?;
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            body.get(at(part.span.start)..at(part.span.end)).ok_or_else(lost)?.to_vec()
        }
    };
    // The digest is of what was sent; a body that was kept decoded or redacted may hold something else there.
    if known.digest.is_some_and(|digest| digest != Digest::of(&[&bytes])) { Err(lost()) } else { Ok(bytes) }
}

/// The content type out of a kept head.
fn content_type(head: &str) -> HeaderMap {
    let value = head.lines().filter_map(|line| line.split_once(':'));
    let value =
        value.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.trim()).next();
    let value = value.and_then(|value| HeaderValue::from_str(value).ok());
    value.map(|value| (header::CONTENT_TYPE, value)).into_iter().collect()
}

fn headers(id: Uuid, number: u16, position: u16, known: &Known) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| HeaderValue::from_str(value).map(|value| headers.insert(name, value)).is_ok();
    put(header::CONTENT_TYPE, "application/octet-stream");
    // Whatever somebody sent, a browser must not run it as ours.
    put(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{id}.{number}.{position}\""));
    put(header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    if let Some(declared) = &known.media_type {
        put(header::HeaderName::from_static("muniment-media-type"), declared);
    }
    headers
}

/// A buffer that refuses to grow without end.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
