//! A custodian was told.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::{Matter, matter_id, seen};
use super::wanted::NewNotice;
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Once};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::ledger::Actor;
use crate::record::AdvisorId;

/// Put on record that a custodian was told to keep what they have
///
/// The notice itself is sent by you: what is kept here is what it said, to whom and when. Its id is in `notices` of the answer.
#[utoipa::path(post, path = "/v1/matters/{id}/notices", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The matter's id")), request_body = NewNotice,
    responses((status = 200, body = Matter), (status = 404, description = "`not-found`"),
        (status = 409, description = "`matter-closed`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn notices(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<NewNotice>,
) -> Result<Response, Problem> {
    let id = matter_id(&text)?;
    let advisor = AdvisorId::new(value.advisor);
    let text = super::wanted::must("text", &value.text, super::wanted::TEXT)?;
    let seen = seen(id, Some(advisor));
    let admission = caller.admit(&api, Operation::MattersNotices, &seen).await?;
    let found = api.is_matter(id).await?;
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = async move |api: Arc<Api>, doing: Doing| {
        if api.done_before(doing).await?.is_none() {
            api.retain.issue_notice(doing.entry, Actor::Officer(by), id, advisor, text).await?;
        }
        api.matter_done(200, id).await
    };
    api.once(by, Operation::MattersNotices, &once, &bytes, work).await
}
