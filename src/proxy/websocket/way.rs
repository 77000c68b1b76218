//! One direction of an upgraded connection.
//!
//! `Raw` bytes go through. `Heard` ones go through at once while a copy is cut into messages. `Held` messages go through one by
//! one, each only after its verdict; whatever comes later in that direction waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::AsyncWrite as _;

use super::frame::{self, FRAME_LIMIT, Frame, FrameError, Kind, Sender};
use crate::capture::{GapCause, Refusal, RefusalReason};
use crate::exchange::{Message, MessageData, Opcode};
use crate::proxy::http::held::Charge;
use crate::proxy::http::site::Site;
use crate::proxy::http::tap::Listener;
use crate::proxy::io::BoxIo;
use crate::record::Direction;

/// Room for one read.
const ROOM: usize = 16 * 1024;
/// Largest message that is kept.
const MESSAGE_LIMIT: u64 = FRAME_LIMIT;
/// What a frame costs beside its payload: a message may be cut into any number of empty ones.
const FRAME_COST: usize = 64;

/// What becomes of what comes this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    Raw,
    Heard,
    Held,
}

/// Why a direction cannot go on.
#[derive(Debug)]
pub(super) enum Stuck {
    /// The side it reads from is gone.
    Source,
    /// The side it writes to is gone.
    Sink,
    Broken(FrameError),
    NotKept(Refusal),
    /// The device is none any more.
    Revoked,
}

/// One direction.
pub(super) struct Way<'a> {
    sender: Sender,
    care: Care,
    listener: Listener<'a>,
    input: BytesMut,
    output: VecDeque<Bytes>,
    /// Frames of the message that is not finished, or waits for its verdict.
    held: Vec<Bytes>,
    /// Their bytes, until they are written.
    held_size: usize,
    /// What is in memory, counted with what all others hold.
    charge: Charge,
    opcode: Option<Opcode>,
    message: Vec<u8>,
    dropping: bool,
    /// Bytes of a frame that is too large to be kept and has gone through.
    skip: u64,
    number: u64,
    verdict: Option<BoxFuture<'a, Result<(), Stuck>>>,
    /// Asked before each message whether the device still stands.
    site: Option<&'a Site>,
    read_ended: bool,
    closed: bool,
}

impl<'a> Way<'a> {
    pub(super) fn new(sender: Sender, care: Care, listener: Listener<'a>, first: BytesMut, charge: Charge) -> Self {
        let mut way = Self {
            sender,
            care,
            listener,
            input: BytesMut::new(),
            output: VecDeque::new(),
            held: Vec::new(),
            held_size: 0,
            charge,
            opcode: None,
            message: Vec::new(),
            dropping: false,
            skip: 0,
            number: 0,
            verdict: None,
            site: None,
            read_ended: false,
            closed: false,
        };
        way.arrive(first);
        way
    }

    /// From a device that may be revoked while the channel is open.
    pub(super) const fn of_device(mut self, site: &'a Site) -> Self {
        self.site = Some(site);
        self
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// In the middle of a message that is not released.
    pub(super) const fn holds_something(&self) -> bool {
        self.verdict.is_some() || !self.held.is_empty()
    }

    /// Queues bytes in our own name.
    pub(super) fn say(&mut self, bytes: Vec<u8>) {
        self.output.push_back(bytes.into());
    }

    /// Moves what can be moved. Ready once this way is closed, or stuck.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut BoxIo,
        to: &mut BoxIo,
        moved: &mut bool,
    ) -> Poll<Result<(), Stuck>> {
        loop {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            let judged = self.poll_messages(cx)?;
            ready!(self.poll_write(cx, to, moved))?;
            if judged.is_pending() {
                // Its turn has not come: nothing more is read this way.
                return Poll::Pending;
            }
            if self.read_ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_gone| Stuck::Sink)?;
                self.closed = true;
                continue;
            }
            self.charge()?;
            let mut fresh = BytesMut::with_capacity(ROOM);
            match tokio_util::io::poll_read_buf(Pin::new(&mut *from), cx, &mut fresh) {
                Poll::Ready(Ok(count)) => {
                    *moved = true;
                    self.read_ended = count == 0;
                    self.arrive(fresh);
                }
                Poll::Ready(Err(_gone)) => return Poll::Ready(Err(Stuck::Source)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Counts what is in memory before more comes. Everything released has been written by now.
    fn charge(&mut self) -> Result<(), Stuck> {
        if self.care == Care::Raw {
            return Ok(());
        }
        if self.held.is_empty() {
            self.held_size = 0;
        }
        self.charge.set(self.input.len() + self.message.len() + self.held_size);
        if self.charge.is_exhausted() && !(self.input.is_empty() && self.message.is_empty()) {
            if self.care == Care::Held {
                self.listener.gap(GapCause::WriteRefused, 1);
                let refusal = Refusal::new(RefusalReason::Overloaded, "there is no memory to hold the message");
                return Err(Stuck::NotKept(refusal));
            }
            self.unheard(FrameError::TooLarge);
            self.charge.set(0);
        }
        Ok(())
    }

    fn arrive(&mut self, fresh: BytesMut) {
        if fresh.is_empty() {
            return;
        }
        match self.care {
            Care::Raw => self.output.push_back(fresh.freeze()),
            Care::Held => self.input.extend_from_slice(&fresh),
            Care::Heard => {
                let fresh = fresh.freeze();
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(fresh.len());
                self.skip -= skipped as u64;
                self.input.extend_from_slice(fresh.get(skipped..).unwrap_or_default());
                self.output.push_back(fresh);
            }
        }
    }

    /// Takes frames and asks for verdicts. Pending while a verdict is.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stuck>> {
        loop {
            if let Some(verdict) = &mut self.verdict {
                let judged = ready!(verdict.as_mut().poll(cx));
                self.verdict = None;
                if self.care == Care::Held {
                    judged?;
                    self.output.extend(self.held.drain(..));
                }
            }
            if self.input.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let frame = match frame::take(&mut self.input, self.sender) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) if self.care == Care::Held => return Poll::Ready(Err(Stuck::Broken(error))),
                Err(error) => {
                    if let Err(error) = self.let_pass(error) {
                        self.unheard(error);
                    }
                    continue;
                }
            };
            if let Err(error) = self.frame(frame) {
                if self.care == Care::Held {
                    return Poll::Ready(Err(Stuck::Broken(error)));
                }
                self.unheard(error);
            }
        }
    }

    /// What cannot be followed any more has gone through already: say so, and listen no further.
    fn unheard(&mut self, error: FrameError) {
        let cause = if error == FrameError::TooLarge { GapCause::MessageDropped } else { GapCause::MalformedExchange };
        self.listener.gap(cause, 1);
        self.care = Care::Raw;
        self.input = BytesMut::new();
        self.message = Vec::new();
    }

    /// A frame that is too large has gone through; its message is given up, and the ones after it are heard.
    fn let_pass(&mut self, error: FrameError) -> Result<(), FrameError> {
        let Some(frame) = frame::oversized(&self.input, self.sender) else { return Err(error) };
        self.begin(frame.kind)?;
        self.message = Vec::new();
        self.skip = frame.size.saturating_sub(self.input.len() as u64);
        self.input.clear();
        self.dropping = true;
        if frame.last
            && let Some(opcode) = self.opcode.take()
        {
            self.offer(opcode);
        }
        Ok(())
    }

    /// Whether a data frame may come now (RFC 6455 §5.4).
    fn begin(&mut self, kind: Kind) -> Result<(), FrameError> {
        let opcode = match kind {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
            _ if self.opcode.is_some() => return Ok(()),
            _ => return Err(FrameError::Sequence),
        };
        if self.opcode.is_some() {
            return Err(FrameError::Sequence);
        }
        self.opcode = Some(opcode);
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<(), FrameError> {
        match frame.kind {
            // RFC 6455 §5.4: control frames may come between the fragments of a message, and go on between them.
            Kind::Close | Kind::Ping | Kind::Pong => {
                if self.care == Care::Held {
                    self.output.push_back(frame.wire);
                }
                return Ok(());
            }
            kind => self.begin(kind)?,
        }
        let frames = self.held.len().saturating_mul(FRAME_COST);
        if (self.message.len() + frame.wire.len()).saturating_add(frames) as u64 > MESSAGE_LIMIT {
            if self.care == Care::Held {
                return Err(FrameError::TooLarge);
            }
            self.dropping = true;
            self.message = Vec::new();
        }
        if !self.dropping {
            frame.unmask_into(&mut self.message);
        }
        let last = frame.last;
        if self.care == Care::Held {
            self.held_size += frame.wire.len();
            self.held.push(frame.wire);
        }
        if last && let Some(opcode) = self.opcode.take() {
            self.offer(opcode);
        }
        Ok(())
    }

    fn offer(&mut self, opcode: Opcode) {
        let data = std::mem::take(&mut self.message);
        let number = self.number;
        self.number += 1;
        if std::mem::take(&mut self.dropping) {
            self.listener.gap(GapCause::MessageDropped, 1);
            return;
        }
        let message = Message {
            exchange: self.listener.exchange,
            number,
            direction: if self.sender == Sender::Device { Direction::Outbound } else { Direction::Inbound },
            opcode,
            event: None,
            data: MessageData(data.into()),
            seen_at: self.listener.clock.now(),
        };
        let judged = self.listener.recorder.message(self.listener.connection, self.listener.head, message);
        let site = self.site;
        self.verdict = Some(Box::pin(async move {
            if let Some(site) = site
                && !site.device_stands().await
            {
                return Err(Stuck::Revoked);
            }
            judged.await.map_err(Stuck::NotKept)
        }));
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut BoxIo, moved: &mut bool) -> Poll<Result<(), Stuck>> {
        let gone = |_gone| Stuck::Sink;
        while let Some(first) = self.output.front_mut() {
            if first.is_empty() {
                self.output.pop_front();
                continue;
            }
            let count = ready!(Pin::new(&mut *to).poll_write(cx, first)).map_err(gone)?;
            if count == 0 {
                return Poll::Ready(Err(Stuck::Sink));
            }
            first.advance(count);
            *moved = true;
        }
        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(gone)?;
        Poll::Ready(Ok(()))
    }

    /// Writes out what is queued, and nothing else.
    pub(super) fn poll_farewell(&mut self, cx: &mut Context<'_>, to: &mut BoxIo) -> Poll<()> {
        let mut moved = false;
        if ready!(self.poll_write(cx, to, &mut moved)).is_ok() {
            return Pin::new(&mut *to).poll_shutdown(cx).map(drop);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
