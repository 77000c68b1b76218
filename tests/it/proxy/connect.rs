//! CONNECT and absolute form: tunnels, credentials, and what is answered here.

use std::time::Duration;

use super::support::device::{PASSWORD, USER, basic};
use super::support::peer::{field, status};
use super::support::{Origin, RawOrigin, World, WorldBuilder};

pub(super) async fn world_with_echo() -> (World, RawOrigin) {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().reachable("plain.test", origin.address).start().await;
    (world, origin)
}

#[tokio::test]
async fn a_tunnel_to_an_unlisted_host_is_passed_through_unread() {
    let (world, origin) = world_with_echo().await;
    let (mut device, status) = world.connect(&format!("plain.test:{}", origin.address.port())).await;
    assert_eq!(status, 200);
    let mut peer = origin.accept().await;
    device.send(b"\x00anything \xff at all").await;
    peer.expect(b"\x00anything \xff at all").await;
    peer.send("and back").await;
    device.expect("and back").await;
    assert!(world.counts("pass_through_total{reason=\"not_listed\"} 1"));
    assert!(world.recorder.notes().is_empty(), "nothing of it is noted");
}

#[tokio::test]
async fn a_tunnel_bears_half_close_both_ways() {
    use tokio::io::AsyncWriteExt as _;
    let (world, origin) = world_with_echo().await;
    let (mut device, _) = world.connect(&format!("plain.test:{}", origin.address.port())).await;
    let mut peer = origin.accept().await;
    device.send("question").await;
    device.stream.shutdown().await.unwrap();
    assert_eq!(peer.rest().await, b"question");
    peer.send("answer after the question's end").await;
    drop(peer);
    assert_eq!(device.rest().await, b"answer after the question's end");
}

#[tokio::test]
async fn connect_in_http_1_0_needs_no_host_and_may_carry_the_apps_own_fields() {
    let (world, origin) = world_with_echo().await;
    let port = origin.address.port();
    let credential = basic(USER, PASSWORD);
    for head in [
        format!("CONNECT plain.test:{port} HTTP/1.0\r\nProxy-Authorization: {credential}\r\n\r\n"),
        format!(
            "CONNECT plain.test:{port} HTTP/1.1\r\nHost: plain.test\r\nUser-Agent: app/1\r\nAccept-Encoding: gzip\r\n\
             proxy-authorization: {credential}\r\nProxy-Connection: keep-alive\r\n\r\n"
        ),
    ] {
        let mut device = world.connection().await;
        device.send(head).await;
        assert_eq!(status(&device.head().await), 200);
        origin.accept().await;
    }
}

#[tokio::test]
async fn bytes_sent_right_behind_connect_are_not_lost() {
    let (world, origin) = world_with_echo().await;
    let port = origin.address.port();
    let mut device = world.connection().await;
    let credential = basic(USER, PASSWORD);
    device
        .send(format!(
            "CONNECT plain.test:{port} HTTP/1.1\r\nProxy-Authorization: {credential}\r\nHost: a\r\n\r\nearly bytes"
        ))
        .await;
    origin.accept().await.expect("early bytes").await;
}

#[tokio::test]
async fn a_device_without_or_with_a_wrong_credential_is_asked_on_the_same_connection() {
    let (world, origin) = world_with_echo().await;
    let target = format!("plain.test:{}", origin.address.port());
    let mut device = world.connection().await;
    for credential in [
        String::new(),
        format!("Proxy-Authorization: {}\r\n", basic(USER, "wrong")),
        "Proxy-Authorization: Bearer x\r\n".to_owned(),
    ] {
        device.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credential}\r\n")).await;
        let (head, body) = device.answer().await;
        assert_eq!(status(&head), 407, "{head}");
        assert!(field(&head, "proxy-authenticate").unwrap().starts_with("Basic"));
        assert!(body.contains("\"fault\":\"device\""), "{body}");
    }
    device
        .send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {}\r\n\r\n",
            basic(USER, PASSWORD)
        ))
        .await;
    assert_eq!(status(&device.head().await), 200);
}

#[tokio::test]
async fn a_revoked_device_is_refused_at_once() {
    let (world, origin) = world_with_echo().await;
    let target = format!("plain.test:{}", origin.address.port());
    assert_eq!(world.connect(&target).await.1, 200);
    assert_eq!(world.connect(&target).await.1, 200);
    assert_eq!(world.devices.asked.load(std::sync::atomic::Ordering::SeqCst), 1, "a right credential is remembered");
    world.devices.revoke();
    assert_eq!(world.connect(&target).await.1, 407);
}

#[tokio::test]
async fn a_page_for_people_and_json_for_programs() {
    let (world, _origin) = world_with_echo().await;
    let mut device = world.connection().await;
    device.send("CONNECT plain.test:443 HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*\r\n\r\n").await;
    let (head, body) = device.answer().await;
    assert!(field(&head, "content-type").unwrap().starts_with("text/html") && body.contains("<h1>"));
    device.send("CONNECT plain.test:443 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").await;
    let (head, body) = device.answer().await;
    assert_eq!(field(&head, "content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["refusal"], "no_credential");
}

#[tokio::test]
async fn absolute_form_is_forwarded_and_the_credential_stays_here() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().reachable("plain.test", origin.address).start().await;
    let port = origin.address.port();
    let mut device = world.connection().await;
    let credential = basic(USER, PASSWORD);
    for path in ["/a?b=c", ""] {
        device
            .send(format!(
                "GET http://plain.test:{port}{path} HTTP/1.1\r\nHost: plain.test:{port}\r\nX-Own: 1\r\nProxy-Connection: keep-alive\r\n\
                 Proxy-Authorization: {credential}\r\n\r\n"
            ))
            .await;
        if path == "/a?b=c" {
            let mut peer = origin.accept().await;
            peer.expect(format!("GET /a?b=c HTTP/1.1\r\nHost: plain.test:{port}\r\nX-Own: 1\r\n\r\n")).await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
        } else {
            origin.accept().await.expect("GET / HTTP/1.1\r\n").await;
            return;
        }
        device.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    }
}

#[tokio::test]
async fn absolute_form_of_https_is_sent_over_tls_and_recorded_on_a_listed_host() {
    let builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&["social.test"], &["http/1.1"])).await;
    let world = builder.listed("social.test", origin.address).start().await;
    let mut device = world.connection().await;
    let credential = basic(USER, PASSWORD);
    device
        .send(format!(
            "POST https://social.test/post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 5\r\nProxy-Authorization: {credential}\r\n\r\nhello"
        ))
        .await;
    let (head, _body) = device.answer().await;
    assert_eq!(status(&head), 201);
    assert_eq!(world.recorder.writes()[0].1, b"hello");
    assert_eq!(origin.seen()[0].body, "hello");
    assert!(!origin.seen()[0].headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn too_many_connections_are_turned_away_and_room_is_given_back() {
    let mut builder = WorldBuilder::new();
    builder.proxy.limits.connections = 2;
    let world = builder.start().await;
    let first = world.connection().await;
    let _second = world.connection().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.connection().await.expect_end().await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut fourth = world.connection().await;
    fourth.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&fourth.head().await), 400);
}
