//! `muniment webhook`: where events are sent by themselves. They are set up and changed through the API, by officers.

use std::fmt;

use serde::Serialize;

use super::every;
use super::table::{Table, or_dash};
use super::visit::{show, visit_lists};
use crate::access::Operation;
use crate::app::{AppError, Output, Verdict};
use crate::archive::Webhook;
use crate::record::{OfficerId, Timestamp, WebhookId};
use crate::settings::Settings;

#[derive(Serialize)]
struct Item {
    id: WebhookId,
    state: &'static str,
    cause: Option<String>,
    url: Option<String>,
    events: Vec<String>,
    owner: Option<OfficerId>,
    changed_at: Timestamp,
    index: u64,
}

#[derive(Serialize)]
struct List {
    webhooks: Vec<Item>,
}

impl From<Webhook> for Item {
    fn from(row: Webhook) -> Self {
        let state = row.settings.as_ref().map_or("unreadable", |settings| settings.state.as_str());
        let owner = row.settings.as_ref().map(|settings| settings.owner);
        let (cause, url, events) =
            row.settings.map(|settings| (settings.cause, Some(settings.url), settings.events)).unwrap_or_default();
        Self { id: row.id, state, cause, url, events, owner, changed_at: row.changed_at, index: row.index }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.webhooks.is_empty() {
            return f.write_str("nothing is sent by itself; officers set webhooks up at POST /v1/webhooks");
        }
        let mut table = Table::new(&["id", "state", "cause", "leads to", "events", "owner", "changed"]);
        for item in &self.webhooks {
            table.row([
                item.id.to_string(),
                item.state.to_owned(),
                or_dash(item.cause.as_ref()),
                or_dash(item.url.as_ref()),
                item.events.join(","),
                or_dash(item.owner),
                item.changed_at.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

pub(in crate::app) fn list(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let rows = visit_lists(settings, async |context, archive| {
        let rows = every(async |slice| Ok(archive.webhooks(slice).await?), |row| row.added_index).await?;
        // On whose behalf each delivers is shown with it.
        let owner = |row: &Webhook| row.settings.as_ref().map_or(row.id.uuid(), |settings| settings.owner.uuid());
        show(context, archive, Operation::WebhooksList, None, rows, owner).await
    })?;
    output.print(&List { webhooks: rows.into_iter().map(Item::from).collect() })?;
    Ok(Verdict::Done)
}
