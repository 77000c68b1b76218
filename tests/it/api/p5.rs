//! P5: everyone who looks is on record, before they see anything.

use std::time::Duration;

use muniment::ledger::{Actor, Committed, Entry, EntryType};
use serde_json::Value;

use super::routes::{ROUTES, SAID, SEARCHES, Shown};
use super::world::{Officer, Setting, World};
use crate::support::sound::assert_sound;

/// The entries from this place on.
async fn since(world: &World, index: u64) -> Vec<Entry> {
    let size = world.test.archive.head_size().await.unwrap();
    world.test.archive.entries(index..size).await.unwrap()
}

/// What a commitment of an access entry commits to.
async fn opened(world: &World, entry: &Entry, field: &str) -> Option<String> {
    let Committed::Listed(listed) = entry.committed() else { panic!("an access entry lists its commitments") };
    let content = world.test.archive.content(entry).await.unwrap().unwrap();
    let text = content.text(field).map(ToOwned::to_owned);
    assert_eq!(listed.get(field).is_some(), text.is_some(), "{field}");
    text
}

async fn the_look(world: &World, from: u64, officer: &Officer, operation: &str) -> Entry {
    let mut entries = since(world, from).await;
    if operation == "records.export" && entries.first().is_some_and(|entry| entry.detail()["allowed"] == true) {
        // A long look has two: that it began, and how far it came.
        super::export::ended(world, from).await;
        entries.truncate(1);
    }
    if operation == "events.follow" && entries.len() == 3 {
        // A stream that showed one run: that it begins, the run, that it ended.
        entries.swap(0, 1);
        entries.truncate(1);
    }
    assert_eq!(entries.len(), 1, "{operation}: one look, one entry");
    let entry = entries.pop().unwrap();
    assert_eq!(entry.entry_type(), EntryType::Access);
    assert_eq!(entry.actor(), &Actor::Officer(officer.id));
    assert_eq!(entry.detail()["operation"], operation);
    entry
}

#[tokio::test]
async fn p5_every_operation_that_shows_or_searches_is_in_the_ledger() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let document = super::routes::document(&world).await;
    let mut walked = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for written in item["get"]["x-muniment-access"]["written"].as_array().into_iter().flatten() {
            let operation = written["operation"].as_str().unwrap();
            let path = shown.address(template, Some(operation));
            let before = world.test.archive.head_size().await.unwrap();
            let call = world.get(&path).token(&officer.token).header("muniment-purpose", "quarterly review Ω");
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let entry = the_look(&world, before, &officer, operation).await;
            assert_eq!(entry.detail()["allowed"], true);
            assert_eq!(opened(&world, &entry, "purpose").await.as_deref(), Some("quarterly review Ω"), "{path}");
            assert!(!String::from_utf8_lossy(entry.bytes()).contains("quarterly"), "never in the clear");
            let records = entry.detail().get("records").cloned().unwrap_or_default();
            let id = Value::from(shown.kept.id().to_string());
            match operation {
                "records.list" | "records.search" | "records.get" | "fields.get" | "entries.get" => {
                    assert_eq!(records, Value::Array(vec![id]), "{path} says whose content was shown");
                    assert_eq!(entry.detail()["count"], 1);
                }
                "records.versions" | "records.thread" => {
                    assert_eq!(records, Value::Array(vec![id]), "{path} says whose content was shown");
                }
                "events.follow" => assert_eq!(records, Value::Array(vec![id]), "{path} says whose record was named"),
                _ => assert!(entry.detail()["count"].as_u64().unwrap() <= 2, "{path}"),
            }
            let query = opened(&world, &entry, "query").await;
            match operation {
                "records.search" | "facets.search" => assert_eq!(query.as_deref(), Some("text=zanzibar")),
                "fields.get" | "entries.get" | "entries.tile" => assert!(query.is_some(), "{path} says which"),
                _ => {}
            }
            walked += 1;
        }
    }
    assert_eq!(walked, ROUTES.iter().map(|route| route.written.len()).sum::<usize>());
    assert!(walked >= 10, "only {walked}");
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn p5_what_is_not_written_down_shows_nobodys_words_or_names() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    for route in ROUTES.iter().filter(|route| route.written.is_empty()) {
        let path = shown.address(route.template, None);
        let answer = world.get(&path).officer(&officer).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        for private in ["zanzibar", "Ada", "Olga", "did:plc", &shown.kept.id().to_string(), &shown.advisor.to_string()]
        {
            assert!(!answer.text().contains(private), "{path} shows {private}");
        }
    }
    world.get("/v1/tile/0/000.p/2").officer(&officer).send().await;
    assert!(since(&world, before).await.iter().all(|entry| entry.entry_type() != EntryType::Access));
}

#[tokio::test]
async fn p5_a_look_without_a_purpose_is_refused_with_what_to_do_and_is_on_record() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["legal"]).await;
    let asking = ROUTES.iter().flat_map(|route| {
        let asks = |word: &&&str| route.purpose || SEARCHES.contains(*word);
        route.written.iter().filter(asks).map(|word| (route.template, *word)).collect::<Vec<_>>()
    });
    for (template, operation) in asking {
        let path = shown.address(template, Some(operation));
        let before = world.test.archive.head_size().await.unwrap();
        let answer = world.get(&path).token(&officer.token).send().await;
        let problem = answer.problem(400, "purpose-required");
        assert_eq!(problem["parameter"], "Muniment-Purpose");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`Muniment-Purpose`") && detail.contains("3 to 500"), "{detail}");
        let entry = the_look(&world, before, &officer, operation).await;
        assert_eq!((&entry.detail()["allowed"], &entry.detail()["count"]), (&Value::from(false), &Value::from(0)));

        let long = "x".repeat(501);
        for purpose in ["", "  ", "ab", "a\tb c", long.as_str()] {
            let answer = world.get(&path).token(&officer.token).header("muniment-purpose", purpose).send().await;
            let detail = answer.wrong("Muniment-Purpose");
            assert!(detail.contains("3 to 500 characters"), "{detail}");
            assert!(!answer.text().contains("zanzibar"));
        }
        let exact = world.get(&path).token(&officer.token).header("muniment-purpose", &"ü".repeat(500)).send().await;
        assert_eq!(exact.status, 200, "{path}: {}", exact.text());
        if operation == "records.export" {
            super::export::ended(&world, before).await;
        }
    }
}

#[tokio::test]
async fn p5_who_is_refused_or_finds_nothing_is_on_record_too() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let (admin, legal) = (world.officer(&["admin"]).await, world.officer(&["legal"]).await);
    let path = format!("/v1/records/{}", shown.kept.id());
    let before = world.test.archive.head_size().await.unwrap();
    world.get(&path).officer(&admin).send().await.problem(403, "role-missing");
    let entry = the_look(&world, before, &admin, "records.get").await;
    assert_eq!(entry.detail()["allowed"], false);
    assert_eq!(entry.detail()["records"][0], shown.kept.id().to_string().as_str());

    let nobody = "01890000-0000-7000-8000-000000000000";
    for (path, operation) in [
        (format!("/v1/records/{nobody}"), "records.get"),
        (format!("/v1/records/{nobody}/fields/0/0.text"), "fields.get"),
        (format!("/v1/records/{}/fields/{}/9.text", shown.kept.id(), shown.kept.index), "fields.get"),
        (format!("/v1/records/{}/attachments/0/7", shown.kept.id()), "fields.get"),
        ("/v1/entries/123456".to_owned(), "entries.get"),
        ("/v1/tile/entries/x001/000".to_owned(), "entries.tile"),
    ] {
        let before = world.test.archive.head_size().await.unwrap();
        world.get(&path).officer(&legal).send().await.problem(404, "not-found");
        let entry = the_look(&world, before, &legal, operation).await;
        assert_eq!(
            (&entry.detail()["allowed"], &entry.detail()["count"]),
            (&Value::from(true), &Value::from(0)),
            "{path}"
        );
    }
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn p5_nothing_is_shown_when_the_look_cannot_be_written_down() {
    let append_timeout = Duration::from_millis(500);
    let world = World::with(Setting { append_timeout, relay: true, ..Setting::default() }).await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let paths: Vec<String> = ROUTES
        .iter()
        .flat_map(|route| route.written.iter().map(|word| shown.address(route.template, Some(word))))
        .collect();
    // Everything can be read, and nothing appended: somebody holds the head.
    let mut other = world.test.database.superuser().await;
    sqlx::raw_sql("begin; select * from ledger.head for update").execute(&mut other).await.unwrap();
    for path in &paths {
        let answer = world.get(path).officer(&officer).send().await;
        answer.problem(503, "archive-unavailable");
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert!(!answer.text().contains("zanzibar") && !answer.text().contains(SAID), "{path}");
    }
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    // The database refuses every entry.
    sqlx::raw_sql("revoke execute on function ledger.append from muniment_append").execute(&mut other).await.unwrap();
    for path in &paths {
        let answer = world.get(path).officer(&officer).send().await;
        assert!(answer.status.is_server_error(), "{path}: {}", answer.text());
        answer.problem(answer.status.as_u16(), if answer.status == 503 { "archive-unavailable" } else { "internal" });
        assert!(!answer.text().contains("zanzibar"), "{path}");
    }
    sqlx::raw_sql("grant execute on function ledger.append to muniment_append").execute(&mut other).await.unwrap();
    // The database is away altogether.
    world.relay.as_ref().unwrap().close();
    for path in &paths[..3] {
        let answer = world.get(path).officer(&officer).send().await;
        answer.problem(503, "archive-unavailable");
        assert!(!answer.text().contains("zanzibar"), "{path}");
    }
    world.relay.as_ref().unwrap().open();
    for path in &paths {
        let answer = world.get(path).officer(&officer).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}
