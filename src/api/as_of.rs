//! Questions as of an earlier size of the ledger.
//!
//! Invariant: only the size of a published checkpoint is taken, so what an answer covers can be proved; and nothing is answered before
//! the projections have come that far.

use super::problem::{Problem, ProblemKind};
use super::query::Parameters;
use super::state::Api;
use crate::archive::Slice;

/// Takes the parameter.
pub(super) fn as_of(parameters: &mut Parameters) -> Result<Option<u64>, Problem> {
    const WRITE: &str = "the size of a published checkpoint; /v1/checkpoints lists them";
    let size: Option<i64> = parameters.take_as("as_of", WRITE)?;
    let size = size.map(u64::try_from).transpose();
    size.map_err(|_negative| Problem::parameter("as_of", format!("write {WRITE}")))
}

impl Api {
    /// Makes sure that a question can be answered as of this size.
    pub(super) async fn check_as_of(&self, size: Option<u64>) -> Result<Option<u64>, Problem> {
        let Some(size) = size else { return Ok(None) };
        let next = self.archive.checkpoint(Some(size)).await?.map(|published| published.checkpoint.size);
        if next != Some(size) {
            return Err(self.no_such_checkpoint(size, next).await?);
        }
        if self.archive.projected().await? < size {
            self.archive.project(size).await?;
        }
        if self.archive.projected().await? < size {
            return Err(Problem::new(ProblemKind::Busy).detail("the projections have not come that far yet"));
        }
        Ok(Some(size))
    }

    async fn no_such_checkpoint(&self, size: u64, next: Option<u64>) -> Result<Problem, Problem> {
        let before = Slice { after: Some(size), newest_first: true, limit: 1 };
        let before = self.archive.checkpoints(before).await?.pop().map(|published| published.checkpoint.size);
        let near: Vec<String> = before.into_iter().chain(next).map(|size| size.to_string()).collect();
        let near = if near.is_empty() {
            "none is published yet".to_owned()
        } else {
            format!("the nearest are of size {}", near.join(" and "))
        };
        let detail = format!(
            "no checkpoint of size {size} was published; {near}; /v1/checkpoints lists all of them, /v1/checkpoints/latest is the newest"
        );
        Ok(Problem::new(ProblemKind::NoSuchCheckpoint).detail(detail))
    }
}
