//! Event streams that are open: how many, whose, and how they wait.
//!
//! Invariant: a place is held until both the stream's task and its answer have ended, so whoever leaves an answer unread opens no
//! more of them than whoever reads. Streams hold no slot of the requests: they wait far more than they work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::problem::{Problem, ProblemKind};
use crate::archive::Followed;
use crate::record::OfficerId;

/// How much is given to streams.
#[derive(Debug, Clone, Copy)]
pub struct StreamBounds {
    /// Streams at once.
    pub all: usize,
    /// Streams at once of one officer.
    pub each: usize,
    /// Nothing to show for so long: a sign of life is sent. Less than connections may be silent.
    pub keep_alive: Duration,
    /// Between two runs of events that are shown, unless there is more than fits into one: each is an entry.
    pub pace: Duration,
    /// How often the token is asked for again.
    pub ask_again: Duration,
    /// How long a reader may take nothing.
    pub stall: Duration,
}

impl Default for StreamBounds {
    fn default() -> Self {
        Self {
            all: 256,
            each: 8,
            keep_alive: Duration::from_secs(15),
            pace: Duration::from_secs(1),
            ask_again: Duration::from_secs(2),
            stall: Duration::from_secs(30),
        }
    }
}

/// The open streams.
#[derive(Debug)]
pub struct Streams {
    pub(super) bounds: StreamBounds,
    /// Wakes them.
    pub(super) followed: watch::Receiver<Followed>,
    /// Whoever ends the API waits for these.
    pub(super) tasks: TaskTracker,
    open: Arc<Mutex<HashMap<OfficerId, usize>>>,
}

/// One stream's place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    officer: OfficerId,
    open: Arc<Mutex<HashMap<OfficerId, usize>>>,
}

/// On an answer that is a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streaming;

impl Streams {
    /// None are open yet.
    #[must_use]
    pub fn new(bounds: StreamBounds, followed: watch::Receiver<Followed>, tasks: TaskTracker) -> Self {
        Self { bounds, followed, tasks, open: Arc::default() }
    }

    /// A place for one more.
    pub(super) fn place(&self, officer: OfficerId) -> Result<Arc<Place>, Problem> {
        let mut open = self.open.lock();
        let all: usize = open.values().sum();
        let own = open.get(&officer).copied().unwrap_or_default();
        if own >= self.bounds.each {
            let detail = format!("{own} event streams of yours are open, and no more are served");
            return Err(Problem::new(ProblemKind::TooManyStreams).detail(detail));
        }
        if all >= self.bounds.all {
            return Err(Problem::new(ProblemKind::Busy).detail("as many event streams are open as are served"));
        }
        open.insert(officer, own.saturating_add(1));
        Ok(Arc::new(Place { officer, open: Arc::clone(&self.open) }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        let left = open.get(&self.officer).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            open.remove(&self.officer);
        } else {
            open.insert(self.officer, left);
        }
    }
}
