//! That the tree only grew.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::Permission;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::record::Digest;

/// Which proof.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ConsistencyQuery {
    /// Size of the tree before
    old: u64,
    /// Size of the tree after
    new: u64,
}

impl FromParameters for ConsistencyQuery {
    const NAMES: &'static [&'static str] = &["old", "new"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let mut size = |name| {
            let size: Option<u64> = parameters.take_as(name, "the size of a tree")?;
            size.ok_or(Problem::parameter(name, "is needed: write the size of a tree"))
        };
        let (old, new) = (size("old")?, size("new")?);
        if old > new {
            return Err(Problem::parameter("new", "must be at least `old`"));
        }
        Ok(Self { old, new })
    }
}

/// A tree of some size.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Tree {
    /// How many entries.
    size: u64,
    /// Root hash, in hex.
    #[schema(value_type = String)]
    root: Digest,
}

/// An RFC 6962 consistency proof.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ConsistencyProof {
    /// Before.
    old: Tree,
    /// After.
    new: Tree,
    /// The proof, in the order of RFC 6962 section 2.1.2, in hex.
    #[schema(value_type = Vec<String>)]
    hashes: Vec<Digest>,
}

/// Prove that the ledger only grew
///
/// From one tree to a later one. With two checkpoints kept outside, this proves that nothing before the first was changed.
#[utoipa::path(get, path = "/v1/proofs/consistency", tag = "ledger", security(("token" = [])), params(ConsistencyQuery),
    responses((status = 200, body = ConsistencyProof), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn consistency(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<ConsistencyQuery>,
) -> Result<Json<ConsistencyProof>, Problem> {
    caller.require(Permission::ReadLedger)?;
    let proof = api.archive.consistency(query.old, query.new).await?;
    let none = || Problem::new(ProblemKind::NotFound).detail("the ledger does not have that many entries");
    let proof = proof.ok_or_else(none)?;
    let tree = |(size, root)| Tree { size, root };
    Ok(Json(ConsistencyProof { old: tree(proof.old), new: tree(proof.new), hashes: proof.hashes }))
}
