//! Health and readiness: what a supervisor and a load balancer go by.

use std::time::Duration;

use muniment::archive::Append as _;
use serde_json::json;

use super::world::{Setting, World};
use crate::support::submissions::gap;

#[tokio::test]
async fn health_says_that_the_process_is_there_whatever_else_is_not() {
    let world = World::with(Setting { relay: true, ..Setting::default() }).await;
    world.relay.as_ref().unwrap().close();
    let health = world.get("/health").send().await.json(200);
    assert_eq!(health, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }));
    assert_eq!(world.get("/metrics").send().await.status, 200);
}

#[tokio::test]
async fn readiness_follows_the_archive_and_says_why_not() {
    let append_timeout = Duration::from_millis(500);
    let world = World::with(Setting { relay: true, append_timeout, ..Setting::default() }).await;
    let ready = world.get("/ready").send().await.json(200);
    assert_eq!(ready, json!({ "status": "ready", "entries": 1, "spooled": 0 }));
    let relay = world.relay.as_ref().unwrap();
    relay.close();
    let answer = world.get("/ready").send().await;
    let problem = answer.problem(503, "archive-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("the database does not answer; 0 entries wait"), "{problem}");
    assert_eq!(answer.header("retry-after"), Some("2"));
    relay.open();
    assert_eq!(world.get("/ready").send().await.status, 200);

    world.instance.draining.cancel();
    let problem = world.get("/ready").send().await.problem(503, "busy");
    assert_eq!(problem["detail"], "the service is shutting down");
    assert_eq!(world.get("/health").send().await.status, 200, "a supervisor does not kill what drains");
}

#[tokio::test]
async fn a_service_that_appends_no_more_is_not_ready_and_not_sound() {
    let world = World::new().await;
    let officer = world.officer(&["auditor"]).await;
    let integrity = world.get("/v1/integrity").officer(&officer).send().await.json(200);
    assert_eq!((&integrity["state"], &integrity["stopped"]), (&json!("sound"), &json!(null)));
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    // Somebody takes the last entry away behind our back.
    let statement = "delete from ledger.entries where index = (select size - 1 from ledger.head);
                     update ledger.head set size = size - 1, leaf = (select leaf from ledger.entries order by index desc limit 1)";
    world.test.database.tamper(statement).await;
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap_err();
    let problem = world.get("/ready").send().await.problem(503, "archive-unavailable");
    assert!(problem["detail"].as_str().unwrap().starts_with("nothing is appended any more: "), "{problem}");
    let integrity = world.get("/v1/integrity").officer(&officer).send().await.json(200);
    assert_eq!(integrity["state"], "unsound");
    assert!(integrity["stopped"].is_string(), "{integrity}");
    // Who looked could not be written down any more: so nobody looks.
    let answer = world.get("/v1/gaps").officer(&officer).send().await;
    answer.problem(503, "archive-unavailable");
}

#[tokio::test]
async fn integrity_shows_what_verifying_found() {
    let world = World::new().await;
    let officer = world.officer(&["admin"]).await;
    let none = || std::sync::Arc::new(|_alarm| ());
    world.test.archive.verify_and_record(none()).await.unwrap();
    world.test.archive.publish(true).await.unwrap();
    world.project().await;
    let integrity = world.get("/v1/integrity").officer(&officer).send().await.json(200);
    assert_eq!((&integrity["state"], &integrity["verifications"][0]["result"]), (&json!("sound"), &json!("verified")));
    assert_eq!(integrity["entries"], integrity["projected"]);
    assert!(integrity["published"].as_u64().unwrap() >= 3, "{integrity}");
    world.test.database.tamper("update ledger.entries set leaf = sha256(leaf) where index = 1").await;
    world.test.archive.verify_and_record(none()).await.unwrap();
    world.project().await;
    let integrity = world.get("/v1/integrity").officer(&officer).send().await.json(200);
    assert_eq!(integrity["state"], "unsound", "{integrity}");
    assert_eq!(integrity["verifications"][0]["first_failure"], 1, "{integrity}");
}
