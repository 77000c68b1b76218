//! The keeper: a task that looks for what holds select, as the ledger grows.
//!
//! Invariant: whoever starts it owns it, and it ends with its token. Nothing that a hold covers depends on it: where it is late, or fails,
//! or was killed, more is covered and not less.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Retain;

/// How often it looks, unless it is woken.
const EVERY: Duration = Duration::from_secs(60);
/// Where there is more to look at, or another process is at it, or it failed.
const SOON: Duration = Duration::from_secs(2);

impl Retain {
    /// Runs until it is stopped.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            let Some(evaluated) = stop.run_until_cancelled(self.evaluate(false)).await else { return };
            let pause = match evaluated {
                Ok(Some(round)) => {
                    if round.named > 0 {
                        tracing::info!(count = round.named, "holds name records that they select");
                    }
                    if round.more { SOON } else { EVERY }
                }
                Ok(None) => SOON,
                Err(error) => {
                    tracing::warn!(%error, "what holds select cannot be looked for; trying again");
                    SOON
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.woken.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
