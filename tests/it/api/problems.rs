//! Refusals: one form, stable types, an id that the log has too; whatever is sent.

use std::collections::BTreeSet;

use muniment::api::ProblemKind;

use super::call::raw;
use super::routes::Shown;
use super::world::World;
use super::writes::WRITES;

#[tokio::test]
async fn every_problem_has_a_stable_type_that_explains_itself() {
    let world = World::new().await;
    let names: BTreeSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
    // Clients match on these: a name may be added, never changed or taken away.
    let known = [
        "archive-unavailable",
        "busy",
        "body-too-large",
        "disposed",
        "hold-released",
        "holds-in-force",
        "idempotency-key-in-flight",
        "idempotency-key-reused",
        "internal",
        "matter-closed",
        "method-not-allowed",
        "no-such-checkpoint",
        "not-acceptable",
        "not-authenticated",
        "not-found",
        "not-published",
        "out-of-scope",
        "parameter-invalid",
        "plain-connection",
        "precondition-failed",
        "purpose-required",
        "range-not-satisfiable",
        "rate-limited",
        "role-missing",
        "timed-out",
        "token-expired",
        "token-revoked",
        "too-many-streams",
        "too-many-webhooks",
        "unreadable",
        "unsupported-media-type",
        "webhook-disabled",
    ];
    assert_eq!(names, BTreeSet::from(known));
    for kind in ProblemKind::ALL {
        let answer = world.get(&format!("/problems/{}", kind.name())).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(&kind.status().as_u16().to_string()), "{}", answer.text());
        assert!(answer.text().len() > 60, "{}", answer.text());
    }
    world.get("/problems/none-such").send().await.problem(404, "not-found");
    assert_eq!(world.get("/problems/%ff").send().await.wrong("path"), "is not utf-8 once its % escapes are undone");
}

#[tokio::test]
async fn an_address_that_is_not_served_is_not_found_however_it_is_written() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/record",
        "/v1/records/",
        "//v1/records",
        "/V1/records",
        "/v1/records/a/b",
        "/v2/records",
        "/v1/../v1/records",
        "/v1/%72ecords/x/y",
        "/v1/records;x",
        "/admin",
        "/.git/config",
        "/metrics/",
        "/v1/tile/",
        "/%00",
    ] {
        world.get(path).officer(&officer).send().await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_method_that_is_not_served_is_refused_with_those_that_are() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    for route in super::routes::ROUTES {
        let path = shown.address(route.template, route.written.first().copied());
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if WRITES.iter().any(|write| write.template == route.template && write.method.to_uppercase() == method) {
                continue;
            }
            let answer = world.get(&path).method(method).officer(&officer).send().await;
            answer.problem(405, "method-not-allowed");
            let allowed: BTreeSet<&str> = answer.header("allow").unwrap().split(',').collect();
            let writes = WRITES.iter().filter(|write| write.template == route.template);
            let writes: Vec<String> = writes.map(|write| write.method.to_uppercase()).collect();
            let expected = writes.iter().map(String::as_str).chain(["GET", "HEAD"]).collect();
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before);
}

#[tokio::test]
async fn a_head_request_is_a_look_without_a_body() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let path = format!("/v1/records/{}", shown.kept.id());
    let before = world.test.archive.head_size().await.unwrap();
    let head = world.get(&path).method("HEAD").officer(&officer).send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(world.test.archive.head_size().await.unwrap(), before + 1, "whoever asks is on record");
    let refused = world.get(&path).method("HEAD").send().await;
    assert_eq!((refused.status.as_u16(), refused.body.len()), (401, 0));
}

#[tokio::test]
async fn what_is_accepted_decides_whether_there_is_an_answer_and_never_which() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    for accept in ["application/xml", "text/html", "*/*;q=0", "image/png, text/css"] {
        world.get("/v1/records").officer(&officer).header("accept", accept).send().await.problem(406, "not-acceptable");
    }
    for accept in ["application/json;q=0.1, text/html", "*/*", "nonsense", ""] {
        let answer = world.get("/v1/records").officer(&officer).header("accept", accept).send().await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
        answer.json(200);
        // Asked by a browser or not, a problem is a problem.
        world.get("/v1/records?x=1").officer(&officer).header("accept", accept).send().await.wrong("query");
    }
}

#[tokio::test]
async fn heads_and_addresses_beyond_the_bounds_are_refused_and_cost_nobody_else() {
    let world = World::new().await;
    let address = world.instance.address;
    let long = "x".repeat(40_000);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("GET /health?{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(500)),
    ] {
        let answer = String::from_utf8_lossy(&raw(address, request.as_bytes()).await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
    }
    for malformed in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health\r\n\r\n",
        "GET /health HTTP/9.9\r\nhost: a\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET /hea\0lth HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}\u{1}hello tls\r\n\r\n",
    ] {
        let answer = String::from_utf8_lossy(&raw(address, malformed.as_bytes()).await).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{malformed:?}: {answer}");
    }
    assert_eq!(world.get("/health").send().await.status, 200);
}

#[tokio::test]
async fn the_second_version_of_http_is_answered_the_same_within_the_same_bounds() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let stream = tokio::net::TcpStream::connect(world.instance.address).await.unwrap();
    let (executor, io) = (hyper_util::rt::TokioExecutor::new(), hyper_util::rt::TokioIo::new(stream));
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let driving = tokio::spawn(connection);
    let ask = async |path: &str, header: &str| {
        let request = http::Request::get(format!("http://api.test{path}"))
            .header("authorization", format!("Bearer {}", officer.token))
            .header("x-odd", header);
        let body = http_body_util::Empty::<bytes::Bytes>::new();
        let answer = sender.clone().send_request(request.body(body).unwrap()).await.unwrap();
        (answer.status().as_u16(), answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned()))
    };
    let json = || Some("application/json".to_owned());
    let problem = || Some("application/problem+json".to_owned());
    assert_eq!(ask("/v1/records", "a").await, (200, json()));
    assert_eq!(ask("/v1/records?text=x", "a").await, (400, problem()));
    assert_eq!(ask("/v1/records/%ff", "a").await, (400, problem()));
    assert_eq!(ask("/v1/records", &"x".repeat(40_000)).await.0, 431);
    assert_eq!(ask("/v1/records", "a").await, (200, json()), "the connection goes on");
    let many = (0..200).map(|_| ask("/v1/advisors", "a"));
    for (status, _) in futures_util::future::join_all(many).await {
        assert!(status == 200 || status == 503, "{status}");
    }
    driving.abort();
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_read() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let answer = world.get("/v1/records").officer(&officer).body(vec![b'x'; 100_000]).send().await;
    assert_eq!(answer.status, 200);
    // Announced and never sent: answered all the same, and the connection is closed.
    let request = format!(
        "GET /v1/records HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: 9999999999\r\nconnection: close\r\n\r\n",
        officer.token
    );
    let answer = raw(world.instance.address, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
