//! Turns: who changes a webhook reads what it is set to, and writes all of it again; two at once would lose one of the changes.

use sqlx::{Postgres, Transaction};
use tokio::sync::MutexGuard;

use crate::archive::open::Archive;
use crate::archive::pool::in_time;
use crate::archive::{ArchiveError, connect};

/// Keeps changes of webhooks apart, also between processes: the four letters `hook`.
const LOCK: i64 = 0x686f_6f6b;

/// Nobody else changes a webhook while this is held.
pub struct WebhookTurn<'a> {
    /// Within this process first, so that those who wait hold no connection.
    _process: MutexGuard<'a, ()>,
    /// The lock goes with the transaction, which changes nothing.
    _database: Transaction<'static, Postgres>,
}

impl std::fmt::Debug for WebhookTurn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookTurn")
    }
}

impl Archive {
    /// Waits for a turn. Everything that others changed before is projected then.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhook_turn(&self) -> Result<WebhookTurn<'_>, ArchiveError> {
        let process = self.parts.webhooks.lock().await;
        let mut database = self.parts.reader.begin().await?;
        let locked = sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *database);
        in_time(connect::heard(connect::STATEMENT), locked).await?;
        self.catch_up().await?;
        Ok(WebhookTurn { _process: process, _database: database })
    }
}
