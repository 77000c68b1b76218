//! Messages as officers see and steer them: what was delivered, what waits, the dead letters; tests; what is forgotten.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::queue::DeliveryState;
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::read::{Ordered, Slice, ordered};
use crate::archive::row::count;
use crate::record::{Timestamp, WebhookId};

/// Delivered messages that are remembered of one webhook.
const REMEMBERED: i64 = 1_000;
/// Tests of one webhook that may wait.
const PINGS: i64 = 10;

/// A message, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its place among all messages.
    pub number: u64,
    /// Its id.
    pub message: Uuid,
    /// What it is.
    pub sort: String,
    /// What became of it.
    pub state: String,
    /// The first event in it.
    pub first: Option<u64>,
    /// The last.
    pub last: Option<u64>,
    /// How many.
    pub events: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// When it is tried next, while it waits.
    pub due_at: Option<Timestamp>,
    /// The last status.
    pub status: Option<u64>,
    /// Why it was not taken, as a word.
    pub cause: Option<String>,
}

fn delivery(row: &PgRow) -> Result<Delivery, ArchiveError> {
    let some = |column| row.try_get::<Option<i64>, _>(column).map(|value| value.map(count));
    let time = |column| row.try_get::<Option<_>, _>(column).map(|time| time.map(Timestamp::new));
    let state: String = row.try_get("state")?;
    let due_at = time("due_at")?.filter(|_due| state == DeliveryState::Waiting.as_str());
    Ok(Delivery {
        number: count(row.try_get("number")?),
        message: row.try_get("message")?,
        sort: row.try_get("sort")?,
        state,
        first: some("first_index")?,
        last: some("last_index")?,
        events: count(row.try_get("events")?),
        made_at: Timestamp::new(row.try_get("made_at")?),
        attempts: count(i64::from(row.try_get::<i32, _>("attempts")?)),
        tried_at: time("tried_at")?,
        due_at,
        status: row.try_get::<Option<i32>, _>("status")?.map(|status| count(i64::from(status))),
        cause: row.try_get("cause")?,
    })
}

impl Archive {
    /// Queues a test; false where as many wait as may.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn ping_webhook(&self, webhook: WebhookId, message: Uuid, body: &[u8]) -> Result<bool, ArchiveError> {
        let queued = sqlx::query(
            "insert into delivery.messages (message, webhook, sort, events, body)
             select $2, $1, 'ping', 0, $3
              where (select count(*) from delivery.messages where webhook = $1 and sort = 'ping' and state = 'waiting') < $4
             on conflict (message) do update set webhook = excluded.webhook",
        )
        .bind(webhook.uuid())
        .bind(message)
        .bind(body)
        .bind(PINGS)
        .execute(&self.parts.reader)
        .await?;
        Ok(queued.rows_affected() == 1)
    }

    /// Messages of a webhook, in one state or in any.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        slice: Slice,
    ) -> Result<Vec<Delivery>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from delivery.messages
             where number > $1 and number < $2 and webhook = $4 and ($5::text is null or state = $5)"
            by "number");
        let (lower, upper) = slice.bounds();
        let rows = sqlx::query(LIST.of(&slice))
            .bind(lower)
            .bind(upper)
            .bind(i64::from(slice.limit))
            .bind(webhook.uuid())
            .bind(state.map(DeliveryState::as_str))
            .fetch_all(&self.parts.reader)
            .await?;
        rows.iter().map(delivery).collect()
    }

    /// Has dead messages tried again: these, or all of them. The answer names them; they go before what is newer.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn replay_deliveries(
        &self,
        webhook: WebhookId,
        wanted: Option<&[Uuid]>,
    ) -> Result<Vec<Uuid>, ArchiveError> {
        let replayed: Vec<Uuid> = sqlx::query_scalar(
            "with again as (
                 update delivery.messages set state = 'waiting', attempts = 0, due_at = now()
                  where webhook = $1 and state = 'dead' and sort = 'events' and ($2::uuid[] is null or message = any ($2))
                 returning number, message)
             select message from again order by number",
        )
        .bind(webhook.uuid())
        .bind(wanted)
        .fetch_all(&self.parts.reader)
        .await?;
        Ok(replayed)
    }

    /// How far a webhook is, and for how long nothing could be delivered; none before it began.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn webhook_position(&self, webhook: WebhookId) -> Result<Option<(u64, Option<Timestamp>)>, ArchiveError> {
        let row = sqlx::query("select next_index, failing_since from delivery.positions where webhook = $1")
            .bind(webhook.uuid())
            .fetch_optional(&self.parts.reader)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let since = row.try_get::<Option<_>, _>("failing_since")?.map(Timestamp::new);
        Ok(Some((count(row.try_get("next_index")?), since)))
    }

    /// Begins to count anew for how long nothing could be delivered.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn forgive_webhook(&self, webhook: WebhookId) -> Result<(), ArchiveError> {
        sqlx::query("update delivery.positions set failing_since = null where webhook = $1")
            .bind(webhook.uuid())
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }

    /// Forgets what was delivered long ago, and everything of webhooks that were removed.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn prune_deliveries(&self) -> Result<(), ArchiveError> {
        for statement in [
            "delete from delivery.messages m using (
                 select message, row_number() over (partition by webhook order by number desc) as place
                   from delivery.messages where state = 'delivered' or (state = 'dead' and sort = 'ping')) old
              where old.message = m.message and old.place > $1",
            "delete from delivery.messages m using projection.webhooks w
              where w.webhook = m.webhook and w.state = 'removed' and $1 > 0",
            "delete from delivery.positions p using projection.webhooks w
              where w.webhook = p.webhook and w.state = 'removed' and $1 > 0",
            "delete from people.webhook_secrets s using projection.webhooks w
              where w.webhook = s.webhook and w.state = 'removed' and $1 > 0",
        ] {
            sqlx::query(statement).bind(REMEMBERED).execute(&self.parts.reader).await?;
        }
        Ok(())
    }
}
