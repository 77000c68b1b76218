//! One timer for a connection, moved forward lazily, and the word to stop.
//!
//! A timer that is set anew for every read costs more than the read. This one is armed once; progress only moves a deadline,
//! and the timer looks at it when it fires.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Waits with a bound.
pub(crate) struct Patience {
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: bool,
}

impl Patience {
    pub(crate) fn new(limit: Duration, stop: &CancellationToken) -> Self {
        let deadline = Instant::now() + limit;
        Self {
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            deadline,
            stop: Box::pin(stop.clone().cancelled_owned()),
            stopping: false,
        }
    }

    /// From now on, this long.
    pub(crate) fn allow(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    /// Ready when it has run out.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    /// Ready once the service drains: no further request is waited for.
    pub(crate) fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.stopping {
            ready!(self.stop.as_mut().poll(cx));
            self.stopping = true;
        }
        Poll::Ready(())
    }

    /// Whether the service drains, as far as it was noticed.
    pub(crate) const fn is_stopping(&self) -> bool {
        self.stopping
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_moves_the_deadline_both_ways() {
        let start = Instant::now();
        let stop = CancellationToken::new();
        let mut patience = Patience::new(Duration::from_secs(10), &stop);
        tokio::time::sleep(Duration::from_secs(9)).await;
        patience.allow(Duration::from_secs(10));
        poll_fn(|cx| patience.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 19);
        patience.allow(Duration::from_secs(100));
        patience.allow(Duration::from_secs(1));
        poll_fn(|cx| patience.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
        stop.cancel();
        poll_fn(|cx| patience.poll_stop(cx)).await;
        assert!(patience.is_stopping());
    }
}
