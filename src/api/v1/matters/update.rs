//! A matter is changed, closed or reopened.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::{Matter, matter_id, seen};
use super::wanted::{self, MatterChanges, NAME, TEXT};
use crate::access::Operation;
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::Once;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::MatterState;
use crate::ledger::Actor;
use crate::retain;

fn check(given: &MatterChanges) -> Result<retain::MatterChanges, Problem> {
    let state = match given.state.as_deref() {
        None => None,
        Some("open") => Some(MatterState::Open),
        Some("closed") => Some(MatterState::Closed),
        Some(_other) => return Err(Problem::parameter("state", "write open or closed")),
    };
    // What is taken away is said as an empty text.
    let text = |name, given: &Option<Option<String>>, most| {
        let checked = given.as_ref().map(|text| wanted::text(name, text.as_deref(), most)).transpose()?;
        Ok::<_, Problem>(checked.map(Option::unwrap_or_default))
    };
    Ok(retain::MatterChanges {
        state,
        name: given.name.as_deref().map(|name| wanted::must("name", name, NAME)).transpose()?,
        description: text("description", &given.description, TEXT)?,
        external: text("external", &given.external, NAME)?,
        reason: wanted::text("reason", given.reason.as_deref(), TEXT)?,
    })
}

/// Change a matter, close it, or open it again
///
/// One with holds in force is not closed: release them first. Everything that was said before stays in its history.
#[utoipa::path(patch, path = "/v1/matters/{id}", tag = "holds", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The matter's id")), request_body = MatterChanges,
    responses((status = 200, body = Matter), (status = 404, description = "`not-found`"),
        (status = 409, description = "`holds-in-force`; `matter-closed`"), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<MatterChanges>,
) -> Result<Response, Problem> {
    let id = matter_id(&text)?;
    if bytes.is_empty() {
        return Err(Problem::parameter("body", "is missing: say what shall change"));
    }
    let changes = check(&value)?;
    let seen = seen(id, None);
    let admission = caller.admit(&api, Operation::MattersUpdate, &seen).await?;
    let found = api.is_matter(id).await?;
    api.show_found(admission, &seen, found).await?;
    let by = caller.officer();
    let work = async move |api: Arc<Api>, doing: crate::api::once::Doing| {
        if api.done_before(doing).await?.is_none() {
            api.retain.change(doing.entry, Actor::Officer(by), id, changes).await?;
        }
        api.matter_done(200, id).await
    };
    api.once(by, Operation::MattersUpdate, &once, &bytes, work).await
}
