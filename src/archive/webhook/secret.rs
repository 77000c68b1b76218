//! The keys that sign deliveries: random, shown once, kept wrapped under the master key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::record::{RecordId, RecordKey, WebhookId, WrappedKey};

/// How a secret begins (Standard Webhooks).
const PREFIX: &str = "whsec_";

/// A key in the clear.
#[derive(Clone)]
pub struct WebhookSecret {
    /// Which.
    pub id: Uuid,
    key: RecordKey,
}

impl WebhookSecret {
    /// The bytes that sign.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The text to hand over, once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(self.key.as_bytes())))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret({}, ..)", self.id)
    }
}

impl Archive {
    /// Makes one. It counts once an entry names it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn add_webhook_secret(&self, webhook: WebhookId) -> Result<WebhookSecret, ArchiveError> {
        let id = self.parts.options.ids.fresh();
        // Wrapped like a record's key, under an id that no record has: moved to another row it does not open.
        let (key, wrapped) = self.random_key(RecordId::new(id))?;
        sqlx::query("insert into people.webhook_secrets (secret, webhook, wrapped) values ($1, $2, $3)")
            .bind(id)
            .bind(webhook.uuid())
            .bind(wrapped.as_bytes())
            .execute(&self.parts.reader)
            .await?;
        Ok(WebhookSecret { id, key })
    }

    /// Those of these secrets that are there, in this order.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhook_secrets(&self, wanted: &[Uuid]) -> Result<Vec<WebhookSecret>, ArchiveError> {
        let rows: Vec<(Uuid, Vec<u8>)> =
            sqlx::query_as("select secret, wrapped from people.webhook_secrets where secret = any ($1)")
                .bind(wanted)
                .fetch_all(&self.parts.reader)
                .await?;
        let mut secrets = Vec::with_capacity(rows.len());
        for id in wanted {
            let Some((_id, bytes)) = rows.iter().find(|(found, _)| found == id) else { continue };
            let record = RecordId::new(*id);
            let wrapped = WrappedKey::try_from(bytes.as_slice()).map_err(|_source| ArchiveError::Row {
                table: "people.webhook_secrets",
                problem: "not a wrapped key",
            })?;
            let key = self.parts.options.master.unwrap_key(record, &wrapped);
            secrets.push(WebhookSecret { id: *id, key: key.map_err(|source| ArchiveError::Key { record, source })? });
        }
        Ok(secrets)
    }

    /// Deletes those of a webhook that no longer count.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn keep_webhook_secrets(&self, webhook: WebhookId, kept: &[Uuid]) -> Result<(), ArchiveError> {
        sqlx::query("delete from people.webhook_secrets where webhook = $1 and not secret = any ($2)")
            .bind(webhook.uuid())
            .bind(kept)
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }
}
