//! A moment after a device was revoked nothing that it has open goes on, also where there is no next request to be asked about.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};

use super::support::device::{PASSWORD, USER, basic};
use super::support::pair::{pair, world};
use super::support::peer::status;
use super::support::{Note, Peer, RawOrigin, World, WorldBuilder};

/// Longer than it may take.
const BRIEFLY: Duration = Duration::from_secs(5);

/// Revokes the device: both sides see the end of what they had open.
async fn revoke(world: &World, device: &mut Peer, upstream: &mut Peer) -> (Vec<u8>, Vec<u8>) {
    world.devices.revoke();
    let both = async { tokio::join!(device.rest(), upstream.rest()) };
    let rests = timeout(BRIEFLY, both).await.expect("it goes on");
    assert!(world.counts("refused_total{reason=\"device_revoked\"} 1"));
    rests
}

#[tokio::test]
async fn a_channel_on_which_nothing_is_said_is_ended() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /relay HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    assert_eq!(status(&device.head().await), 101);
    let (told, passed_on) = revoke(&world, &mut device, &mut upstream).await;
    assert_eq!((told[0], u16::from_be_bytes([told[2], told[3]])), (0x88, 1008), "a close frame: policy");
    assert_eq!(passed_on[0], 0x88);
}

#[tokio::test]
async fn an_answer_that_has_no_end_is_ended() {
    for (path, content) in [("/channel", "text/event-stream"), ("/read", "text/plain"), ("/forward", "video/mp4")] {
        let (world, origin) = world().await;
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send(format!("GET {path} HTTP/1.1\r\nHost: social.test\r\n\r\n")).await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {content}\r\n\r\ndata: one\n\n")).await;
        assert_eq!(status(&device.head().await), 200);
        device.expect("b\r\ndata: one\n\n\r\n").await;
        let (rest, _nothing) = revoke(&world, &mut device, &mut upstream).await;
        assert!(rest.is_empty(), "{path}: it is cut off, and does not look whole");
    }
}

#[tokio::test]
async fn a_stream_of_an_http_2_connection_is_ended() {
    let (world, origin) = world().await;
    let (requests, mut upstream) = tokio::join!(world.device2("social.test"), origin.accept());
    let mut requests: h2::client::SendRequest<Bytes> = requests.ready().await.unwrap();
    let request = Request::get("https://social.test/channel").body(()).unwrap();
    let (answer, _nothing) = requests.send_request(request, true).unwrap();
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n").await;
    let mut events = answer.await.unwrap().into_body();
    assert_eq!(events.data().await.unwrap().unwrap(), "data: one\n\n");
    world.devices.revoke();
    assert!(timeout(BRIEFLY, events.data()).await.expect("it goes on").unwrap().is_err());
    timeout(BRIEFLY, upstream.rest()).await.expect("it goes on");
}

#[tokio::test]
async fn a_request_in_absolute_form_is_ended() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().reachable("plain.test", origin.address).start().await;
    let (target, credential) = (format!("plain.test:{}", origin.address.port()), basic(USER, PASSWORD));
    let mut device = world.connection().await;
    device
        .send(format!(
            "GET http://{target}/events HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {credential}\r\n\r\n"
        ))
        .await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
    assert_eq!(status(&device.head().await), 200);
    revoke(&world, &mut device, &mut upstream).await;
}

#[tokio::test]
async fn a_tunnel_is_ended_however_busy_it_is() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().reachable("plain.test", origin.address).start().await;
    let target = format!("plain.test:{}", origin.address.port());
    for busy in [false, true] {
        let (connected, mut upstream) = tokio::join!(world.connect(&target), origin.accept());
        let (mut device, answered) = connected;
        if !busy {
            // The first device is only looked at while it is one.
            assert_eq!(answered, 200);
            let quiet = timeout(Duration::from_millis(1500), device.stream.read_u8()).await;
            assert!(quiet.is_err(), "nothing ends while nobody is revoked");
        }
        let flood = async {
            let chunk = vec![0; 64 * 1024];
            while busy && upstream.try_send(&chunk).await {}
            upstream.rest().await;
        };
        let drained = async {
            let mut room = vec![0; 64 * 1024];
            while device.stream.read(&mut room).await.is_ok_and(|count| count > 0) {}
        };
        let revoking = async {
            sleep(Duration::from_millis(50)).await;
            world.devices.revoke();
        };
        let all = async { tokio::join!(flood, drained, revoking) };
        timeout(BRIEFLY, all).await.expect("it goes on");
        world.devices.restore();
    }
    assert!(world.counts("refused_total{reason=\"device_revoked\"} 2"));
}

#[tokio::test]
async fn what_becomes_of_a_write_is_waited_for() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi").await;
    upstream.head().await;
    world.devices.revoke();
    sleep(Duration::from_millis(2500)).await;
    upstream.expect("hi").await;
    upstream.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(device.answer().await.1, "ok");
    let answered = |notes: &[Note]| notes.iter().any(|note| matches!(note, Note::Outcome { status: Some(201), .. }));
    world.recorder.until("outcome", answered).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    assert_eq!(status(&device.head().await), 403);
}
