//! Health, readiness, metrics and the API's own description. Open to whoever reaches the listener: nothing here says what was
//! kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, ProblemKind};
use super::state::Api;

/// The process is there.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// The process is up
///
/// For a supervisor that restarts what does not answer. Says nothing about the archive.
#[utoipa::path(get, path = "/health", tag = "service", responses((status = 200, body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Work is taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always `ready`: otherwise the answer is a problem.
    #[schema(example = "ready")]
    status: &'static str,
    /// Entries in the ledger.
    entries: u64,
    /// Entries waiting in the spool.
    spooled: u64,
}

/// Metrics in OpenMetrics form
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, Problem> {
    let text = api.metrics.encode(api.clock.now()).map_err(|_unwritable| Problem::new(ProblemKind::Internal))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses((status = 200, body = Object)))]
pub(super) async fn openapi(Extension(document): Extension<Arc<utoipa::openapi::OpenApi>>) -> Response {
    Json(&*document).into_response()
}

/// Writes are taken and reads are answered
///
/// For a load balancer. 503 while the archive does not answer, once appending has stopped, and while the service shuts down; `detail`
/// says which.
#[utoipa::path(get, path = "/ready", tag = "service",
    responses((status = 200, body = Ready), (status = 503, description = "`archive-unavailable`; `busy`")))]
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Result<Json<Ready>, Problem> {
    if api.draining.is_cancelled() {
        return Err(Problem::new(ProblemKind::Busy).detail("the service is shutting down"));
    }
    if let Some(why) = api.archive.stopped() {
        return Err(
            Problem::new(ProblemKind::ArchiveUnavailable).detail(format!("nothing is appended any more: {why}"))
        );
    }
    let entries = api.archive.head_size().await.map_err(|error| {
        let spooled = api.spool.backlog().frames;
        Problem::from(error).detail(format!("the database does not answer; {spooled} entries wait in the spool"))
    })?;
    Ok(Json(Ready { status: "ready", entries, spooled: api.spool.backlog().frames }))
}
