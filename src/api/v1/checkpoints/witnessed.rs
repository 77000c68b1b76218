//! The newest checkpoint that enough witnesses cosigned.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// The newest checkpoint that meets the quorum of witnesses (C2SP tlog-cosignature), byte for byte
///
/// What the firm's settings ask for. Whoever does not want to rely on that holds the note against a policy of their own:
/// `muniment-verify bundle --policy`. Where no witness is asked, or not enough have cosigned yet, `not-published`.
#[utoipa::path(get, path = "/v1/checkpoints/witnessed", tag = "ledger", security(("token" = [])),
    responses((status = 200, description = "The signed note", body = String, content_type = "text/plain"), (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn witnessed(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Permission::ReadLedger)?;
    let none = || Problem::new(ProblemKind::NotPublished);
    let quorum =
        api.quorum.as_ref().ok_or_else(|| none().detail("no witness is asked: see `[[witnesses]]` in the settings"))?;
    let witnessed = api.archive.witnessed(&quorum.policy, 0).await?;
    let witnessed = witnessed.ok_or_else(|| none().detail("not enough witnesses have cosigned yet"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], witnessed.published.note))
}
