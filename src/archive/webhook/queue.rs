//! What waits to be delivered, how far each webhook is, and who delivers it now.
//!
//! Invariants: a place is held by one process at a time, and whoever has lost it changes nothing; the position moves together with the message
//! that covers what it moves over, so that nothing is skipped, whatever is killed when. Times are the database's: processes need not agree on one.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::row::{count, number};
use crate::record::{WebhookId, words};

words! {
    /// What a message is.
    Sort {
        /// A run of events.
        Events = "events",
        /// A test.
        Ping = "ping",
    }
}

words! {
    /// What became of a message.
    DeliveryState {
        /// It is tried, or waits to be tried again.
        Waiting = "waiting",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// It is tried no more, until somebody has it replayed.
        Dead = "dead",
    }
}

/// A message to be queued.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id.
    pub message: Uuid,
    /// The first and the last event in it.
    pub range: (u64, u64),
    /// How many events.
    pub events: u64,
    /// As it is sent.
    pub body: Vec<u8>,
}

/// The message that is next.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub message: Uuid,
    /// What it is.
    pub sort: Sort,
    /// How often it was tried.
    pub attempts: u32,
    /// As it is sent.
    pub body: Vec<u8>,
    /// Until it may be tried.
    pub wait: Duration,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// The receiver has taken it.
    Taken {
        /// With this status.
        status: u16,
    },
    /// It has not.
    Failed {
        /// The status, where there was one.
        status: Option<u16>,
        /// Why, as a word.
        cause: &'static str,
        /// When to try again; none for never.
        again: Option<Duration>,
    },
}

/// How things stand after an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// For how long nothing could be delivered.
    pub failing: Duration,
    /// Messages that are tried no more.
    pub dead: u64,
}

/// Seconds that the database gave; a length of time that is none is no time.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

impl Archive {
    /// Takes, or keeps, a webhook's place for this long; none while another process holds it. `from` is where a new one begins.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn hold_webhook(
        &self,
        webhook: WebhookId,
        holder: Uuid,
        from: u64,
        hold: Duration,
    ) -> Result<Option<u64>, ArchiveError> {
        let next: Option<i64> = sqlx::query_scalar(
            "insert into delivery.positions as p (webhook, next_index, holder, held_until)
             values ($1, $2, $3, now() + make_interval(secs => $4))
             on conflict (webhook) do update set holder = excluded.holder, held_until = excluded.held_until
              where p.holder = excluded.holder or p.held_until < now()
             returning next_index",
        )
        .bind(webhook.uuid())
        .bind(number(from))
        .bind(holder)
        .bind(hold.as_secs_f64())
        .fetch_optional(&self.parts.reader)
        .await?;
        Ok(next.map(count))
    }

    /// Gives every place back that this process holds.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn let_webhooks_go(&self, holder: Uuid) -> Result<(), ArchiveError> {
        sqlx::query("update delivery.positions set holder = null, held_until = '-infinity' where holder = $1")
            .bind(holder)
            .execute(&self.parts.reader)
            .await?;
        Ok(())
    }

    /// Moves a webhook on, with the message that covers what lies between, where there is one. False where the place was lost.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn advance_webhook(
        &self,
        webhook: WebhookId,
        holder: Uuid,
        from: u64,
        next: u64,
        message: Option<&NewMessage>,
    ) -> Result<bool, ArchiveError> {
        const MOVE: &str =
            "update delivery.positions set next_index = $4 where webhook = $1 and holder = $2 and next_index = $3";
        const QUEUE: &str = "
            with moved as (
                update delivery.positions set next_index = $4 where webhook = $1 and holder = $2 and next_index = $3 returning webhook)
            insert into delivery.messages (message, webhook, sort, first_index, last_index, events, body)
            select $5, webhook, 'events', $6, $7, $8, $9 from moved";
        let query = sqlx::query(if message.is_some() { QUEUE } else { MOVE });
        let query = query.bind(webhook.uuid()).bind(holder).bind(number(from)).bind(number(next));
        let query = match message {
            None => query,
            Some(new) => query
                .bind(new.message)
                .bind(number(new.range.0))
                .bind(number(new.range.1))
                .bind(number(new.events))
                .bind(&new.body),
        };
        Ok(query.execute(&self.parts.reader).await?.rows_affected() == 1)
    }

    /// The message that is next: a test, or the oldest that waits.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn next_delivery(&self, webhook: WebhookId) -> Result<Option<Waiting>, ArchiveError> {
        let row = sqlx::query(
            "select message, sort, attempts, body, greatest(extract(epoch from due_at - now()), 0)::float8 as wait
               from delivery.messages where webhook = $1 and state = 'waiting'
              order by sort = 'ping' desc, number limit 1",
        )
        .bind(webhook.uuid())
        .fetch_optional(&self.parts.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sort: String = row.try_get("sort")?;
        Ok(Some(Waiting {
            message: row.try_get("message")?,
            sort: sort.parse().unwrap_or(Sort::Events),
            attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or_default(),
            body: row.try_get("body")?,
            wait: seconds(row.try_get("wait")?),
        }))
    }

    /// Writes down what an attempt came to; none where the place was lost meanwhile.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn settle_delivery(
        &self,
        webhook: WebhookId,
        holder: Uuid,
        message: Uuid,
        outcome: Outcome,
    ) -> Result<Option<Settled>, ArchiveError> {
        let (status, cause, again, state) = match outcome {
            Outcome::Taken { status } => (Some(status), None, None, DeliveryState::Delivered),
            Outcome::Failed { status, cause, again: Some(again) } => {
                (status, Some(cause), Some(again), DeliveryState::Waiting)
            }
            Outcome::Failed { status, cause, again: None } => (status, Some(cause), None, DeliveryState::Dead),
        };
        // What was taken is not sent again, and so not kept. A test says nothing of how deliveries go.
        let row = sqlx::query(
            "with mine as (
                 update delivery.positions p
                    set failing_since = case when m.sort = 'ping' then p.failing_since when $6 = 'delivered' then null
                                             else coalesce(p.failing_since, now()) end
                   from delivery.messages m
                  where p.webhook = $1 and p.holder = $2 and m.message = $3 and m.webhook = $1
                 returning p.failing_since),
             settled as (
                 update delivery.messages
                    set state = $6, attempts = attempts + 1, tried_at = now(), status = $4, cause = $5,
                        due_at = now() + make_interval(secs => $7),
                        body = case when $6 = 'delivered' then ''::bytea else body end
                  where message = $3 and webhook = $1 and exists (select from mine) returning state)
             select coalesce(extract(epoch from now() - failing_since), 0)::float8 as failing,
                    (select count(*) from delivery.messages where webhook = $1 and state = 'dead' and sort = 'events') as dead
               from mine where exists (select from settled)",
        )
        .bind(webhook.uuid())
        .bind(holder)
        .bind(message)
        .bind(status.map(i32::from))
        .bind(cause)
        .bind(state.as_str())
        .bind(again.unwrap_or_default().as_secs_f64())
        .fetch_optional(&self.parts.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Settled { failing: seconds(row.try_get("failing")?), dead: count(row.try_get("dead")?) }))
    }
}
