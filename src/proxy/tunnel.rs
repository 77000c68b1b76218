//! Pass-through: bytes both ways, unread, with one exception that protects the promise.
//!
//! The first bytes of the device are looked at for the host name in a ClientHello, which is on the wire in the clear anyway. A
//! device that opens a tunnel to some other target and then names a recorded host in it would slip past the record; that
//! tunnel is refused. Nothing else is looked at, and nothing is decrypted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite as _;

use super::decide::{Decision, InterceptedHosts};
use super::end::End;
use super::io::BoxIo;
use super::patience::Patience;
use super::refuse::Refuse;

/// Room for one read.
const ROOM: usize = 16 * 1024;
/// Most bytes held back while a ClientHello is incomplete.
const HELLO: usize = 64 * 1024;

/// The first byte of a TLS connection (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// How a tunnel ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tunnelled {
    pub(crate) end: End,
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Looks for a name in the first bytes.
struct Sniffer<'a> {
    hosts: &'a InterceptedHosts,
    acceptor: Option<rustls::server::Acceptor>,
    fed: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Sniffed {
    NeedsMore,
    Passes,
    Hidden,
}

impl Sniffer<'_> {
    fn look(&mut self, held: &[u8]) -> Sniffed {
        let Some(acceptor) = &mut self.acceptor else { return Sniffed::Passes };
        let mut fresh = held.get(self.fed..).unwrap_or_default();
        while !fresh.is_empty() {
            match acceptor.read_tls(&mut fresh) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        self.fed = held.len() - fresh.len();
        match acceptor.accept() {
            Ok(None) if held.len() < HELLO && fresh.is_empty() => Sniffed::NeedsMore,
            Ok(Some(accepted)) => {
                let hidden = accepted.client_hello().server_name().is_some_and(|name| {
                    self.hosts.decide(&name.trim_end_matches('.').to_ascii_lowercase()) == Decision::Intercept
                });
                self.acceptor = None;
                if hidden { Sniffed::Hidden } else { Sniffed::Passes }
            }
            // Not TLS: not ours to judge. A handshake that we cannot read may still be one that an origin can.
            Ok(None) | Err(_) => {
                self.acceptor = None;
                let hidden = held.first() == Some(&HANDSHAKE) && self.hosts.are_named_in(held);
                if hidden { Sniffed::Hidden } else { Sniffed::Passes }
            }
        }
    }
}

struct Way<'a> {
    buffer: BytesMut,
    sniffer: Option<Sniffer<'a>>,
    read_ended: bool,
    closed: bool,
    bytes: u64,
}

enum Stuck {
    Source,
    Sink,
    Hidden,
}

impl Way<'_> {
    /// Moves what can be moved. Ready once this way is closed.
    fn poll(
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
            if self.sniffer.is_some() && (!self.buffer.is_empty() || self.read_ended) {
                let sniffer = self.sniffer.as_mut();
                match sniffer.map_or(Sniffed::Passes, |sniffer| sniffer.look(&self.buffer)) {
                    Sniffed::NeedsMore if !self.read_ended => {}
                    Sniffed::Hidden => return Poll::Ready(Err(Stuck::Hidden)),
                    Sniffed::NeedsMore | Sniffed::Passes => self.sniffer = None,
                }
            }
            if self.sniffer.is_none() {
                while !self.buffer.is_empty() {
                    let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer)).map_err(|_gone| Stuck::Sink)?;
                    if count == 0 {
                        return Poll::Ready(Err(Stuck::Sink));
                    }
                    self.buffer.advance(count);
                    self.bytes += count as u64;
                    *moved = true;
                }
                if self.read_ended {
                    // Half-close: this way is over, the other goes on.
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_gone| Stuck::Sink)?;
                    self.closed = true;
                    continue;
                }
            }
            self.buffer.reserve(ROOM);
            let read = match tokio_util::io::poll_read_buf(Pin::new(&mut *from), cx, &mut self.buffer) {
                Poll::Ready(read) => read.map_err(|_gone| Stuck::Source)?,
                Poll::Pending => {
                    ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_gone| Stuck::Sink)?;
                    if self.buffer.is_empty() {
                        // An idle tunnel holds no buffer.
                        self.buffer = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            };
            *moved = true;
            self.read_ended = read == 0;
        }
    }
}

/// Whether a tunnel whose first bytes arrive by so many is refused, where `social.example` is listed.
#[cfg(any(test, fuzzing))]
pub(super) fn hides_listed_name(data: &[u8], size: usize) -> bool {
    let pattern = "social.example".parse().ok();
    let hosts = InterceptedHosts::new(pattern.as_ref(), []);
    let mut sniffer = Sniffer { hosts: &hosts, acceptor: Some(rustls::server::Acceptor::default()), fed: 0 };
    let mut end = 0;
    while end < data.len() {
        end = (end + size.max(1)).min(data.len());
        match sniffer.look(data.get(..end).unwrap_or_default()) {
            Sniffed::NeedsMore => {}
            Sniffed::Passes => return false,
            Sniffed::Hidden => return true,
        }
    }
    false
}

/// Relays until both sides are done, or the device is `revoked`. `first` was read from the device already.
pub(crate) async fn relay(
    mut device: BoxIo,
    first: BytesMut,
    mut upstream: BoxIo,
    hosts: &InterceptedHosts,
    patience: &mut Patience,
    idle: std::time::Duration,
    mut revoked: Pin<&mut impl Future<Output = ()>>,
) -> Tunnelled {
    let sniffer = Sniffer { hosts, acceptor: Some(rustls::server::Acceptor::default()), fed: 0 };
    let mut up = Way { buffer: first, sniffer: Some(sniffer), read_ended: false, closed: false, bytes: 0 };
    let mut down = Way { buffer: BytesMut::new(), sniffer: None, read_ended: false, closed: false, bytes: 0 };
    patience.allow(idle);
    let end = std::future::poll_fn(|cx| {
        // Looked at first: a tunnel that always has something to move is ended as well.
        if revoked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Refused(Refuse::DeviceRevoked));
        }
        let mut moved = false;
        let up_state = up.poll(cx, &mut device, &mut upstream, &mut moved);
        let down_state = down.poll(cx, &mut upstream, &mut device, &mut moved);
        match (up_state, down_state) {
            (Poll::Ready(Err(Stuck::Hidden)), _) => return Poll::Ready(End::Refused(Refuse::HiddenName)),
            (Poll::Ready(Err(Stuck::Source)), _) | (_, Poll::Ready(Err(Stuck::Sink))) => {
                return Poll::Ready(End::DeviceGone);
            }
            (Poll::Ready(Err(Stuck::Sink)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::UpstreamGone),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
            _ => {}
        }
        if moved {
            patience.allow(idle);
        }
        patience.poll(cx).map(|()| End::Idle)
    })
    .await;
    Tunnelled { end, up: up.bytes, down: down.bytes }
}
