//! A notice was acknowledged.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::{Matter, matter_id, seen};
use super::wanted::Acknowledged;
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::ledger::Actor;
use crate::record::NoticeId;

/// Put on record that a custodian has acknowledged a notice
///
/// Once is enough: again changes nothing.
#[utoipa::path(post, path = "/v1/matters/{id}/notices/acknowledge", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The matter's id")), request_body = Acknowledged,
    responses((status = 200, body = Matter), (status = 404, description = "`not-found`"),
        (status = 409, description = "`matter-closed`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn acknowledge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<Acknowledged>,
) -> Result<Response, Problem> {
    let id = matter_id(&text)?;
    let notice = NoticeId::new(value.notice);
    let seen = seen(id, None);
    let admission = caller.admit(&api, Operation::MattersAcknowledge, &seen).await?;
    let found = api.is_matter(id).await?;
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = async move |api: Arc<Api>, doing: Doing| {
        if api.done_before(doing).await?.is_none() {
            api.retain.acknowledge(doing.entry, Actor::Officer(by), id, notice).await?;
        }
        api.matter_done(200, id).await
    };
    api.once(by, Operation::MattersAcknowledge, &once, &bytes, work).await
}
