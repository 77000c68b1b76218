//! The one write path. Drafts of all connections wait in one bounded queue; one writer commits them in groups.

mod attempt;
mod clock;
mod group;
mod head;
mod parcel;
mod write;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::submission::{Appended, Submission};
use super::{AppendError, ArchiveError, Inconsistency};
use crate::record::{Clock, Ids, SourceId, Word, WordError};
use crate::telemetry::Metrics;
use parcel::Parcel;
use writer::{Tools, Waiting, Writer};

/// Appends that may wait at once, and the content that may wait with them.
const QUEUE: usize = 4_096;
const QUEUE_BYTES: usize = 64 << 20;

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Appender {
    queue: parking_lot::Mutex<Option<mpsc::Sender<Waiting>>>,
    /// Room left for content, in bytes.
    room: Arc<tokio::sync::Semaphore>,
    source: SourceId,
    patience: Duration,
    stopped: watch::Receiver<Option<Inconsistency>>,
    size: watch::Receiver<u64>,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

/// What the appender needs from outside.
pub(super) struct Setting {
    pub(super) login: PgConnectOptions,
    pub(super) source: SourceId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) patience: Duration,
}

impl Appender {
    /// Connects, checks the head and starts the writer. Also says whether our source has no entry yet.
    pub(super) async fn start(setting: Setting) -> Result<(Self, bool), ArchiveError> {
        let Setting { login, source, clock, ids, metrics, patience } = setting;
        let word = |text: &'static str| {
            Word::try_from(text).map_err(|WordError| ArchiveError::Row {
                table: "ledger.entries",
                problem: "a word of ours is not one",
            })
        };
        let (stopped_sender, stopped) = watch::channel(None);
        let (size_sender, size) = watch::channel(0);
        let (actor, clock_step) = (word("archive")?, word("clock_step")?);
        let tools = Tools { login, source, clock, ids, metrics, patience, actor, clock_step };
        let mut writer = Writer::new(tools, stopped_sender, size_sender);
        writer.ready().await?;
        let is_new = writer.head.as_ref().is_some_and(|head| head.source_next == 0);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(writer.run(receiver));
        let appender = Self {
            queue: parking_lot::Mutex::new(Some(sender)),
            room: Arc::new(tokio::sync::Semaphore::new(QUEUE_BYTES)),
            source,
            patience,
            stopped,
            size,
            task: parking_lot::Mutex::new(Some(task)),
        };
        Ok((appender, is_new))
    }

    /// Queues a submission and waits until it is durable.
    pub(super) async fn append(&self, submission: Submission) -> Result<Appended, AppendError> {
        if let Some(inconsistency) = *self.stopped.borrow() {
            return Err(AppendError::Stopped(inconsistency));
        }
        let parcel = Parcel::new(submission, self.source)?;
        let size = u32::try_from(parcel.size).unwrap_or(u32::MAX);
        // Held until the answer: what waits is bounded in bytes as well as in number.
        let _room = self.room.try_acquire_many(size).map_err(|_source| AppendError::Pushback)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { parcel, answers: vec![answer], since: Instant::now() };
        let queue = self.queue.lock().clone().ok_or(AppendError::Closed)?;
        queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Pushback,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        drop(queue);
        // The writer keeps to the time as well; a little more for it to say so itself.
        match tokio::time::timeout(self.patience + Duration::from_millis(500), answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(AppendError::Unavailable),
        }
    }

    /// How many entries the ledger has, as far as this process knows; changes as it appends.
    pub(super) fn size(&self) -> watch::Receiver<u64> {
        self.size.clone()
    }

    /// Why appending has stopped for good, if it has.
    pub(super) fn stopped(&self) -> Option<Inconsistency> {
        *self.stopped.borrow()
    }

    /// Takes no more, finishes what waits, and ends.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic in it would be in the log already; there is nobody left to tell.
            let _ended = task.await;
        }
    }
}
