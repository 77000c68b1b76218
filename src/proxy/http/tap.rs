//! The copy that is taken of a response while it streams to the device.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;

use super::held::Keeper;
use super::uncode::Uncoder;
use crate::capture::{Gap, GapCause, Recorder, Refusal};
use crate::exchange::{Connection, Message, MessageData, Opcode, RequestHead};
use crate::proxy::sse::{Cut, Splitter};
use crate::record::{Clock, Direction, ExchangeId};

/// Where a copy goes.
pub(crate) enum Tap<'a> {
    /// Nowhere.
    None,
    /// Into a keeper; `None` in it once the disk failed.
    Copy(Option<Box<Keeper>>),
    /// Cut into messages.
    Events(Box<EventTap<'a>>),
}

impl Tap<'_> {
    /// Takes what is on its way to the device.
    pub(crate) fn push(&mut self, data: &[u8]) {
        match self {
            Self::None | Self::Copy(None) => {}
            Self::Copy(Some(keeper)) => keeper.push(data),
            Self::Events(events) => events.push(data),
        }
    }

    /// The response is over: hands out the last messages, or gives the copy.
    pub(crate) async fn finish(self) -> Option<Keeper> {
        match self {
            Self::None => None,
            Self::Copy(copy) => copy.map(|copy| *copy),
            Self::Events(mut events) => {
                events.finish();
                std::future::poll_fn(|cx| events.poll_deliver(cx)).await;
                None
            }
        }
    }

    /// Ready when more may come.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::None | Self::Copy(None) => Poll::Ready(()),
            Self::Copy(Some(keeper)) => {
                if ready!(keeper.poll_settle(cx)).is_err() {
                    *self = Self::Copy(None);
                }
                Poll::Ready(())
            }
            Self::Events(events) => events.poll_deliver(cx),
        }
    }
}

/// What a message tap hands its messages to.
#[derive(Clone, Copy)]
pub(crate) struct Listener<'a> {
    pub(crate) recorder: &'a dyn Recorder,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) head: &'a RequestHead,
    pub(crate) exchange: ExchangeId,
}

/// Cuts a response into messages and hands them over one by one.
pub(crate) struct EventTap<'a> {
    listener: Listener<'a>,
    cut: Cut,
    /// None: a coding that nobody here knows.
    uncoder: Option<Uncoder<Splitter>>,
    /// The coding broke off. What was complete before is still handed over; no more is taken in.
    broken: bool,
    number: u64,
    delivering: Option<BoxFuture<'a, Result<(), Refusal>>>,
}

impl<'a> EventTap<'a> {
    /// For a response in this content coding.
    pub(crate) fn new(listener: Listener<'a>, cut: Cut, coding: Option<&[u8]>) -> Self {
        let uncoder = Uncoder::new(coding, Splitter::new(cut));
        if uncoder.is_none() {
            listener.gap(GapCause::UnreadableCoding, 1);
        }
        Self { listener, cut, uncoder, broken: false, number: 0, delivering: None }
    }

    fn push(&mut self, data: &[u8]) {
        let Some(uncoder) = self.uncoder.as_mut().filter(|_| !self.broken) else { return };
        if uncoder.write(data).is_err() {
            // Takes nothing more from here on; the device still gets its bytes.
            self.broken = true;
            self.listener.gap(GapCause::UnreadableCoding, 1);
        }
    }

    /// The response came to its end.
    fn finish(&mut self) {
        if let Some(uncoder) = self.uncoder.as_mut().filter(|_| !self.broken) {
            uncoder.sink().finish();
        }
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(delivering) = &mut self.delivering {
                // An inbound message is not held, so a refusal changes nothing here; capture has noted it.
                let _verdict: Result<(), Refusal> = ready!(delivering.as_mut().poll(cx));
                self.delivering = None;
            }
            let Some(splitter) = self.uncoder.as_mut().map(Uncoder::sink) else { return Poll::Ready(()) };
            let dropped = splitter.take_dropped();
            let next = splitter.take();
            if dropped > 0 {
                self.listener.gap(GapCause::MessageDropped, dropped);
            }
            let Some(piece) = next else { return Poll::Ready(()) };
            let listener = self.listener;
            let message = Message {
                exchange: listener.exchange,
                number: self.number,
                direction: Direction::Inbound,
                opcode: if self.cut == Cut::Events { Opcode::Event } else { Opcode::Text },
                event: piece.event,
                data: MessageData(piece.data),
                seen_at: listener.clock.now(),
            };
            self.number += 1;
            self.delivering = Some(listener.recorder.message(listener.connection, listener.head, message));
        }
    }
}

impl Listener<'_> {
    pub(crate) fn gap(&self, cause: GapCause, count: u64) {
        let mut gap = Gap::on(cause, self.connection).exchange(self.exchange);
        gap.count = count;
        self.recorder.gap(gap);
    }
}
