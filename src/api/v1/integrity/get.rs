//! How the archive is: how long, how far integrated, published and projected, and what verifying found.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::archive::VerificationRow;
use crate::record::Timestamp;

/// How the archive is.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Integrity {
    /// `sound`, or `unsound` when anything that was verified is wrong or appending has stopped.
    #[schema(example = "sound")]
    state: &'static str,
    /// Entries in the ledger: sequenced.
    entries: u64,
    /// Entries under a signed checkpoint: published.
    published: u64,
    /// When the newest checkpoint was published.
    #[schema(value_type = Option<String>, format = DateTime)]
    published_at: Option<Timestamp>,
    /// Entries under a checkpoint that enough witnesses cosigned; none where no witness is asked.
    witnessed: Option<u64>,
    /// How far each witness is.
    witnesses: Vec<Witness>,
    /// Entries in the projections that lists and search read.
    projected: u64,
    /// Why appending has stopped for good, if it has.
    stopped: Option<String>,
    /// The newest verification of each scope.
    verifications: Vec<Verification>,
}

/// One witness.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Witness {
    /// Its verifier key.
    key: String,
    /// Entries under the newest checkpoint that it cosigned.
    cosigned: u64,
}

/// One verification.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Verification {
    /// Index of its entry.
    index: u64,
    /// When it went on record.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What was looked at: `all`, `entries`, `checkpoints`, `content`, `projections`.
    scope: String,
    /// `verified` or `failed`.
    result: String,
    /// How many failures.
    failures: u64,
    /// The first index that failed.
    first_failure: Option<u64>,
    /// From which index on.
    from: u64,
    /// Up to which index, not included.
    until: u64,
}

impl From<VerificationRow> for Verification {
    fn from(row: VerificationRow) -> Self {
        let VerificationRow { index, at, scope, result, failures, first_failure, from, until } = row;
        Self { index, at, scope, result, failures, first_failure, from, until }
    }
}

/// How the archive is
#[utoipa::path(get, path = "/v1/integrity", tag = "integrity", security(("token" = [])),
    responses((status = 200, body = Integrity)))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<Integrity>, Problem> {
    caller.require(Permission::ReadIntegrity)?;
    let verifications = api.archive.verifications().await?;
    let published = api.archive.checkpoint(None).await?;
    let (witnessed, witnesses) = witnesses(&api).await?;
    let stopped = api.archive.stopped();
    let sound = stopped.is_none() && verifications.iter().all(|row| row.failures == 0);
    Ok(Json(Integrity {
        state: if sound { "sound" } else { "unsound" },
        entries: api.archive.head_size().await?,
        published: published.as_ref().map_or(0, |published| published.checkpoint.size),
        published_at: published.map(|published| published.at),
        witnessed,
        witnesses,
        projected: api.archive.projected().await?,
        stopped: stopped.map(|inconsistency| inconsistency.to_string()),
        verifications: verifications.into_iter().map(Into::into).collect(),
    }))
}

/// How far the quorum is, and each witness.
async fn witnesses(api: &Api) -> Result<(Option<u64>, Vec<Witness>), Problem> {
    let Some(quorum) = &api.quorum else { return Ok((None, Vec::new())) };
    let witnessed = api.archive.witnessed(&quorum.policy, 0).await?;
    let sizes = api.archive.cosigned_by().await?;
    let witness = |asked: &crate::witness::Asked| {
        let by = (asked.key.name().to_owned(), asked.key.id().to_string());
        Witness { key: asked.key.to_string(), cosigned: sizes.get(&by).copied().unwrap_or(0) }
    };
    let size = witnessed.map_or(0, |witnessed| witnessed.published.checkpoint.size);
    Ok((Some(size), quorum.witnesses.iter().map(witness).collect()))
}
