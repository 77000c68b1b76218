//! One HTTP/1 connection: a buffered reader of heads and framed bodies, and a buffered writer.
//!
//! Everything is a `poll_…` method, so that one task can drive both directions of both legs of an exchange without locks or
//! channels. Invariant: what was read past a message stays in the buffer for the next one (pipelining), and what is queued goes
//! out in order.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method};
use tokio::io::AsyncWrite as _;

use super::decode::{Decoder, Piece};
use super::fault::Fault;
use super::framing::Framing;
use super::head::{self, Progress, RequestStart, ResponseStart};
use crate::proxy::io::BoxIo;

/// Room made for one read.
const READ: usize = 4 * 1024;
/// Room made for one read once a body flows: one TLS record.
const READ_BODY: usize = 16 * 1024;
/// Body bytes gathered before they are passed on.
const GATHER: usize = 64 * 1024;
/// Data up to this size is copied behind what is queued, so that it leaves in the same TLS record.
const COPY: usize = 8 * 1024;

/// A part of a body on its way through.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// How the body being written ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Ended,
    Length(u64),
    Chunked,
    UntilClose,
}

/// An HTTP/1 connection.
pub(crate) struct Conn {
    io: BoxIo,
    input: BytesMut,
    input_ended: bool,
    /// Met while gathering; told once what came before it has been used up.
    input_error: Option<io::Error>,
    progress: Progress,
    head_limit: usize,
    decoder: Decoder,
    encoding: Encoding,
    /// Queued, in this order: heads and small data; one large piece, not copied; what closes it.
    queued: BytesMut,
    large: Bytes,
    closing: &'static [u8],
}

impl Conn {
    /// Over a transport, with what was already read from it.
    pub(crate) fn new(io: BoxIo, already_read: BytesMut) -> Self {
        Self {
            io,
            input: already_read,
            input_ended: false,
            input_error: None,
            progress: Progress::default(),
            head_limit: head::HEAD_LIMIT,
            decoder: Decoder::new(Framing::None),
            encoding: Encoding::Ended,
            queued: BytesMut::new(),
            large: Bytes::new(),
            closing: b"",
        }
    }

    /// With another limit for heads.
    pub(crate) const fn limited(mut self, head_limit: usize) -> Self {
        self.head_limit = head_limit;
        self
    }

    /// Gives the transport back, with what was read from it and belongs to nobody yet. Call it flushed.
    pub(crate) fn into_parts(self) -> (BoxIo, BytesMut) {
        (self.io, self.input)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if let Some(error) = self.input_error.take() {
            return Poll::Ready(Err(error));
        }
        if self.input_ended {
            return Poll::Ready(Ok(0));
        }
        if self.input.capacity() - self.input.len() < room / 4 {
            self.input.reserve(room);
        }
        let count = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.input))?;
        self.input_ended = count == 0;
        Poll::Ready(Ok(count))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        loop {
            if !self.input.is_empty()
                && let Some(head) = head::take(&mut self.input, &mut self.progress, self.head_limit)?
            {
                return Poll::Ready(Ok(Some(head)));
            }
            if self.input.capacity() == 0 {
                self.input.reserve(READ);
            }
            match ready!(self.poll_fill(cx, READ)) {
                Ok(1..) => {}
                // Between messages, however the peer leaves is a way to leave: with close_notify, without, with a reset.
                Ok(_) | Err(_) if self.input.is_empty() => return Poll::Ready(Ok(None)),
                Ok(_) => return Poll::Ready(Err(Fault::Truncated)),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The next request's head; none when the peer ended the connection between messages.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RequestStart>, Fault>> {
        let Some(head) = ready!(self.poll_head(cx))? else { return Poll::Ready(Ok(None)) };
        let start = head::request(&head)?;
        self.decoder = Decoder::new(start.framing);
        Poll::Ready(Ok(Some(start)))
    }

    /// The head of a response to `method`; none when the peer ended the connection before its first byte.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<Option<ResponseStart>, Fault>> {
        let Some(head) = ready!(self.poll_head(cx))? else { return Poll::Ready(Ok(None)) };
        let start = head::response(&head, method)?;
        self.decoder = Decoder::new(start.framing);
        Poll::Ready(Ok(Some(start)))
    }

    /// The next part of the body being read; none at its end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Fault>> {
        loop {
            match self.decoder.next(&mut self.input)? {
                Some(Piece::Data(data)) => return Poll::Ready(Ok(Some(Frame::Data(data)))),
                Some(Piece::Trailers(fields)) => return Poll::Ready(Ok(Some(Frame::Trailers(fields)))),
                Some(Piece::End) => return Poll::Ready(Ok(None)),
                None => {}
            }
            if ready!(self.poll_fill(cx, READ_BODY))? == 0 {
                let whole = self.decoder.ends_with_connection();
                self.decoder = Decoder::new(Framing::None);
                return Poll::Ready(if whole { Ok(None) } else { Err(Fault::Truncated) });
            }
            // TLS hands out a record at a time; several make one write on the other leg.
            while self.input.len() < GATHER {
                match self.poll_fill(cx, READ_BODY) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Err(error)) => {
                        self.input_error = Some(error);
                        break;
                    }
                    Poll::Ready(Ok(_)) | Poll::Pending => break,
                }
            }
        }
    }

    /// Whether the body being read has been read to its end.
    pub(crate) const fn body_is_read(&self) -> bool {
        self.decoder.is_ended()
    }

    /// Whether bytes of a further message are there already.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Ready when the peer has ended its side. What it sends ahead of its turn is read, up to a bound, and kept.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.input.len() < READ {
            match ready!(self.poll_fill(cx, READ)) {
                Ok(1..) => {}
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Looks at an idle connection: still open, and silent. A peer that talks out of turn is not to be trusted with a request.
    pub(crate) fn poll_is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.is_empty() && self.poll_fill(cx, READ).is_pending()
    }

    /// Reads and forgets, so that the peer is not reset while it still sends (RFC 9112 §9.6). Ready at the end.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.input.clear();
            match ready!(self.poll_fill(cx, READ_BODY)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// The queue that heads are written to.
    pub(crate) const fn head_queue(&mut self) -> &mut BytesMut {
        &mut self.queued
    }

    /// After a head: what body follows.
    pub(crate) const fn start_body(&mut self, framing: Framing) {
        self.encoding = match framing {
            Framing::None => Encoding::Ended,
            Framing::Length(length) => Encoding::Length(length),
            Framing::Chunked => Encoding::Chunked,
            Framing::UntilClose => Encoding::UntilClose,
        };
    }

    /// Queues data of the body being written; ready once all of it is queued. Large pieces are not copied.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), Fault>> {
        if data.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !self.is_copying() || self.queued.len() > GATHER {
            ready!(self.poll_flush_queue(cx))?;
        }
        let length = data.len() as u64;
        match &mut self.encoding {
            Encoding::Ended => return Poll::Ready(Err(Fault::WrongLength)),
            Encoding::Length(left) => *left = left.checked_sub(length).ok_or(Fault::WrongLength)?,
            Encoding::UntilClose => {}
            Encoding::Chunked => {
                self.queued.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                // Follows the data, in the same write.
                self.closing = b"\r\n";
            }
        }
        let data = std::mem::take(data);
        if data.len() <= COPY {
            self.queued.extend_from_slice(&data);
            self.queued.extend_from_slice(self.closing);
            self.closing = b"";
        } else {
            self.large = data;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the body being written. Trailers go out where the framing can carry them.
    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&HeaderMap>,
    ) -> Poll<Result<(), Fault>> {
        match self.encoding {
            Encoding::Ended | Encoding::Length(0) => {}
            Encoding::Length(_) => return Poll::Ready(Err(Fault::WrongLength)),
            Encoding::UntilClose => {}
            Encoding::Chunked => {
                if !self.is_copying() {
                    ready!(self.poll_flush_queue(cx))?;
                }
                self.queued.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    super::hop::line(&mut self.queued, name.as_str().as_bytes(), value.as_bytes());
                }
                self.queued.extend_from_slice(b"\r\n");
            }
        }
        self.encoding = Encoding::Ended;
        Poll::Ready(Ok(()))
    }

    /// Nothing is queued behind the copied bytes, so that more may be appended to them.
    fn is_copying(&self) -> bool {
        self.large.is_empty() && self.closing.is_empty()
    }

    fn poll_flush_queue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !(self.queued.is_empty() && self.is_copying()) {
            let slices = [IoSlice::new(&self.queued), IoSlice::new(&self.large), IoSlice::new(self.closing)];
            let mut written = match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => written,
            };
            let part = written.min(self.queued.len());
            self.queued.advance(part);
            written -= part;
            let part = written.min(self.large.len());
            self.large.advance(part);
            written -= part;
            self.closing = self.closing.get(written..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether what was begun to be written is complete and gone.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.encoding, Encoding::Ended) && self.queued.is_empty() && self.is_copying()
    }

    /// Writes out what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(self.poll_flush_queue(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    /// Ends our side of the connection.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush_queue(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
