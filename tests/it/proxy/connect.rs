//! CONNECT, absolute form, credentials, targets.

use std::time::Duration;

use muniment::capture::GapCause;

use super::support::device::{PASSWORD, USER, basic, client_config};
use super::support::peer::{field, status};
use super::support::{Choice, Origin, Peer, RawOrigin, World, WorldBuilder};

async fn world_with_echo() -> (World, RawOrigin) {
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
async fn private_and_local_targets_are_refused_by_the_address_that_would_be_dialled() {
    let (world, _origin) = world_with_echo().await;
    for target in [
        "127.0.0.1:443",
        "10.0.0.1:443",
        "169.254.169.254:80",
        "[::1]:443",
        "[::ffff:10.0.0.1]:443",
        "0.0.0.0:80",
        "localhost:443",
    ] {
        let (mut device, status) = world.connect(target).await;
        assert_eq!(status, 403, "{target}: {}", String::from_utf8_lossy(&device.bytes(10).await));
    }
    assert!(world.counts("refused_total{reason=\"forbidden_address\"} 7"));
}

#[tokio::test]
async fn the_services_own_addresses_cannot_be_reached_even_where_loopback_is_allowed() {
    let api = RawOrigin::start(None).await;
    let mut builder = WorldBuilder::new().reachable("api.test", api.address);
    builder.upstream.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    builder.own = vec![api.address];
    let world = builder.start().await;
    let port = api.address.port();
    for target in [format!("127.0.0.1:{port}"), format!("api.test:{port}")] {
        assert_eq!(world.connect(&target).await.1, 403, "{target}");
    }
    api.expect_nobody(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_port_that_is_not_allowed_is_refused() {
    let (world, _origin) = world_with_echo().await;
    assert_eq!(world.connect("plain.test:25").await.1, 403);
    assert!(world.counts("refused_total{reason=\"forbidden_port\"} 1"));
}

#[tokio::test]
async fn an_unreachable_origin_is_the_networks_fault_and_connect_says_so() {
    let (listener, address) = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    drop(listener);
    let world = WorldBuilder::new().reachable("gone.test", address).start().await;
    let (mut device, status) = world.connect(&format!("gone.test:{}", address.port())).await;
    assert_eq!(status, 502);
    let body = String::from_utf8(device.bytes(40).await).unwrap();
    assert!(body.starts_with('{'), "{body}");
}

#[tokio::test]
async fn malformed_targets_are_refused() {
    let (world, _origin) = world_with_echo().await;
    for target in ["plain.test", "plain.test:", ":443", "plain.test:99999", "a@plain.test:443", "http://plain.test/"] {
        let mut device = world.connection().await;
        let credential = basic(USER, PASSWORD);
        device.send(format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\nProxy-Authorization: {credential}\r\n\r\n")).await;
        assert_eq!(status(&device.head().await), 400, "{target}");
    }
    let mut device = world.connection().await;
    device.send("GET / HTTP/1.1\r\nHost: proxy\r\n\r\n").await;
    let (head, body) = device.answer().await;
    assert_eq!(status(&head), 400);
    assert!(body.contains("not_for_proxy"), "{body}");
}

#[tokio::test]
async fn a_listed_host_is_reached_and_proved_before_connect_is_answered() {
    let other_root = super::support::origin::OriginRoot::new();
    let stranger = Origin::start(other_root.config(&["social.test"], &["h2"])).await;
    let world = WorldBuilder::new().listed("social.test", stranger.address).start().await;
    let (mut device, status) = world.connect("social.test:443").await;
    assert_eq!(status, 502);
    let body = String::from_utf8(device.rest_of_answer().await).unwrap();
    assert!(body.contains("upstream_certificate") && body.contains("\"fault\":\"network\""), "{body}");
    assert_eq!(world.recorder.gaps(), [GapCause::OriginUnproved]);
}

#[tokio::test]
async fn a_tunnel_that_names_a_listed_host_under_another_target_is_refused() {
    let decoy = RawOrigin::start(None).await;
    let builder = WorldBuilder::new().reachable("decoy.test", decoy.address).listed("social.test", decoy.address);
    let world = builder.start().await;
    let port = decoy.address.port();
    for (name, passes) in [("decoy.test", true), ("SOCIAL.test", false)] {
        let (device, status) = world.connect(&format!("decoy.test:{port}")).await;
        assert_eq!(status, 200);
        let mut origin = decoy.accept().await;
        let connector = tokio_rustls::TlsConnector::from(client_config(&[], Choice::Http1));
        let server = rustls::pki_types::ServerName::try_from(name).unwrap();
        let shaking = tokio::spawn(async move { connector.connect(server, device.stream).await.is_ok() });
        if passes {
            assert_eq!(origin.bytes(1).await, b"\x16", "the ClientHello goes through");
            shaking.abort();
        } else {
            origin.expect_end().await;
            assert!(!shaking.await.unwrap());
        }
    }
    assert!(world.counts("refused_total{reason=\"hidden_name\"} 1"));
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
async fn a_host_that_is_never_decrypted_is_passed_through_and_noted() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().listed("private.test", origin.address).never("private.test").start().await;
    let (_device, status) = world.connect(&format!("private.test:{}", origin.address.port())).await;
    assert_eq!(status, 200);
    assert_eq!(world.recorder.gaps(), [GapCause::PassedThrough]);
    assert!(world.counts("pass_through_total{reason=\"never_decrypted\"} 1"));
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

#[tokio::test]
async fn a_parent_proxy_is_asked_for_the_tunnel_with_its_own_login() {
    let parent = RawOrigin::start(None).await;
    let mut builder = WorldBuilder::new();
    builder.upstream.proxy = Some(format!("http://127.0.0.1:{}", parent.address.port()).parse().unwrap());
    let world = builder.start().await;
    let connecting = tokio::spawn(async move {
        let (mut device, status) = world.connect("far.example:443").await;
        assert_eq!(status, 200);
        device.expect("hello").await;
        let refused = world.connect("127.0.0.1:443").await;
        assert_eq!(refused.1, 403, "the parent is not led to our own machine");
        let (mut device, status) = world.connect("denied.example:443").await;
        assert_eq!(status, 502);
        let body = String::from_utf8(device.rest_of_answer().await).unwrap();
        assert!(body.contains("parent_refused") && body.contains("\"fault\":\"firm\""), "{body}");
    });
    let mut peer = parent.accept().await;
    peer.expect(format!(
        "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\nProxy-Authorization: {}\r\n\r\n",
        basic("parent", "secret")
    ))
    .await;
    peer.send("HTTP/1.1 200 ok\r\n\r\nhello").await;
    let mut peer = parent.accept().await;
    peer.head().await;
    peer.send("HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n").await;
    connecting.await.unwrap();
}

impl Peer {
    /// The body of an answer whose head was read, up to what has arrived.
    async fn rest_of_answer(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while !body.ends_with(b"}") {
            body.extend(self.bytes(1).await);
        }
        body
    }
}

#[tokio::test]
async fn p1_no_way_to_write_a_listed_host_leads_past_the_record() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().listed("social.test", origin.address).start().await;
    let credential = basic(USER, PASSWORD);
    for host in ["social.test..", ".social.test", "social..test", "social.test..."] {
        assert_eq!(world.connect(&format!("{host}:443")).await.1, 400, "{host}");
        let mut device = world.connection().await;
        device
            .send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {credential}\r\n\r\n"))
            .await;
        assert_eq!(status(&device.head().await), 400, "{host}");
    }
    origin.expect_nobody(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn an_address_in_any_writing_is_judged_as_what_it_is_with_and_without_a_parent() {
    let (direct, _origin) = world_with_echo().await;
    let parent = RawOrigin::start(None).await;
    let mut builder = WorldBuilder::new();
    builder.upstream.proxy = Some(format!("http://127.0.0.1:{}", parent.address.port()).parse().unwrap());
    let behind = builder.start().await;
    for world in [&direct, &behind] {
        for host in
            ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "[::ffff:127.0.0.1]", "10.1", "127.0.0.1."]
        {
            assert_eq!(world.connect(&format!("{host}:443")).await.1, 403, "{host}");
        }
    }
    parent.expect_nobody(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn p1_a_listed_name_in_a_clienthello_is_seen_with_dots_behind_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let decoy = RawOrigin::start(None).await;
    let builder = WorldBuilder::new().reachable("decoy.test", decoy.address).listed("social.test", decoy.address);
    let world = builder.start().await;
    for dots in [".", ".."] {
        // A hello for a name of the same length, in which the last letters become dots.
        let name = format!("social.test{}", "x".repeat(dots.len()));
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let connector = tokio_rustls::TlsConnector::from(client_config(&[], Choice::Http1));
        let server = rustls::pki_types::ServerName::try_from(name.clone()).unwrap();
        let shaking = tokio::spawn(async move { drop(connector.connect(server, near).await) });
        let mut hello = vec![0; 32 << 10];
        let length = far.read(&mut hello).await.unwrap();
        hello.truncate(length);
        shaking.abort();
        let at = hello.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        hello[at + "social.test".len()..at + name.len()].copy_from_slice(dots.as_bytes());
        let (mut device, status) = world.connect(&format!("decoy.test:{}", decoy.address.port())).await;
        assert_eq!(status, 200);
        let mut origin = decoy.accept().await;
        device.stream.write_all(&hello).await.unwrap();
        origin.expect_end().await;
    }
    assert!(world.counts("refused_total{reason=\"hidden_name\"} 2"));
}
