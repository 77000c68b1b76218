//! Targets: which are reached, which are refused, and that no way of writing one leads past that.

use std::time::Duration;

use muniment::capture::GapCause;

use super::connect::world_with_echo;
use super::support::device::{PASSWORD, USER, basic, client_config};
use super::support::peer::status;
use super::support::{Choice, Origin, Peer, RawOrigin, WorldBuilder};

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
async fn a_host_that_is_never_decrypted_is_passed_through_and_noted() {
    let origin = RawOrigin::start(None).await;
    let world = WorldBuilder::new().listed("private.test", origin.address).never("private.test").start().await;
    let (_device, status) = world.connect(&format!("private.test:{}", origin.address.port())).await;
    assert_eq!(status, 200);
    assert_eq!(world.recorder.gaps(), [GapCause::PassedThrough]);
    assert!(world.counts("pass_through_total{reason=\"never_decrypted\"} 1"));
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
