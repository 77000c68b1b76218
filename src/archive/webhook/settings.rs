//! What a webhook is set to: each change is a `settings` entry under the webhook's own record, whose content is all of it.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::read::{Ordered, Slice, ordered};
use crate::archive::row::count;
use crate::archive::submission::{Append as _, Appended, Submission};
use crate::ledger::{Actor, EntryType};
use crate::record::{AdvisorId, EntryId, FieldName, OfficerId, RecordId, Timestamp, WebhookId, canonical, words};

words! {
    /// Whether it delivers.
    WebhookState {
        /// It delivers.
        Enabled = "enabled",
        /// It delivers nothing until somebody enables it.
        Disabled = "disabled",
        /// It is gone for good.
        Removed = "removed",
    }
}

words! {
    /// What an entry changes.
    WebhookChange {
        /// It is new, and delivers.
        Added = "webhook_added",
        /// Where it leads, or what it delivers.
        Changed = "webhook_changed",
        /// It delivers from here on.
        Enabled = "webhook_enabled",
        /// It delivers nothing from here on.
        Disabled = "webhook_disabled",
        /// The service has disabled it: somebody has to look.
        Stopped = "webhook_stopped",
        /// It signs with another key.
        Secret = "webhook_secret",
        /// It is gone for good.
        Removed = "webhook_removed",
    }
}

/// A key that signs what it delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretOf {
    /// Which.
    pub secret: Uuid,
    /// Until when; none for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// All that a webhook is set to, as its newest entry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Which.
    pub webhook: WebhookId,
    /// Whether it delivers.
    pub state: WebhookState,
    /// Why it does not, as a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// On whose behalf: each delivery is a look of this officer's.
    pub owner: OfficerId,
    /// Where to.
    pub url: String,
    /// Names of the events that are delivered.
    pub events: Vec<String>,
    /// Only those of this advisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisor: Option<AdvisorId>,
    /// Only those on this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The first place that it delivers.
    pub from: u64,
    /// The keys that sign, newest first.
    pub secrets: Vec<SecretOf>,
}

/// A webhook as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Which.
    pub id: WebhookId,
    /// Its newest entry.
    pub index: u64,
    /// When that was.
    pub changed_at: Timestamp,
    /// Its first entry.
    pub added_index: u64,
    /// When that was.
    pub added_at: Timestamp,
    /// What it is set to; none where that cannot be read, or was disposed of: then it delivers nothing.
    pub settings: Option<WebhookSettings>,
}

struct Place {
    id: WebhookId,
    index: u64,
    changed_at: Timestamp,
    added_index: u64,
    added_at: Timestamp,
}

fn place(row: &PgRow) -> Result<Place, ArchiveError> {
    let time = |column| row.try_get(column).map(Timestamp::new);
    Ok(Place {
        id: WebhookId::new(row.try_get("webhook")?),
        index: count(row.try_get("entry_index")?),
        changed_at: time("changed_at")?,
        added_index: count(row.try_get("added_index")?),
        added_at: time("added_at")?,
    })
}

impl Archive {
    /// Webhooks that were not removed, in the order in which they were added.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhooks(&self, slice: Slice) -> Result<Vec<Webhook>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.webhooks
             where added_index > $1 and added_index < $2 and $4::uuid is null and state <> 'removed'"
            by "added_index");
        let mut webhooks = Vec::new();
        for place in self.list(&LIST, slice, None, place).await? {
            webhooks.push(self.opened_webhook(place).await?);
        }
        Ok(webhooks)
    }

    /// How many there are.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn count_webhooks(&self) -> Result<u64, ArchiveError> {
        let there = sqlx::query_scalar("select count(*) from projection.webhooks where state <> 'removed'")
            .fetch_one(&self.parts.reader)
            .await?;
        Ok(count(there))
    }

    /// One of them; none where there is none, or it was removed.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, ArchiveError> {
        let row = sqlx::query("select * from projection.webhooks where webhook = $1 and state <> 'removed'")
            .bind(id.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        match row.as_ref().map(place).transpose()? {
            Some(place) => self.opened_webhook(place).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those that the projections take for enabled.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn enabled_webhooks(&self, most: u32) -> Result<Vec<WebhookId>, ArchiveError> {
        let rows: Vec<Uuid> = sqlx::query_scalar(
            "select webhook from projection.webhooks where state = 'enabled' order by added_index limit $1",
        )
        .bind(i64::from(most))
        .fetch_all(&self.parts.door)
        .await?;
        Ok(rows.into_iter().map(WebhookId::new).collect())
    }

    /// What the entry itself says.
    async fn opened_webhook(&self, place: Place) -> Result<Webhook, ArchiveError> {
        let Place { id, index, changed_at, added_index, added_at } = place;
        let settings = match self.webhook_as_of(id, index).await {
            Ok(settings) => settings,
            // Of stored content, not of the database: what cannot be read delivers nothing, and is listed.
            Err(error @ (ArchiveError::Entry { .. } | ArchiveError::Sealed { .. } | ArchiveError::Key { .. })) => {
                tracing::error!(%error, "a webhook's settings cannot be read");
                None
            }
            Err(ArchiveError::Row { table, problem }) => {
                tracing::error!(table, problem, "a webhook's settings cannot be read");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Webhook { id, index, changed_at, added_index, added_at, settings })
    }

    /// What a webhook was set to by the entry at this place; none where the entry sets no such webhook, or was disposed of.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhook_as_of(&self, id: WebhookId, index: u64) -> Result<Option<WebhookSettings>, ArchiveError> {
        let entry = self.entry(index).await?;
        let change = |entry: &crate::ledger::Entry| {
            let word = entry.detail().get("change").and_then(serde_json::Value::as_str).unwrap_or_default();
            WebhookChange::from_str(word).is_ok()
        };
        let is_it = |entry: &crate::ledger::Entry| {
            entry.entry_type() == EntryType::Settings && entry.record() == Some(record_of(id)) && change(entry)
        };
        let Some(entry) = entry.filter(is_it) else { return Ok(None) };
        let content = self.content(&entry).await?;
        let text = content.as_ref().and_then(|content| content.text(FieldName::SETTINGS.as_str()));
        let settings = text.and_then(|text| serde_json::from_str::<WebhookSettings>(text).ok());
        Ok(settings.filter(|settings| settings.webhook == id))
    }

    /// Writes down what a webhook is set to; durable and projected on return.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn set_webhook(
        &self,
        by: Actor,
        change: WebhookChange,
        entry: EntryId,
        settings: &WebhookSettings,
    ) -> Result<Appended, ArchiveError> {
        let record = record_of(settings.webhook);
        let detail = [("change".to_owned(), serde_json::Value::from(change.as_str()))].into_iter().collect();
        let mut draft = self.draft(EntryType::Settings, by, detail);
        (draft.id, draft.record) = (entry, Some(record));
        let mut submission = Submission::plain(draft);
        let key = match change {
            WebhookChange::Added => Some(self.fresh_key(&mut submission, record)?),
            // Disposed of: that it is removed can still be said.
            _ => self.record_key(record).await?,
        };
        if let Some(key) = key {
            let said = canonical(settings).map_err(|_source| ArchiveError::Row {
                table: "projection.webhooks",
                problem: "the settings of a webhook have no canonical form",
            })?;
            self.seal_under(&mut submission, &key, vec![(FieldName::SETTINGS, &said)])?;
        }
        let appended = self.append(submission).await?;
        self.project(appended.index.saturating_add(1)).await?;
        Ok(appended)
    }
}

/// The record under which a webhook's settings are sealed.
pub(super) fn record_of(id: WebhookId) -> RecordId {
    RecordId::new(id.uuid())
}
