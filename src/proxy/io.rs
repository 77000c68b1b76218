//! Transports: anything a leg can run over, and one that first gives back what was already read.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything a leg can run over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A leg's transport.
pub(crate) type BoxIo = Box<dyn Io>;

/// A transport whose first bytes have been read already.
pub(crate) struct Rewound {
    first: BytesMut,
    io: BoxIo,
}

impl Rewound {
    /// Puts `first` back in front; costs nothing where it is empty.
    pub(crate) fn over(io: BoxIo, first: BytesMut) -> BoxIo {
        if first.is_empty() { io } else { Box::new(Self { first, io }) }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Most plain bytes gathered from the socket at once, below TLS.
const GATHER: usize = 32 * 1024;

thread_local! {
    /// Where a read lands before it is dealt out. One for a thread and not one for a connection: most connections are idle, and an
    /// idle one must cost nothing here.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; GATHER].into_boxed_slice());
}

/// A socket whose bytes are read in large pieces. The TLS library asks for 4 KiB at a time, which would be a system call each.
pub(crate) struct Gathered<S> {
    io: S,
    /// Read and not yet asked for. Holds no memory while it is empty.
    left: BytesMut,
}

impl<S> Gathered<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, left: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.left.is_empty() {
            let count = this.left.len().min(buf.remaining());
            buf.put_slice(&this.left.split_to(count));
            if this.left.is_empty() {
                this.left = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if buf.remaining() >= GATHER {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        SCRATCH.with(|scratch| {
            // Taken only where one of these reads from another, which then gathers for both.
            let Ok(mut scratch) = scratch.try_borrow_mut() else { return Pin::new(&mut this.io).poll_read(cx, buf) };
            let mut gathered = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut gathered))?;
            let (now, later) = gathered.filled().split_at(gathered.filled().len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                this.left.extend_from_slice(later);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
