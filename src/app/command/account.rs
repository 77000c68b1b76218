//! `muniment account`: the social-network accounts seen at work.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{show, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::record::{AccountId, AdvisorId, Timestamp};
use crate::settings::Settings;

#[derive(Serialize)]
struct Item {
    id: AccountId,
    advisor: Option<AdvisorId>,
    network: Option<String>,
    handle: Option<String>,
    network_id: Option<String>,
    first_seen_at: Timestamp,
    index: u64,
}

#[derive(Serialize)]
struct List {
    accounts: Vec<Item>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.accounts.is_empty() {
            return f.write_str("no account was seen yet; they are learned from what devices send and read");
        }
        let mut table = Table::new(&["id", "network", "handle", "network id", "advisor", "first seen"]);
        for item in &self.accounts {
            table.row([
                item.id.to_string(),
                or_dash(item.network.as_ref()),
                or_dash(item.handle.as_ref()),
                or_dash(item.network_id.as_ref()),
                or_dash(item.advisor),
                item.first_seen_at.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.accounts(slice, None).await?), |row| row.index).await?;
        show(context, archive, Operation::AccountsList, None, rows, |row| row.account.uuid()).await
    })?;
    let accounts = rows.into_iter().map(|row| Item {
        id: row.account,
        advisor: row.advisor,
        network: row.network,
        handle: row.handle,
        network_id: row.network_id,
        first_seen_at: row.added_at,
        index: row.index,
    });
    output.print(&List { accounts: accounts.collect() })?;
    Ok(Verdict::Done)
}
