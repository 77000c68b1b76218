//! The hold (P1): no record, no send.
//!
//! Order, and what a crash right there means:
//! 1. the body is read whole (or, for a held tail, streamed while it is kept): nothing is recorded, nothing was sent as a whole;
//! 2. `Recorder::write` returns: the record is durable, nothing was sent; it is closed as not sent, or as unknown after a crash;
//! 3. the request (or its tail) leaves: the origin may have it; the record is there, its outcome unknown;
//! 4. the answer comes and closes the record.
//!
//! Invariant: no path leads to step 3 but through `Ok` of step 2.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::HeaderMap;
use tokio::time::Instant;

use super::conn::Frame;
use super::exchange::{Served, Serving, cut_of, refusal_of};
use super::held::{Beyond, Keeper, Releasing};
use super::hop::Release;
use super::message::{Answered, Incoming};
use super::relay::{Broken, Relay, Relayed, Source};
use super::tail::Tail;
use super::tap::Tap;
use crate::capture::{Answer, Gap, GapCause, NoAnswer, Receipt};
use crate::exchange::{Body, Connection, Exchange, Request, Response};
use crate::proxy::upstream::Taken;
use crate::recognize::{Hold, Keep, Release as HowReleased};
use crate::record::{ExchangeId, Timestamp};

/// What identifies the exchange.
struct Seen {
    id: ExchangeId,
    at: Timestamp,
    order: Hold,
}

/// Holds a write until its record is durable.
pub(crate) async fn serve(serving: &mut Serving<'_, '_>, request: Incoming, order: &Hold) -> Served {
    let site = serving.site;
    let seen = Seen { id: site.shared.exchange_id(), at: site.shared.now(), order: order.clone() };
    // Reached first: a record of what could never be sent helps nobody, and nobody should upload for nothing.
    let taken = match serving.reach(false).await {
        Ok(taken) => taken,
        Err(refused) => return serving.refuse(&refused, &request).await,
    };
    if order.release == HowReleased::Tail && order.keep == Keep::Whole && request.has_body() {
        return held_tail(serving, request, taken, &seen).await;
    }
    site.upstreams.put(taken);
    held_whole(serving, request, &seen).await
}

async fn held_whole(serving: &mut Serving<'_, '_>, request: Incoming, seen: &Seen) -> Served {
    let site = serving.site;
    let began = Instant::now();
    let (body, trailers) = match read_whole(serving, &request).await {
        Ok(read) => read,
        Err(broken) => return not_kept(serving, &request, seen, broken).await,
    };
    // The origin may not have waited as long as we have: an idle connection is looked at again before anything is recorded.
    let taken = match serving.reach(false).await {
        Ok(taken) => taken,
        Err(refused) => return serving.refuse(&refused, &request).await,
    };
    let connection = site.reached(&taken.facts);
    let receipt = match record(site, &connection, &request, seen, body.clone(), trailers.clone()).await {
        Ok(receipt) => receipt,
        Err(broken) => {
            site.upstreams.put(taken);
            return not_kept(serving, &request, seen, broken).await;
        }
    };
    site.shared.metrics.hold(began.elapsed());
    let mut source = match Releasing::new(&body) {
        Ok(body) => Source::Held { body, trailers },
        Err(error) => {
            site.shared.recorder.outcome(receipt, Answer::None(NoAnswer::NotSent));
            return serving.refuse(&refusal_of(Broken::Held(error)), &request).await;
        }
    };
    // The relay's is the only reference now: a file goes away with it.
    drop(body);
    let release = Release { expectation_met: request.signals.expects_continue, ..Release::default() };
    let (taken, relayed, answer) = relay(serving, &request, taken, &mut source, release).await;
    site.shared.recorder.outcome(receipt, answer);
    serving.conclude(taken, relayed, &request).await
}

async fn held_tail(serving: &mut Serving<'_, '_>, request: Incoming, taken: Taken, seen: &Seen) -> Served {
    let site = serving.site;
    let connection = &site.reached(&taken.facts);
    let limits = &site.shared.limits;
    let keeper = Keeper::new(site.shared.scratch.clone(), limits.body_memory, limits.body, Beyond::Refuse);
    let in_record = &request;
    let tail = Tail::new(
        keeper,
        Box::new(move |keeper: Keeper, trailers| {
            Box::pin(async move {
                let body = keeper.finish().await.map_err(Broken::Held)?;
                record(site, connection, in_record, seen, body, trailers).await
            })
        }),
    );
    if let Err(broken) = invite(serving, &request).await {
        return serving.refuse(&refusal_of(broken), &request).await;
    }
    let release = Release { expectation_met: request.signals.expects_continue, ..Release::default() };
    let mut source = Source::Tail(Box::new(tail));
    let (taken, relayed, answer) = relay(serving, &request, taken, &mut source, release).await;
    let receipt = if let Source::Tail(tail) = &mut source { tail.take_receipt() } else { None };
    drop(source);
    match receipt {
        Some(receipt) => site.shared.recorder.outcome(receipt, answer),
        // Its end was never released, but the origin has most of it.
        None => site.note(gap(GapCause::WriteCut, connection, seen)),
    }
    if let Err(broken) = &relayed.result {
        note_refused(site, broken, connection, seen);
    }
    serving.conclude(taken, relayed, &request).await
}

/// Each refused write is one gap: what the recorder refused, the recorder has noted.
fn note_refused(site: &super::site::Site, broken: &Broken, connection: &Connection, seen: &Seen) {
    match broken {
        Broken::TooLarge => site.note(gap(GapCause::WriteTooLarge, connection, seen)),
        Broken::Held(_) => site.note(gap(GapCause::WriteRefused, connection, seen)),
        // The device itself did not finish: nothing is missing.
        _ => {}
    }
}

fn gap(cause: GapCause, connection: &Connection, seen: &Seen) -> Gap {
    Gap::on(cause, connection).exchange(seen.id).network(seen.order.network.clone())
}

/// Asks for the body in our own name, where the device waits to be asked.
async fn invite(serving: &mut Serving<'_, '_>, request: &Incoming) -> Result<(), Broken> {
    if request.signals.expects_continue && request.has_body() && !serving.device.body_has_begun() {
        serving.device.send_continue().map_err(Broken::Device)?;
        poll_fn(|cx| serving.device.poll_flush(cx)).await.map_err(Broken::Device)?;
    }
    Ok(())
}

async fn read_whole(serving: &mut Serving<'_, '_>, request: &Incoming) -> Result<(Body, Option<HeaderMap>), Broken> {
    let limits = &serving.site.shared.limits;
    if let super::framing::Framing::Length(length) = request.framing
        && length > limits.body
    {
        return Err(Broken::TooLarge);
    }
    invite(serving, request).await?;
    let mut keeper = Keeper::new(serving.site.shared.scratch.clone(), limits.body_memory, limits.body, Beyond::Refuse);
    let mut trailers = None;
    loop {
        serving.patience.allow(limits.idle_timeout);
        let frame = poll_fn(|cx| {
            // While the disk is behind, the device waits: what it sends on stays in its own buffers.
            let stalled = match keeper.poll_settle(cx) {
                Poll::Ready(Ok(())) => {
                    if let Poll::Ready(frame) = serving.device.poll_frame(cx) {
                        return Poll::Ready(frame.map_err(Broken::Device));
                    }
                    Broken::DeviceStalled
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Held(error))),
                Poll::Pending => Broken::Held(std::io::ErrorKind::TimedOut.into()),
            };
            serving.patience.poll(cx).map(|()| Err(stalled))
        })
        .await?;
        match frame {
            Some(Frame::Data(data)) => {
                keeper.push(&data);
                if keeper.is_over() {
                    return Err(Broken::TooLarge);
                }
            }
            Some(Frame::Trailers(fields)) => trailers = Some(fields),
            None => break,
        }
    }
    Ok((keeper.finish().await.map_err(Broken::Held)?, trailers))
}

async fn record(
    site: &super::site::Site,
    connection: &Arc<Connection>,
    request: &Incoming,
    seen: &Seen,
    body: Body,
    trailers: Option<HeaderMap>,
) -> Result<Receipt, Broken> {
    let (body, trailers) = if seen.order.keep == Keep::Head { (Body::Empty, None) } else { (body, trailers) };
    let exchange = Exchange {
        id: seen.id,
        seen_at: seen.at,
        connection: Arc::clone(connection),
        request: Request { head: request.head.clone(), body, trailers },
        response: None,
    };
    site.shared.recorder.write(exchange).await.map_err(Broken::NotKept)
}

async fn not_kept(serving: &mut Serving<'_, '_>, request: &Incoming, seen: &Seen, broken: Broken) -> Served {
    let connection = serving.site.connection();
    note_refused(serving.site, &broken, &connection, seen);
    serving.refuse(&refusal_of(broken), request).await
}

/// Relays, and makes of the answer what closes the record.
async fn relay<'a>(
    serving: &mut Serving<'_, '_>,
    request: &'a Incoming,
    mut taken: Taken,
    source: &mut Source<'a>,
    release: Release,
) -> (Taken, Relayed, Answer) {
    let site = serving.site;
    let copy = Keeper::new(site.shared.scratch.clone(), usize::MAX, site.shared.limits.answer, Beyond::Cut);
    let mut relay = Relay {
        device: &mut *serving.device,
        upstream: &mut taken.end,
        patience: &mut *serving.patience,
        idle: site.shared.limits.idle_timeout,
        request,
        source,
        tap: Tap::Copy(Some(Box::new(copy))),
        endless: false,
        may_switch: false,
        revoked: pin!(site.revoked.cancelled()),
    };
    let relayed = relay.run(release, |answer, _tap| cut_of(answer).is_some()).await;
    let copy = relay.into_tap().finish().await;
    let answer = match (relayed.answer.as_ref().map(Answered::head), copy) {
        (Some(Ok(head)), Some(copy)) => {
            let complete = relayed.result.is_ok() && !copy.is_over();
            let body = copy.finish().await.unwrap_or_default();
            Answer::Response(Response { head, body, complete, ended_at: site.shared.now() })
        }
        _ => Answer::None(no_answer(&relayed)),
    };
    (taken, relayed, answer)
}

fn no_answer(relayed: &Relayed) -> NoAnswer {
    match &relayed.result {
        Err(Broken::Upstream(super::fault::Fault::Shape(_)) | Broken::Switched) => NoAnswer::Malformed,
        Err(Broken::UpstreamStalled) => NoAnswer::TimedOut,
        Err(Broken::Device(_) | Broken::DeviceGone | Broken::DeviceStalled) => NoAnswer::DeviceGone,
        Err(Broken::Held(_) | Broken::NotKept(_) | Broken::TooLarge) => NoAnswer::NotSent,
        _ => NoAnswer::ConnectionLost,
    }
}
