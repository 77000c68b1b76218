//! The bytes of one sealed field, or of a span of it, as an answer: in memory where they are small, streamed where they are large.
//!
//! A large value is read twice: the first pass checks it to the end against its commitment, the second sends it. So nothing is
//! shown that the ledger does not commit to, and nothing is put down in the clear on the way. Memory does not grow with the value.
//! What is sent of it is decided in [`super::range`].

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive::{Content, Field};
use crate::ledger::{Committed, Entry};
use crate::record::{Digest, FieldName};

/// Pieces on the way to the officer at once.
const PIECES: usize = 8;
/// How long an officer may take none of them. Each large answer has a thread.
const STALL: Duration = Duration::from_secs(30);
/// All of a value.
pub(super) const WHOLE: Range<u64> = 0..u64::MAX;

/// Bytes that were checked and not yet shown.
pub(super) struct Checked {
    /// Their digest.
    pub(super) digest: Digest,
    /// How many they are.
    pub(super) size: u64,
    bytes: Held,
}

enum Held {
    /// Here.
    Small(Vec<u8>),
    /// In the blob store, whole and as committed.
    Large { entry: Box<Entry>, name: FieldName, span: Range<u64> },
}

/// The named field of an entry's content; a problem where there is none, or none any more.
pub(super) fn field<'a>(
    entry: &Entry,
    content: &'a Content,
    name: &str,
) -> Result<(&'a FieldName, &'a Field), Problem> {
    let lost = match entry.committed() {
        Committed::Listed(listed) => listed.get(name).is_some(),
        Committed::Root(_) => false,
    };
    let kind = if lost { ProblemKind::Unreadable } else { ProblemKind::NotFound };
    content.0.get_key_value(name).ok_or_else(|| Problem::new(kind))
}

/// Checks a span of a field.
pub(super) async fn check(
    api: &Api,
    entry: Entry,
    content: &Content,
    name: &str,
    span: Range<u64>,
) -> Result<Checked, Problem> {
    let (name, field) = field(&entry, content, name)?;
    match field {
        Field::Value(value) => {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(value.len());
            let bytes = value.get(at(span.start)..at(span.end)).unwrap_or_default().to_vec();
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok(Checked { digest: Digest::of(&[&bytes]), size, bytes: Held::Small(bytes) })
        }
        Field::Blob { .. } => {
            let digesting = Window::new(Digesting { hasher: Sha256::new(), size: 0 }, span.clone());
            let Window { to: Digesting { hasher, size }, .. } = api.archive.read_blob(&entry, name, digesting).await?;
            let bytes = Held::Large { entry: Box::new(entry), name: name.clone(), span };
            Ok(Checked { digest: Digest(hasher.finalize().into()), size, bytes })
        }
    }
}

/// The body of the answer: this part of what was checked.
pub(super) fn body(api: &Api, checked: Checked, part: Range<u64>) -> Body {
    let (entry, name, span) = match checked.bytes {
        Held::Small(value) => {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(value.len());
            let part = at(part.start)..at(part.end);
            return Body::from(Bytes::from(value).slice(part));
        }
        Held::Large { entry, name, span } => (entry, name, span),
    };
    let begin = span.start.saturating_add(part.start);
    let span = begin..begin.saturating_add(part.end.saturating_sub(part.start));
    let (sender, receiver) = mpsc::channel(PIECES);
    let archive = api.archive.clone();
    // Ends when the part does, when the officer goes away and the channel closes, or when the officer takes nothing for long.
    tokio::spawn(async move {
        let (failed, done) = (sender.clone(), Arc::new(AtomicBool::new(false)));
        let left = span.end.saturating_sub(span.start);
        let pieces = Pieces { sender, runtime: Handle::current(), left, done: Arc::clone(&done) };
        let read = archive.read_blob(&entry, &name, Window::new(pieces, span)).await;
        // Whoever has all that was asked for does not wait for the rest of the file, which was checked before.
        if let Err(error) = read
            && !done.load(Ordering::Acquire)
        {
            tracing::warn!(entry.index = entry.index(), error = %error, "a field broke off while it was sent");
            // Cuts the answer off, so that what was sent is not taken for the whole.
            let broken = failed.send(Err(io::Error::from(io::ErrorKind::BrokenPipe)));
            let _gone = tokio::time::timeout(STALL, broken).await;
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece: io::Result<Bytes>| (piece, receiver))
    }))
}

/// Whatever somebody sent or posted, a browser must neither run it as ours nor guess what it is.
pub(super) fn headers(filename: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    put(&mut headers, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{filename}\""));
    headers
}

/// Adds a header, where its value can be one.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
}

/// Passes on what lies in a span of what is written.
struct Window<W> {
    to: W,
    at: u64,
    span: Range<u64>,
}

impl<W> Window<W> {
    const fn new(to: W, span: Range<u64>) -> Self {
        Self { to, at: 0, span }
    }
}

impl<W: Write> Write for Window<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.at.saturating_add(bytes.len() as u64);
        let within = |offset: u64| usize::try_from(offset.clamp(self.at, end) - self.at).unwrap_or(usize::MAX);
        if let Some(inside @ [_, ..]) = bytes.get(within(self.span.start)..within(self.span.end)) {
            self.to.write_all(inside)?;
        }
        self.at = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Takes the digest of what is written, and keeps nothing.
struct Digesting {
    hasher: Sha256,
    size: u64,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands pieces over from a blocking thread; waits while the officer is slow.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
    /// Bytes that are still to come, and whether none is.
    left: u64,
    done: Arc<AtomicBool>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.sender.send_timeout(Ok(Bytes::copy_from_slice(bytes)), STALL);
        let stalled = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.runtime.block_on(sending).map_err(stalled)?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if self.left == 0 {
            self.done.store(true, Ordering::Release);
            // The one way to end the reading early.
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_passes_on_its_span_however_the_bytes_come() {
        let value: Vec<u8> = (0..100).collect();
        for (start, end) in [(0, 100), (0, 0), (10, 20), (99, 100), (40, 1_000), (200, 300), (0, u64::MAX)] {
            for step in [1, 7, 100] {
                let mut window = Window::new(Vec::new(), start..end);
                value.chunks(step).for_each(|chunk| window.write_all(chunk).unwrap());
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(100);
                assert_eq!(window.to, &value[at(start)..at(end)], "{start}..{end} by {step}");
            }
        }
    }
}
