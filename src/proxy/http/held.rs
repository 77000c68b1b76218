//! Keeps a body: in memory up to a bound, beyond it in a temporary file that is encrypted and has no name.
//!
//! The file is sealed with a key that lives only in this process and is unlinked as soon as it is made: when the body is dropped, or
//! the process killed, nothing readable is left. Invariant: what is read back is what was kept, or an error (AES-256-GCM by
//! chunk, the chunk's number in the nonce).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::exchange::{Body, BodySource};

/// Plain bytes in one sealed chunk.
const CHUNK: usize = 256 * 1024;
const TAG: usize = 16;
/// Bytes that may wait in memory for the disk before the sender has to.
const BEHIND: usize = 4 * CHUNK;
/// Bytes on disk over all bodies that are held at once.
const TOTAL: u64 = 16 << 30;

/// Where bodies go that memory cannot hold, and how much is there.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    directory: PathBuf,
    used: Arc<AtomicU64>,
}

impl Scratch {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, used: Arc::default() }
    }

    fn create(&self) -> io::Result<SealedFile> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_source| io::Error::other("no random bytes"))?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_source| io::Error::other("cipher refused its key"))?;
        Ok(SealedFile {
            file: tempfile::tempfile_in(&self.directory)?,
            key: LessSafeKey::new(key),
            scratch: self.clone(),
            taken: AtomicU64::new(0),
        })
    }
}

struct SealedFile {
    file: File,
    key: LessSafeKey,
    scratch: Scratch,
    taken: AtomicU64,
}

impl SealedFile {
    fn nonce(chunk: u64) -> Nonce {
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(4).zip(chunk.to_be_bytes()) {
            *to = from;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn write(&self, chunk: u64, mut data: Vec<u8>) -> io::Result<()> {
        let size = (data.len() + TAG) as u64;
        if self.scratch.used.fetch_add(size, Ordering::Relaxed) > TOTAL {
            self.scratch.used.fetch_sub(size, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.taken.fetch_add(size, Ordering::Relaxed);
        self.key
            .seal_in_place_append_tag(Self::nonce(chunk), Aad::empty(), &mut data)
            .map_err(|_source| io::Error::other("chunk cannot be sealed"))?;
        self.file.write_all_at(&data, chunk * (CHUNK + TAG) as u64)
    }

    fn read(&self, chunk: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length + TAG];
        self.file.read_exact_at(&mut data, chunk * (CHUNK + TAG) as u64)?;
        let plain = self
            .key
            .open_in_place(Self::nonce(chunk), Aad::empty(), &mut data)
            .map_err(|_source| io::Error::new(io::ErrorKind::InvalidData, "held chunk was changed"))?
            .len();
        data.truncate(plain);
        Ok(data)
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        self.scratch.used.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
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
    file: Option<Arc<SealedFile>>,
    chunks: u64,
    writing: Option<JoinHandle<io::Result<Arc<SealedFile>>>>,
}

impl Keeper {
    /// Of at most `limit` bytes, `memory_limit` of them in memory.
    pub(crate) fn new(scratch: Scratch, memory_limit: usize, limit: u64, beyond: Beyond) -> Self {
        Self {
            scratch,
            memory_limit,
            limit,
            beyond,
            size: 0,
            over: false,
            memory: BytesMut::new(),
            file: None,
            chunks: 0,
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
                    return;
                }
                Beyond::Cut => data = data.get(..room).unwrap_or_default(),
            }
        }
        self.size += data.len() as u64;
        self.memory.extend_from_slice(data);
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
            if !spilling || self.memory.len() < CHUNK {
                return Poll::Ready(Ok(()));
            }
            let chunk = self.memory.split_to(CHUNK).to_vec();
            self.write(chunk);
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

    fn write(&mut self, chunk: Vec<u8>) {
        let (file, scratch, number) = (self.file.clone(), self.scratch.clone(), self.chunks);
        self.chunks += 1;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(scratch.create()?),
            };
            file.write(number, chunk)?;
            Ok(file)
        }));
    }

    /// The whole body.
    pub(crate) async fn finish(mut self) -> io::Result<Body> {
        std::future::poll_fn(|cx| self.poll_written(cx)).await?;
        if self.file.is_none() {
            return Ok(self.memory.freeze().into());
        }
        while !self.memory.is_empty() {
            let chunk = self.memory.split_to(self.memory.len().min(CHUNK)).to_vec();
            self.write(chunk);
            std::future::poll_fn(|cx| self.poll_written(cx)).await?;
        }
        Ok(match self.file {
            Some(file) => Body::Held(Arc::new(HeldBody { file, size: self.size })),
            None => Body::Empty,
        })
    }
}

struct HeldBody {
    file: Arc<SealedFile>,
    size: u64,
}

impl BodySource for HeldBody {
    fn size(&self) -> u64 {
        self.size
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(HeldReader {
            file: Arc::clone(&self.file),
            size: self.size,
            chunk: 0,
            plain: io::Cursor::default(),
        }))
    }
}

struct HeldReader {
    file: Arc<SealedFile>,
    size: u64,
    chunk: u64,
    plain: io::Cursor<Vec<u8>>,
}

impl Read for HeldReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let left = self.size.saturating_sub(self.chunk * CHUNK as u64);
        if left == 0 {
            return Ok(0);
        }
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        self.plain = io::Cursor::new(self.file.read(self.chunk, length)?);
        self.chunk += 1;
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
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn keep(directory: &std::path::Path, body: &[u8], memory: usize, limit: u64, beyond: Beyond) -> (Body, bool) {
        let mut keeper = Keeper::new(Scratch::new(directory.to_owned()), memory, limit, beyond);
        for piece in body.chunks(100_000) {
            keeper.push(piece);
            poll_fn(|cx| keeper.poll_settle(cx)).await.unwrap();
        }
        let over = keeper.is_over();
        (keeper.finish().await.unwrap(), over)
    }

    fn read(body: &Body) -> Vec<u8> {
        let mut all = Vec::new();
        body.reader().unwrap().read_to_end(&mut all).unwrap();
        all
    }

    #[tokio::test]
    async fn a_body_is_read_back_as_it_was_kept_wherever_it_was_kept() {
        let directory = tempfile::tempdir().unwrap();
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77] {
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let (kept, over) = keep(directory.path(), &body, CHUNK, 1 << 30, Beyond::Refuse).await;
            assert!(!over);
            assert_eq!(kept.size(), size as u64);
            assert_eq!(read(&kept), body, "{size}");
            assert_eq!(read(&kept), body, "a second reader of {size}");
            let mut releasing = Releasing::new(&kept).unwrap();
            let mut released = Vec::new();
            while let Some(piece) = poll_fn(|cx| releasing.poll_next(cx)).await.unwrap() {
                released.extend_from_slice(&piece);
            }
            assert_eq!(released, body);
            assert!(releasing.is_ended());
        }
    }

    #[tokio::test]
    async fn p3_nothing_readable_reaches_the_disk_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let secret = b"planted secret ".repeat(100_000);
        let scratch = Scratch::new(directory.path().to_owned());
        let mut keeper = Keeper::new(scratch.clone(), 0, 1 << 30, Beyond::Refuse);
        keeper.push(&secret);
        poll_fn(|cx| keeper.poll_settle(cx)).await.unwrap();
        let kept = keeper.finish().await.unwrap();
        assert!(matches!(kept, Body::Held(_)));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the file has no name");
        // The kernel still shows it under the process's descriptors.
        let mut seen = 0;
        for descriptor in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
            let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
            if target.starts_with(directory.path()) {
                let bytes = std::fs::read(descriptor.path()).unwrap();
                assert!(bytes.len() >= secret.len());
                assert!(memchr::memmem::find(&bytes, b"planted").is_none());
                seen += 1;
            }
        }
        assert_eq!(seen, 1);
        assert!(scratch.used.load(Ordering::Relaxed) > 0);
        drop(kept);
        assert_eq!(scratch.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_limit_refuses_or_cuts() {
        let directory = tempfile::tempdir().unwrap();
        let body = vec![7; 300_000];
        let (kept, over) = keep(directory.path(), &body, CHUNK, 250_000, Beyond::Cut).await;
        assert!(over);
        assert_eq!(read(&kept), vec![7; 250_000]);
        let (_, over) = keep(directory.path(), &body, CHUNK, 250_000, Beyond::Refuse).await;
        assert!(over);
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_an_error_and_not_a_lost_body() {
        let scratch = Scratch::new("/nonexistent/held".into());
        let mut keeper = Keeper::new(scratch, 0, 1 << 30, Beyond::Refuse);
        keeper.push(&vec![1; 3 * CHUNK]);
        let mut failed = poll_fn(|cx| keeper.poll_settle(cx)).await.is_err();
        failed |= keeper.finish().await.is_err();
        assert!(failed);
    }
}
