//! Idempotency keys: what is asked for with one is done once, and answered the same, whatever is repeated, raced or killed.

use muniment::ledger::EntryType;
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::webhooks::path_of;
use super::world::{Officer, Setting, World};
use crate::support::sound::assert_sound;

fn create(world: &World, officer: &Officer, key: &str, body: &Value) -> Call {
    let call = world.get("/v1/webhooks").method("POST").officer(officer).header("content-type", "application/json");
    call.header("idempotency-key", key).body(body.to_string().into_bytes())
}

fn body() -> Value {
    json!({ "url": "https://hooks.test/" })
}

async fn count(world: &World, officer: &Officer) -> usize {
    world.get("/v1/webhooks").officer(officer).send().await.json(200)["webhooks"].as_array().unwrap().len()
}

async fn quiet() -> World {
    World::with(Setting { follow: true, ..Setting::default() }).await
}

fn same(one: &Answer, other: &Answer) {
    assert_eq!((one.status, &one.body), (other.status, &other.body));
    for header in ["location", "etag", "content-type"] {
        assert_eq!(one.header(header), other.header(header), "{header}");
    }
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_done_once_and_answered_the_same() {
    let world = quiet().await;
    let (officer, other) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let first = create(&world, &officer, "one", &body()).send().await;
    assert_eq!(first.status, 201);
    assert_eq!((first.header("idempotency-replayed"), first.header("location").is_some()), (None, true));
    // The key means the same with quotes around it, and in another process.
    let again = create(&world, &officer, "\"one\"", &body()).send().await;
    same(&first, &again);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let dir = tempfile::tempdir().unwrap();
    let second = world.second(dir.path()).await;
    let call = second.get("/v1/webhooks").method("POST").officer(&officer).header("content-type", "application/json");
    same(&first, &call.header("idempotency-key", "one").body(body().to_string().into_bytes()).send().await);
    assert_eq!(count(&world, &officer).await, 1);
    // Each asking is on record, and one change.
    let entries = assert_sound(&world.test).await;
    let asked =
        entries.iter().filter(|entry| entry.detail().get("operation").is_some_and(|word| word == "webhooks.create"));
    assert_eq!(asked.count(), 3);
    assert_eq!(entries.iter().filter(|entry| entry.entry_type() == EntryType::Settings).count(), 1);
    // Of another officer, or at another address, it is another key.
    assert_eq!(create(&world, &other, "one", &body()).send().await.status, 201);
    let path = path_of(&first.json(201));
    let ping = world.get(&format!("{path}/ping")).method("POST").officer(&officer).header("idempotency-key", "one");
    let (one, two) = (ping.send().await, ping.send().await);
    assert_eq!(one.status, 202);
    same(&one, &two);
    let rotate = world.get(&format!("{path}/secret")).method("POST").officer(&officer).header("idempotency-key", "one");
    let (one, two) = (rotate.send().await, rotate.send().await);
    assert_eq!(one.status, 200, "{}", one.text());
    same(&one, &two);
    let delete = world.get(&path).method("DELETE").officer(&officer).header("idempotency-key", "one");
    let (one, two) = (delete.send().await, delete.send().await);
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (204, 204), "gone, and the answer is the same");
    same(&one, &delete.header("x-other", "key").send().await);
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_key_that_comes_with_something_else_is_refused() {
    let world = quiet().await;
    let officer = world.officer(&["compliance"]).await;
    create(&world, &officer, "one", &body()).send().await.json(201);
    for other in
        [json!({ "url": "https://hooks.test/other" }), json!({ "url": "https://hooks.test/", "events": ["gap"] })]
    {
        create(&world, &officer, "one", &other).send().await.problem(422, "idempotency-key-reused");
    }
    assert_eq!(count(&world, &officer).await, 1);
    // A refusal keeps nothing: the key is free for what is right.
    create(&world, &officer, "two", &json!({ "url": "https://hooks.test/", "after": 99_999 }))
        .send()
        .await
        .wrong("after");
    create(&world, &officer, "two", &body()).send().await.json(201);
    let twice = create(&world, &officer, "three", &body()).header("idempotency-key", "four");
    twice.send().await.wrong("Idempotency-Key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_with_one_key_one_does_it_and_the_others_are_told() {
    let world = quiet().await;
    let officer = world.officer(&["compliance"]).await;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let call = create(&world, &officer, "crowd", &body());
            tokio::spawn(async move { call.send().await })
        })
        .collect();
    let mut done = Vec::new();
    for one in crowd {
        let answer = one.await.unwrap();
        if answer.status == 409 {
            answer.problem(409, "idempotency-key-in-flight");
            assert_eq!(answer.header("retry-after"), Some("2"));
        } else {
            assert_eq!(answer.status, 201, "{}", answer.text());
            done.push(answer);
        }
    }
    assert!(!done.is_empty());
    done.iter().for_each(|answer| same(&done[0], answer));
    assert_eq!(count(&world, &officer).await, 1);
}

#[tokio::test]
async fn who_was_killed_in_the_middle_is_found_out_by_the_ledger() {
    let world = quiet().await;
    let officer = world.officer(&["compliance"]).await;
    let first = create(&world, &officer, "one", &body()).send().await;
    // As if it had been killed after the entry was durable, and before its answer was kept.
    let database = &world.test.database;
    database.tamper("update delivery.answers set answer = null").await;
    create(&world, &officer, "one", &body()).send().await.problem(409, "idempotency-key-in-flight");
    database.tamper("update delivery.answers set begun_at = now() - interval '61 seconds'").await;
    let again = create(&world, &officer, "one", &body()).send().await;
    same(&first, &again);
    assert_eq!(count(&world, &officer).await, 1, "it was done");
    // As if it had been killed before.
    database.tamper("update delivery.answers set answer = null, begun_at = now() - interval '61 seconds', entry = gen_random_uuid()").await;
    let other = create(&world, &officer, "one", &body()).send().await;
    assert_ne!(other.json(201)["id"], first.json(201)["id"]);
    assert_eq!(count(&world, &officer).await, 2, "it was not");
    let path = path_of(&first.json(201));
    let rotate = world.get(&format!("{path}/secret")).method("POST").officer(&officer).header("idempotency-key", "r");
    let rotated = rotate.send().await;
    database.tamper("update delivery.answers set answer = null, begun_at = now() - interval '61 seconds'").await;
    same(&rotated, &rotate.send().await);
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_key_is_kept_for_a_day_sealed_and_so_many_of_them() {
    let world = quiet().await;
    let officer = world.officer(&["compliance"]).await;
    let first = create(&world, &officer, "quincunx", &body()).send().await.json(201);
    let database = &world.test.database;
    let mut connection = database.superuser().await;
    let stored: String = sqlx::query_scalar(
        "select string_agg(a::text, ' ') || encode(string_agg(answer, ''), 'escape') from delivery.answers a",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    for private in ["quincunx", "hooks.test", "whsec_", &hex::encode("quincunx"), &hex::encode("whsec_")] {
        assert!(!stored.contains(private), "{private} is in {stored}");
    }
    database.tamper("update delivery.answers set made_at = now() - interval '25 hours'").await;
    let second = create(&world, &officer, "quincunx", &body()).send().await.json(201);
    assert_ne!(first["id"], second["id"]);
    let many = format!(
        "insert into delivery.answers (id, officer, operation, key, fingerprint, entry)
         select gen_random_uuid(), '{}', 'webhooks.create', sha256(n::text::bytea), sha256(''), gen_random_uuid() from generate_series(1, 10000) n",
        officer.id
    );
    database.tamper(&many).await;
    let refused = create(&world, &officer, "another", &body()).send().await.problem(429, "rate-limited");
    assert!(refused["detail"].as_str().unwrap().contains("idempotency keys"), "{refused}");
    world.test.archive.prune_answers().await.unwrap();
    // Without a key nothing is kept, and everything is done.
    let call = world.get("/v1/webhooks").method("POST").officer(&officer).header("content-type", "application/json");
    call.body(body().to_string().into_bytes()).send().await.json(201);
}
