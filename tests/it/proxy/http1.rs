//! HTTP/1 on both legs, to the byte.

use std::time::Duration;

use super::support::peer::status;
use super::support::{Peer, RawOrigin, World, WorldBuilder};

pub(super) const QUIET: Duration = Duration::from_millis(120);

pub(super) async fn world() -> (World, RawOrigin) {
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    (builder.listed("social.test", origin.address).start().await, origin)
}

pub(super) async fn pair(world: &World, origin: &RawOrigin) -> (Peer, Peer) {
    tokio::join!(world.device("social.test"), origin.accept())
}

#[tokio::test]
async fn heads_go_through_as_they_were_sent() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    let request = "GET /forward/a%20b?c=d&e HTTP/1.1\r\nhOST: social.test\r\nX-One: 1\r\nx-two:  spaced \r\nX-ONE: again\r\n\
                   Cookie: a=1\r\nAccept: */*\r\ncookie: b=2\r\n\r\n";
    device.send(request).await;
    upstream.expect(request).await;
    let response =
        "HTTP/1.1 200 Sure Thing\r\nset-cookie: a\r\nX-Frame: b\r\nSet-Cookie: c\r\nContent-Length: 3\r\n\r\nabc";
    upstream.send(response).await;
    device.expect(response).await;
}

#[tokio::test]
async fn only_what_belongs_to_one_connection_is_left_behind() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device
        .send(
            "GET /forward HTTP/1.1\r\nHost: social.test\r\nX-Keep: 1\r\nConnection: keep-alive, X-Drop, Host\r\nX-Drop: 1\r\n\
             Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers, gzip\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nAuthorization: Bearer t\r\n\r\n",
        )
        .await;
    upstream
        .expect(
            "GET /forward HTTP/1.1\r\nHost: social.test\r\nX-Keep: 1\r\nAuthorization: Bearer t\r\nTE: trailers\r\n\
             Connection: TE\r\n\r\n",
        )
        .await;
    upstream
        .send(
            "HTTP/1.1 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nAlt-Svc: h3=\":443\"\r\n\
             Proxy-Authenticate: x\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    device.expect("HTTP/1.1 200 OK\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n").await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: keep-alive\r\n\r\n").await;
    upstream.expect("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: keep-alive\r\n\r\n").await;
}

#[tokio::test]
async fn requests_that_come_in_one_go_are_answered_in_order() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    let get = |n: u32| format!("GET /forward/{n} HTTP/1.1\r\nHost: social.test\r\n\r\n");
    let post = "POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi";
    device.send(format!("{}{post}{}", get(1), get(3))).await;
    upstream.expect(get(1)).await;
    upstream.expect_silence(QUIET).await;
    for (n, next) in [(1, post.to_owned()), (2, get(3)), (3, String::new())] {
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}")).await;
        device.expect(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}")).await;
        upstream.expect(next).await;
    }
    assert_eq!(world.recorder.writes().len(), 1);
}

#[tokio::test]
async fn interim_answers_are_relayed_and_100_continue_reaches_who_asked() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    let head = "POST /forward HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    device.send(head).await;
    upstream.expect(head).await;
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    device.expect("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    device.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    device.send("body").await;
    upstream.expect("body").await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn an_origin_that_refuses_an_expectation_ends_it() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device
        .send("POST /forward HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    upstream.head().await;
    upstream.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await;
    device.expect("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await;
    device.expect_end().await;
}

#[tokio::test]
async fn p1_a_held_write_is_given_leave_to_come_by_us() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    device.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    upstream.expect_silence(QUIET).await;
    device.send("body").await;
    upstream.expect("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 4\r\n\r\nbody").await;
    // An origin that says it anyway is not heard twice.
    upstream.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn chunks_and_trailers_go_both_ways() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    for path in ["/forward", "/post", "/tail"] {
        device
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: social.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                 3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n"
            ))
            .await;
        upstream
            .expect(format!(
                "POST {path} HTTP/1.1\r\nHost: social.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            ))
            .await;
        let mut body = String::new();
        while !body.ends_with("\r\n\r\n") {
            body.push_str(&String::from_utf8(upstream.bytes(1).await).unwrap());
        }
        assert!(body.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{path}: {body:?}");
        assert!(!body.contains("ext"), "{path}: {body:?}");
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nX-End: 1\r\n\r\n").await;
        device.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nx-end: 1\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_chunked_for_the_device_which_goes_on() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nX: 1\r\n\r\nhello").await;
    device.expect("HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    upstream.close().await;
    device.expect("0\r\n\r\n").await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    origin.accept().await.expect("GET /forward HTTP/1.1\r\n").await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_cut_off_for_the_device_too() {
    let (world, origin) = world().await;
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let (mut device, mut upstream) = pair(&world, &origin).await;
        device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nab")).await;
        device.head().await;
        upstream.close().await;
        let rest = device.rest().await;
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 12, "{framing}: {:?}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        device.send(format!("{method} /forward HTTP/1.1\r\nHost: social.test\r\n\r\n")).await;
        upstream.head().await;
        upstream.send(answer).await;
        device.expect(answer).await;
    }
}

#[tokio::test]
async fn connection_close_is_honoured_on_either_side_without_ending_the_other() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    device.send("GET /forward/2 HTTP/1.1\r\nHost: social.test\r\nConnection: close\r\n\r\n").await;
    let mut second = origin.accept().await;
    second.expect("GET /forward/2 HTTP/1.1\r\nHost: social.test\r\nConnection: close\r\n\r\n").await;
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    device.expect_end().await;
}

#[tokio::test]
async fn an_http_1_0_device_gets_what_it_can_read() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    upstream.expect("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: keep-alive\r\n\r\n").await;
    upstream.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok").await;
    device.send("GET /forward HTTP/1.0\r\nConnection: keep-alive\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    device.expect("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc").await;
    device.expect_end().await;
}

#[tokio::test]
async fn a_device_that_ends_its_side_still_gets_its_answer() {
    use tokio::io::AsyncWriteExt as _;
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    device.stream.shutdown().await.unwrap();
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer").await;
    device.expect_end().await;
}

#[tokio::test]
async fn a_kept_connection_that_the_origin_closed_is_replaced_before_a_request_is_sent() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    device.head().await;
    upstream.close().await;
    drop(upstream);
    tokio::time::sleep(QUIET).await;
    device.send("POST /post HTTP/1.1\r\nHost: social.test\r\nContent-Length: 2\r\n\r\nhi").await;
    let mut second = origin.accept().await;
    second.head().await;
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(&device.head().await), 200);
    assert_eq!(world.recorder.writes().len(), 1);
}

#[tokio::test]
async fn an_upgrade_that_the_origin_declines_is_an_ordinary_exchange() {
    let (world, origin) = world().await;
    let (mut device, mut upstream) = pair(&world, &origin).await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n").await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
    device.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
    device.send("GET /forward HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    upstream.expect("GET /forward HTTP/1.1\r\n").await;
}
