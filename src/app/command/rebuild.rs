//! `muniment rebuild`: the projections made again from the ledger.

use std::fmt;

use serde::Serialize;

use crate::app::context::Context;
use crate::app::database::Database;
use crate::app::{AppError, Output, Verdict, runtime};
use crate::archive::{BlobStore, rebuild};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    entries: u64,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rebuilt from {} entries", self.entries)
    }
}

pub(in crate::app) fn run(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let context = Context::open(settings)?;
    let rebuilt = runtime::block_on(async {
        let database = Database::visit(&context.settings).await?;
        let blobs = BlobStore::open(&context.settings.archive.blobs)?;
        let mut shown = 0;
        let rebuilt = rebuild(database.owner(), context.master.clone(), blobs, |at, of| {
            // A line for each tenth, not for each run of entries.
            let tenth = at.saturating_mul(10).checked_div(of).unwrap_or(10);
            if tenth > shown {
                shown = tenth;
                output.note(format!("{at} of {of} entries"));
            }
        });
        let rebuilt = rebuilt.await;
        database.close().await;
        Ok(rebuilt?)
    })?;
    output.print(&Answer { entries: rebuilt.entries })?;
    Ok(Verdict::Done)
}
