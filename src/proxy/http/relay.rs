//! Moves one exchange's bytes: the request up, the response down, both at once, in one task.
//!
//! ```text
//! source ──▶ upstream          up:   the device's body, or a held one, or one whose tail is held
//! device ◀── upstream ──▶ tap  down: interim heads, the head, the body; a copy to the tap
//! ```
//! It knows nothing of plans or records. Invariant: a request is sent at most once; what failed is told with the side that failed, and
//! whether the device has seen a head.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::conn::Frame;
use super::ends::{DeviceEnd, UpstreamEnd};
use super::fault::Fault;
use super::held::Releasing;
use super::hop::Release;
use super::message::{Answered, Incoming};
use super::tail::Tail;
use super::tap::Tap;
use crate::capture::Refusal;
use crate::proxy::patience::Patience;

/// Where the request's body comes from.
pub(crate) enum Source<'a> {
    /// Straight from the device.
    Device,
    /// Held whole before.
    Held { body: Releasing, trailers: Option<HeaderMap> },
    /// From the device, its end held back until it is recorded.
    Tail(Box<Tail<'a>>),
    /// From the device, with a copy.
    Copied(&'a mut super::held::Keeper),
}

/// Which side failed, or what else ended an exchange early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("device: {0}")]
    Device(Fault),
    #[error("upstream: {0}")]
    Upstream(Fault),
    /// A reused connection ended before a byte of the answer.
    #[error("upstream ended before an answer")]
    NoAnswer,
    #[error("device stopped sending")]
    DeviceStalled,
    #[error("upstream did not answer in time")]
    UpstreamStalled,
    #[error("device gave up")]
    DeviceGone,
    #[error("a held body cannot be moved: {0}")]
    Held(std::io::Error),
    #[error("{0}")]
    NotKept(Refusal),
    #[error("the body is larger than what can be kept")]
    TooLarge,
    #[error("the device was revoked")]
    Revoked,
    /// The origin switched to a protocol that was not asked for, or that cannot be read.
    #[error("upstream switched to a protocol that cannot be read")]
    Switched,
}

/// How far an exchange came.
pub(crate) struct Relayed {
    /// The final head, once it came.
    pub(crate) answer: Option<Answered>,
    /// The device was sent a final head.
    pub(crate) answered: bool,
    /// The request's body went up to its end.
    pub(crate) sent_whole: bool,
    pub(crate) result: Result<(), Broken>,
}

/// One exchange under way.
pub(crate) struct Relay<'r, 'a, 'd> {
    pub(crate) device: &'r mut DeviceEnd<'d>,
    pub(crate) upstream: &'r mut UpstreamEnd,
    pub(crate) patience: &'r mut Patience,
    pub(crate) idle: Duration,
    pub(crate) request: &'r Incoming,
    pub(crate) source: &'r mut Source<'a>,
    pub(crate) tap: Tap<'a>,
    /// The answer is a stream of events: it ends when the device leaves. Set by who chooses the tap.
    pub(crate) endless: bool,
    /// The connection may be switched to another protocol.
    pub(crate) may_switch: bool,
    /// The device is none any more.
    pub(crate) revoked: Pin<&'r mut (dyn Future<Output = ()> + Send + 'r)>,
}

#[derive(Default)]
struct Pump {
    data: Option<(Bytes, bool)>,
    end: Option<Option<HeaderMap>>,
    ended: bool,
    /// The other side listens no more; what is left stays here.
    unheard: bool,
}

impl<'a> Relay<'_, 'a, '_> {
    /// Lets go of both ends.
    pub(crate) fn into_tap(self) -> Tap<'a> {
        self.tap
    }

    /// Runs it to its end. The answer's head is shown to `chosen` before the device sees it, so that the tap can be set by it; it
    /// says whether the answer has no end.
    pub(crate) async fn run(
        &mut self,
        release: Release,
        mut chosen: impl FnMut(&Answered, &mut Tap<'a>) -> bool,
    ) -> Relayed {
        let mut relayed = Relayed { answer: None, answered: false, sent_whole: false, result: Ok(()) };
        let mut up = Pump { ended: !self.request.has_body(), ..Pump::default() };
        relayed.result = self.exchange(release, &mut chosen, &mut relayed, &mut up).await;
        relayed.sent_whole = up.ended;
        relayed
    }

    async fn exchange(
        &mut self,
        release: Release,
        chosen: &mut impl FnMut(&Answered, &mut Tap<'a>) -> bool,
        relayed: &mut Relayed,
        up: &mut Pump,
    ) -> Result<(), Broken> {
        self.patience.allow(self.idle);
        poll_fn(|cx| self.upstream.poll_head_out(cx, self.request, release)).await.map_err(Broken::Upstream)?;
        let answer = loop {
            let head = poll_fn(|cx| self.poll_answer(cx, up)).await?;
            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                // Already answered by ourselves, or on its way to somebody who did not ask.
                if !(release.expectation_met && head.status == StatusCode::CONTINUE) {
                    self.device.send_head(&head).map_err(Broken::Device)?;
                    poll_fn(|cx| self.poll_device_flush(cx)).await?;
                }
                continue;
            }
            if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.may_switch {
                return Err(Broken::Switched);
            }
            self.endless = chosen(&head, &mut self.tap);
            break head;
        };
        self.device.send_head(&answer).map_err(Broken::Device)?;
        relayed.answered = true;
        let switching = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        relayed.answer = Some(answer);
        if switching {
            return poll_fn(|cx| self.poll_device_flush(cx)).await;
        }
        let mut down = Pump::default();
        poll_fn(|cx| self.poll_both(cx, up, &mut down)).await
    }

    /// The request goes up while the answer is waited for: an origin may answer before it has heard everything.
    fn poll_answer(&mut self, cx: &mut Context<'_>, up: &mut Pump) -> Poll<Result<Answered, Broken>> {
        let sending = self.poll_up(cx, up);
        let broken = match sending {
            Poll::Ready(Err(Broken::Upstream(fault))) => Some(fault),
            Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
            _ => None,
        };
        match self.upstream.poll_head(cx, &self.request.head.method) {
            Poll::Ready(Ok(Some(answer))) => {
                self.patience.allow(self.idle);
                return Poll::Ready(Ok(answer));
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Err(Broken::NoAnswer)),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(Broken::Upstream(fault))),
            Poll::Pending => {}
        }
        if let Some(fault) = broken {
            return Poll::Ready(Err(Broken::Upstream(fault)));
        }
        if self.device.poll_gone(cx, false).is_ready() {
            return Poll::Ready(Err(Broken::DeviceGone));
        }
        if self.poll_revoked(cx).is_ready() {
            return Poll::Ready(Err(Broken::Revoked));
        }
        if self.patience.poll(cx).is_ready() {
            let waits_for_device = !up.ended && up.data.is_none() && up.end.is_none();
            return Poll::Ready(Err(if waits_for_device { Broken::DeviceStalled } else { Broken::UpstreamStalled }));
        }
        Poll::Pending
    }

    fn poll_both(&mut self, cx: &mut Context<'_>, up: &mut Pump, down: &mut Pump) -> Poll<Result<(), Broken>> {
        match self.poll_up(cx, up) {
            // An origin that has answered need not listen to the rest; its answer still goes to the device.
            Poll::Ready(Err(Broken::Upstream(_))) => up.unheard = true,
            Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
            _ => {}
        }
        if let Poll::Ready(result) = self.poll_down(cx, down) {
            result?;
            // With the answer whole, what the device has not yet sent is not waited for, unless it is being recorded.
            if up.ended || up.unheard || !matches!(self.source, Source::Tail(_)) {
                return Poll::Ready(Ok(()));
            }
        }
        if self.device.poll_gone(cx, self.endless && up.ended).is_ready() {
            return Poll::Ready(Err(Broken::DeviceGone));
        }
        if self.poll_revoked(cx).is_ready() {
            return Poll::Ready(Err(Broken::Revoked));
        }
        if self.patience.poll(cx).is_ready() {
            let waits_for_device = down.data.is_some() || down.end.is_some() || down.ended;
            return Poll::Ready(Err(if waits_for_device { Broken::DeviceStalled } else { Broken::UpstreamStalled }));
        }
        Poll::Pending
    }

    /// Ready when the device was revoked, and nothing is lost by ending here: what becomes of a write is heard, unless that has no end.
    fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.endless || matches!(self.source, Source::Device | Source::Copied(_)) {
            return self.revoked.as_mut().poll(cx);
        }
        Poll::Pending
    }

    /// Ready when the whole request is on its way, or something failed.
    fn poll_up(&mut self, cx: &mut Context<'_>, up: &mut Pump) -> Poll<Result<(), Broken>> {
        while !up.ended && !up.unheard {
            if let Some((data, last)) = &mut up.data {
                ready!(self.upstream.poll_data(cx, data, *last)).map_err(Broken::Upstream)?;
                self.patience.allow(self.idle);
                up.data = None;
            }
            if let Some(trailers) = &up.end {
                ready!(self.upstream.poll_finish(cx, trailers.as_ref())).map_err(Broken::Upstream)?;
                up.ended = true;
                break;
            }
            match self.poll_source(cx) {
                Poll::Ready(Ok(Some(Frame::Data(data)))) => up.data = Some((data, self.source_is_ended())),
                Poll::Ready(Ok(Some(Frame::Trailers(trailers)))) => up.end = Some(Some(trailers)),
                Poll::Ready(Ok(None)) => up.end = Some(None),
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {
                    // What is there goes out, however much more may come.
                    ready!(self.upstream.poll_flush(cx)).map_err(Broken::Upstream)?;
                    return Poll::Pending;
                }
            }
        }
        if !up.unheard {
            ready!(self.upstream.poll_flush(cx)).map_err(Broken::Upstream)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Broken>> {
        match &mut self.source {
            Source::Device => self.device.poll_frame(cx).map_err(Broken::Device),
            Source::Held { body, trailers } => {
                if let Some(data) = ready!(body.poll_next(cx)).map_err(Broken::Held)? {
                    return Poll::Ready(Ok(Some(Frame::Data(data))));
                }
                Poll::Ready(Ok(trailers.take().map(Frame::Trailers)))
            }
            Source::Tail(tail) => tail.poll_frame(cx, self.device),
            Source::Copied(keeper) => {
                ready!(keeper.poll_settle(cx)).map_err(Broken::Held)?;
                let frame = ready!(self.device.poll_frame(cx)).map_err(Broken::Device)?;
                if let Some(Frame::Data(data)) = &frame {
                    keeper.push(data);
                }
                Poll::Ready(Ok(frame))
            }
        }
    }

    /// The frame just taken was the last: lets HTTP/2 end the stream with it.
    fn source_is_ended(&self) -> bool {
        match &self.source {
            Source::Device | Source::Copied(_) => self.device.body_is_read(),
            Source::Held { body, trailers } => body.is_ended() && trailers.is_none(),
            Source::Tail(tail) => tail.is_ended(),
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>, down: &mut Pump) -> Poll<Result<(), Broken>> {
        while !down.ended {
            if let Some((data, last)) = &mut down.data {
                ready!(self.device.poll_data(cx, data, *last)).map_err(Broken::Device)?;
                self.patience.allow(self.idle);
                down.data = None;
            }
            if let Some(trailers) = &down.end {
                ready!(self.device.poll_finish(cx, trailers.as_ref())).map_err(Broken::Device)?;
                down.ended = true;
                break;
            }
            // A tap that cannot keep up slows the stream; it never loses what it took.
            if self.tap.poll_ready(cx).is_pending() {
                ready!(self.poll_device_flush(cx))?;
                return Poll::Pending;
            }
            match self.upstream.poll_frame(cx) {
                Poll::Ready(Ok(Some(Frame::Data(data)))) => {
                    self.tap.push(&data);
                    down.data = Some((data, self.upstream.body_is_read()));
                }
                Poll::Ready(Ok(Some(Frame::Trailers(trailers)))) => down.end = Some(Some(trailers)),
                Poll::Ready(Ok(None)) => down.end = Some(None),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Broken::Upstream(fault))),
                Poll::Pending => {
                    ready!(self.poll_device_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
        ready!(self.poll_device_flush(cx))?;
        // Events taken from the last bytes are handed over before the exchange ends.
        ready!(self.tap.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn poll_device_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.device.poll_flush(cx).map_err(Broken::Device)
    }
}
