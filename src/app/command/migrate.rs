//! `muniment migrate`: tables and roles, as the owner of the database.

use std::fmt;

use serde::Serialize;

use crate::app::database::Database;
use crate::app::{AppError, Output, Verdict};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    /// Migrations that were there before.
    before: usize,
    /// Migrations that are there now.
    after: usize,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after - self.before.min(self.after) {
            0 => write!(f, "nothing to do: the database is up to date ({} migrations)", self.after),
            new => write!(f, "applied {new} migrations; the database is up to date ({})", self.after),
        }
    }
}

pub(in crate::app) async fn run(settings: &Settings, output: Output) -> Result<Verdict, AppError> {
    let database = Database::visit(settings).await?;
    let migrated = database.migrate().await;
    database.close().await;
    let migrated = migrated?;
    output.print(&Answer { before: migrated.before, after: migrated.after })?;
    Ok(Verdict::Done)
}
