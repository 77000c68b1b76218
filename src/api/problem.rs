//! Problems (RFC 9457): every refusal of the API, each with a stable `type`, a status and words that help.
//!
//! A handler answers `Err(Problem)`. The problem rides in the response's extensions until the outermost layer writes it with
//! the request's id, so that also refusals made far inside carry it. A 5xx says nothing about the inside: that is in the log.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessError, Role};
use crate::archive::{AppendError, ArchiveError};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal, $about:literal;)*) => {
        /// What sort of problem it is: the last segment of its `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $variant,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The last segment of `type`. Stable: a client may match on it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

kinds! {
    /// No token, or one nobody has.
    NotAuthenticated = "not-authenticated", UNAUTHORIZED, "A valid token is needed",
        "Send `Authorization: Bearer <token>` with the token that `muniment officer add` printed.";
    /// The officer was revoked.
    TokenRevoked = "token-revoked", UNAUTHORIZED, "This token was revoked",
        "The officer's access has ended. An administrator can add the officer again, which gives a new token.";
    /// A token over a plain connection from afar.
    PlainConnection = "plain-connection", FORBIDDEN, "A token may not travel over this connection",
        "Plain HTTP is for this machine and the networks in `api.plain_networks`. Set `api.tls` to serve others.";
    /// The officer lacks the role.
    RoleMissing = "role-missing", FORBIDDEN, "Your roles do not allow this",
        "`permission` names what is needed and `roles` who has it.";
    /// Content was asked for without saying why.
    PurposeRequired = "purpose-required", BAD_REQUEST, "Say why you look",
        "Reading content needs the header `Muniment-Purpose` with 3 to 500 characters. It becomes part of the ledger, sealed.";
    /// A parameter cannot be meant.
    ParameterInvalid = "parameter-invalid", BAD_REQUEST, "A parameter is not valid",
        "`parameter` names it and `detail` says what would be right. The document at /openapi.json has all of them.";
    /// There is no such thing.
    NotFound = "not-found", NOT_FOUND, "There is no such thing here",
        "The address or the id is wrong. The document at /openapi.json has all addresses.";
    /// The path is right, the method is not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "This address does not take that method",
        "The header `Allow` says which it takes.";
    /// It was kept, and retention has ended.
    Disposed = "disposed", GONE, "The content was disposed of",
        "Retention ended and no hold applied. The commitment remains; `disposal` names the entry that says so.";
    /// Sequenced, but no checkpoint covers it yet.
    NotPublished = "not-published", CONFLICT, "No checkpoint covers this yet",
        "Checkpoints are published every second while there is something new. Try again.";
    /// More is asked at once than is served.
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much is asked at once", "Try again after `Retry-After` seconds.";
    /// The archive does not answer.
    ArchiveUnavailable = "archive-unavailable", SERVICE_UNAVAILABLE, "The archive does not answer",
        "Nothing can be read, and nothing was. Try again after `Retry-After` seconds.";
    /// It took too long.
    TimedOut = "timed-out", SERVICE_UNAVAILABLE, "This took too long", "Ask for less, or try again.";
    /// Ours.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something is wrong on our side",
        "The log has the cause under the id in `instance`.";
}

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    kind: ProblemKind,
    detail: Option<String>,
    parameter: Option<&'static str>,
    permission: Option<&'static str>,
    roles: Vec<&'static str>,
    disposal: Option<u64>,
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
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// This occurrence: the request's id.
    instance: String,
    /// Which parameter or header is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'static str>,
    /// Which permission is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<&'static str>,
    /// Which roles have that permission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'static str>,
    /// Index of the disposal entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    disposal: Option<u64>,
}

impl Problem {
    pub(super) const fn new(kind: ProblemKind) -> Self {
        Self { kind, detail: None, parameter: None, permission: None, roles: Vec::new(), disposal: None }
    }

    pub(super) fn parameter(name: &'static str, detail: impl Into<String>) -> Self {
        Self { parameter: Some(name), ..Self::new(ProblemKind::ParameterInvalid).detail(detail) }
    }

    pub(super) fn role_missing(permission: &'static str, roles: Vec<&'static str>) -> Self {
        Self { permission: Some(permission), roles, ..Self::new(ProblemKind::RoleMissing) }
    }

    pub(super) fn disposed(index: u64) -> Self {
        Self { disposal: Some(index), ..Self::new(ProblemKind::Disposed) }
    }

    /// Ours: the log says what, the answer does not.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(error), "api request failed");
        Self::new(ProblemKind::Internal)
    }

    fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = %chain(error), "the archive does not answer the api");
        Self::new(ProblemKind::ArchiveUnavailable)
    }

    #[must_use]
    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Writes it down, with the id of the request it belongs to.
    pub(super) fn write(self, request_id: uuid::Uuid) -> Response {
        let status = self.kind.status();
        let body = ProblemBody {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            instance: format!("urn:uuid:{request_id}"),
            parameter: self.parameter,
            permission: self.permission,
            roles: self.roles,
            disposal: self.disposal,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"muniment\""));
        }
        if matches!(self.kind, ProblemKind::Busy | ProblemKind::ArchiveUnavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::RoleMissing { operation } => {
                let permission = operation.permission();
                Self::role_missing(permission.as_str(), permission.roles().map(Role::as_str).collect())
            }
            AccessError::PurposeMissing { .. } => {
                Self { parameter: Some("Muniment-Purpose"), ..Self::new(ProblemKind::PurposeRequired) }
            }
            AccessError::Append(AppendError::Pushback) => Self::new(ProblemKind::Busy),
            AccessError::Append(
                AppendError::Unavailable
                | AppendError::ClockAhead { .. }
                | AppendError::Closed
                | AppendError::Stopped(_),
            ) => Self::unavailable(&error),
            other => Self::internal(&other),
        }
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        match error {
            // Whatever the database says is the log's business; a query of ours that is wrong shows there as well.
            ArchiveError::Database(sqlx::Error::Database(_)) => Self::internal(&error),
            ArchiveError::Database(_) => Self::unavailable(&error),
            other => Self::internal(&other),
        }
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
#[utoipa::path(get, path = "/problems/{name}", tag = "service", params(("name" = String, Path, description = "Last segment of a problem's `type`")),
    responses((status = 200, description = "The explanation", body = String, content_type = "text/plain"), (status = 404, body = ProblemBody)))]
pub(super) async fn explain(Path(name): Path<String>) -> Result<String, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or(Problem::new(ProblemKind::NotFound))?;
    Ok(format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.about()))
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
