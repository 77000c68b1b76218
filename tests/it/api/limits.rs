//! Bounds: on requests at once, on time, on silence. Each is met with a clear answer, or a closed connection, and is over when it is
//! over.

use std::time::Duration;

use muniment::api::Patience;
use serde_json::json;
use sqlx::postgres::PgConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::call::raw;
use super::kept::keep_with;
use super::world::{Setting, World};
use crate::support::submissions::advisor;

/// Nobody can list records until the transaction ends.
pub(super) async fn stall(world: &World) -> PgConnection {
    let mut other = world.test.database.superuser().await;
    sqlx::raw_sql("begin; lock table projection.records in access exclusive mode").execute(&mut other).await.unwrap();
    other
}

pub(super) async fn end(mut other: PgConnection) {
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
}

pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} never happened");
}

#[tokio::test]
async fn more_requests_than_slots_are_told_to_come_back_and_health_is_answered() {
    let world = World::with(Setting { slots: 2, ..Setting::default() }).await;
    let officer = world.officer(&["compliance"]).await;
    let other = stall(&world).await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let call = world.get("/v1/records").officer(&officer);
            tokio::spawn(async move { call.send().await.status.as_u16() })
        })
        .collect();
    until("both slots taken", || world.instance.slots.available_permits() == 0).await;
    let before = world.test.archive.head_size().await.unwrap();
    let many = (0..20).map(|_| world.get("/v1/advisors").officer(&officer));
    for call in many {
        let answer = call.send().await;
        answer.problem(503, "busy");
        assert_eq!(answer.header("retry-after"), Some("2"));
    }
    for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before);
    end(other).await;
    for answered in waiting {
        assert_eq!(answered.await.unwrap(), 200);
    }
    until("slots given back", || world.instance.slots.available_permits() == 2).await;
    assert_eq!(world.get("/v1/advisors").officer(&officer).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_answered_or_told_to_come_back_and_every_look_is_on_record() {
    let world = World::with(Setting { slots: 8, ..Setting::default() }).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    let crowd = (0..200).map(|_| {
        let call = world.get("/v1/records?text=nothing").officer(&officer);
        tokio::spawn(async move {
            let answer = call.send().await;
            if answer.status != 200 {
                answer.problem(503, "busy");
            }
            u64::from(answer.status == 200)
        })
    });
    let mut answered = 0;
    for one in crowd.collect::<Vec<_>>() {
        answered += one.await.unwrap();
    }
    assert!(answered >= 8, "only {answered}");
    assert_eq!(world.test.archive.head_size().await.unwrap() - before, answered);
    assert_eq!(world.instance.slots.available_permits(), 8);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended_and_says_so() {
    let timeout = Duration::from_millis(400);
    let world = World::with(Setting { timeout, ..Setting::default() }).await;
    let officer = world.officer(&["compliance"]).await;
    let other = stall(&world).await;
    let answer = world.get("/v1/records").officer(&officer).send().await;
    answer.problem(503, "timed-out");
    assert_eq!(answer.header("retry-after"), Some("2"));
    end(other).await;
    until("slots given back", || world.instance.slots.available_permits() == 64).await;
    assert_eq!(world.get("/v1/records").officer(&officer).send().await.status, 200);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_not_taken_for_an_outage() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let other = stall(&world).await;
    let call = world.get("/v1/records").officer(&officer);
    let asking = tokio::spawn(async move { call.send().await.problem(503, "timed-out") });
    // What the server's own statement_timeout does, sooner.
    let mut admin = world.test.database.superuser().await;
    let cancel = "select count(pg_cancel_backend(pid)) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and query like '%projection.records%'";
    let mut cancelled = 0_i64;
    while cancelled == 0 {
        cancelled = sqlx::query_scalar(cancel).fetch_one(&mut admin).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asking.await.unwrap();
    end(other).await;
}

pub(super) fn short() -> Setting {
    let patience = Patience { head: Duration::from_millis(500), idle: Duration::from_millis(800) };
    Setting { patience, ..Setting::default() }
}

#[tokio::test]
async fn a_peer_who_does_not_finish_a_head_is_hung_up_on() {
    let world = World::with(short()).await;
    for begun in [
        "",
        "G",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /health HT",
        "GET /health HTTP/1.1\r\n",
        "GET /health HTTP/1.1\r\nhost: a\r\nx:",
    ] {
        let answer = String::from_utf8_lossy(&raw(world.instance.address, begun.as_bytes()).await).into_owned();
        assert!(!answer.contains(" 200 "), "{begun:?}: {answer}");
    }
    // An idle connection ends as well, after its answer.
    let answer = raw(world.instance.address, b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn whoever_does_not_read_an_answer_gives_its_slot_back() {
    let world = World::with(short()).await;
    let officer = world.officer(&["compliance"]).await;
    let body = vec![7; 30_000_000];
    let fields: &[(&str, &[u8])] = &[("0.text", b"large")];
    let facts = &[("attachments", json!(0))];
    let kept = keep_with(&world.test, &[advisor(1)], facts, fields, &[("request.body", &body)]).await;
    world.project().await;
    let request = format!(
        "GET /v1/records/{}/fields/{}/request.body HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nmuniment-purpose: slow\r\n\r\n",
        kept.id(),
        kept.index,
        officer.token
    );
    for leaves in [true, false] {
        let mut stream = TcpStream::connect(world.instance.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut begun = [0; 1_000];
        stream.read_exact(&mut begun).await.unwrap();
        assert!(begun.starts_with(b"HTTP/1.1 200"));
        assert_eq!(world.instance.slots.available_permits(), 63, "what is still being sent is still work");
        if leaves {
            drop(stream);
            until("slot of who left given back", || world.instance.slots.available_permits() == 64).await;
        } else {
            until("slot of who does not read given back", || world.instance.slots.available_permits() == 64).await;
            let mut rest = Vec::new();
            let _cut = stream.read_to_end(&mut rest).await;
            assert!(rest.len() < body.len(), "it was cut off");
        }
    }
}
