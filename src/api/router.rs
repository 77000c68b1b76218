//! Every route, in one list.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::request::{envelope, method_not_allowed, not_found};
use super::{Api, problem, service, v1};

/// The document, but for the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "muniment audit API",
        description = "Find, read and prove what was kept. Every look is itself kept: operations under /v1 that show records, people \
or content write an `access` entry before they answer. Reading content needs the header `Muniment-Purpose`. \
Refusals are RFC 9457 problems whose `type` is stable. Lists are paged by entry index: pass `next` as `after`.",
    ),
    tags(
        (name = "records", description = "What was kept"),
        (name = "ledger", description = "Why it can be trusted: entries, checkpoints, proofs, tiles"),
        (name = "people", description = "Advisors, their devices and accounts"),
        (name = "integrity", description = "What is missing, and whether what is there holds"),
        (name = "service", description = "Health, metrics, this document"),
    ),
    modifiers(&Token)
)]
struct Document;

/// Officers' bearer tokens.
struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Every route with its description.
fn routes() -> (Router<Arc<Api>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        // Anybody who reaches the listener: nothing here says what was kept.
        .routes(routes!(service::health))
        .routes(routes!(service::ready))
        .routes(routes!(service::metrics))
        .routes(routes!(service::openapi))
        .routes(routes!(problem::explain))
        // Officers: each of these needs a permission, and writes down that somebody looked.
        .routes(routes!(v1::records::list::list))
        .routes(routes!(v1::records::get::get))
        .routes(routes!(v1::records::field::get))
        .routes(routes!(v1::records::attachment::get))
        .routes(routes!(v1::entries::get::get))
        .routes(routes!(v1::advisors::list::list))
        .routes(routes!(v1::devices::list::list))
        .routes(routes!(v1::accounts::list::list))
        .routes(routes!(v1::gaps::list::list))
        .routes(routes!(v1::tiles::get::get))
        // Officers too, but these say nothing about anybody: digests, sizes, counts.
        .routes(routes!(v1::tiles::checkpoint::checkpoint))
        .routes(routes!(v1::checkpoints::list::list))
        .routes(routes!(v1::checkpoints::latest::latest))
        .routes(routes!(v1::proofs::inclusion::inclusion))
        .routes(routes!(v1::proofs::consistency::consistency))
        .routes(routes!(v1::integrity::get::get))
        .split_for_parts()
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    routes().1
}

/// Builds the router.
pub fn router(api: Arc<Api>) -> Router {
    let (routes, document) = routes();
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::Extension(Arc::new(document)))
        .layer(from_fn_with_state(Arc::clone(&api), envelope))
        .with_state(api)
}

/// Every template, for logs and metrics. A test compares it with the document.
pub(super) const ROUTES: &[&str] = &[
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/problems/{name}",
    "/v1/records",
    "/v1/records/{id}",
    "/v1/records/{id}/fields/{index}/{name}",
    "/v1/records/{id}/attachments/{number}/{position}",
    "/v1/entries/{index}",
    "/v1/advisors",
    "/v1/devices",
    "/v1/accounts",
    "/v1/gaps",
    "/v1/tile/{*path}",
    "/v1/checkpoint",
    "/v1/checkpoints",
    "/v1/checkpoints/latest",
    "/v1/proofs/inclusion",
    "/v1/proofs/consistency",
    "/v1/integrity",
];
