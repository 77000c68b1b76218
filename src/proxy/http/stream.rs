//! The two halves of an HTTP/2 stream, with the same shape as an HTTP/1 connection has.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use super::conn::Frame;
use super::fault::Fault;

/// Most bytes asked of flow control at a time.
const WINDOW: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Data,
    Trailers,
    Ended,
}

/// The receiving half.
pub(crate) struct Receiver {
    stream: RecvStream,
    reading: Reading,
}

impl Receiver {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let reading = if stream.is_end_stream() { Reading::Ended } else { Reading::Data };
        Self { stream, reading }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.reading == Reading::Ended || self.stream.is_end_stream()
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Fault>> {
        loop {
            match self.reading {
                Reading::Data => match ready!(self.stream.poll_data(cx)) {
                    Some(data) => {
                        let data = data?;
                        // One frame at most waits in our hands, so the window may open again at once.
                        self.stream.flow_control().release_capacity(data.len())?;
                        if !data.is_empty() {
                            return Poll::Ready(Ok(Some(Frame::Data(data))));
                        }
                    }
                    None => self.reading = Reading::Trailers,
                },
                Reading::Trailers => {
                    let trailers = ready!(self.stream.poll_trailers(cx))?;
                    self.reading = Reading::Ended;
                    if let Some(trailers) = trailers {
                        return Poll::Ready(Ok(Some(Frame::Trailers(trailers))));
                    }
                }
                Reading::Ended => return Poll::Ready(Ok(None)),
            }
        }
    }
}

/// The sending half.
pub(crate) struct Sender {
    stream: SendStream<Bytes>,
    ended: bool,
}

impl Sender {
    pub(crate) const fn new(stream: SendStream<Bytes>, ended: bool) -> Self {
        Self { stream, ended }
    }

    /// Hands data to the connection as its window allows; ready once all of it went.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, data: &mut Bytes, last: bool) -> Poll<Result<(), Fault>> {
        while !data.is_empty() {
            if self.ended {
                return Poll::Ready(Err(Fault::WrongLength));
            }
            self.stream.reserve_capacity(data.len().min(WINDOW));
            let mut room = self.stream.capacity();
            while room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(room) => room?,
                    None => return Poll::Ready(Err(Fault::Truncated)),
                };
            }
            let part = data.split_to(room.min(data.len()));
            self.ended = last && data.is_empty();
            self.stream.send_data(part, self.ended)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), Fault> {
        if !self.ended {
            self.ended = true;
            match trailers {
                Some(trailers) => self.stream.send_trailers(trailers)?,
                None => self.stream.send_data(Bytes::new(), true)?,
            }
        }
        Ok(())
    }

    pub(crate) fn reset(&mut self, reason: h2::Reason) {
        self.stream.send_reset(reason);
    }

    /// Ready when the peer has reset the stream or the connection is gone.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(drop)
    }
}
