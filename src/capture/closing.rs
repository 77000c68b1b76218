//! What an earlier run left: accounts and requests to take over, and captures without an outcome to close as `unknown`.
//!
//! Invariant: only captures of this source, and none whose answer this process is still waiting for. Runs once the spool is
//! replayed (the outcome may be in it), and again from time to time for captures that turned out durable after all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::retry::{RESTORED, Retries};
use super::{NoAnswer, RecallError};
use crate::record::{EntryId, Timestamp};

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
        let (mut before, mut closed_before) = (self.now(), HashSet::new());
        loop {
            let round = async {
                while self.spool.is_away() {
                    tokio::time::sleep(SPOOL_LOOK).await;
                }
                restored = restored || self.restore_accounts().await;
                self.close_round(before, &mut closed_before).await
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

    /// `closed` is what was closed already: a projection that lags brings it again.
    async fn close_round(&self, before: Timestamp, closed: &mut HashSet<EntryId>) -> Result<u64, RecallError> {
        let (mut count, mut is_first) = (0, true);
        loop {
            let found = self.recall.unfinished(before, BATCH).await?;
            let is_all = found.len() < BATCH as usize;
            if std::mem::take(&mut is_first) && is_all {
                closed.retain(|capture| found.iter().any(|one| one.capture == *capture));
            }
            let is_ours = |capture| !closed.contains(capture) && !self.open.lock().contains(capture);
            let ours: Vec<_> = found.iter().filter(|one| is_ours(&one.capture)).collect();
            for unfinished in &ours {
                closed.insert(unfinished.capture);
                self.keep_at_last(self.outcome_without_answer(unfinished, NoAnswer::Restart)).await;
                count += 1;
            }
            if ours.is_empty() || is_all {
                return Ok(count);
            }
        }
    }
}
