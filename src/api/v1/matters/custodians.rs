//! A matter gets a custodian, or lets one go.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::{Matter, matter_id, seen};
use super::wanted::CustodianWanted;
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

/// Make an advisor a custodian of a matter, or let them go
///
/// Who is one already, or is none, stays as they are. A custodian is not held by being one: place a hold for the matter.
#[utoipa::path(post, path = "/v1/matters/{id}/custodians", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The matter's id")), request_body = CustodianWanted,
    responses((status = 200, body = Matter), (status = 404, description = "`not-found`"),
        (status = 409, description = "`matter-closed`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn custodians(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<CustodianWanted>,
) -> Result<Response, Problem> {
    let id = matter_id(&text)?;
    let advisor = AdvisorId::new(value.advisor);
    let seen = seen(id, Some(advisor));
    let admission = caller.admit(&api, Operation::MattersCustodians, &seen).await?;
    let found = api.is_matter(id).await?;
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = async move |api: Arc<Api>, doing: Doing| {
        if api.done_before(doing).await?.is_none() {
            let by = Actor::Officer(by);
            api.retain.custodian(doing.entry, by, id, advisor, !value.removed).await?;
        }
        api.matter_done(200, id).await
    };
    api.once(by, Operation::MattersCustodians, &once, &bytes, work).await
}
