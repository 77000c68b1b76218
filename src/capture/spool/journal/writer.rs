//! The thread that writes the journal: groups of payloads, one fsync for all who wait.
//!
//! Invariant: a segment is written once, by this thread alone, and never again after a write to it has failed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Answer, Backlog, Bounds, Command, GROUP_BYTES, JournalError, Segments};
use crate::capture::Entropy;
use crate::capture::spool::disk::{Disk, SegmentFile, SegmentNumber};
use crate::capture::spool::frame::{HEADER, SegmentHeader, SegmentKey, SpoolKey};
use crate::capture::spool::segment::on_disk;
use crate::record::{Clock, Timestamp};

/// The segment being written.
pub(super) struct Open {
    number: SegmentNumber,
    file: Box<dyn SegmentFile>,
    key: SegmentKey,
    frames: u64,
    bytes: u64,
}

/// Owned by the thread.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) key: Arc<SpoolKey>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) bounds: Bounds,
    /// Shared with the handle, which takes segments out; this side puts them in.
    pub(super) segments: Arc<Mutex<Segments>>,
    pub(super) next: u64,
    pub(super) open: Option<Open>,
    pub(super) buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Command>) {
        let mut group = Vec::new();
        while let Some(first) = waiting.blocking_recv() {
            let mut command = Some(first);
            let mut bytes = 0;
            // Whoever came while the last fsync ran shares the next one.
            while let Some(Command::Append { payload, done, _room }) = command {
                bytes += payload.len();
                group.push((payload, done, _room));
                command = if bytes < GROUP_BYTES { waiting.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.append(&mut group);
            }
            if let Some(Command::Roll { done }) = command {
                self.roll();
                answer(done, Ok(()));
            }
        }
    }

    fn append(&mut self, group: &mut Vec<(Bytes, Answer, OwnedSemaphorePermit)>) {
        let mut open = match self.open.take().map_or_else(|| self.begin(), Ok) {
            Ok(open) => open,
            Err(error) => return group.drain(..).for_each(|(_, done, _)| answer(done, Err(error.clone()))),
        };
        let mut left = self.bounds.total.saturating_sub(self.segments.lock().values().map(|one| one.bytes).sum());
        let mut sealed = Vec::with_capacity(group.len());
        self.buffer.clear();
        for (payload, done, room) in group.drain(..) {
            let size = on_disk(payload.len()) as u64;
            if size > left {
                answer(done, Err(JournalError::Full(self.bounds.total)));
                continue;
            }
            match open.key.seal(open.frames, &payload, &mut self.buffer) {
                Ok(()) => {
                    open.frames += 1;
                    left -= size;
                    sealed.push((done, room));
                }
                Err(error) => answer(done, Err(error.into())),
            }
        }
        let written = if sealed.is_empty() {
            Ok(())
        } else {
            open.file.write(&self.buffer).and_then(|()| open.file.sync()).map_err(JournalError::from)
        };
        open.bytes += self.buffer.len() as u64;
        self.segments.lock().insert(open.number, Backlog { frames: open.frames, bytes: open.bytes });
        // A segment that failed once is given up: its numbers are used, and a later fsync would prove nothing about it.
        if written.is_ok() && open.bytes < self.bounds.segment {
            self.open = Some(open);
        }
        for (done, _room) in sealed {
            answer(done, written.clone());
        }
        if self.buffer.capacity() > 2 * GROUP_BYTES {
            self.buffer = Vec::new();
        }
    }

    /// A fresh segment, durable by name and with its header, before the first frame goes in.
    fn begin(&mut self) -> Result<Open, JournalError> {
        let mut salt = [0; 32];
        self.entropy.fill(&mut salt)?;
        let header = SegmentHeader { opened_at: self.now(), salt };
        let (number, mut file) = self.create()?;
        let key = self.key.segment(number, &header.salt)?;
        let bytes = (HEADER * 2) as u64;
        let begun = file.write(&header.encode()).and_then(|()| file.sync()).and_then(|()| self.disk.sync());
        if let Err(error) = begun {
            // On a full disk this happens at every append: what is of no use must not pile up.
            if self.disk.remove(number).is_ok() {
                self.next = number.0;
            } else {
                self.segments.lock().insert(number, Backlog { frames: 0, bytes });
            }
            return Err(error.into());
        }
        self.segments.lock().insert(number, Backlog { frames: 0, bytes });
        Ok(Open { number, file, key, frames: 0, bytes })
    }

    /// A number is used up only when its file is there: one that is missing later means a file that was taken away.
    fn create(&mut self) -> io::Result<(SegmentNumber, Box<dyn SegmentFile>)> {
        let mut created = self.disk.create(SegmentNumber(self.next));
        if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            // Left by a create that failed and had made it nevertheless.
            self.next += 1;
            created = self.disk.create(SegmentNumber(self.next));
        }
        let number = SegmentNumber(self.next);
        self.next += u64::from(created.is_ok());
        Ok((number, created?))
    }

    fn roll(&mut self) {
        self.open = None;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn answer(done: Answer, result: Result<(), JournalError>) {
    // The one who asked may have gone away; what was written stays written.
    drop(done.send(result));
}
