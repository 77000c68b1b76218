//! The journal: segments in order, one thread that writes them, one fsync for all who wait.
//!
//! Invariant: [`Journal::append`] answers `Ok` only when the payload is durable. An answer that is not `Ok` says nothing about
//! the disk: the payload may be found there later, so whoever appends must bear both. It knows nothing of what a payload means.

mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use self::writer::Writer;
use super::disk::{Disk, SegmentNumber};
use super::frame::{FrameError, MAX_PAYLOAD, SegmentHeader, SpoolKey};
use super::segment::{self, Reading};
use crate::capture::{Entropy, EntropyError};
use crate::record::{Clock, Timestamp};

/// Payload bytes that may wait for the disk at once.
const QUEUE_BYTES: u32 = 64 << 20;
const QUEUE: usize = 4096;
/// Payload bytes made durable by one fsync.
const GROUP_BYTES: usize = 4 << 20;

/// How much the journal may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all segments together; beyond it an append is refused.
    pub total: u64,
    /// Bytes after which a new segment is begun.
    pub segment: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: 1 << 30, segment: 16 << 20 }
    }
}

/// The payload was not made durable, or may not have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The bound is reached.
    #[error("the spool is full ({0} bytes): bring the archive back, or raise archive.spool")]
    Full(u64),
    /// The disk refused.
    #[error("the spool cannot be written ({0}): is the disk full or read-only?")]
    Disk(io::ErrorKind),
    /// The payload could not be sealed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No salt could be made.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The journal has been closed.
    #[error("the spool is closed")]
    Closed,
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.kind())
    }
}

/// What the journal holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Payloads.
    pub frames: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

type Segments = BTreeMap<SegmentNumber, Backlog>;
type Answer = oneshot::Sender<Result<(), JournalError>>;

enum Command {
    Append {
        payload: Bytes,
        done: Answer,
        _room: OwnedSemaphorePermit,
    },
    /// Close the open segment, so that it can be read and removed.
    Roll {
        done: Answer,
    },
}

/// The one handle; dropping it ends the thread after what was asked before.
pub struct Journal {
    disk: Arc<dyn Disk>,
    key: Arc<SpoolKey>,
    commands: Option<mpsc::Sender<Command>>,
    room: Arc<Semaphore>,
    segments: Arc<Mutex<Segments>>,
    bounds: Bounds,
    opened_at: Option<Timestamp>,
    lost: u64,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens what is there (segments of an earlier run are never written again, only read) and starts the thread.
    ///
    /// # Errors
    /// When the directory cannot be read or the thread cannot be started.
    pub fn open(
        disk: Arc<dyn Disk>,
        key: SpoolKey,
        bounds: Bounds,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, JournalError> {
        let mut segments = Segments::new();
        let mut opened_at = None;
        for number in disk.segments()? {
            let content = disk.read(number, read_bound(bounds))?;
            let frames = segment::count(&content);
            segments.insert(number, Backlog { frames, bytes: disk.size(number)? });
            opened_at = opened_at.or_else(|| SegmentHeader::decode(&content).ok().map(|header| header.opened_at));
        }
        if !segments.is_empty() {
            opened_at = opened_at.or_else(|| Some(clock.now()));
        }
        let next = segments.last_key_value().map_or(0, |(number, _)| number.0 + 1);
        let first = segments.first_key_value().map_or(0, |(number, _)| number.0);
        // Segments are removed from the front only, so there are no holes but those somebody made.
        let lost = (next - first).saturating_sub(segments.len() as u64);
        let segments = Arc::new(Mutex::new(segments));
        let key = Arc::new(key);
        let (commands, waiting) = mpsc::channel(QUEUE);
        let writer = Writer {
            disk: Arc::clone(&disk),
            key: Arc::clone(&key),
            clock,
            entropy,
            bounds,
            segments: Arc::clone(&segments),
            next,
            open: None,
            buffer: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run(waiting))?;
        Ok(Self {
            disk,
            key,
            commands: Some(commands),
            room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
            segments,
            bounds,
            opened_at,
            lost,
            thread: Some(thread),
        })
    }

    /// Durable on `Ok`.
    ///
    /// # Errors
    /// See [`JournalError`]. The payload may be on disk nevertheless.
    pub async fn append(&self, payload: Bytes) -> Result<(), JournalError> {
        let weight = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD);
        let weight = weight.ok_or(FrameError::TooLarge(payload.len()))?;
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_source| JournalError::Closed)?;
        self.ask(|done| Command::Append { payload, done, _room: room }).await
    }

    /// The oldest segment with everything in it, closed for writing; none when the journal is empty.
    ///
    /// # Errors
    /// When the open segment could not be closed.
    pub async fn oldest(&self) -> Result<Option<SegmentNumber>, JournalError> {
        // Only the last one can be open for writing.
        if self.segments.lock().len() == 1 {
            self.ask(|done| Command::Roll { done }).await?;
        }
        Ok(self.segments.lock().first_key_value().map(|(number, _)| *number))
    }

    /// Reads a closed segment. `Ok(Err(_))` when nothing in it can be opened.
    ///
    /// # Errors
    /// When the disk cannot read it.
    pub async fn read(&self, number: SegmentNumber) -> Result<Result<Reading, FrameError>, JournalError> {
        let (disk, key, bound) = (Arc::clone(&self.disk), Arc::clone(&self.key), read_bound(self.bounds));
        let read = tokio::task::spawn_blocking(move || {
            disk.read(number, bound).map(|bytes| segment::read(number, &bytes, &key))
        });
        Ok(read.await.map_err(|_source| JournalError::Closed)??)
    }

    /// Forgets a segment whose every payload is durable elsewhere.
    ///
    /// # Errors
    /// When it may still be there.
    pub async fn remove(&self, number: SegmentNumber) -> Result<(), JournalError> {
        self.forget(number, |disk, number| disk.remove(number)).await
    }

    /// Takes a damaged segment out of the journal, but keeps the file.
    ///
    /// # Errors
    /// When it may still be there.
    pub async fn set_aside(&self, number: SegmentNumber) -> Result<(), JournalError> {
        self.forget(number, |disk, number| disk.set_aside(number)).await
    }

    /// When the oldest segment of an earlier run was begun; none when there was nothing left of one.
    #[must_use]
    pub const fn opened_at(&self) -> Option<Timestamp> {
        self.opened_at
    }

    /// Segments of an earlier run that were there and are not: their files were taken away.
    #[must_use]
    pub const fn lost_segments(&self) -> u64 {
        self.lost
    }

    /// What it holds.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.segments.lock().values().fold(Backlog::default(), |sum, one| Backlog {
            frames: sum.frames + one.frames,
            bytes: sum.bytes + one.bytes,
        })
    }

    async fn forget(
        &self,
        number: SegmentNumber,
        how: fn(&dyn Disk, SegmentNumber) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let disk = Arc::clone(&self.disk);
        let gone = tokio::task::spawn_blocking(move || how(&*disk, number).and_then(|()| disk.sync()));
        gone.await.map_err(|_source| JournalError::Closed)??;
        self.segments.lock().remove(&number);
        Ok(())
    }

    async fn ask(&self, command: impl FnOnce(Answer) -> Command) -> Result<(), JournalError> {
        let (done, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(JournalError::Closed)?;
        commands.send(command(done)).await.map_err(|_source| JournalError::Closed)?;
        answer.await.map_err(|_source| JournalError::Closed)?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the spool thread ended abnormally");
        }
    }
}

/// The largest a segment can be: its bound, and the frames of one group beyond it.
fn read_bound(bounds: Bounds) -> u64 {
    bounds.segment + (GROUP_BYTES + 2 * MAX_PAYLOAD) as u64
}
