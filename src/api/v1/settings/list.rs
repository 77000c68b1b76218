//! The settings in force, and those before.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::archive::SettingsRow;
use crate::record::Timestamp;

/// Settings on one page: each is opened and shown whole.
const MOST: u32 = 50;

/// Settings from one moment on.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SettingsEntry {
    /// Index of the entry that says so.
    index: u64,
    /// From when on.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// What changed.
    #[schema(example = "in_force")]
    change: String,
    /// The process, by its source id; each has its own settings.
    source: Uuid,
    /// Digest of the rules in force.
    rules: Option<String>,
    /// The program and its version.
    #[schema(example = "muniment-0.1.0")]
    software: Option<String>,
    /// Every key with its value, defaults included, secrets left out; none once it was disposed of.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
}

/// A page of settings.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SettingsHistory {
    /// In ledger order. The newest of each source is in force.
    settings: Vec<SettingsEntry>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// List settings: those in force and all before, as the ledger has them
///
/// An entry is made at each start with other settings, rules or software than at the last. Secrets are no part of it. At most 50 on a page.
#[utoipa::path(get, path = "/v1/settings", tag = "system", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = SettingsHistory), (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<SettingsHistory>, Problem> {
    let page = Page { limit: page.limit.min(MOST), ..page };
    let mut seen = Seen::default();
    let admission = caller.admit(&api, Operation::SettingsList, &seen).await?;
    let rows = api.archive.settings_history(page.into()).await?;
    seen.count = rows.len();
    let next = page.next(&rows, |row| row.index);
    let mut settings = Vec::with_capacity(rows.len());
    for row in rows {
        settings.push(opened(&api, row).await?);
    }
    Ok(Json(api.show(admission, &seen, Withheld::new(SettingsHistory { settings, next })).await?))
}

async fn opened(api: &Api, row: SettingsRow) -> Result<SettingsEntry, Problem> {
    let SettingsRow { index, at, change, rules, software, source } = row;
    let entry = api.archive.entry(index).await?;
    let content = match entry {
        Some(entry) => api.archive.content(&entry).await?,
        None => None,
    };
    let text = content.as_ref().and_then(|content| content.text("settings"));
    let settings = text.and_then(|text| serde_json::from_str(text).ok());
    Ok(SettingsEntry { index, at, change, source: source.uuid(), rules, software, settings })
}
