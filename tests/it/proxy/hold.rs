//! P1: no record, no send.

use std::time::Duration;

use muniment::capture::{GapCause, NoAnswer, RefusalReason};

use super::support::pair::{pair, world};
use super::support::peer::{field, status};
use super::support::{Note, RawOrigin, World, WorldBuilder};

const QUIET: Duration = Duration::from_millis(150);

fn outcomes(world: &World) -> Vec<(Option<u16>, Option<NoAnswer>)> {
    world
        .recorder
        .notes()
        .into_iter()
        .filter_map(|note| if let Note::Outcome { status, none, .. } = note { Some((status, none)) } else { None })
        .collect()
}

#[tokio::test]
async fn p1_nothing_reaches_the_origin_before_the_record_is_durable() {
    let (world, origin) = world().await;
    world.recorder.close();
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nhello").await;
    upstream.expect_silence(QUIET).await;
    world.recorder.open(1);
    upstream.expect("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(world.recorder.writes()[0].1, b"hello");
    upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    device.expect("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    world.recorder.until("outcome", |notes| notes.len() == 2).await;
    assert_eq!(outcomes(&world), [(Some(201), None)]);
    let Note::Outcome { complete, body, .. } = world.recorder.notes().remove(1) else { panic!("no outcome") };
    assert_eq!((complete, body.as_slice()), (true, &b"ok"[..]));
}

#[tokio::test]
async fn of_a_large_answer_to_a_write_the_first_megabyte_is_kept_and_said_to_be_cut() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi").await;
    upstream.head().await;
    let size = 3 << 20;
    let sending = tokio::spawn(async move {
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
        upstream.send(vec![b'x'; size]).await;
        upstream
    });
    device.head().await;
    device.bytes(size).await;
    drop(sending.await.unwrap());
    world.recorder.until("outcome", |notes| notes.len() == 2).await;
    let Note::Outcome { complete, body, .. } = world.recorder.notes().remove(1) else { panic!("no outcome") };
    assert_eq!((complete, body.len()), (false, 1 << 20));
}

#[tokio::test]
async fn p1_a_write_without_a_body_holds_its_head() {
    let (world, origin) = world().await;
    world.recorder.close();
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("DELETE /statuses/1 HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.expect_silence(QUIET).await;
    world.recorder.open(1);
    upstream.expect("DELETE /statuses/1 HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
}

#[tokio::test]
async fn p1_a_body_that_never_ends_is_neither_recorded_nor_sent() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 50\r\n\r\nhalf of it").await;
    upstream.expect_silence(QUIET).await;
    drop(device);
    upstream.expect_end().await;
    assert!(world.recorder.writes().is_empty());
}

#[tokio::test]
async fn p1_a_refused_write_is_never_sent_and_the_connection_goes_on() {
    let (world, origin) = world().await;
    world.recorder.refuse(RefusalReason::SpoolUnavailable);
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nhello").await;
    let (head, body) = device.answer().await;
    assert_eq!(status(&head), 507);
    assert!(body.contains("\"fault\":\"firm\""), "{body}");
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.expect("GET /forward HTTP/1.1\r\n").await;
    assert_eq!(world.recorder.gaps(), [GapCause::WriteRefused]);
}

#[tokio::test]
async fn p1_only_the_end_of_a_held_tail_waits_for_its_record() {
    let (world, origin) = world().await;
    world.recorder.close();
    let (mut device, mut upstream) = pair(&world, &origin).await;
    let body = vec![b't'; 100_000];
    device.send("POST /tail HTTP/1.1\r\nHost: social.test\r\nContent-Length: 100000\r\n\r\n").await;
    device.send(&body).await;
    upstream.head().await;
    let streamed = upstream.bytes(98_976).await;
    assert!(streamed.iter().all(|b| *b == b't'));
    upstream.expect_silence(QUIET).await;
    world.recorder.open(1);
    upstream.bytes(1024).await;
    assert_eq!(world.recorder.writes()[0].1, body);
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    device.expect("HTTP/1.1 204 No Content\r\n\r\n").await;
    world.recorder.until("outcome", |notes| notes.len() == 2).await;
    assert_eq!(outcomes(&world), [(Some(204), None)]);
}

#[tokio::test]
async fn p1_a_held_tail_that_is_refused_leaves_the_origin_without_its_end() {
    let (world, origin) = world().await;
    world.recorder.refuse(RefusalReason::ArchiveUnavailable);
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /tail HTTP/1.1\r\nHost: social.test\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n").await;
    device.send(vec![b't'; 2000]).await;
    upstream.head().await;
    device.send("\r\n0\r\n\r\n").await;
    let (head, _) = device.answer().await;
    assert_eq!(status(&head), 503);
    let rest = upstream.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 2000, "the end was never sent");
    let gaps = world.recorder.gaps();
    assert!(gaps.contains(&GapCause::WriteCut) && gaps.contains(&GapCause::WriteRefused), "{gaps:?}");
}

#[tokio::test]
async fn p3_of_a_login_like_write_only_the_head_is_recorded() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /head-only HTTP/1.1\r\nHost: social.test\r\nContent-Length: 8\r\n\r\npassword").await;
    upstream.expect("POST /head-only HTTP/1.1\r\nHost: social.test\r\nContent-Length: 8\r\n\r\npassword").await;
    assert_eq!(world.recorder.writes()[0].1, b"");
}

#[tokio::test]
async fn p3_a_credential_request_streams_and_hands_over_nothing() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /login HTTP/1.1\r\nHost: social.test\r\nContent-Length: 8\r\n\r\npass").await;
    upstream.expect("POST /login HTTP/1.1\r\nHost: social.test\r\nContent-Length: 8\r\n\r\npass").await;
    device.send("word").await;
    upstream.expect("word").await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken").await;
    assert!(world.recorder.notes().is_empty());
}

#[tokio::test]
async fn p1_an_origin_that_dies_after_the_release_leaves_a_record_without_an_answer_and_is_not_asked_again() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nhello").await;
    upstream.head().await;
    drop(upstream);
    device.expect_end().await;
    origin.expect_nobody(QUIET).await;
    world.recorder.until("outcome", |notes| notes.len() == 2).await;
    assert_eq!(outcomes(&world), [(None, Some(NoAnswer::ConnectionLost))]);
    assert_eq!(world.recorder.writes().len(), 1);
}

#[tokio::test]
async fn a_write_over_the_limit_is_refused_before_it_is_read() {
    let mut builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    builder.proxy.limits.body = muniment::settings::Size(300_000);
    let world = builder.listed("social.test", origin.address).start().await;
    for framing in ["Content-Length: 400000", "Transfer-Encoding: chunked"] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send(format!("POST /post HTTP/1.1\r\nHost: social.test\r\n{framing}\r\n\r\n")).await;
        if framing.starts_with('T') {
            device.try_send("61a80\r\n").await;
            device.try_send(vec![b'x'; 400_000]).await;
        }
        let (head, body) = device.answer().await;
        assert_eq!(status(&head), 413, "{framing}");
        assert!(body.contains("too_large"), "{body}");
        drop(device);
        upstream.expect_end().await;
    }
    assert_eq!(world.recorder.gaps(), [GapCause::WriteTooLarge, GapCause::WriteTooLarge]);
    assert!(world.recorder.writes().is_empty());
}

#[tokio::test]
async fn an_early_answer_of_the_origin_reaches_the_device() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /forward HTTP/1.1\r\nHost: social.test\r\nContent-Length: 1000000\r\n\r\nabc").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    device.expect("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn a_read_is_streamed_at_once_and_handed_over_at_its_end() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /read HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nquery").await;
    upstream.expect("POST /read HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\n\r\nquery").await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
    assert!(world.recorder.notes().is_empty());
    upstream.send("rests").await;
    device.expect("rests").await;
    world.recorder.until("observation", |notes| notes.len() == 1).await;
    let Note::Observe { exchange, query, body } = world.recorder.notes().remove(0) else { panic!("no observation") };
    assert_eq!((query.as_slice(), body.as_slice()), (&b"query"[..], &b"firstrests"[..]));
    assert!(exchange.response.unwrap().complete);
}

#[tokio::test]
async fn a_read_that_asks_to_become_a_websocket_is_handed_over_where_it_stays_a_read() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    let handshake = "GET /read HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // Without `Connection` it is no handshake, and without a handshake nothing the origin could take for one.
    for request in [handshake, "GET /read HTTP/1.1\r\nHost: social.test\r\nUpgrade: websocket\r\n\r\n"] {
        let before = world.recorder.notes().len();
        device.send(request).await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nitems").await;
        device.expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nitems").await;
        world.recorder.until("observation", |notes| notes.len() == before + 1).await;
        let Some(Note::Observe { body, .. }) = world.recorder.notes().pop() else { panic!("no observation") };
        assert_eq!(body, b"items");
    }
    device.send(handshake).await;
    upstream.head().await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    assert!(device.head().await.starts_with("HTTP/1.1 101 "));
    world.recorder.close();
    device.send(b"\x81\x82\0\0\0\0hi").await;
    upstream.expect_silence(QUIET).await;
    assert_eq!(world.recorder.notes().len(), 2, "a channel is no read");
}

#[tokio::test]
async fn a_read_that_is_cut_off_or_too_large_is_a_gap() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /read HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    drop(upstream);
    device.rest().await;
    world.recorder.until_gap(GapCause::ReadCut).await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /read HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    let size = 65 << 20;
    let sending = tokio::spawn(async move {
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
        for _ in 0..65 {
            upstream.send(vec![b'x'; 1 << 20]).await;
        }
        upstream
    });
    device.head().await;
    assert_eq!(device.bytes(size).await.len(), size, "the device gets all of it");
    drop(sending.await.unwrap());
    world.recorder.until_gap(GapCause::ReadCapped).await;
}

#[tokio::test]
async fn p1_a_body_that_cannot_be_kept_is_refused_and_the_answer_says_what_happened() {
    for (reason, wanted, word, said) in [
        (RefusalReason::BodyUndecodable, 415, "undecodable", "compressed in a way that cannot be read"),
        (RefusalReason::BodyTooLarge, 413, "too_large", "larger than what can be recorded"),
    ] {
        let (world, origin) = world().await;
        world.recorder.refuse(reason);
        let (mut device, mut upstream) = pair(&world, &origin).await;
        for accept in ["text/html", "application/json"] {
            device
                .send(format!(
                    "POST /post HTTP/1.1\r\nHost: social.test\r\nAccept: {accept}\r\nContent-Length: 5\r\n\r\nhello"
                ))
                .await;
            let (head, body) = device.answer().await;
            assert_eq!(status(&head), wanted);
            assert_eq!(field(&head, "muniment-refusal"), Some(word));
            assert!(field(&head, "content-type").unwrap().starts_with(accept) || accept.ends_with("json"), "{head}");
            assert!(body.contains(said), "{body}");
        }
        upstream.expect_silence(QUIET).await;
    }
}

#[tokio::test]
async fn a_held_tail_is_given_leave_to_come_at_once_and_only_where_it_waits_for_it() {
    let (world, origin) = world().await;
    let head = "POST /tail HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send(head).await;
    device.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    device.send("body").await;
    let (mut hasty, mut other) = pair(&world, &origin).await;
    hasty.send(format!("{head}body")).await;
    for (device, upstream) in [(&mut device, &mut upstream), (&mut hasty, &mut other)] {
        upstream.expect("POST /tail HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\n\r\nbody").await;
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        device.expect("HTTP/1.1 204 No Content\r\n\r\n").await;
    }
}

#[test]
fn a_disk_that_is_behind_holds_the_device_back() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 96;
    // One thread for the disk, and it hangs.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut builder = WorldBuilder::new();
        let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
        builder.proxy.limits.body_memory = muniment::settings::Size(256 << 10);
        let world = builder.listed("social.test", origin.address).start().await;
        let (mut device, mut upstream) = pair(&world, &origin).await;
        let (resume, resumed) = std::sync::mpsc::channel::<()>();
        let hanging = tokio::task::spawn_blocking(move || resumed.recv());
        let total = PIECE * PIECES;
        device.send(format!("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: {total}\r\n\r\n")).await;
        let taken = std::sync::atomic::AtomicUsize::new(0);
        let piece = vec![b'x'; PIECE / 4];
        let mut sending = Box::pin(async {
            for _ in 0..4 * PIECES {
                device.send(&piece).await;
                taken.fetch_add(piece.len(), std::sync::atomic::Ordering::Relaxed);
            }
        });
        assert!(tokio::time::timeout(Duration::from_secs(3), &mut sending).await.is_err());
        let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
        assert!(taken < total / 2, "{taken} bytes were taken, which only socket buffers may hold");
        resume.send(()).unwrap();
        sending.await;
        hanging.await.unwrap().unwrap();
        upstream.head().await;
        assert_eq!(upstream.bytes(total).await.len(), total, "and then all of it goes on");
    });
}
