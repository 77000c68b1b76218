//! What happens to every request: an id, a bound on time and on requests at once, one log line, the metrics, and problems written
//! down with the id.
//!
//! | field of the line | holds |
//! |---|---|
//! | `request.id` | the id, also in the header `x-request-id` and in problems |
//! | `http.request.method`, `http.route`, `http.response.status_code` | method, route template, status |
//! | `duration_ms` | until the head of the answer was ready |
//! | `officer.id` | who asked, once known |

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tower_http::compression::Predicate;

use super::accept::Offers;
use super::decision::Decision;
use super::problem::{Problem, ProblemKind};
use super::serve::Arrival;
use super::state::{Api, Asked};
use super::streams::Streaming;
use super::unchanged;

/// The outermost layer.
pub(super) async fn envelope(
    State((api, offers)): State<(Arc<Api>, Arc<Offers>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::default();
    request.extensions_mut().insert(asked.clone());
    let id = api.ids.fresh();
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| Api::route(path.as_str())).unwrap_or("unknown");
    let decision = Decision::on(route, &method);
    let arrival = request.extensions().get::<Arrival>().copied();
    let mut response = if !offers.suit(route, request.headers()) {
        let detail = format!("there is {}", offers.text(route));
        Problem::new(ProblemKind::NotAcceptable).detail(detail).into_response()
    } else if decision.is_some_and(Decision::is_open) {
        // Answered however busy it is, and takes no slot from others: these say that it is busy.
        bounded(&api, request, next).await
    } else if let Some(Err(too_often)) = arrival.map(|arrival| api.rates.address(arrival.peer.ip())) {
        too_often.into_response()
    } else if let Ok(slot) = Arc::clone(&api.slots).try_acquire_owned() {
        let response = bounded(&api, request, next).await;
        // A stream waits far more than it works, and has a place of its own.
        if response.extensions().get::<Streaming>().is_some() {
            response
        } else {
            response.map(|body| Body::new(Held { body, _slot: slot }))
        }
    } else {
        Problem::new(ProblemKind::Busy).into_response()
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.write(id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    // What is answered is evidence or about people: no cache keeps it, no browser guesses what it is.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if decision.is_some_and(Decision::is_unwritten) {
        response.extensions_mut().insert(Compressible);
    }
    note(&api, id, &method, route, response.status(), started, &asked);
    response
}

/// On an answer that may be compressed: it says nothing about anybody, so its length tells nothing (docs/API.md).
#[derive(Debug, Clone, Copy)]
pub(super) struct Compressible;

/// Compresses what is marked, where it is worth it.
#[derive(Debug, Clone, Copy)]
pub(super) struct WhereSafe;

impl Predicate for WhereSafe {
    fn should_compress<B: http_body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        const LEAST: u64 = 512;
        let worth_it = response.body().size_hint().exact().is_none_or(|size| size >= LEAST);
        worth_it && response.extensions().get::<Compressible>().is_some()
    }
}

/// A body that keeps its request's slot until it has ended: an answer that is still being sent is still work.
struct Held {
    body: Body,
    _slot: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

async fn bounded(api: &Api, request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = unchanged::known(request.headers());
    let answered = async {
        let response = next.run(request).await;
        if reads { unchanged::tagged(response, &known).await } else { response }
    };
    match tokio::time::timeout(api.timeout, answered).await {
        Ok(response) => response,
        Err(_elapsed) => Problem::new(ProblemKind::TimedOut).into_response(),
    }
}

fn note(
    api: &Api,
    id: uuid::Uuid,
    method: &Method,
    route: &'static str,
    status: StatusCode,
    started: Instant,
    asked: &Asked,
) {
    let took = started.elapsed();
    api.metrics.api_request(route, status.as_u16(), took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        request.id = %id,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = status.as_u16(),
        duration_ms,
        officer.id = asked.0.get().map(tracing::field::display),
        "api request"
    );
}

/// For a path nobody serves.
pub(super) async fn not_found() -> Problem {
    Problem::new(ProblemKind::NotFound)
}

/// For a path that is served with another method.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed)
}
