//! Keeps a body: in memory up to a bound, beyond it in a temporary file that is encrypted and has no name.
//!
//! The file is sealed with a key that lives only in this process and is unlinked as soon as it is made: when the body is dropped, or
//! the process killed, nothing readable is left. Invariants: what is read back is what was kept, or an error (AES-256-GCM by
//! chunk, the chunk's number in the nonce); all bodies together stay within a bound of memory and one of disk.

mod file;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use self::file::{SealedFile, TAG};
use crate::exchange::{Body, BodySource};

/// Plain bytes in one sealed chunk, at most.
const CHUNK: usize = 256 * 1024;
/// Bytes that may wait in memory for the disk before the sender has to.
const BEHIND: usize = 4 * CHUNK;
/// What goes to the disk at once where memory is scarce.
const WORTH: usize = 16 * 1024;

/// Where bodies go that memory cannot hold, and how much is there.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    directory: PathBuf,
    /// Bytes on disk over all bodies, at most.
    total: u64,
    /// Bytes in memory over all bodies: above it, bodies go to the disk as soon as they are worth it.
    memory: usize,
    used: Arc<AtomicU64>,
    in_memory: Arc<AtomicUsize>,
}

impl Scratch {
    /// With at most `total` bytes on disk, and about `memory` bytes in memory.
    pub(crate) fn new(directory: PathBuf, total: u64, memory: usize) -> Self {
        Self { directory, total, memory, used: Arc::default(), in_memory: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        self.in_memory.load(Ordering::Relaxed)
    }

    /// Counts what somebody holds in memory beside the bodies.
    pub(crate) fn charge(&self) -> Charge {
        Charge { in_memory: Arc::clone(&self.in_memory), memory: self.memory, bytes: 0 }
    }
}

/// Bytes in memory, counted as long as they are there.
pub(crate) struct Charge {
    in_memory: Arc<AtomicUsize>,
    /// See [`Scratch`].
    memory: usize,
    bytes: usize,
}

impl Charge {
    pub(crate) fn set(&mut self, bytes: usize) {
        // Two steps, but never below what is there: growth first, shrinkage last.
        self.in_memory.fetch_add(bytes, Ordering::Relaxed);
        self.in_memory.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    fn is_scarce(&self) -> bool {
        self.in_memory.load(Ordering::Relaxed) > self.memory
    }

    /// All together hold more than may be held.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.in_memory.load(Ordering::Relaxed) > self.memory.saturating_mul(2)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.in_memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body in memory, which takes its charge along.
struct Charged {
    bytes: BytesMut,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What becomes of bytes beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// The body is refused: [`Keeper::is_over`].
    Refuse,
    /// They are left out, and the first ones stay.
    Cut,
}

/// Takes a body in.
pub(crate) struct Keeper {
    scratch: Scratch,
    memory_limit: usize,
    limit: u64,
    beyond: Beyond,
    size: u64,
    over: bool,
    memory: BytesMut,
    charge: Charge,
    file: Option<Arc<SealedFile>>,
    /// Lengths of the chunks written so far.
    chunks: Vec<u32>,
    offset: u64,
    writing: Option<JoinHandle<io::Result<Arc<SealedFile>>>>,
}

impl Keeper {
    /// Of at most `limit` bytes, `memory_limit` of them in memory.
    pub(crate) fn new(scratch: Scratch, memory_limit: usize, limit: u64, beyond: Beyond) -> Self {
        let charge = scratch.charge();
        Self {
            scratch,
            memory_limit,
            limit,
            beyond,
            size: 0,
            over: false,
            memory: BytesMut::new(),
            charge,
            file: None,
            chunks: Vec::new(),
            offset: 0,
            writing: None,
        }
    }

    /// More came than the limit.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Adds data. Call [`Self::poll_settle`] before the next.
    pub(crate) fn push(&mut self, data: &[u8]) {
        if self.over {
            return;
        }
        let room = usize::try_from(self.limit - self.size).unwrap_or(usize::MAX);
        let mut data = data;
        if data.len() > room {
            self.over = true;
            match self.beyond {
                Beyond::Refuse => {
                    self.memory = BytesMut::new();
                    self.charge.set(0);
                    return;
                }
                Beyond::Cut => data = data.get(..room).unwrap_or_default(),
            }
        }
        self.size += data.len() as u64;
        self.memory.extend_from_slice(data);
        self.charge.set(self.memory.len());
    }

    /// Moves what memory cannot hold to the disk; ready when more may come.
    pub(crate) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.writing.is_some() {
                match self.poll_written(cx) {
                    Poll::Pending if self.memory.len() < BEHIND => return Poll::Ready(Ok(())),
                    other => ready!(other)?,
                }
            }
            let spilling = self.file.is_some() || self.memory.len() > self.memory_limit.max(CHUNK);
            let enough = if self.charge.is_scarce() { WORTH } else { CHUNK };
            if self.memory.len() < enough || !(spilling || self.charge.is_scarce()) {
                // Small bodies, each not worth a file, can be too many together.
                let exhausted = self.charge.is_exhausted();
                return Poll::Ready(if exhausted { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) });
            }
            self.write();
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(writing) = &mut self.writing {
            let joined = ready!(std::pin::Pin::new(writing).poll(cx));
            self.writing = None;
            self.file = Some(joined.map_err(io::Error::other)??);
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to write the next chunk.
    fn write(&mut self) {
        let chunk = self.memory.split_to(self.memory.len().min(CHUNK)).to_vec();
        self.charge.set(self.memory.len());
        let (file, scratch) = (self.file.clone(), self.scratch.clone());
        let (number, offset) = (self.chunks.len() as u64, self.offset);
        self.chunks.push(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
        self.offset += (chunk.len() + TAG) as u64;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(SealedFile::create(&scratch)?),
            };
            file.write(number, offset, chunk)?;
            Ok(file)
        }));
    }

    /// The whole body.
    pub(crate) async fn finish(mut self) -> io::Result<Body> {
        std::future::poll_fn(|cx| self.poll_written(cx)).await?;
        if self.file.is_none() {
            let Self { memory: bytes, charge: _charge, .. } = self;
            return Ok(if bytes.is_empty() {
                Body::Empty
            } else {
                Bytes::from_owner(Charged { bytes, _charge }).into()
            });
        }
        while !self.memory.is_empty() {
            self.write();
            std::future::poll_fn(|cx| self.poll_written(cx)).await?;
        }
        Ok(match self.file {
            Some(file) => Body::Held(Arc::new(HeldBody { file, size: self.size, chunks: self.chunks.into() })),
            None => Body::Empty,
        })
    }
}

struct HeldBody {
    file: Arc<SealedFile>,
    size: u64,
    chunks: Arc<[u32]>,
}

impl BodySource for HeldBody {
    fn size(&self) -> u64 {
        self.size
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(HeldReader {
            file: Arc::clone(&self.file),
            chunks: Arc::clone(&self.chunks),
            chunk: 0,
            offset: 0,
            plain: io::Cursor::default(),
        }))
    }
}

struct HeldReader {
    file: Arc<SealedFile>,
    chunks: Arc<[u32]>,
    chunk: usize,
    offset: u64,
    plain: io::Cursor<Vec<u8>>,
}

impl Read for HeldReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let Some(length) = self.chunks.get(self.chunk) else { return Ok(0) };
        let length = usize::try_from(*length).unwrap_or(usize::MAX);
        self.plain = io::Cursor::new(self.file.read(self.chunk as u64, self.offset, length)?);
        self.chunk += 1;
        self.offset += (length + TAG) as u64;
        self.plain.read(buffer)
    }
}

type ReadPiece = JoinHandle<io::Result<(Box<dyn Read + Send>, Vec<u8>)>>;

/// Gives a held body out again, piece by piece, without blocking.
pub(crate) enum Releasing {
    Memory(Bytes),
    File { reader: Option<Box<dyn Read + Send>>, reading: Option<ReadPiece>, left: u64 },
}

impl Releasing {
    pub(crate) fn new(body: &Body) -> io::Result<Self> {
        Ok(match body {
            Body::Empty => Self::Memory(Bytes::new()),
            Body::Memory(bytes) => Self::Memory(bytes.clone()),
            Body::Held(source) => Self::File { reader: Some(source.reader()?), reading: None, left: source.size() },
        })
    }

    /// Whether everything has been given out.
    pub(crate) const fn is_ended(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File { left, .. } => *left == 0,
        }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match self {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Self::Memory(bytes) => Poll::Ready(Ok(Some(std::mem::take(bytes)))),
            Self::File { left: 0, .. } => Poll::Ready(Ok(None)),
            Self::File { reader, reading, left } => {
                if reading.is_none() {
                    let mut from = reader.take().ok_or_else(|| io::Error::other("held body was given up"))?;
                    *reading = Some(tokio::task::spawn_blocking(move || {
                        let mut piece = Vec::with_capacity(CHUNK);
                        from.by_ref().take(CHUNK as u64).read_to_end(&mut piece)?;
                        Ok((from, piece))
                    }));
                }
                let Some(task) = reading else { return Poll::Ready(Ok(None)) };
                let joined = ready!(std::pin::Pin::new(task).poll(cx));
                *reading = None;
                let (from, piece) = joined.map_err(io::Error::other)??;
                *reader = Some(from);
                if piece.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                *left = left.saturating_sub(piece.len() as u64);
                Poll::Ready(Ok(Some(piece.into())))
            }
        }
    }
}

#[cfg(test)]
mod tests;
