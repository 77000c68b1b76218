//! The newest checkpoint, as signed and as far as it is cosigned.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;

/// The newest signed checkpoint (C2SP tlog-checkpoint), byte for byte
///
/// With the cosignatures of witnesses that there are by now; the newest checkpoint that has enough of them is at `/v1/checkpoints/witnessed`.
/// Keep it outside: whoever holds it can tell whether anything before it was ever changed. Looking at it is not written down, because
/// it says nothing about anybody.
#[utoipa::path(get, path = "/v1/checkpoints/latest", tag = "ledger", security(("token" = [])),
    responses((status = 200, description = "The signed note", body = String, content_type = "text/plain"), (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn latest(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Permission::ReadLedger)?;
    let published = api.archive.checkpoint(None).await?.ok_or_else(|| Problem::new(ProblemKind::NotPublished))?;
    let published = api.archive.cosigned(&published).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], published.note))
}
