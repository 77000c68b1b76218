//! `muniment advisor`: the people whose communications are kept.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{operator, show, visit, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::archive::Archive;
use crate::record::{AdvisorId, Timestamp};
use crate::settings::Settings;

#[derive(Serialize)]
struct Added {
    id: AdvisorId,
    name: String,
    index: u64,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n\nadded `{}`, entry {}; next: muniment device add --advisor {} <NAME>",
            self.id, self.name, self.index, self.id
        )
    }
}

/// A new advisor, and the entry that says so.
pub(in crate::app) async fn register(archive: &Archive, name: &str) -> Result<(AdvisorId, u64), AppError> {
    let added = archive.add_advisor(operator()?, name).await?;
    Ok((added.id, added.entry.index))
}

pub(in crate::app) fn add(settings: Settings, name: &str, output: Output) -> Result<Verdict, AppError> {
    let name = super::named(name)?;
    let (id, index) = visit(settings, async |_context, archive| register(archive, name).await)?;
    output.print(&Added { id, name: name.to_owned(), index })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Item {
    id: AdvisorId,
    name: Option<String>,
    added_at: Timestamp,
    index: u64,
    revoked: bool,
}

#[derive(Serialize)]
struct List {
    advisors: Vec<Item>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.advisors.is_empty() {
            return f.write_str("there are no advisors yet; `muniment advisor add <NAME>` adds one");
        }
        let mut table = Table::new(&["id", "name", "added", "state"]);
        for item in &self.advisors {
            let state = if item.revoked { "revoked" } else { "active" };
            let name = or_dash(item.name.as_ref());
            table.row([item.id.to_string(), name, item.added_at.to_string(), state.to_owned()]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.advisors(slice, None).await?), |row| row.index).await?;
        show(context, archive, Operation::AdvisorsList, None, rows, |row| row.advisor.uuid()).await
    })?;
    let advisors = rows.into_iter().map(|row| Item {
        id: row.advisor,
        name: row.name,
        added_at: row.added_at,
        index: row.index,
        revoked: row.revoked_index.is_some(),
    });
    output.print(&List { advisors: advisors.collect() })?;
    Ok(Verdict::Done)
}
