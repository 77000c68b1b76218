//! A stream whose peer may not leave it standing still.
//!
//! Invariant: while nothing is read or written for the limit, the next look at it fails, and with it the connection. That covers what
//! the HTTP libraries leave open: a peer who never says which protocol it speaks, one who reads its answer a byte an hour, one who
//! keeps an idle connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// See the module.
pub(super) struct Moving<S> {
    stream: S,
    limit: Duration,
    /// Armed once; progress only moves the deadline, and the timer looks at it when it fires.
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl<S> Moving<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        Self { stream, limit, timer: Box::pin(tokio::time::sleep_until(deadline)), deadline }
    }

    /// Progress moves the deadline; waiting asks whether it has passed.
    fn look<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.deadline = Instant::now() + self.limit;
            return poll;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.look(cx, poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.look(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        // A flush of nothing is no progress of the peer's.
        if poll.is_ready() { poll } else { self.look(cx, poll) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.look(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.look(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_stream_on_which_nothing_moves_fails_and_one_that_moves_does_not() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Moving::new(near, LIMIT);
        let begun = Instant::now();
        for _ in 0..5 {
            let (wrote, read) = tokio::join!(
                async {
                    tokio::time::sleep(Duration::from_secs(9)).await;
                    far.write_all(b"x").await
                },
                near.read_u8()
            );
            wrote.unwrap();
            assert_eq!(read.unwrap(), b'x');
        }
        assert_eq!(begun.elapsed().as_secs(), 45);
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 55);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_who_does_not_read_is_given_up() {
        let (near, _far) = tokio::io::duplex(8);
        let mut near = Moving::new(near, LIMIT);
        assert_eq!(near.write_all(&[0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
