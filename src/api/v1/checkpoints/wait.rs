//! Waits until a checkpoint covers an entry.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use utoipa::IntoParams;

use super::list::Checkpoint;
use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;

/// Longest wait: whoever wants to wait longer asks again.
const LONGEST: u64 = 20;
/// Between two looks: checkpoints are published every second.
const LOOK: Duration = Duration::from_millis(100);

/// For which entry, and how long.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct WaitQuery {
    /// The entry
    index: u64,
    /// Seconds to wait at most, 0 to 20
    #[param(value_type = Option<u64>, default = 10, minimum = 0, maximum = 20)]
    seconds: u64,
}

impl FromParameters for WaitQuery {
    const NAMES: &'static [&'static str] = &["index", "seconds"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let index: Option<i64> = parameters.take_as("index", "an entry's index")?;
        let index = index.and_then(|index| u64::try_from(index).ok());
        let index = index.ok_or(Problem::parameter("index", "is needed: write an entry's index"))?;
        let seconds = parameters.take_as("seconds", "a number from 0 to 20")?.unwrap_or(10);
        if seconds > LONGEST {
            return Err(Problem::parameter("seconds", "write a number from 0 to 20"));
        }
        Ok(Self { index, seconds })
    }
}

/// Wait until a checkpoint covers an entry
///
/// Answers with the first checkpoint that covers it, at once where there is one. When the time is over first, `not-published`: ask again.
#[utoipa::path(get, path = "/v1/checkpoints/wait", tag = "ledger", security(("token" = [])), params(WaitQuery),
    responses((status = 200, body = Checkpoint), (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn wait(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<WaitQuery>,
) -> Result<Json<Checkpoint>, Problem> {
    caller.require(Permission::ReadLedger)?;
    let covered = async {
        loop {
            if let Some(published) = api.archive.checkpoint(Some(query.index.saturating_add(1))).await? {
                return Ok(Json(published.into()));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                // Nobody is kept waiting by a service that goes away.
                () = api.draining.cancelled() => return Err(Problem::new(ProblemKind::NotPublished)),
            }
        }
    };
    // Before the bound on every request, which says less; the first look is taken in any case.
    let patience = Duration::from_secs(query.seconds).min(api.timeout.saturating_sub(Duration::from_secs(1)));
    let patience = patience.max(LOOK);
    match tokio::time::timeout(patience, covered).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Problem::new(ProblemKind::NotPublished)),
    }
}
