//! `muniment verify`: the whole archive, read again from bytes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::{AppError, Output, Verdict, runtime};
use crate::archive::{Finding, Verification, Verifier};
use crate::settings::Settings;

/// Findings listed at most; beyond it they are counted only.
const LISTED: usize = 10_000;

#[derive(Serialize)]
pub(in crate::app) struct Answer {
    #[serde(flatten)]
    verification: Verification,
    /// What is wrong, in the order found.
    pub(in crate::app) findings: Vec<Finding>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let place = match finding.to {
                to if to == finding.from => format!("entry {to}"),
                to => format!("entries {} to {to}", finding.from),
            };
            writeln!(f, "WRONG  {place}  {}: {}", finding.check, finding.problem)?;
        }
        for (check, entries) in &self.verification.failed {
            writeln!(f, "{entries} entries fail: {check}")?;
        }
        writeln!(f, "{} sealed fields opened and compared", self.verification.fields)?;
        for file in &self.verification.left_behind {
            writeln!(f, "blob {file} belongs to no entry: left behind by a crash; it may be deleted")?;
        }
        match self.verification.first {
            None => write!(f, "the archive is sound"),
            Some(first) => write!(f, "the archive is NOT sound; the first bad index is {first}"),
        }
    }
}

/// Verifies with what these options say, whether the archive could be opened or not.
pub(in crate::app) async fn verify(
    context: &Context,
    database: &Database,
    against: &[PathBuf],
    output: Output,
) -> Result<Answer, AppError> {
    let mut verifier = Verifier::new(&context.options(database))?;
    for path in against {
        let note = std::fs::read(path).map_err(|source| AppError::Unreadable { path: path.clone(), source })?;
        verifier = verifier.against(&path.display().to_string(), note);
    }
    let findings = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&findings);
    let sink = move |finding| {
        let mut found = found.lock();
        if found.len() < LISTED {
            found.push(finding);
        }
    };
    let mut shown = None;
    let verification = verifier.run(sink, |progress| {
        // A line for each tenth of a phase, not for each run of entries.
        let tenth = (progress.phase, progress.done.saturating_mul(10).checked_div(progress.of).unwrap_or(10));
        if shown != Some(tenth) {
            shown = Some(tenth);
            output.note(format!("{}: {} of {}", progress.phase, progress.done, progress.of));
        }
    });
    let verification = verification.await?;
    let findings = std::mem::take(&mut *findings.lock());
    Ok(Answer { verification, findings })
}

pub(in crate::app) fn run(settings: Settings, against: &[PathBuf], output: Output) -> Result<Verdict, AppError> {
    let context = Context::open(settings)?;
    let answer = runtime::block_on(async {
        let database = Database::visit(&context.settings).await?;
        let answer = verify(&context, &database, against, output).await;
        database.close().await;
        answer
    })?;
    output.print(&answer)?;
    Ok(if answer.verification.sound { Verdict::Done } else { Verdict::Unsound })
}
