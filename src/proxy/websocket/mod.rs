//! Connections that were switched to another protocol: WebSocket, and whatever else is upgraded to.
//!
//! `permessage-deflate` is declined on purpose: `Sec-WebSocket-Extensions` is taken out of the handshake both ways. Decoding it would
//! mean to keep a compression window for every connection and direction and to trust a peer's compressed lengths, and recompressing
//! would change what was sent; declining is a matter of one header, and the messages that matter here are short.
//!
//! Invariant (P1): where the plan holds outbound messages, none leaves before its verdict, and none overtakes another.

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod way;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use self::frame::{FrameError, Sender};
use self::way::{Care, Stuck, Way};
use super::end::End;
use super::http::conn::Conn;
use super::http::exchange::Upgraded;
use super::http::site::Site;
use super::http::tap::Listener;
use super::patience::Patience;
use super::refuse::Refuse;
use crate::capture::{Gap, GapCause, Refusal, RefusalReason};
use crate::recognize::Outbound;

/// Time for the last frames.
const FAREWELL: Duration = Duration::from_secs(2);
/// RFC 6455 §7.4.1, and IANA's registry of close codes.
const GOING_AWAY: u16 = 1001;
/// For a device that was revoked while its channel was open, and for nothing else.
const POLICY: u16 = 1008;
const INTERNAL_ERROR: u16 = 1011;
const TRY_AGAIN_LATER: u16 = 1013;

/// What a device is told when its message could not be recorded. Not 1008 (policy violation), which says that the message was at fault: a refusal
/// is always ours. As with HTTP, "again later" (503 there) is said only where that may help.
const fn refusal_code(refusal: &Refusal) -> u16 {
    match refusal.reason() {
        RefusalReason::Stopping => GOING_AWAY,
        _ if refusal.may_pass() => TRY_AGAIN_LATER,
        _ => INTERNAL_ERROR,
    }
}

/// Relays an upgraded connection to its end.
pub(crate) async fn serve(site: &Site, device: Conn, upgraded: Upgraded, patience: &mut Patience) -> End {
    let Upgraded { upstream, connection, request, exchange, channel } = upgraded;
    let listener = Listener {
        recorder: &*site.shared.recorder,
        clock: &*site.shared.clock,
        connection: &connection,
        head: &request.head,
        exchange,
    };
    let holds = channel.as_ref().is_some_and(|channel| channel.outbound == Outbound::Hold);
    let hears = channel.as_ref().is_some_and(|channel| channel.inbound);
    let (mut device, first_up) = device.into_parts();
    let (mut origin, first_down) = upstream.into_parts();
    let (up_care, down_care) =
        (if holds { Care::Held } else { Care::Raw }, if hears { Care::Heard } else { Care::Raw });
    let charge = || site.shared.scratch.charge();
    let mut up = Way::new(Sender::Device, up_care, listener, first_up, charge()).of_device(site);
    let mut down = Way::new(Sender::Origin, down_care, listener, first_down, charge());
    let idle = site.shared.limits.idle_timeout;
    patience.allow(idle);
    let mut revoked = std::pin::pin!(site.revoked.cancelled());
    let ended = poll_fn(|cx| {
        let mut moved = false;
        let up_state = up.poll(cx, &mut device, &mut origin, &mut moved);
        let down_state = down.poll(cx, &mut origin, &mut device, &mut moved);
        let stuck = match (up_state, down_state) {
            (Poll::Ready(Err(stuck)), _) => Some((true, stuck)),
            (_, Poll::Ready(Err(stuck))) => Some((false, stuck)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Closed),
            _ => None,
        };
        if let Some((is_up, stuck)) = stuck {
            return Poll::Ready(Ended::of(is_up, stuck));
        }
        if revoked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ended::Revoked);
        }
        // A peer that ended its side gets a moment for the other's farewell.
        if moved {
            patience.allow(if up.is_closed() || down.is_closed() { FAREWELL } else { idle });
        }
        if !up.holds_something() && patience.poll_stop(cx).is_ready() {
            return Poll::Ready(Ended::Stopping);
        }
        patience.poll(cx).map(|()| Ended::Idle)
    })
    .await;
    let (code, reason, end) = match ended {
        Ended::Closed => return End::Closed,
        Ended::DeviceGone => return End::DeviceGone,
        Ended::UpstreamGone => return End::UpstreamGone,
        Ended::Idle => (GOING_AWAY, "idle for too long", End::Idle),
        Ended::Stopping => (GOING_AWAY, "the proxy is being restarted", End::Stopped),
        Ended::Broken(error) => {
            let cause =
                if error == FrameError::TooLarge { GapCause::WriteTooLarge } else { GapCause::MalformedExchange };
            site.note(Gap::on(cause, &connection).exchange(exchange));
            (error.close_code(), "the message cannot be recorded, so it was not sent", End::WebSocketBroken)
        }
        Ended::Revoked => {
            site.shared.metrics.refused(Refuse::DeviceRevoked.as_str());
            (POLICY, "the device was revoked, so nothing more is sent", End::Refused(Refuse::DeviceRevoked))
        }
        Ended::NotKept(refusal) => {
            site.shared.metrics.refused(Refuse::NotKept.as_str());
            tracing::info!(exchange.id = %exchange, reason = refusal.reason().as_str(), "message refused");
            // The recorder has noted the gap.
            (
                refusal_code(&refusal),
                "the message could not be recorded, so it was not sent",
                End::Refused(Refuse::NotKept),
            )
        }
    };
    if channel.is_some() {
        down.say(frame::close(code, reason, Sender::Device));
        up.say(frame::close(GOING_AWAY, "", Sender::Origin));
    }
    let farewell = poll_fn(|cx| {
        let to_device = down.poll_farewell(cx, &mut device);
        let to_origin = up.poll_farewell(cx, &mut origin);
        if to_device.is_ready() && to_origin.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    });
    // Who does not listen is cut off.
    let _in_time: Result<(), tokio::time::error::Elapsed> = timeout(FAREWELL, farewell).await;
    end
}

enum Ended {
    Closed,
    DeviceGone,
    UpstreamGone,
    Idle,
    Stopping,
    Broken(FrameError),
    NotKept(Refusal),
    Revoked,
}

impl Ended {
    fn of(is_up: bool, stuck: Stuck) -> Self {
        match (is_up, stuck) {
            (true, Stuck::Source) | (false, Stuck::Sink) => Self::DeviceGone,
            (true, Stuck::Sink) | (false, Stuck::Source) => Self::UpstreamGone,
            (_, Stuck::Broken(error)) => Self::Broken(error),
            (_, Stuck::NotKept(refusal)) => Self::NotKept(refusal),
            (_, Stuck::Revoked) => Self::Revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_trying_again_may_help_and_never_that_the_message_was_wrong() {
        for (reason, code) in [
            (RefusalReason::ArchiveUnavailable, 1013),
            (RefusalReason::SpoolUnavailable, 1013),
            (RefusalReason::StorageUnavailable, 1013),
            (RefusalReason::Overloaded, 1013),
            (RefusalReason::Stopping, 1001),
            (RefusalReason::Rejected, 1011),
            (RefusalReason::SealingFailed, 1011),
        ] {
            assert_eq!(refusal_code(&Refusal::new(reason, "a test says so")), code, "{reason}");
        }
    }
}
