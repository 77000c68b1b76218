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
use super::{NoAnswer, RecallError, Unfinished};
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
        let (mut before, mut closed_before) = (self.now(), Closed::default());
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

    async fn close_round(&self, before: Timestamp, closed: &mut Closed) -> Result<u64, RecallError> {
        let (mut count, mut is_first) = (0, true);
        loop {
            let found = self.recall.unfinished(before, BATCH).await?;
            let is_all = found.len() < BATCH as usize;
            if std::mem::take(&mut is_first) && is_all {
                closed.forget_known(&found);
            }
            let ours = closed.take_new(&found, |capture| self.open.lock().contains(capture));
            for unfinished in &ours {
                self.keep_at_last(self.outcome_without_answer(unfinished, NoAnswer::Restart)).await;
                count += 1;
            }
            if ours.is_empty() || is_all {
                return Ok(count);
            }
        }
    }
}

/// What was closed and may not be projected as closed yet: a projection that lags brings it again. Bounded by what is open there.
#[derive(Debug, Default)]
struct Closed(HashSet<EntryId>);

impl Closed {
    /// Forgets what the projections know, given all that they have as open: whatever is not in it any more never comes again. A part of it says
    /// nothing of the rest. Nor does it when anything was closed since it was asked for, so this comes first in a round.
    fn forget_known(&mut self, all: &[Unfinished]) {
        let still: HashSet<EntryId> = all.iter().map(|one| one.capture).collect();
        self.0.retain(|capture| still.contains(capture));
    }

    /// Those that are to be closed now; from here on they count as closed. What somebody here still waits for is left alone.
    fn take_new<'a>(&mut self, found: &'a [Unfinished], is_awaited: impl Fn(&EntryId) -> bool) -> Vec<&'a Unfinished> {
        found.iter().filter(|one| !is_awaited(&one.capture) && self.0.insert(one.capture)).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::RecordId;

    fn open(captures: impl IntoIterator<Item = u128>) -> Vec<Unfinished> {
        let open = captures.into_iter().map(|number| Unfinished {
            capture: EntryId::new(Uuid::from_u128(number)),
            record: RecordId::new(Uuid::from_u128(number)),
            streams: Vec::new(),
        });
        open.collect()
    }

    /// A round that is shown this much, all of it: which are closed now.
    fn round(closed: &mut Closed, captures: impl IntoIterator<Item = u128>) -> Vec<u128> {
        let found = open(captures);
        closed.forget_known(&found);
        closed.take_new(&found, |_| false).into_iter().map(|one| one.capture.uuid().as_u128()).collect()
    }

    #[test]
    fn what_the_projections_know_as_closed_is_forgotten_however_many_rounds_there_are() {
        let mut closed = Closed::default();
        for number in 0..10_000_u128 {
            let first = number * 3;
            assert_eq!(round(&mut closed, first..first + 3), [first, first + 1, first + 2]);
            assert_eq!(closed.0.len(), 3, "those that are open there, and no others");
        }
        assert!(round(&mut closed, []).is_empty());
        assert!(closed.0.is_empty() && closed.0.capacity() < 64, "{}", closed.0.capacity());
    }

    #[test]
    fn what_lagging_projections_still_have_as_open_is_not_closed_again() {
        let mut closed = Closed::default();
        assert_eq!(round(&mut closed, 0..4), [0, 1, 2, 3]);
        for _ in 0..3 {
            assert!(round(&mut closed, 0..4).is_empty(), "nothing is projected yet");
        }
        // One part after the other is projected, and others were captured meanwhile.
        assert_eq!(round(&mut closed, 2..6), [4, 5]);
        assert!(round(&mut closed, 2..6).is_empty());
        assert!(round(&mut closed, 3..6).is_empty());
    }

    #[test]
    fn a_part_of_what_is_open_says_nothing_of_the_rest() {
        let mut closed = Closed::default();
        assert_eq!(round(&mut closed, 0..4), [0, 1, 2, 3]);
        // So many that they come in batches: nothing is forgotten by the first.
        assert_eq!(closed.take_new(&open(4..6), |_| false).len(), 2);
        assert!(closed.take_new(&open(0..6), |_| false).is_empty());
    }

    #[test]
    fn what_is_still_waited_for_is_closed_once_nobody_waits_any_more() {
        let mut closed = Closed::default();
        let (found, awaited) = (open(0..2), EntryId::new(Uuid::from_u128(1)));
        assert_eq!(closed.take_new(&found, |capture| *capture == awaited), [&found[0]]);
        assert_eq!(closed.take_new(&found, |_| false), [&found[1]]);
    }
}
