//! Writes that were refused although the archive may have taken them: nobody knew in time.
//!
//! Invariant: a capture in doubt was never released, so what became of it is known; only whether it exists is not. One that turns out
//! to be on record is closed as not sent, as soon as the archive can be asked. What is remembered is bounded: what finds no room, or
//! turns up later than anybody looks, is closed by [`super::closing`], like what an earlier run left.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::{NoAnswer, RecallError, Unfinished};
use crate::record::EntryId;

/// A write is in doubt only if its append was begun, so an outage brings about as many as there are writes within one append's time.
const MOST: usize = 4096;
/// How often the archive is asked for one. It is back by then, and what was under way when it went away is decided with the first entry
/// that is appended after; only a network may hold something back for longer.
const LOOKS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SPOOL_LOOK: Duration = Duration::from_millis(100);

/// The captures in doubt.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    table: Mutex<Vec<Doubt>>,
    noted: Notify,
}

#[derive(Debug)]
struct Doubt {
    capture: Unfinished,
    looks: u32,
}

impl Doubts {
    /// Takes one in; false when there is no room.
    fn note(&self, capture: Unfinished) -> bool {
        let mut table = self.table.lock();
        if table.len() >= MOST {
            return false;
        }
        table.push(Doubt { capture, looks: 0 });
        self.noted.notify_one();
        true
    }

    fn captures(&self) -> Vec<EntryId> {
        self.table.lock().iter().map(|doubt| doubt.capture.capture).collect()
    }

    /// Takes out what is on record, and what was `asked` for often enough: that was never appended.
    fn settle(&self, asked: &[EntryId], there: &HashSet<EntryId>) -> (Vec<Unfinished>, Vec<EntryId>) {
        let asked: HashSet<&EntryId> = asked.iter().collect();
        let (mut found, mut never) = (Vec::new(), Vec::new());
        self.table.lock().retain_mut(|doubt| {
            let capture = doubt.capture.capture;
            if there.contains(&capture) {
                found.push(doubt.capture.clone());
                return false;
            }
            doubt.looks += u32::from(asked.contains(&capture));
            if doubt.looks >= LOOKS {
                never.push(capture);
                return false;
            }
            true
        });
        (found, never)
    }
}

impl Core {
    /// A write is refused, and may be on record all the same. Until that is known, nobody else closes it ([`Core::open`]).
    pub(crate) fn doubt(&self, capture: Unfinished) {
        let id = capture.capture;
        if !self.doubts.note(capture) {
            self.open.lock().remove(&id);
        }
    }

    /// Looks for what is in doubt and closes what is there, until told to stop; what is then left is closed by the next start.
    pub(crate) async fn settle_doubts(self: Arc<Self>, stop: CancellationToken) {
        let settling = async {
            loop {
                self.doubts.noted.notified().await;
                let mut pause = FIRST_PAUSE;
                loop {
                    // What is in the spool may be one of them; and whoever is away cannot be asked.
                    while self.spool.is_away() {
                        tokio::time::sleep(SPOOL_LOOK).await;
                    }
                    let asked = self.doubts.captures();
                    if asked.is_empty() {
                        break;
                    }
                    if let Err(error) = self.settle_round(&asked).await {
                        tracing::warn!(%error, "whether refused writes are on record cannot be looked up yet");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        stop.run_until_cancelled(settling).await;
    }

    async fn settle_round(&self, asked: &[EntryId]) -> Result<(), RecallError> {
        let there = self.recall.on_record(asked).await?;
        let (found, never) = self.doubts.settle(asked, &there);
        for id in never {
            self.open.lock().remove(&id);
        }
        for capture in found {
            tracing::info!(entry.id = %capture.capture, "a refused write is on record; it is closed as not sent");
            self.keep_at_last(self.outcome_without_answer(&capture, NoAnswer::NotSent)).await;
            self.open.lock().remove(&capture.capture);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::RecordId;

    fn capture(number: u128) -> Unfinished {
        let id = Uuid::from_u128(number);
        Unfinished { capture: EntryId::new(id), record: RecordId::new(id), streams: Vec::new() }
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let doubts = Doubts::default();
        let taken = (0..10_000).filter(|number| doubts.note(capture(*number))).count();
        assert_eq!((taken, doubts.captures().len()), (MOST, MOST));
    }

    #[test]
    fn what_is_there_is_found_once_and_what_never_comes_is_forgotten() {
        let doubts = Doubts::default();
        assert!(doubts.note(capture(1)) && doubts.note(capture(2)));
        let asked = doubts.captures();
        let there = HashSet::from([capture(2).capture]);
        assert_eq!(doubts.settle(&asked, &there), (vec![capture(2)], Vec::new()));
        // One that comes meanwhile was not asked for, and is looked for as often as any.
        assert!(doubts.note(capture(3)));
        for _ in 2..LOOKS {
            assert_eq!(doubts.settle(&asked, &HashSet::new()), (Vec::new(), Vec::new()));
        }
        assert_eq!(doubts.settle(&asked, &HashSet::new()), (Vec::new(), vec![capture(1).capture]));
        assert_eq!(doubts.captures(), [capture(3).capture]);
    }
}
