//! A lane: a bounded queue into a background task, for what must not hold up a device.
//!
//! Invariant: what waits is bounded in number and in bytes; what does not fit is handed back to the caller, who puts its loss
//! on record. Closing lets everything that waits be worked off first.

use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The end where things are put in.
pub(crate) struct Lane<T> {
    sender: parking_lot::Mutex<Option<mpsc::Sender<Waiting<T>>>>,
    room: Arc<Semaphore>,
    room_bytes: u32,
}

/// The end where they come out.
pub(crate) struct LaneEnd<T>(mpsc::Receiver<Waiting<T>>);

struct Waiting<T> {
    what: T,
    /// Given back when the work is done, not when it begins: bodies stay in memory until then.
    room: OwnedSemaphorePermit,
}

/// A lane for at most `number` things of together at most `bytes`.
pub(crate) fn lane<T>(number: usize, bytes: u32) -> (Lane<T>, LaneEnd<T>) {
    let (sender, receiver) = mpsc::channel(number);
    let room = Arc::new(Semaphore::new(bytes as usize));
    (Lane { sender: parking_lot::Mutex::new(Some(sender)), room, room_bytes: bytes }, LaneEnd(receiver))
}

impl<T> Lane<T> {
    /// Puts something in that holds so many bytes; hands it back where there is no room. Never blocks.
    pub(crate) fn push(&self, what: T, bytes: u64) -> Result<(), T> {
        // One thing larger than the whole lane may go in alone.
        let weight = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room_bytes);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(weight) else { return Err(what) };
        let sender = self.sender.lock();
        let Some(sender) = &*sender else { return Err(what) };
        sender.try_send(Waiting { what, room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(waiting) | mpsc::error::TrySendError::Closed(waiting) => waiting.what,
        })
    }

    /// Takes nothing more; the other end finishes what waits.
    pub(crate) fn close(&self) {
        *self.sender.lock() = None;
    }
}

impl<T> LaneEnd<T> {
    /// Works everything off, at most `at_once` at a time, until the lane is closed and empty.
    pub(crate) async fn run<F: Future<Output = ()>>(self, at_once: usize, work: impl Fn(T) -> F) {
        let waiting = futures_util::stream::unfold(self.0, |mut receiver| async move {
            receiver.recv().await.map(|waiting| (waiting, receiver))
        });
        waiting
            .for_each_concurrent(at_once, |Waiting { what, room }| {
                // What is worked on at once is moved about; the work itself, which may be large, stays where it is.
                let work = Box::pin(work(what));
                async move {
                    work.await;
                    drop(room);
                }
            })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_handed_back_and_what_waits_is_worked_off_after_closing() {
        let (lane, end) = lane(3, 100);
        assert_eq!(lane.push(1, 60), Ok(()));
        assert_eq!(lane.push(2, 60), Err(2), "over the bytes");
        assert_eq!(lane.push(3, 20), Ok(()));
        assert_eq!(lane.push(4, 20), Ok(()));
        assert_eq!(lane.push(5, 0), Err(5), "over the number");
        lane.close();
        assert_eq!(lane.push(6, 0), Err(6), "closed");
        let sum = AtomicU32::new(0);
        end.run(2, |number| {
            let sum = &sum;
            async move {
                sum.fetch_add(number, Ordering::Relaxed);
            }
        })
        .await;
        assert_eq!(sum.into_inner(), 8);
    }

    #[tokio::test]
    async fn one_thing_larger_than_the_lane_goes_in_alone() {
        let (lane, _end) = lane(3, 100);
        assert_eq!(lane.push(1, 1 << 40), Ok(()));
        assert_eq!(lane.push(2, 1), Err(2));
    }
}
