//! Projections against the ledger: made again beside the ones in use, and compared row by row.

use std::ops::ControlFlow;

use super::finding::Findings;
use super::{Progress, Verifier};
use crate::archive::connect::Role;
use crate::archive::project::{Projector, compare as compare_projections};
use crate::archive::{ArchiveError, Deviation};

/// Compares everything; answers with how far the projections reach.
pub(super) async fn compare(
    verifier: &Verifier,
    findings: &Findings,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<u64, ArchiveError> {
    let mut connection = verifier.connect(Role::Project).await?;
    let projector = Projector { master: verifier.master.clone(), blobs: verifier.blobs.clone() };
    let told = |done, of| {
        progress(Progress { phase: "projections", done, of });
        ControlFlow::Continue(())
    };
    let mut found = |difference: crate::archive::Difference| {
        let problem = match difference.deviation {
            Deviation::Differs => "differs from the ledger",
            Deviation::Missing => "is missing",
            Deviation::Stray => "stands for nothing in the ledger",
        };
        let problem = format!("its row in projection.{} {problem}", difference.table);
        findings.at("projections", difference.index, problem);
    };
    let compared = compare_projections(&mut connection, &projector, told, &mut found).await?;
    // Nobody ends it half-way.
    Ok(compared.unwrap_or_default())
}
