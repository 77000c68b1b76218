//! A matter is opened.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::shown::Matter;
use super::wanted::{self, NAME, NewMatter, TEXT};
use crate::access::{Operation, Seen, Withheld};
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::once::{Doing, Done, Once};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::ledger::Actor;
use crate::record::{MatterId, OfficerId};
use crate::retain;

/// Open a matter: what holds, searches and exports are for
#[utoipa::path(post, path = "/v1/matters", tag = "holds", security(("token" = [])), request_body = NewMatter,
    responses((status = 201, body = Matter), (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`"), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<NewMatter>,
) -> Result<Response, Problem> {
    let new = retain::NewMatter {
        name: wanted::must("name", &value.name, NAME)?,
        description: wanted::text("description", value.description.as_deref(), TEXT)?,
        external: wanted::text("external", value.external.as_deref(), NAME)?,
    };
    let seen = Seen::default();
    let admission = caller.admit(&api, Operation::MattersCreate, &seen).await?;
    api.show(admission, &seen, Withheld::new(())).await?;
    let by = caller.officer();
    api.once(by, Operation::MattersCreate, &once, &bytes, move |api, doing| open(api, doing, by, new)).await
}

async fn open(api: Arc<Api>, doing: Doing, by: OfficerId, new: retain::NewMatter) -> Result<Done, Problem> {
    if let Some(entry) = api.done_before(doing).await? {
        let record = entry.record().ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        return api.matter_done(201, MatterId::new(record.uuid())).await;
    }
    let matter = api.retain.open(doing.entry, Actor::Officer(by), new).await?;
    api.matter_done(201, matter).await
}
