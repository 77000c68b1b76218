//! What an earlier run left: accounts and requests to take over, and captures without an outcome to close as `unknown`.
//!
//! Invariant: only captures of this source, and none whose answer this process is still waiting for. Runs once the spool is
//! replayed (the outcome may be in it), and again from time to time for captures that turned out durable after all.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::retry::{RESTORED, Retries};
use super::{NoAnswer, RecallError};
use crate::record::Timestamp;

const PAUSE: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_secs(5);
const SPOOL_LOOK: Duration = Duration::from_millis(200);
/// How long to wait for what is on record about accounts before starting without it.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);
const BATCH: u32 = 500;
/// In later rounds, captures this young are left alone: their outcome may be on its way into the projection.
const MARGIN_MICROS: i64 = 300 * 1_000_000;

impl Core {
    /// Takes over the accounts that are on record; false when the archive could not be asked.
    pub(crate) async fn restore_accounts(&self) -> bool {
        let known = tokio::time::timeout(RESTORE_TIMEOUT, self.recall.accounts()).await;
        match known.unwrap_or_else(|_elapsed| Err(RecallError("no answer in time".to_owned()))) {
            Ok(known) => {
                self.accounts.restore(known);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "known accounts are not at hand yet");
                false
            }
        }
    }

    /// Takes over which requests were captured last, so that one that a device sends again is linked to the first.
    pub(crate) async fn restore_retries(&self) {
        let kept = self.recall.repeatable(Retries::window(self.now()), RESTORED);
        match tokio::time::timeout(RESTORE_TIMEOUT, kept).await {
            Ok(Ok(kept)) => self.retries.restore(&kept, self.now()),
            Ok(Err(error)) => tracing::warn!(%error, "retries of earlier requests will not be linked"),
            Err(_elapsed) => tracing::warn!("retries of earlier requests will not be linked: no answer in time"),
        }
    }

    /// Closes again and again until told to stop. The first round takes everything there is.
    pub(crate) async fn close_unfinished(self: Arc<Self>, mut restored: bool, stop: CancellationToken) {
        let mut before = self.now();
        loop {
            let round = async {
                while self.spool.is_away() {
                    tokio::time::sleep(SPOOL_LOOK).await;
                }
                restored = restored || self.restore_accounts().await;
                self.close_round(before).await
            };
            let closed = tokio::select! {
                closed = round => closed,
                () = stop.cancelled() => return,
            };
            let pause = match closed {
                Ok(0) => PAUSE,
                Ok(count) => {
                    tracing::info!(count, "captures without an answer are closed as unknown");
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(%error, "open captures cannot be looked up yet");
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let margin = self.now().unix_micros().saturating_sub(MARGIN_MICROS);
            before = Timestamp::from_unix_micros(margin).unwrap_or(before).max(before);
        }
    }

    async fn close_round(&self, before: Timestamp) -> Result<u64, RecallError> {
        let mut closed = 0;
        loop {
            let found = self.recall.unfinished(before, BATCH).await?;
            let ours: Vec<_> = found.iter().filter(|one| !self.open.lock().contains(&one.capture)).collect();
            for unfinished in &ours {
                self.open.lock().insert(unfinished.capture);
                self.keep_at_last(self.outcome_without_answer(unfinished, NoAnswer::Restart)).await;
                closed += 1;
            }
            // What was closed stays in `open`: a projection that lags would bring it again.
            if ours.is_empty() || found.len() < BATCH as usize {
                return Ok(closed);
            }
        }
    }
}
