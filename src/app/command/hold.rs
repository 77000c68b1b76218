//! `muniment hold`: what may not be disposed of. Holds are placed and released through the API, by officers; how far those have looked that
//! select by a query can be asked for here, and brought up to date.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{show, visit, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::archive::HoldRow;
use crate::record::{HoldId, MatterId, Timestamp};
use crate::retain::Retain;
use crate::settings::Settings;

#[derive(Serialize)]
struct Item {
    id: HoldId,
    matter: Option<MatterId>,
    state: &'static str,
    scope: String,
    selects: bool,
    records: u64,
    evaluated: Option<u64>,
    name: Option<String>,
    placed_at: Timestamp,
    released_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct List {
    holds: Vec<Item>,
}

impl From<HoldRow> for Item {
    fn from(row: HoldRow) -> Self {
        Self {
            id: row.hold,
            matter: row.matter,
            state: if row.released_index.is_some() { "released" } else { "in_force" },
            scope: row.scope,
            selects: row.selects,
            records: row.records,
            evaluated: row.evaluated,
            name: row.name,
            placed_at: row.added_at,
            released_at: row.released_at,
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds.is_empty() {
            return f.write_str("there are no holds; officers in the role legal place them at POST /v1/holds");
        }
        let mut table = Table::new(&["id", "state", "covers", "records", "evaluated", "name", "matter", "placed"]);
        for item in &self.holds {
            let covers = if item.selects { "what a query selects" } else { item.scope.as_str() };
            table.row([
                item.id.to_string(),
                item.state.to_owned(),
                covers.to_owned(),
                item.records.to_string(),
                or_dash(item.evaluated),
                or_dash(item.name.as_ref()),
                or_dash(item.matter),
                item.placed_at.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.holds(slice, None).await?), |row| row.added_index).await?;
        show(context, archive, Operation::HoldsList, None, rows, |row: &HoldRow| row.hold.uuid()).await
    })?;
    output.print(&List { holds: rows.into_iter().map(Item::from).collect() })?;
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Evaluated {
    /// None where another process was at it.
    named: Option<u64>,
    failed: u64,
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.named {
            None => f.write_str("another process is looking for what holds select; ask again once it is through"),
            Some(named) => {
                write!(f, "every hold has looked as far as the ledger goes and names {named} more records")?;
                match self.failed {
                    0 => Ok(()),
                    failed => write!(f, ", but {failed} cannot be evaluated and cover everything: see the log"),
                }
            }
        }
    }
}

/// Rounds at most: each goes on by 16,384 entries.
const ROUNDS: u32 = 1_000_000;

pub(in crate::app) fn evaluate(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let evaluated = visit(settings, async |context, archive| {
        let retain = Retain::new(archive.clone(), Arc::clone(&context.ids));
        let mut evaluated = Evaluated { named: Some(0), failed: 0 };
        for _round in 0..ROUNDS {
            let Some(round) = retain.evaluate(true).await? else {
                evaluated.named = None;
                break;
            };
            evaluated.named = evaluated.named.map(|named| named + round.named);
            evaluated.failed = round.failed;
            if !round.more {
                break;
            }
        }
        Ok(evaluated)
    })?;
    output.print(&evaluated)?;
    Ok(Verdict::Done)
}
