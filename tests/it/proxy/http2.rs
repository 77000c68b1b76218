//! HTTP/2 on the device's leg, over either version upstream.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use muniment::capture::{NoAnswer, RefusalReason};

use super::support::{Choice, Note, Origin, Peer, RawOrigin, World, WorldBuilder};

async fn world(alpn: &[&str]) -> (World, Origin) {
    let builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&["social.test"], alpn)).await;
    (builder.listed("social.test", origin.address).start().await, origin)
}

type Requests = h2::client::SendRequest<Bytes>;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn ask(requests: &Requests, request: Request<()>, body: Option<&[u8]>) -> Result<Answer, h2::Error> {
    let mut requests = requests.clone().ready().await?;
    let (response, mut send) = requests.send_request(request, body.is_none())?;
    if let Some(body) = body {
        send.send_data(Bytes::copy_from_slice(body), true)?;
    }
    let (parts, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers: stream.trailers().await? })
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("https://social.test{path}")).body(()).unwrap()
}

const UPSTREAMS: [&[&str]; 2] = [&["h2"], &["http/1.1"]];

#[tokio::test]
async fn many_streams_run_beside_each_other_over_either_upstream() {
    for alpn in UPSTREAMS {
        let (world, origin) = world(alpn).await;
        let requests = world.device2("social.test").await;
        let asking = (0..40).map(|n| {
            let requests = requests.clone();
            async move {
                if n % 4 == 0 {
                    let body = format!("post {n}");
                    ask(&requests, request(Method::POST, "/post"), Some(body.as_bytes())).await.unwrap().status
                } else {
                    let answer = ask(&requests, request(Method::GET, &format!("/forward/bytes/{}", n * 1000)), None)
                        .await
                        .unwrap();
                    assert_eq!(answer.body.len(), n * 1000);
                    answer.status
                }
            }
        });
        let statuses = futures_util::future::join_all(asking).await;
        assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
        assert_eq!(world.recorder.writes().len(), 10, "{alpn:?}");
        assert_eq!(origin.seen().len(), 40);
    }
}

#[tokio::test]
async fn fields_cross_the_versions_as_each_has_them() {
    for alpn in UPSTREAMS {
        let (world, origin) = world(alpn).await;
        let requests = world.device2("social.test").await;
        let mut asked = request(Method::GET, "/forward/alt-svc?q=%20");
        for (name, value) in [("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")] {
            asked.headers_mut().append(name, value.parse().unwrap());
        }
        let answer = ask(&requests, asked, None).await.unwrap();
        assert!(!answer.headers.contains_key("alt-svc"), "alt-svc is stripped");
        assert!(!answer.headers.contains_key("connection"));
        let seen = &origin.seen()[0];
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/forward/alt-svc?q=%20"));
        assert_eq!(seen.headers["x-one"], "1");
        let cookies: Vec<_> = seen.headers.get_all("cookie").iter().map(|value| value.to_str().unwrap()).collect();
        if alpn == ["h2"] {
            assert_eq!(cookies, ["a=1", "b=2"], "crumbs stay crumbs");
        } else {
            assert_eq!(cookies, ["a=1; b=2"], "RFC 9113 section 8.2.3");
            assert_eq!(seen.headers["host"], "social.test");
        }
    }
}

#[tokio::test]
async fn trailers_cross_the_versions() {
    for alpn in UPSTREAMS {
        let (world, origin) = world(alpn).await;
        let requests = world.device2("social.test").await;
        for path in ["/forward/echo", "/post", "/tail"] {
            let mut ready = requests.clone().ready().await.unwrap();
            let (response, mut send) = ready.send_request(request(Method::POST, path), false).unwrap();
            send.send_data(Bytes::from_static(b"body"), false).unwrap();
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", "7".parse().unwrap());
            send.send_trailers(fields).unwrap();
            response.await.unwrap();
            let seen = origin.seen().pop().unwrap();
            assert_eq!(seen.body, "body");
            assert_eq!(seen.trailers.unwrap()["x-sum"], "7", "{path} {alpn:?}");
        }
        let mut asked = request(Method::GET, "/forward/trailers");
        asked.headers_mut().insert("te", "trailers".parse().unwrap());
        let answer = ask(&requests, asked, None).await.unwrap();
        assert_eq!(answer.body, b"body");
        assert_eq!(answer.trailers.unwrap()["x-checksum"], "abc", "{alpn:?}");
    }
}

#[tokio::test]
async fn bodiless_posts_say_so_over_http_1() {
    let (world, origin) = world(&["http/1.1"]).await;
    let requests = world.device2("social.test").await;
    assert_eq!(ask(&requests, request(Method::POST, "/post"), None).await.unwrap().status, 201);
    assert_eq!(origin.seen()[0].headers["content-length"], "0");
}

#[tokio::test]
async fn p1_a_refused_write_is_answered_on_its_stream_and_the_others_go_on() {
    let (world, origin) = world(&["h2"]).await;
    world.recorder.refuse(RefusalReason::Overloaded);
    let requests = world.device2("social.test").await;
    let refused = ask(&requests, request(Method::POST, "/post"), Some(b"x")).await.unwrap();
    assert_eq!((refused.status, refused.headers["muniment-refusal"].to_str().unwrap()), (503, "overloaded"));
    assert_eq!(ask(&requests, request(Method::GET, "/forward/bytes/1"), None).await.unwrap().status, 200);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn p1_a_stream_that_the_device_resets_while_it_is_held_is_not_sent() {
    let (world, origin) = world(&["h2"]).await;
    let requests = world.device2("social.test").await;
    let mut ready = requests.clone().ready().await.unwrap();
    let (response, mut send) = ready.send_request(request(Method::POST, "/post"), false).unwrap();
    send.send_data(Bytes::from_static(b"half"), false).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    send.send_reset(h2::Reason::CANCEL);
    assert!(response.await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(origin.seen().is_empty() && world.recorder.writes().is_empty());
}

#[tokio::test]
async fn a_stream_for_another_host_is_misdirected() {
    let (world, origin) = world(&["h2"]).await;
    let requests = world.device2("social.test").await;
    let other = Request::get("https://other.test/forward").body(()).unwrap();
    assert_eq!(ask(&requests, other, None).await.unwrap().status, 421);
    let mut both = request(Method::GET, "/forward/none");
    both.headers_mut().insert("host", "other.test".parse().unwrap());
    assert_eq!(ask(&requests, both, None).await.unwrap().status, 421);
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn a_device_that_negotiates_nothing_may_still_speak_http_2() {
    let (world, _origin) = world(&["h2"]).await;
    let tunnel = world.tunnel("social.test", Choice::Nothing).await;
    let (requests, connection) = h2::client::handshake(tunnel).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(ask(&requests, request(Method::GET, "/forward/bytes/3"), None).await.unwrap().body, b"xxx");
    let mut device = Peer::new("device", world.tunnel("social.test", Choice::Nothing).await);
    device.send("GET /forward/bytes/3 HTTP/1.1\r\nHost: social.test\r\n\r\n").await;
    let (_, body) = device.answer().await;
    assert_eq!(body, "xxx", "or HTTP/1.1");
}

#[tokio::test]
async fn extended_connect_is_not_offered() {
    let (world, _origin) = world(&["h2"]).await;
    let requests = world.device2("social.test").await;
    ask(&requests, request(Method::GET, "/forward/none"), None).await.unwrap();
    assert!(!requests.is_extended_connect_protocol_enabled());
}

#[tokio::test]
async fn a_device_that_gives_a_stream_up_gives_it_up_upstream() {
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    let world = builder.listed("social.test", origin.address).start().await;
    let (requests, mut upstream) = tokio::join!(world.device2("social.test"), origin.accept());
    let mut ready = requests.clone().ready().await.unwrap();
    let (response, mut send) = ready.send_request(request(Method::GET, "/forward"), true).unwrap();
    upstream.head().await;
    send.send_reset(h2::Reason::CANCEL);
    drop(response);
    upstream.expect_end().await;
}

#[tokio::test]
async fn a_read_over_http_2_is_handed_over() {
    for alpn in UPSTREAMS {
        let (world, _origin) = world(alpn).await;
        let requests = world.device2("social.test").await;
        ask(&requests, request(Method::GET, "/read/bytes/100000"), None).await.unwrap();
        world
            .recorder
            .until("observation", |notes| {
                notes.iter().any(|note| matches!(note, Note::Observe { body, .. } if body.len() == 100_000))
            })
            .await;
    }
}

#[tokio::test]
async fn p4_a_device_that_hangs_up_leaves_no_write_and_no_read_without_its_end() {
    let builder = WorldBuilder::new();
    let origin = RawOrigin::start(Some(builder.root.config(&["social.test"], &["http/1.1"]))).await;
    let world = builder.listed("social.test", origin.address).start().await;
    let (tunnel, mut first) = tokio::join!(world.tunnel("social.test", Choice::Http2), origin.accept());
    let (requests, connection) = h2::client::handshake(tunnel).await.unwrap();
    let driving = tokio::spawn(connection);
    let mut ready = requests.clone().ready().await.unwrap();
    let (_written, mut send) = ready.send_request(request(Method::POST, "/post"), false).unwrap();
    send.send_data(Bytes::from_static(b"hello"), true).unwrap();
    assert!(first.head().await.starts_with("POST /post "));
    let mut ready = requests.clone().ready().await.unwrap();
    let (read, _) = ready.send_request(request(Method::GET, "/read"), true).unwrap();
    let mut second = origin.accept().await;
    second.head().await;
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let mut body = read.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "half");
    driving.abort();
    world
        .recorder
        .until("outcome and observation", |notes| {
            let left = |note: &Note| matches!(note, Note::Outcome { none: Some(NoAnswer::DeviceGone), .. });
            let seen = |note: &Note| matches!(note, Note::Observe { body, .. } if body == b"half");
            notes.iter().any(left) && notes.iter().any(seen)
        })
        .await;
}
