//! A held tail: the body streams to the origin while it is kept, and only its end waits for the record.
//!
//! For endpoints whose rule says `release = "tail"`: a large upload would otherwise cross the wire twice in sequence. The origin cannot
//! take a body as whole without its last bytes, its final chunk or END_STREAM; those are what is held (P1).

use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use http::HeaderMap;

use super::conn::Frame;
use super::ends::DeviceEnd;
use super::held::Keeper;
use super::relay::Broken;
use crate::capture::Receipt;

/// Bytes held back at least: more than any closing boundary of a multipart body.
const TAIL: usize = 1024;

/// Makes the record of a body that has come to its end.
pub(crate) type Record<'a> =
    Box<dyn FnOnce(Keeper, Option<HeaderMap>) -> BoxFuture<'a, Result<Receipt, Broken>> + Send + 'a>;

enum State<'a> {
    Passing { keeper: Box<Keeper>, record: Record<'a> },
    Recording(BoxFuture<'a, Result<Receipt, Broken>>),
    Released,
}

/// A body whose end is held.
pub(crate) struct Tail<'a> {
    state: State<'a>,
    held_back: BytesMut,
    trailers: Option<HeaderMap>,
    receipt: Option<Receipt>,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(keeper: Keeper, record: Record<'a>) -> Self {
        Self {
            state: State::Passing { keeper: Box::new(keeper), record },
            held_back: BytesMut::new(),
            trailers: None,
            receipt: None,
        }
    }

    /// The proof that the body is recorded; there once the end was released.
    pub(crate) const fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take()
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Released) && self.held_back.is_empty() && self.trailers.is_none()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        device: &mut DeviceEnd<'_>,
    ) -> Poll<Result<Option<Frame>, Broken>> {
        loop {
            match &mut self.state {
                State::Passing { keeper, .. } => {
                    ready!(keeper.poll_settle(cx)).map_err(Broken::Held)?;
                    match ready!(device.poll_frame(cx)).map_err(Broken::Device)? {
                        Some(Frame::Data(data)) => {
                            keeper.push(&data);
                            if keeper.is_over() {
                                return Poll::Ready(Err(Broken::TooLarge));
                            }
                            self.held_back.extend_from_slice(&data);
                            if self.held_back.len() > TAIL {
                                let passes = self.held_back.len() - TAIL;
                                return Poll::Ready(Ok(Some(Frame::Data(self.held_back.split_to(passes).freeze()))));
                            }
                        }
                        Some(Frame::Trailers(trailers)) => self.trailers = Some(trailers),
                        None => self.begin_recording(),
                    }
                }
                State::Recording(recording) => {
                    self.receipt = Some(ready!(recording.as_mut().poll(cx))?);
                    self.state = State::Released;
                }
                State::Released if !self.held_back.is_empty() => {
                    return Poll::Ready(Ok(Some(Frame::Data(self.held_back.split().freeze()))));
                }
                State::Released => return Poll::Ready(Ok(self.trailers.take().map(Frame::Trailers))),
            }
        }
    }

    fn begin_recording(&mut self) {
        if let State::Passing { keeper, record } = std::mem::replace(&mut self.state, State::Released) {
            self.state = State::Recording(record(*keeper, self.trailers.clone()));
        }
    }
}
