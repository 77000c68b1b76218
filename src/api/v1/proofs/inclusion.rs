//! That an entry is in the tree of a checkpoint.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::IntoParams;

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;

/// Which proof.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct InclusionQuery {
    /// The entry
    index: u64,
    /// The size of a published checkpoint to prove it under; without one, the first that covers the entry
    #[param(value_type = Option<u64>)]
    size: Option<u64>,
}

impl FromParameters for InclusionQuery {
    const NAMES: &'static [&'static str] = &["index", "size"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let index = parameters.take_as("index", "an entry's index")?;
        let index = index.ok_or(Problem::parameter("index", "is needed: write an entry's index"))?;
        let size = parameters.take_as("size", "the size of a published checkpoint")?;
        if size.is_some_and(|size| size <= index) {
            return Err(Problem::parameter("size", "a tree of this size does not reach the entry"));
        }
        Ok(Self { index, size })
    }
}

/// Prove that an entry is in the ledger
///
/// A C2SP tlog-proof: the entry's index, the sibling hashes, and the signed checkpoint they lead to. `sha256(00 || entry)` is the leaf,
/// also in the header `muniment-leaf`.
#[utoipa::path(get, path = "/v1/proofs/inclusion", tag = "ledger", security(("token" = [])), params(InclusionQuery),
    responses((status = 200, description = "The proof", body = String, content_type = "text/plain",
            headers(("muniment-leaf" = String, description = "The leaf that it is about, in hex"))), (status = 404, description = "`not-found`"),
        (status = 409, description = "`not-published`")))]
pub(in crate::api) async fn inclusion(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<InclusionQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Permission::ReadLedger)?;
    if query.index >= api.archive.head_size().await? {
        return Err(Problem::new(ProblemKind::NotFound).detail("the ledger has no entry there yet"));
    }
    let proof = api.archive.inclusion(query.index, query.size).await?;
    let proof = match (proof, query.size) {
        (Some(proof), _) => proof,
        (None, Some(size)) => {
            let detail = format!("no checkpoint of size {size} was published; /v1/checkpoints lists them");
            return Err(Problem::new(ProblemKind::NotFound).detail(detail));
        }
        (None, None) => return Err(Problem::new(ProblemKind::NotPublished)),
    };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (LEAF, proof.leaf.to_string())];
    Ok((headers, proof.proof.to_string()))
}

const LEAF: header::HeaderName = header::HeaderName::from_static("muniment-leaf");
