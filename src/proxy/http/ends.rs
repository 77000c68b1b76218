//! The two ends of an exchange: the device's and the upstream's, each over HTTP/1 or HTTP/2.
//!
//! An end hides the version, nothing else: it reads and writes heads and frames, and knows no rule and no plan.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::conn::{Conn, Frame};
use super::fault::Fault;
use super::framing::Framing;
use super::hop::{self, Asked, Release};
use super::message::{Answered, Incoming};
use super::stream::{Receiver, Sender};

/// Where the request comes from.
pub(crate) enum DeviceEnd<'a> {
    Http1 { conn: &'a mut Conn, asked: Asked },
    Http2(Box<DeviceStream>),
}

/// A stream that a device opened.
pub(crate) struct DeviceStream {
    receiver: Receiver,
    respond: h2::server::SendResponse<Bytes>,
    sender: Option<Sender>,
    is_head: bool,
}

impl DeviceStream {
    pub(crate) const fn new(receiver: Receiver, respond: h2::server::SendResponse<Bytes>, is_head: bool) -> Self {
        Self { receiver, respond, sender: None, is_head }
    }
}

impl DeviceEnd<'_> {
    /// The next part of the request's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Fault>> {
        match self {
            Self::Http1 { conn, .. } => conn.poll_frame(cx),
            Self::Http2(stream) => stream.receiver.poll_frame(cx),
        }
    }

    pub(crate) fn body_is_read(&self) -> bool {
        match self {
            Self::Http1 { conn, .. } => conn.body_is_read(),
            Self::Http2(stream) => stream.receiver.is_ended(),
        }
    }

    /// Bytes of the body are there already, so the device does not wait for leave to send it.
    pub(crate) fn body_has_begun(&self) -> bool {
        match self {
            Self::Http1 { conn, .. } => conn.has_input(),
            Self::Http2(_) => false,
        }
    }

    /// The request is one for a head only.
    pub(crate) const fn is_head(&self) -> bool {
        match self {
            Self::Http1 { asked, .. } => asked.is_head,
            Self::Http2(stream) => stream.is_head,
        }
    }

    /// `100 Continue` in our own name.
    pub(crate) fn send_continue(&mut self) -> Result<(), Fault> {
        match self {
            Self::Http1 { conn, .. } => conn.head_queue().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Self::Http2(stream) => {
                let mut interim = http::Response::new(());
                *interim.status_mut() = StatusCode::CONTINUE;
                stream.respond.send_informational(interim)?;
            }
        }
        Ok(())
    }

    /// Queues a head, interim or final.
    pub(crate) fn send_head(&mut self, answer: &Answered) -> Result<(), Fault> {
        let interim = answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS;
        match self {
            // RFC 9110 §15.2: an HTTP/1.0 peer knows no interim answer.
            Self::Http1 { asked, .. } if interim && asked.version == http::Version::HTTP_10 => {}
            Self::Http1 { conn, asked } => {
                let framing = hop::answer_http1(conn.head_queue(), answer, *asked);
                if !interim {
                    asked.persists &= framing != Framing::UntilClose;
                    conn.start_body(framing);
                }
            }
            Self::Http2(stream) => {
                let head = hop::answer_http2(answer)?;
                if interim {
                    stream.respond.send_informational(head)?;
                } else {
                    let ends_here = answer.framing == Framing::None;
                    let sender = stream.respond.send_response(head, ends_here)?;
                    stream.sender = Some(Sender::new(sender, ends_here));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, data: &mut Bytes, last: bool) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1 { conn, .. } => conn.poll_data(cx, data),
            Self::Http2(stream) => match &mut stream.sender {
                Some(sender) => sender.poll_data(cx, data, last),
                None => Poll::Ready(Err(Fault::WrongLength)),
            },
        }
    }

    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&HeaderMap>,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1 { conn, .. } => conn.poll_finish(cx, trailers),
            Self::Http2(stream) => Poll::Ready(match &mut stream.sender {
                Some(sender) => sender.finish(trailers.cloned()),
                None => Ok(()),
            }),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1 { conn, .. } => conn.poll_flush(cx),
            // The connection's own task writes.
            Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Ready when the device has given up on this exchange. An HTTP/1 device that ended its side may still listen (half-close),
    /// unless the answer has no end: nobody would ever know that it left.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, endless: bool) -> Poll<()> {
        match self {
            Self::Http1 { conn, .. } if endless => conn.poll_left(cx),
            Self::Http1 { .. } => Poll::Pending,
            Self::Http2(stream) => match &mut stream.sender {
                Some(sender) => sender.poll_reset(cx),
                None => stream.respond.poll_reset(cx).map(drop),
            },
        }
    }

    /// Passes on that the origin never looked at the request (RFC 9113 §8.7).
    pub(crate) fn refuse_stream(&mut self) {
        if let Self::Http2(stream) = self {
            stream.respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    }

    /// Breaks the exchange off where nothing else can tell the device that it failed.
    pub(crate) fn abort(&mut self) {
        if let Self::Http2(stream) = self {
            match &mut stream.sender {
                Some(sender) => sender.reset(h2::Reason::INTERNAL_ERROR),
                None => stream.respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        }
    }
}

/// Where the request goes to.
pub(crate) enum UpstreamEnd {
    Http1(Box<Conn>),
    Http2 { requests: h2::client::SendRequest<Bytes>, stream: Option<Box<UpstreamStream>> },
}

/// A stream we opened.
pub(crate) struct UpstreamStream {
    sender: Sender,
    response: h2::client::ResponseFuture,
    receiver: Option<Receiver>,
}

impl UpstreamEnd {
    /// Queues the request's head. Nothing of it was sent before this.
    pub(crate) fn poll_head_out(
        &mut self,
        cx: &mut Context<'_>,
        request: &Incoming,
        release: Release,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(conn) => {
                let framing = hop::request_http1(conn.head_queue(), request, release);
                conn.start_body(framing);
            }
            Self::Http2 { requests, stream } => {
                ready!(requests.poll_ready(cx))?;
                let ends_here = !request.has_body();
                let head = hop::request_http2(request, release)?;
                let (response, sender) = requests.send_request(head, ends_here)?;
                *stream =
                    Some(Box::new(UpstreamStream { sender: Sender::new(sender, ends_here), response, receiver: None }));
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, data: &mut Bytes, last: bool) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_data(cx, data),
            Self::Http2 { stream: Some(stream), .. } => stream.sender.poll_data(cx, data, last),
            Self::Http2 { stream: None, .. } => Poll::Ready(Err(Fault::WrongLength)),
        }
    }

    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&HeaderMap>,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_finish(cx, trailers),
            Self::Http2 { stream: Some(stream), .. } => Poll::Ready(stream.sender.finish(trailers.cloned())),
            Self::Http2 { stream: None, .. } => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_flush(cx),
            Self::Http2 { .. } => Poll::Ready(Ok(())),
        }
    }

    /// The next head, interim or final; none when upstream ended before its first byte.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Option<Answered>, Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_response(cx, method).map_ok(|start| start.map(Answered::from_http1)),
            Self::Http2 { stream: Some(stream), .. } => {
                if let Poll::Ready(Some(interim)) = stream.response.poll_informational(cx) {
                    let (parts, ()) = interim?.into_parts();
                    return Poll::Ready(Ok(Some(Answered::from_http2(parts, true)?)));
                }
                let (parts, body) = ready!(std::pin::Pin::new(&mut stream.response).poll(cx))?.into_parts();
                let receiver = Receiver::new(body);
                let answer = Answered::from_http2(parts, receiver.is_ended())?;
                stream.receiver = Some(receiver);
                Poll::Ready(Ok(Some(answer)))
            }
            Self::Http2 { stream: None, .. } => Poll::Ready(Ok(None)),
        }
    }

    /// The next part of the response's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_frame(cx),
            Self::Http2 { stream, .. } => match stream.as_mut().and_then(|stream| stream.receiver.as_mut()) {
                Some(receiver) => receiver.poll_frame(cx),
                None => Poll::Ready(Ok(None)),
            },
        }
    }

    pub(crate) fn body_is_read(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.body_is_read(),
            Self::Http2 { stream, .. } => {
                stream.as_ref().and_then(|stream| stream.receiver.as_ref()).is_none_or(Receiver::is_ended)
            }
        }
    }

    /// Gives the request up; an HTTP/1 connection is simply dropped by its owner.
    pub(crate) fn abort(&mut self) {
        if let Self::Http2 { stream: Some(stream), .. } = self {
            stream.sender.reset(h2::Reason::CANCEL);
        }
    }
}
