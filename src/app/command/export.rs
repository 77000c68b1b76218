//! `muniment export`: records out as a bundle.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::visit::{operator, visit};
use crate::access::{Operation, Purpose, Seen, look_by_command};
use crate::app::arguments::Export;
use crate::app::join::ArchiveBlobs;
use crate::app::{AppError, Output, Verdict};
use crate::archive::{Append as _, WordQuery};
use crate::export::{Asked, Exporter};
use crate::record::AdvisorId;
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    bundle: Uuid,
    file: PathBuf,
    bytes: u64,
    records: u64,
    /// Place of the export's entry in the ledger.
    entry: u64,
    /// Size of the checkpoint to which all proofs lead.
    checkpoint: Option<u64>,
    /// Whether enough witnesses cosigned that checkpoint; none where the settings name none.
    witnessed: Option<bool>,
    /// Those of whom all records of the time are in it.
    complete: Vec<AdvisorId>,
    /// What that rests on.
    provided: Option<String>,
    verify: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bundle, file, bytes, records, entry, .. } = self;
        writeln!(f, "bundle {bundle}: {records} records, {bytes} bytes, in {}", file.display())?;
        writeln!(f, "the export is entry {entry} of the ledger")?;
        for advisor in &self.complete {
            writeln!(f, "all records of advisor {advisor} in this time are in it")?;
        }
        if let Some(provided) = &self.provided {
            writeln!(f, "{provided}")?;
        }
        write!(f, "it verifies; whoever gets it runs:\n  {}", self.verify)
    }
}

fn asked(export: &Export, purpose: &Purpose) -> Result<Asked, AppError> {
    let words = match &export.query {
        Some(typed) => Some((typed.clone(), WordQuery::parse(typed, false).map_err(AppError::Words)?)),
        None => None,
    };
    Ok(Asked {
        advisors: export.advisors.clone(),
        records: export.records.clone(),
        words,
        from: export.from.map(|moment| moment.0),
        until: export.until.map(|moment| moment.0),
        matter: export.matter,
        purpose: purpose.text().to_owned(),
        withhold: export.withhold.clone(),
        renditions: export.renditions.clone(),
    })
}

pub(in crate::app) fn run(settings: Settings, export: &Export, output: Output) -> Result<Verdict, AppError> {
    let purpose = Purpose::new(&export.reason).map_err(AppError::Reason)?;
    let mut asked = asked(export, &purpose)?;
    let answer = visit(settings, async |context, archive| {
        asked.resolve(archive).await?;
        for advisor in &asked.advisors {
            archive.check_advisor(*advisor).await?;
        }
        let blobs = Arc::new(ArchiveBlobs(archive.blobs().clone()));
        let sealer = context.sealer(Arc::<ArchiveBlobs>::clone(&blobs));
        // In the access log, where those look who want to know who saw what: one look for each advisor.
        let mut looked_at: Vec<_> = asked.advisors.iter().copied().map(Some).collect();
        if looked_at.is_empty() {
            looked_at.push(None);
        }
        for advisor in looked_at {
            let count = asked.records.len();
            let seen =
                Seen { records: asked.records.clone(), count, advisor, query: export.query.clone(), ..Seen::default() };
            let operation = Operation::RecordsExport;
            let look = look_by_command(&*context.clock, &sealer, operator()?, operation, Some(&purpose), &seen)?;
            archive.append(look).await?;
        }
        let (clock, ids, entropy) =
            (Arc::clone(&context.clock), Arc::clone(&context.ids), Arc::clone(&context.entropy));
        let (master, signing) = (context.master.clone(), context.signing.clone());
        let exporter =
            Exporter::new(archive, clock, ids, entropy, master, blobs, signing).witnessed_by(context.feed(archive)?);
        let mut shown = None;
        let exported = exporter.run(operator()?, asked, &export.out, |done, of| {
            let tenth = done.saturating_mul(10).checked_div(of);
            if shown != tenth {
                shown = tenth;
                output.note(format!("{done} of {of} records"));
            }
        });
        let exported = exported.await?;
        if exported.witnessed == Some(false) {
            output.note("not enough witnesses cosigned in time: the bundle's checkpoint does not meet the quorum");
        }
        let report = exported.report;
        let complete = report.ranges.iter().filter(|range| range.complete).map(|range| range.advisor).collect();
        let vkey = context.signing.verifying_key();
        Ok(Answer {
            bundle: exported.bundle,
            file: export.out.clone(),
            bytes: exported.bytes,
            records: report.records,
            entry: exported.index,
            checkpoint: report.checkpoint.map(|(size, _root)| size),
            witnessed: exported.witnessed,
            complete,
            provided: report.provided,
            verify: format!("muniment-verify bundle {} --vkey '{vkey}'", export.out.display()),
        })
    })?;
    output.print(&answer)?;
    Ok(Verdict::Done)
}
