//! `muniment matter`: what holds are for. They are opened and changed through the API, by officers.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{show, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::archive::MatterRow;
use crate::record::{MatterId, Timestamp};
use crate::settings::Settings;

#[derive(Serialize)]
struct Item {
    id: MatterId,
    state: &'static str,
    name: Option<String>,
    external: Option<String>,
    opened_at: Timestamp,
    index: u64,
}

#[derive(Serialize)]
struct List {
    matters: Vec<Item>,
}

impl From<MatterRow> for Item {
    fn from(row: MatterRow) -> Self {
        Self {
            id: row.matter,
            state: row.state.as_str(),
            name: row.name,
            external: row.external,
            opened_at: row.added_at,
            index: row.index,
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.matters.is_empty() {
            return f.write_str("there are no matters; officers in the role legal open them at POST /v1/matters");
        }
        let mut table = Table::new(&["id", "state", "name", "external", "opened"]);
        for item in &self.matters {
            table.row([
                item.id.to_string(),
                item.state.to_owned(),
                or_dash(item.name.as_ref()),
                or_dash(item.external.as_ref()),
                item.opened_at.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.matters(slice).await?), |row| row.added_index).await?;
        show(context, archive, Operation::MattersList, None, rows, |row: &MatterRow| row.matter.uuid()).await
    })?;
    output.print(&List { matters: rows.into_iter().map(Item::from).collect() })?;
    Ok(Verdict::Done)
}
