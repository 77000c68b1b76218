//! Every route, in one list. What each asks for and leaves in the ledger stands in [`super::decision`].

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accept::Offers;
use super::document::{Document, complete};
use super::request::{WhereSafe, envelope, method_not_allowed, not_found};
use super::{Api, problem, service, v1};

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
        .routes(routes!(v1::records::facets::facets))
        .routes(routes!(v1::records::export::export))
        .routes(routes!(v1::records::get::get))
        .routes(routes!(v1::records::versions::versions))
        .routes(routes!(v1::records::thread::thread))
        .routes(routes!(v1::records::field::get))
        .routes(routes!(v1::records::attachment::get))
        .routes(routes!(v1::entries::get::get))
        .routes(routes!(v1::advisors::list::list))
        .routes(routes!(v1::advisors::get::get))
        .routes(routes!(v1::devices::list::list))
        .routes(routes!(v1::devices::get::get))
        .routes(routes!(v1::accounts::list::list))
        .routes(routes!(v1::accounts::get::get))
        .routes(routes!(v1::officers::list::list))
        .routes(routes!(v1::gaps::list::list))
        .routes(routes!(v1::access::list::list))
        .routes(routes!(v1::coverage::list::list))
        .routes(routes!(v1::settings::list::list))
        .routes(routes!(v1::events::follow::follow))
        .routes(routes!(v1::webhooks::list::list, v1::webhooks::create::create))
        .routes(routes!(v1::webhooks::get::get, v1::webhooks::update::update, v1::webhooks::delete::delete))
        .routes(routes!(v1::webhooks::rotate::rotate))
        .routes(routes!(v1::webhooks::ping::ping))
        .routes(routes!(v1::webhooks::deliveries::deliveries))
        .routes(routes!(v1::webhooks::replay::replay))
        .routes(routes!(v1::matters::list::list, v1::matters::create::create))
        .routes(routes!(v1::matters::get::get, v1::matters::update::update))
        .routes(routes!(v1::matters::custodians::custodians))
        .routes(routes!(v1::matters::notices::notices))
        .routes(routes!(v1::matters::acknowledge::acknowledge))
        .routes(routes!(v1::holds::list::list, v1::holds::create::create))
        .routes(routes!(v1::holds::get::get))
        .routes(routes!(v1::holds::release::release))
        .routes(routes!(v1::tiles::get::get))
        // Officers too, but these say nothing about anybody: digests, sizes, counts.
        .routes(routes!(v1::tiles::checkpoint::checkpoint))
        .routes(routes!(v1::checkpoints::list::list))
        .routes(routes!(v1::checkpoints::latest::latest))
        .routes(routes!(v1::checkpoints::wait::wait))
        .routes(routes!(v1::checkpoints::witnessed::witnessed))
        .routes(routes!(v1::proofs::inclusion::inclusion))
        .routes(routes!(v1::proofs::consistency::consistency))
        .routes(routes!(v1::integrity::get::get))
        .routes(routes!(v1::verifications::list::list))
        .routes(routes!(v1::system::get::get))
        .split_for_parts()
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    complete(routes().1)
}

/// Builds the router.
pub fn router(api: Arc<Api>) -> Router {
    let (routes, document) = routes();
    let document = complete(document);
    let offers = Arc::new(Offers::of(&document));
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::Extension(Arc::new(document)))
        .layer(from_fn_with_state((Arc::clone(&api), offers), envelope))
        .layer(CompressionLayer::new().compress_when(WhereSafe))
        .with_state(api)
}
