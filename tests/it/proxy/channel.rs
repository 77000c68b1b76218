//! WebSockets and event streams: messages, one by one.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use muniment::capture::{GapCause, RefusalReason};
use muniment::exchange::Opcode;
use muniment::record::Direction;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::support::pair::world;
use super::support::peer::{Stream, field};
use super::support::{Choice, Note, Origin, Peer, RawOrigin, World, WorldBuilder};

const QUIET: Duration = Duration::from_millis(120);

type Socket = WebSocketStream<Box<dyn Stream>>;

/// tungstenite on both sides of the proxy; gives the handshake that the origin saw as well.
async fn sockets(world: &World, origin: &RawOrigin, path: &str) -> (Socket, Socket, String) {
    let serving = async {
        let mut peer = origin.accept().await;
        let head = peer.head().await;
        let accept = derive_accept_key(field(&head, "sec-websocket-key").unwrap().as_bytes());
        peer.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ))
        .await;
        (WebSocketStream::from_raw_socket(peer.stream, Role::Server, None).await, head)
    };
    let connecting = async {
        let tunnel: Box<dyn Stream> = Box::new(world.tunnel("social.test", Choice::Http1).await);
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        let request = http::Request::get(format!("wss://social.test{path}"))
            .header("Host", "social.test")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", key)
            .header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
            .body(())
            .unwrap();
        let (socket, response) = client_async(request, tunnel).await.unwrap();
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        socket
    };
    let (device, (origin, head)) = tokio::join!(connecting, serving);
    (device, origin, head)
}

async fn next(socket: &mut Socket) -> Message {
    tokio::time::timeout(Duration::from_secs(10), socket.next()).await.expect("no message comes").unwrap().unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_and_are_handed_over() {
    let (world, origin) = world().await;
    let (mut device, mut upstream, head) = sockets(&world, &origin, "/channel").await;
    assert!(field(&head, "sec-websocket-extensions").is_none(), "compression is declined");
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    let large = "x".repeat(200_000);
    for text in ["hello", "", "žluťoučký", &large] {
        device.send(Message::text(text)).await.unwrap();
        assert_eq!(next(&mut upstream).await, Message::text(text));
        upstream.send(Message::text(format!("re: {text}"))).await.unwrap();
        assert_eq!(next(&mut device).await, Message::text(format!("re: {text}")));
    }
    device.send(Message::binary(vec![0, 159, 146, 150])).await.unwrap();
    assert_eq!(next(&mut upstream).await, Message::binary(vec![0, 159, 146, 150]));
    assert_eq!(world.recorder.messages(Direction::Outbound).len(), 5);
    world.recorder.until("inbound messages", |notes| notes.len() == 9).await;
    assert_eq!(world.recorder.messages(Direction::Inbound)[2], "re: žluťoučký");
    let Some(Note::Message { message }) = world
        .recorder
        .notes()
        .into_iter()
        .find(|note| matches!(note, Note::Message { message } if message.number == 4))
    else {
        panic!("the fifth message is not there")
    };
    assert_eq!(message.opcode, Opcode::Binary);
}

#[tokio::test]
async fn p1_an_outbound_message_waits_for_its_record_and_later_ones_wait_behind_it() {
    let (world, origin) = world().await;
    let (mut device, mut upstream, _) = sockets(&world, &origin, "/channel").await;
    world.recorder.close();
    for text in ["one", "two", "three"] {
        device.send(Message::text(text)).await.unwrap();
    }
    assert!(tokio::time::timeout(QUIET, upstream.next()).await.is_err(), "nothing leaves unrecorded");
    upstream.send(Message::text("inbound")).await.unwrap();
    assert_eq!(next(&mut device).await, Message::text("inbound"), "the other direction does not wait");
    for text in ["one", "two", "three"] {
        world.recorder.open(1);
        assert_eq!(next(&mut upstream).await, Message::text(text));
        assert_eq!(world.recorder.messages(Direction::Outbound).last().unwrap(), text);
        assert!(tokio::time::timeout(QUIET, upstream.next()).await.is_err(), "one verdict, one message");
    }
}

#[tokio::test]
async fn p1_a_refused_message_is_not_sent_and_both_sides_are_told() {
    let (world, origin) = world().await;
    let (mut device, mut upstream, _) = sockets(&world, &origin, "/channel").await;
    world.recorder.refuse(RefusalReason::ArchiveUnavailable);
    device.send(Message::text("hello")).await.unwrap();
    let Message::Close(Some(told)) = next(&mut device).await else { panic!("no close frame") };
    assert_eq!(u16::from(told.code), 1013);
    assert!(told.reason.contains("not sent"), "{}", told.reason);
    assert!(matches!(next(&mut upstream).await, Message::Close(_)), "and nothing before it");
    world.recorder.until_gap(GapCause::WriteRefused).await;
}

/// A frame from the device, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

async fn raw(world: &World, origin: &RawOrigin) -> (Peer, Peer) {
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device
        .send("GET /channel HTTP/1.1\r\nHost: social.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n")
        .await;
    upstream.head().await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    device.head().await;
    (device, upstream)
}

#[tokio::test]
async fn fragments_are_one_message_and_control_frames_come_between_them() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = raw(&world, &origin).await;
    device.send(frame(0x01, b"hel")).await;
    upstream.expect_silence(QUIET).await;
    device.send(frame(0x89, b"ping")).await;
    upstream.expect(frame(0x89, b"ping")).await;
    device.send(frame(0x80, b"lo")).await;
    upstream.expect([frame(0x01, b"hel"), frame(0x80, b"lo")].concat()).await;
    assert_eq!(world.recorder.messages(Direction::Outbound), ["hello"]);
    // Inbound fragments go through at once.
    upstream.send([0x01, 2, b'a', b'b']).await;
    device.expect([0x01, 2, b'a', b'b']).await;
    upstream.send([0x80, 1, b'c']).await;
    device.expect([0x80, 1, b'c']).await;
    world.recorder.until("inbound message", |notes| notes.len() == 2).await;
    assert_eq!(world.recorder.messages(Direction::Inbound), ["abc"]);
}

#[tokio::test]
async fn p1_what_breaks_the_protocol_is_not_relayed() {
    let (world, origin) = world().await;
    for bad in [
        vec![0x81, 2, b'h', b'i'],
        frame(0xc1, b"compressed"),
        frame(0x83, b"reserved"),
        frame(0x80, b"continues nothing"),
        [frame(0x01, b"a"), frame(0x01, b"b")].concat(),
        vec![0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let (mut device, mut upstream) = raw(&world, &origin).await;
        device.send(&bad).await;
        let told = device.rest().await;
        assert_eq!(told[0], 0x88, "{bad:?}");
        assert!([1002, 1009].contains(&u16::from_be_bytes([told[2], told[3]])), "{bad:?}");
        let heard = upstream.rest().await;
        assert_eq!(heard[0], 0x88, "the origin hears goodbye and nothing else: {heard:?}");
    }
    assert!(world.recorder.messages(Direction::Outbound).is_empty());
    world.recorder.until_gap(GapCause::MalformedExchange).await;
    world.recorder.until_gap(GapCause::WriteTooLarge).await;
}

#[tokio::test]
async fn an_origin_that_compresses_against_the_agreement_is_relayed_and_noted() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = raw(&world, &origin).await;
    upstream.send([0xc1, 2, b'a', b'b']).await;
    device.expect([0xc1, 2, b'a', b'b']).await;
    world.recorder.until_gap(GapCause::MalformedExchange).await;
    upstream.send([0x81, 1, b'c']).await;
    device.expect([0x81, 1, b'c']).await;
}

#[tokio::test]
async fn a_websocket_gets_a_connection_of_its_own_where_upstream_speaks_http_2() {
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["h2", "http/1.1"]))).await;
    let world = builder.listed("social.test", origin.address).start().await;
    // The connection that CONNECT made speaks h2 and is left alone; the WebSocket's own is made for it.
    let first = tokio::spawn(async move {
        let mut first = origin.accept().await;
        first.bytes(3).await;
        (first, origin)
    });
    let tunnel = world.tunnel("social.test", Choice::Http1).await;
    let (_first, origin) = first.await.unwrap();
    let mut device = Peer::new("device", tunnel);
    device
        .send("GET /channel HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n")
        .await;
    let mut upstream = origin.accept().await;
    assert!(upstream.head().await.starts_with("GET /channel HTTP/1.1\r\n"));
}

#[tokio::test]
async fn events_of_an_endless_stream_are_handed_over_as_they_come() {
    for (device, alpn) in
        [(Choice::Http1, "http/1.1"), (Choice::Http1, "h2"), (Choice::Http2, "http/1.1"), (Choice::Http2, "h2")]
    {
        let builder = WorldBuilder::new();
        let origin = Origin::start(builder.root.config(&["social.test"], &[alpn])).await;
        let world = builder.listed("social.test", origin.address).start().await;
        let until = world.recorder.until("three events", |notes| notes.len() == 3);
        match device {
            Choice::Http2 => {
                let requests = world.device2("social.test").await;
                let request = http::Request::get("https://social.test/channel/events/3").body(()).unwrap();
                let (response, _) = requests.ready().await.unwrap().send_request(request, true).unwrap();
                let mut body = response.await.unwrap().into_body();
                assert!(body.data().await.unwrap().unwrap().starts_with(b"event: update\ndata: {\"n\":0}"));
                until.await;
            }
            _ => {
                let mut peer = world.device("social.test").await;
                peer.send("GET /channel/events/3 HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
                assert_eq!(field(&peer.head().await, "content-type"), Some("text/event-stream"));
                until.await;
            }
        }
        assert_eq!(world.recorder.messages(Direction::Inbound), ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"]);
        let Note::Message { message } = &world.recorder.notes()[0] else { panic!("no message") };
        assert_eq!((message.event.as_deref(), message.opcode), (Some("update"), Opcode::Event));
    }
}

#[tokio::test]
async fn compressed_events_and_json_lines_are_read_while_they_stream() {
    use std::io::Write as _;
    let (world, origin) = world().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut coded = |text: &str| {
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.flush().unwrap();
        std::mem::take(gzip.get_mut())
    };
    let pieces = [coded("data: one\n\n"), coded("data: two\n\n")];
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device.send("GET /channel HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Encoding: gzip\r\n\r\n")
        .await;
    for (count, piece) in pieces.iter().enumerate() {
        upstream.send(piece).await;
        world.recorder.until("event", |notes| notes.len() == count + 1).await;
    }
    assert_eq!(world.recorder.messages(Direction::Inbound), ["one", "two"]);
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device.send("GET /channel HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 12\r\n\r\n{\"a\":1}\n[2]\n")
        .await;
    world.recorder.until("lines", |notes| notes.len() == 4).await;
    assert_eq!(world.recorder.messages(Direction::Inbound)[2..], ["{\"a\":1}", "[2]"]);
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device.send("GET /channel HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: rot13\r\n\r\nqngn").await;
    device.head().await;
    world.recorder.until_gap(GapCause::UnreadableCoding).await;
}

#[tokio::test]
async fn p1_a_websocket_that_no_plan_speaks_of_is_not_opened() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device
        .send("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n")
        .await;
    upstream.head().await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    assert!(device.head().await.starts_with("HTTP/1.1 400 "));
    upstream.expect_end().await;
    world.recorder.until_gap(GapCause::UnknownUpgrade).await;
}

#[tokio::test]
async fn p1_a_websocket_among_other_protocols_is_held_like_any_other() {
    let (world, origin) = world().await;
    for upgrade in ["Upgrade: other, WebSocket", "Upgrade: other\r\nUpgrade: websocket", "Upgrade: websocket/13,x"] {
        let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
        device
            .send(format!("GET /channel HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\n{upgrade}\r\nSec-WebSocket-Key: a\r\n\r\n"))
            .await;
        upstream.head().await;
        upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
        assert!(device.head().await.starts_with("HTTP/1.1 101 "), "{upgrade}");
        let before = world.recorder.messages(Direction::Outbound).len();
        device.send(frame(0x81, b"hello")).await;
        upstream.expect(frame(0x81, b"hello")).await;
        assert_eq!(world.recorder.messages(Direction::Outbound).len(), before + 1, "{upgrade}");
    }
    // Where there is no GET there is no WebSocket: what has the shape of a write stays one.
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    world.recorder.close();
    device
        .send("POST /post HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    upstream.expect_silence(QUIET).await;
}

#[tokio::test]
async fn a_revoked_device_sends_no_further_message_on_a_channel_that_is_open() {
    let (world, origin) = world().await;
    let (mut device, mut upstream, _) = sockets(&world, &origin, "/channel").await;
    device.send(Message::text("one")).await.unwrap();
    assert_eq!(next(&mut upstream).await, Message::text("one"));
    world.devices.revoke();
    device.send(Message::text("two")).await.unwrap();
    let Message::Close(Some(told)) = next(&mut device).await else { panic!("no close frame") };
    assert_eq!(u16::from(told.code), 1008);
    assert!(told.reason.contains("revoked"), "{}", told.reason);
    assert!(matches!(next(&mut upstream).await, Message::Close(_)), "and nothing before it");
    assert_eq!(world.recorder.messages(Direction::Outbound), ["one"]);
    assert!(world.counts("refused_total{reason=\"device_revoked\"} 1"));
}

#[tokio::test]
async fn events_that_were_whole_before_the_coding_broke_are_handed_over() {
    use std::io::Write as _;
    let (world, origin) = world().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"data: one\n\ndata: two\n\ndata: three\n\ndata: cut").unwrap();
    gzip.flush().unwrap();
    let broken = [gzip.get_ref().as_slice(), &[0xff; 100]].concat();
    let (mut device, mut upstream) = tokio::join!(world.device("social.test"), origin.accept());
    device.send("GET /channel HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n";
    // One piece, so that the fault comes together with what stands before it.
    upstream.send([format!("{head}Content-Length: {}\r\n\r\n", broken.len()).as_bytes(), &broken].concat()).await;
    device.head().await;
    assert_eq!(device.bytes(broken.len()).await, broken, "the device gets what the origin sent");
    world.recorder.until_gap(GapCause::UnreadableCoding).await;
    world.recorder.until("three events", |notes| notes.len() == 4).await;
    assert_eq!(world.recorder.messages(Direction::Inbound), ["one", "two", "three"]);
    assert_eq!(world.recorder.gaps(), [GapCause::UnreadableCoding], "said once");
}
