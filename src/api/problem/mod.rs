//! Problems (RFC 9457): every refusal of the API, each with a stable `type`, a status and words that help.
//!
//! A handler answers `Err(Problem)`. The problem rides in the response's extensions until the outermost layer writes it with
//! the request's id, so that also refusals made far inside carry it. A 5xx says nothing about the inside: that is in the log.

mod from;
mod kind;

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::path::Path;

pub use kind::ProblemKind;

/// Seconds to wait where nothing is known about how long it lasts.
const PAUSE: u8 = 2;

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    kind: ProblemKind,
    facts: Facts,
    /// Seconds after which it makes sense to ask again, where it says so.
    after: u8,
}

/// What is particular to one refusal.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ProblemFacts)]
struct Facts {
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Which parameter or header is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Muniment-Purpose")]
    parameter: Option<&'static str>,
    /// Which permission is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "read-content")]
    permission: Option<&'static str>,
    /// Which roles have that permission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    roles: Vec<&'static str>,
    /// Index of the disposal entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    disposal: Option<u64>,
    /// How many bytes there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// A refusal as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Which problem: a stable address with an explanation.
    #[serde(rename = "type")]
    #[schema(example = "/problems/purpose-required")]
    kind: String,
    /// The same in words.
    #[schema(example = "Say why you look")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 400)]
    status: u16,
    /// This occurrence: the request's id.
    #[schema(example = "urn:uuid:0198c0de-0000-7000-8000-000000000000")]
    instance: String,
    #[serde(flatten)]
    facts: Facts,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind) -> Self {
        Self { kind, facts: Facts::default(), after: PAUSE }
    }

    pub(super) fn parameter(name: &'static str, detail: impl Into<String>) -> Self {
        let facts = Facts { parameter: Some(name), detail: Some(detail.into()), ..Facts::default() };
        Self { kind: ProblemKind::ParameterInvalid, facts, after: PAUSE }
    }

    pub(super) fn disposed(index: u64) -> Self {
        Self { facts: Facts { disposal: Some(index), ..Facts::default() }, ..Self::new(ProblemKind::Disposed) }
    }

    /// A range outside of a value of this size.
    pub(super) fn outside(size: u64) -> Self {
        Self { facts: Facts { size: Some(size), ..Facts::default() }, ..Self::new(ProblemKind::RangeNotSatisfiable) }
    }

    /// Too many of one token, or one address.
    pub(super) fn rate_limited(whose: &'static str, wait: Duration) -> Self {
        // Rounded up: whoever comes back in time is not refused again.
        let after = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let after = u8::try_from(after).unwrap_or(u8::MAX);
        let detail = format!("this {whose} asks more often than is served; come back in {after} s");
        Self { after, ..Self::new(ProblemKind::RateLimited).detail(detail) }
    }

    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.facts.detail = Some(detail.into());
        self
    }

    /// Of which sort it is.
    pub(super) const fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// Writes it down, with the id of the request it belongs to.
    pub(super) fn write(self, request_id: uuid::Uuid) -> Response {
        let status = self.kind.status();
        let range = self.facts.size.and_then(|size| HeaderValue::from_str(&format!("bytes */{size}")).ok());
        let body = ProblemBody {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.title(),
            status: status.as_u16(),
            instance: format!("urn:uuid:{request_id}"),
            facts: self.facts,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"muniment\""));
        }
        headers.extend(range.map(|range| (header::CONTENT_RANGE, range)));
        if self.kind.passes() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(u16::from(self.after)));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a kind of problem means, in words
#[utoipa::path(get, path = "/problems/{name}", tag = "service",
    params(("name" = String, Path, description = "Last segment of a problem's `type`", example = "purpose-required")),
    responses((status = 200, description = "The explanation", body = String, content_type = "text/plain"),
        (status = 404, description = "`not-found`")))]
pub(super) async fn explain(Path(name): Path<String>) -> Result<String, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    Ok(format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.about()))
}
