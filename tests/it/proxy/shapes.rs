//! What comes over HTTP/1 and is not passed on: shapes that can be read in two ways, other hosts, other protocols, peers that stall.

use std::time::Duration;

use muniment::capture::GapCause;

use super::http1::{pair, world};
use super::support::peer::{field, status};
use super::support::{Choice, Origin, RawOrigin, WorldBuilder};

#[tokio::test]
async fn a_request_for_another_host_on_an_intercepted_connection_is_misdirected() {
    let (world, origin) = world().await;
    for (target, host, wanted) in [
        ("/forward", "other.test", 421),
        ("/forward", "social.test:8443", 421),
        ("https://other.test/forward", "other.test", 421),
        ("/forward", "social.test.evil.test", 421),
        ("/forward", "so cial.test", 400),
        ("/forward", "", 400),
        ("/forward", "user@social.test", 400),
    ] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send(format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi")).await;
        assert_eq!(status(&device.head().await), wanted, "{target} {host}");
        drop(device);
        upstream.expect_end().await;
    }
    for (target, host) in
        [("/forward", "SOCIAL.test"), ("/forward", "social.test:443"), ("https://social.test/forward", "social.test")]
    {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        upstream.expect(format!("GET /forward HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    }
    assert_eq!(world.recorder.gaps(), vec![GapCause::MalformedExchange; 7]);
}

#[tokio::test]
async fn smuggling_shapes_are_refused_clearly_and_the_connection_ends() {
    let (world, origin) = world().await;
    let cases = [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400, "length_and_encoding"),
        ("Content-Length: 4\r\nContent-Length: 4\r\n", 400, "repeated_length"),
        ("Content-Length: 4, 4\r\n", 400, "repeated_length"),
        ("Content-Length: 4\nX: y\r\n", 400, "bare_line_feed"),
        ("Transfer-Encoding : chunked\r\n", 400, "space_before_colon"),
        ("Transfer-Encoding: gzip, chunked\r\n", 400, "transfer_encoding"),
        ("X: a\r\n b\r\n", 400, "folded_header"),
        ("Host: social.test\r\n", 400, "malformed"),
    ];
    for (fields, wanted, word) in cases {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        let hidden = "0\r\n\r\nPOST /evil HTTP/1.1\r\nHost: social.test\r\n\r\n";
        device.send(format!("POST /post HTTP/1.1\r\nHost: social.test\r\n{fields}\r\n{hidden}")).await;
        let (head, _) = device.answer().await;
        assert_eq!(status(&head), wanted, "{fields:?}");
        assert_eq!(field(&head, "connection"), Some("close"));
        device.expect_end().await;
        drop(device);
        upstream.expect_end().await;
        assert!(world.counts(&format!("refused_total{{reason=\"{word}\"}} 1")) || word == "repeated_length", "{word}");
    }
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.try_send(format!("GET / HTTP/1.1\r\nHost: social.test\r\nX: {}", "a".repeat(70_000))).await;
    assert_eq!(status(&device.head().await), 431);
    upstream.expect_end().await;
    assert!(world.recorder.writes().is_empty());
}

#[tokio::test]
async fn malformed_chunks_end_the_exchange_before_anything_is_recorded() {
    let (world, origin) = world().await;
    for chunk in ["5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n", "zz\r\n", "5;a\rb\r\nhello\r\n"] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device
            .send(format!("POST /post HTTP/1.1\r\nHost: social.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"))
            .await;
        assert_eq!(status(&device.head().await), 400, "{chunk:?}");
        drop(device);
        upstream.expect_end().await;
    }
    assert!(world.recorder.writes().is_empty());
}

#[tokio::test]
async fn an_origin_that_answers_nonsense_is_the_networks_fault() {
    let (world, origin) = world().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 4\n\n",
        "nonsense\r\n\r\n",
    ] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
        upstream.head().await;
        upstream.send(answer).await;
        let (head, body) = device.answer().await;
        assert_eq!(status(&head), 502, "{answer:?}");
        assert!(body.contains("\"fault\":\"network\""), "{body}");
    }
}

#[tokio::test]
async fn clear_text_and_unknown_protocols_after_connect_are_refused_and_noted() {
    let (world, origin) = world().await;
    for (bytes, gap, answered) in [
        (
            &b"POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi"[..],
            GapCause::ClearTextAfterConnect,
            true,
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GapCause::ClearTextAfterConnect, true),
        (b"SSH-2.0-OpenSSH_9\r\n", GapCause::UnknownProtocol, false),
        (b"\x16\x03\x01\x00\x05hello", GapCause::UnknownProtocol, false),
    ] {
        let connecting = world.connect("social.test:443");
        let ((mut device, code), mut upstream) = tokio::join!(connecting, origin.accept());
        assert_eq!(code, 200);
        device.send(bytes).await;
        if answered {
            assert_eq!(status(&device.head().await), 400);
        } else {
            device.rest().await;
        }
        drop(device);
        upstream.expect_end().await;
        world.recorder.until_gap(gap).await;
    }
    assert!(world.counts("refused_total{reason=\"clear_text\"} 2"));
    assert!(world.counts("refused_total{reason=\"unknown_protocol\"} 2"));
    assert!(world.recorder.writes().is_empty());
}

#[tokio::test]
async fn a_client_hello_for_another_name_than_connect_is_refused() {
    let (world, origin) = world().await;
    let ((device, _), mut upstream) = tokio::join!(world.connect("social.test:443"), origin.accept());
    let config = super::support::device::client_config(std::slice::from_ref(&world.firm_root), Choice::Http1);
    let name = rustls::pki_types::ServerName::try_from("other.test").unwrap();
    assert!(tokio_rustls::TlsConnector::from(config).connect(name, device.stream).await.is_err());
    upstream.expect_end().await;
    assert!(world.counts("refused_total{reason=\"name_mismatch\"} 1"));
}

#[tokio::test]
async fn stalled_peers_are_given_up_in_bounded_time() {
    let mut builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    builder.proxy.limits.head_timeout = muniment::settings::Span(Duration::from_millis(600));
    builder.proxy.limits.idle_timeout = muniment::settings::Span(Duration::from_millis(900));
    let world = builder.listed("social.test", origin.address).start().await;
    // A head that does not end, before and after CONNECT.
    let mut device = world.connection().await;
    device.send("CONNECT social.test:443 HT").await;
    assert_eq!(status(&device.head().await), 408);
    // A device that connects and says nothing.
    world.connection().await.expect_end().await;
    // A handshake that does not begin.
    let ((mut device, _), _upstream) = tokio::join!(world.connect("social.test:443"), origin.accept());
    device.expect_end().await;
    // A head and a body that do not end.
    let (mut device, _upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHo").await;
    assert_eq!(status(&device.head().await), 408);
    let (mut device, _upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(status(&device.head().await), 408);
    // An origin that does not answer, and one that stops in the middle.
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    assert_eq!(status(&device.head().await), 504);
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    device.head().await;
    assert_eq!(device.rest().await, b"half");
    // A kept connection on which nothing more comes.
    let (mut device, _upstream) = pair(&world, &origin).await;
    device.expect_end().await;
}

#[tokio::test]
async fn p1_an_upgrade_to_what_cannot_be_read_is_refused_and_noted() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n").await;
    upstream
        .expect("GET /forward HTTP/1.1\r\nHost: social.test\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\n\r\n")
        .await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\n\r\nfirst").await;
    assert_eq!(status(&device.head().await), 400);
    upstream.expect_end().await;
    world.recorder.until_gap(GapCause::UnknownUpgrade).await;
}

#[tokio::test]
async fn p1_a_target_with_a_fragment_is_refused_whatever_the_origin_speaks() {
    for alpn in ["h2", "http/1.1"] {
        let builder = WorldBuilder::new();
        let origin = Origin::start(builder.root.config(&["social.test"], &[alpn])).await;
        let world = builder.listed("social.test", origin.address).start().await;
        for target in ["/post#/login", "/post?a=b#c", "#", "https://social.test/post#/login"] {
            let mut device = world.device("social.test").await;
            device.send(format!("POST {target} HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi")).await;
            let (head, body) = device.answer().await;
            assert_eq!(status(&head), 400, "{target}");
            assert!(body.contains("malformed"), "{body}");
        }
        assert!(origin.seen().is_empty() && world.recorder.writes().is_empty());
        world.recorder.until_gap(GapCause::MalformedExchange).await;
    }
}

#[tokio::test]
async fn a_tunnel_inside_an_intercepted_connection_is_refused() {
    let (world, origin) = world().await;
    for target in ["/path", "social.test:443"] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send(format!("CONNECT {target} HTTP/1.1\r\nHost: social.test\r\n\r\n")).await;
        assert_eq!(status(&device.head().await), 400, "{target}");
        drop(device);
        upstream.expect_end().await;
    }
}

#[tokio::test]
async fn p1_a_device_cannot_have_the_proxy_take_away_what_says_what_it_sends() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device
        .send(
            "POST /post HTTP/1.1\r\nHost: social.test\r\nConnection: Content-Encoding, authorization, Cookie, X-Drop\r\nX-Drop: 1\r\n\
             Content-Encoding: br\r\nAuthorization: Bearer t\r\nCookie: a=1\r\nContent-Length: 2\r\n\r\nhi",
        )
        .await;
    upstream
        .expect(
            "POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Encoding: br\r\nAuthorization: Bearer t\r\nCookie: a=1\r\n\
             Content-Length: 2\r\n\r\nhi",
        )
        .await;
}
