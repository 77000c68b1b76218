//! Webhooks, from `settings` entries that change one. Only what stands in the clear is projected: where a webhook leads, and on whose
//! behalf, is read in the entry by whoever delivers.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::facts::Facts;
use crate::archive::row::number;

/// One entry that changes a webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    webhook: Uuid,
    change: String,
    index: u64,
    at: String,
}

impl Webhook {
    /// None where the entry changes something else.
    pub(super) fn read(facts: &Facts<'_>) -> Option<Self> {
        let change = facts.word("change").strip_prefix("webhook_")?.to_owned();
        Some(Self { webhook: facts.record()?, change, index: facts.index(), at: facts.at() })
    }

    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let state = match self.change.as_str() {
            "added" => return self.add(connection).await,
            "enabled" => Some("enabled"),
            "disabled" | "stopped" => Some("disabled"),
            "removed" => Some("removed"),
            // What else changes leaves it as it was.
            _ => None,
        };
        sqlx::query(
            "update webhooks set entry_index = $2, changed_at = $3::timestamptz, state = coalesce($4, state)
              where webhook = $1 and state <> 'removed'",
        )
        .bind(self.webhook)
        .bind(number(self.index))
        .bind(&self.at)
        .bind(state)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn add(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into webhooks (webhook, entry_index, added_index, added_at, changed_at, state, record)
             values ($1, $2, $2, $3::timestamptz, $3::timestamptz, 'enabled', $1) on conflict (webhook) do nothing",
        )
        .bind(self.webhook)
        .bind(number(self.index))
        .bind(&self.at)
        .execute(connection)
        .await?;
        Ok(())
    }
}
