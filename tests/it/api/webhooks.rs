//! Webhooks: what happens is sent by itself, in ledger order, none left out, signed as the standard has it; nobody's words; and every look is
//! on record before anything leaves.

use std::time::Duration;

use muniment::api::StreamBounds;
use muniment::archive::Append as _;
use muniment::ledger::{Actor, Entry, EntryType};
use serde_json::{Value, json};

use super::call::Answer;
use super::document::assert_documented;
use super::kept::keep;
use super::receiver::{Act, Receiver, indices};
use super::routes::{SAID, document};
use super::schema::check;
use super::world::{Officer, Setting, World};
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, gap, post};

pub(super) fn delivering() -> Setting {
    let streams = StreamBounds { pace: Duration::from_millis(50), ..StreamBounds::default() };
    Setting { follow: true, deliver: true, streams, ..Setting::default() }
}

/// Sets one up; answers with all of it, the secret too.
pub(super) async fn set_up(world: &World, officer: &Officer, body: Value) -> Value {
    send(world, officer, "POST", "/v1/webhooks", &body).await.json(201)
}

pub(super) async fn send(world: &World, officer: &Officer, method: &str, path: &str, body: &Value) -> Answer {
    let call = world.get(path).officer(officer).method(method).header("content-type", "application/json");
    call.body(body.to_string().into_bytes()).send().await
}

pub(super) fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

/// Something that is an event; answers with its place.
pub(super) async fn lose(world: &World) -> u64 {
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap().index
}

/// Its state, as the API has it.
pub(super) async fn state(world: &World, officer: &Officer, webhook: &Value) -> Value {
    world.get(&path_of(webhook)).officer(officer).send().await.json(200)
}

/// Waits until it is disabled; answers with why.
pub(super) async fn disabled(world: &World, officer: &Officer, webhook: &Value) -> String {
    for _ in 0..500 {
        let now = state(world, officer, webhook).await;
        if now["state"] == "disabled" {
            return now["cause"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never was disabled");
}

/// Its deliveries in this state, oldest first.
pub(super) async fn deliveries(world: &World, officer: &Officer, webhook: &Value, state: &str) -> Vec<Value> {
    let path = format!("{}/deliveries?order=oldest&state={state}", path_of(webhook));
    world.get(&path).officer(officer).send().await.json(200)["deliveries"].as_array().unwrap().clone()
}

/// Looks of webhooks in the ledger.
pub(super) fn looks(entries: &[Entry]) -> Vec<&Entry> {
    let is_look = |entry: &&Entry| entry.detail().get("operation").is_some_and(|word| word == "webhooks.deliver");
    entries.iter().filter(|entry| entry.entry_type() == EntryType::Access).filter(is_look).collect()
}

#[tokio::test]
async fn what_happens_is_delivered_in_ledger_order_signed_and_without_anybodys_words() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url(), "description": "review queue" })).await;
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", SAID.as_bytes())]).await.accepted(&world.test).await;
    let lost = world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    let wanted = [kept.index, kept.index + 1, lost.index];
    assert_eq!(receiver.wait_for(&wanted).await, wanted);

    let document = document(&world).await;
    for got in receiver.got() {
        assert_eq!(got.line, "POST /hook?a=b HTTP/1.1");
        assert_eq!(got.header("host"), receiver.address.to_string());
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.id().starts_with("msg_") && got.header("user-agent").starts_with("muniment/"));
        let sent: i64 = got.header("webhook-timestamp").parse().unwrap();
        assert!((sent - muniment::record::Clock::now(&*world.test.clock).unix_micros() / 1_000_000).abs() < 60);
        assert_eq!(got.signatures(), [got.signature(webhook["secret"].as_str().unwrap())]);
        let message = got.json();
        check(&document, &json!({ "$ref": "#/components/schemas/WebhookMessage" }), &message, "$").unwrap();
        assert_eq!((&message["type"], &message["data"]["webhook"]), (&json!("muniment.events"), &webhook["id"]));
        assert!(!message.to_string().contains("zanzibar"), "what was said stays in the house");
        for event in got.events() {
            // The same event as a stream shows it; its link leads to what it is about.
            let index = event["index"].as_u64().unwrap();
            let stream =
                world.get(&format!("/v1/events?after={}&wait=false", index - 1)).officer(&officer).send().await;
            let line = stream.text().lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), event);
            let linked = world.get(event["href"].as_str().unwrap()).officer(&officer).send().await;
            assert_eq!(linked.status, 200, "{}", linked.text());
        }
    }
    let deliveries = deliveries(&world, &officer, &webhook, "delivered").await;
    assert_eq!(deliveries.len(), receiver.got().len());
    assert!(deliveries.iter().all(|one| one["attempts"] == 1 && one["status"] == 204), "{deliveries:?}");
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn p5_a_delivery_is_a_look_of_its_owner_on_record_before_it_leaves() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    // Whatever came was on record when it came: nothing is taken, so each message is looked at while it is tried.
    receiver.usually(Act::Status(500));
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url(), "events": ["record"] })).await;
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", SAID.as_bytes())]).await;
    let got = receiver.wait(2).await;
    assert_eq!(got[0].id(), got[1].id(), "tried again under the same id");
    assert_eq!(got[0].body, got[1].body);
    let entries = assert_sound(&world.test).await;
    let looks = looks(&entries);
    assert_eq!(looks.len(), 1, "one message, one look, however often it is tried");
    assert_eq!(looks[0].actor(), &Actor::Officer(officer.id));
    assert_eq!(looks[0].detail()["records"], json!([kept.id().to_string()]));
    assert_eq!((&looks[0].detail()["allowed"], &looks[0].detail()["count"]), (&json!(true), &json!(1)));
    let content = world.test.archive.content(looks[0]).await.unwrap().unwrap();
    let said = content.text("query").unwrap();
    let range = format!("&first={0}&last={0}", kept.index);
    assert!(
        said.contains(webhook["id"].as_str().unwrap()) && said.contains(&got[0].id()) && said.ends_with(&range),
        "{said}"
    );
    // Who looks for looks finds it.
    world.project().await;
    let path = format!("/v1/access?operation=webhooks.deliver&record={}", kept.id());
    let found = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!(found.as_object().unwrap().values().find_map(Value::as_array).unwrap().len(), 1, "{found}");
}

#[tokio::test]
async fn p5_nothing_leaves_while_the_look_cannot_be_written_down() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    set_up(&world, &officer, json!({ "url": receiver.url(), "events": ["gap"] })).await;
    let lost = world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    receiver.wait_for(&[lost.index]).await;
    let (came, mut other) = (receiver.got().len(), world.test.database.superuser().await);
    // The gap is appended by another hand, in the same moment in which appending ends for everybody else.
    let next = world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    sqlx::raw_sql("begin; select * from ledger.head for update").execute(&mut other).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let while_held = receiver.got().len();
    let size: i64 = sqlx::query_scalar("select size from ledger.head").fetch_one(&mut other).await.unwrap();
    let written = i64::try_from(next.index).unwrap() + 1 < size;
    assert!(while_held == came || written, "it left and no look is on record");
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert_eq!(receiver.wait_for(&[next.index]).await, [lost.index, next.index]);
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn only_what_was_asked_for_is_delivered_from_where_it_was_asked_for() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let ada = world.test.archive.add_advisor(super::world::by(), "Ada").await.unwrap().id;
    let before = keep(&world.test, &[ada], &[], &[("0.text", b"before")]).await;
    let body = json!({ "url": receiver.url(), "events": ["record"], "advisor": ada, "network": "bluesky", "after": before.index - 1 });
    set_up(&world, &officer, body).await;
    world.test.archive.append(post(&world.test, advisor(9), "of somebody else")).await.unwrap();
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    keep(&world.test, &[ada], &[("network", json!("mastodon"))], &[("0.text", b"elsewhere")]).await;
    let after = keep(&world.test, &[ada], &[], &[("0.text", b"after")]).await;
    assert_eq!(receiver.wait_for(&[before.index, after.index]).await, [before.index, after.index]);
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_message_that_only_one_of_them_verifies() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url(), "events": ["gap"] })).await;
    let first = webhook["secret"].as_str().unwrap().to_owned();
    let path = format!("{}/secret", path_of(&webhook));
    let rotated = send(&world, &officer, "POST", &path, &json!({ "keep": 3 })).await.json(200);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    let got = receiver.wait(1).await;
    assert_eq!(got[0].signatures(), [got[0].signature(&second), got[0].signature(&first)]);
    // Once the first has ended, it signs nothing more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    send(&world, &officer, "POST", &format!("{}/ping", path_of(&webhook)), &json!({})).await.json(202);
    let got = receiver.wait(2).await;
    assert_eq!(got[1].signatures(), [got[1].signature(&second)]);
    assert_eq!(got[1].json()["type"], "muniment.ping");
    // A secret that somebody else knows ends at once, and nothing of it stays.
    let third = send(&world, &officer, "POST", &path, &json!({ "keep": 0 })).await.json(200);
    assert_eq!(third["secrets"].as_array().unwrap().len(), 1);
    let mut connection = world.test.database.superuser().await;
    let kept: i64 =
        sqlx::query_scalar("select count(*) from people.webhook_secrets").fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept, 1);
    for answer in
        [state(&world, &officer, &webhook).await, world.get("/v1/webhooks").officer(&officer).send().await.json(200)]
    {
        assert!(!answer.to_string().contains("whsec_"), "a secret is shown once: {answer}");
    }
    let wrong = send(&world, &officer, "POST", &path, &json!({ "keep": 700_000 })).await.wrong("keep");
    assert!(wrong.contains("604800"), "{wrong}");
}

#[tokio::test]
async fn every_change_of_a_webhook_is_an_entry_that_says_who_made_it() {
    let world = World::with(delivering()).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let receiver = Receiver::new().await;
    let webhook = set_up(&world, &olga, json!({ "url": receiver.url() })).await;
    let path = path_of(&webhook);
    assert_eq!((&webhook["owner"], &webhook["state"]), (&json!(olga.id), &json!("enabled")));
    let disabled = send(&world, &otto, "PATCH", &path, &json!({ "state": "disabled" })).await.json(200);
    assert_eq!(disabled["owner"], json!(olga.id), "whoever stops it vouches for nothing");
    send(&world, &otto, "POST", &format!("{path}/ping"), &json!({})).await.problem(409, "webhook-disabled");
    let enabled =
        send(&world, &otto, "PATCH", &path, &json!({ "state": "enabled", "events": ["gap"] })).await.json(200);
    assert_eq!((&enabled["owner"], &enabled["events"]), (&json!(otto.id), &json!(["gap"])), "whoever enables it does");
    let same = send(&world, &olga, "PATCH", &path, &json!({ "events": ["gap"] })).await.json(200);
    assert_eq!(same, enabled, "what changes nothing is no change");
    let lost = world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    receiver.wait_for(&[lost.index]).await;
    let gone = send(&world, &olga, "DELETE", &path, &json!({})).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    world.get(&path).officer(&olga).send().await.problem(404, "not-found");
    assert_eq!(world.get("/v1/webhooks").officer(&olga).send().await.json(200)["webhooks"], json!([]));
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(indices(&receiver.got()), [lost.index], "nothing leaves any more");

    let entries = assert_sound(&world.test).await;
    let changes: Vec<(String, String)> = entries
        .iter()
        .filter(|entry| entry.entry_type() == EntryType::Settings)
        .map(|entry| (entry.detail()["change"].as_str().unwrap().to_owned(), entry.actor().to_string()))
        .collect();
    let by = |officer: &Officer| format!("officer:{}", officer.id);
    let expected = [("added", by(&olga)), ("disabled", by(&otto)), ("enabled", by(&otto)), ("removed", by(&olga))];
    assert_eq!(changes, expected.map(|(change, by)| (format!("webhook_{change}"), by)));
    let history = world.get("/v1/settings?order=oldest").officer(&olga).send().await.json(200);
    let history = history["settings"].as_array().unwrap();
    assert_eq!(history[0]["settings"]["url"], receiver.url());
    assert!(!json!(history).to_string().contains("whsec_"));
    let clear: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes().to_vec()).collect();
    assert!(!String::from_utf8_lossy(&clear).contains(&receiver.address.to_string()), "where it leads is sealed");
    // The projections say what the ledger says, also once they are made again.
    let comparison = world.test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await;
    assert!(comparison.unwrap().unwrap().is_sound());
}

#[tokio::test]
async fn a_change_that_was_meant_for_another_state_changes_nothing() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let officer = world.officer(&["compliance"]).await;
    let webhook = set_up(&world, &officer, json!({ "url": "https://hooks.test/a" })).await;
    let (path, body) = (path_of(&webhook), json!({ "url": "https://hooks.test/b" }).to_string().into_bytes());
    let read = world.get(&path).officer(&officer).send().await;
    let tag = read.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", webhook["index"]));
    let unchanged = world.get(&path).officer(&officer).header("if-none-match", &tag).send().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    let patch =
        world.get(&path).officer(&officer).method("PATCH").header("content-type", "application/json").body(body);
    let document = document(&world).await;
    for other in ["\"1\"", "W/\"1\"", &format!("W/{tag}"), "nonsense"] {
        let refused = patch.clone().header("if-match", other).send().await;
        refused.problem(412, "precondition-failed");
        assert_documented(&document, "/v1/webhooks/{id}", &path, &world.get(&path).officer(&officer).send().await);
    }
    let changed = patch.clone().header("if-match", &format!("\"1\", {tag}")).send().await;
    assert_ne!(changed.header("etag"), Some(&*tag));
    assert_eq!(changed.json(200)["url"], "https://hooks.test/b");
    patch.header("if-match", &tag).send().await.problem(412, "precondition-failed");
    let delete = world.get(&path).officer(&officer).method("DELETE");
    delete.clone().header("if-match", &tag).send().await.problem(412, "precondition-failed");
    assert_eq!(delete.header("if-match", "*").send().await.status, 204);
}

#[tokio::test]
async fn what_cannot_be_meant_is_named_with_what_would_be_right() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    for (body, parameter, hint) in [
        (json!({}), "body", "url"),
        (json!([]), "body", ""),
        (json!({ "url": "https://hooks.test/", "evnets": [] }), "body", "evnets"),
        (json!({ "url": 1 }), "body", ""),
        (json!({ "url": "http://hooks.test/" }), "url", "loopback"),
        (json!({ "url": "https://user:pw@hooks.test/" }), "url", "password"),
        (json!({ "url": "https://10.0.0.1/" }), "url", "webhooks.allow_networks"),
        (json!({ "url": "https://169.254.169.254/latest/meta-data" }), "url", "webhooks.allow_networks"),
        (json!({ "url": "https://[::ffff:10.0.0.1]/" }), "url", ""),
        (json!({ "url": "https://0xa.1/" }), "url", "forbidden_address"),
        (json!({ "url": "https://hooks.test/", "events": [] }), "events", "record"),
        (json!({ "url": "https://hooks.test/", "events": ["post"] }), "events", "record"),
        (
            json!({ "url": "https://hooks.test/", "advisor": "01890000-0000-7000-8000-000000000000" }),
            "advisor",
            "no such",
        ),
        (json!({ "url": "https://hooks.test/", "after": 123_456 }), "after", "beyond the ledger"),
        (json!({ "url": "https://hooks.test/", "description": "x".repeat(201) }), "description", "200"),
    ] {
        let answer = send(&world, &officer, "POST", "/v1/webhooks", &body).await;
        let detail = answer.wrong(parameter);
        assert!(detail.contains(hint), "{body}: {detail}");
    }
    let call = world.get("/v1/webhooks").officer(&officer).method("POST");
    let body = json!({ "url": "https://hooks.test/" }).to_string().into_bytes();
    call.clone().body(body.clone()).send().await.problem(415, "unsupported-media-type");
    call.clone().body(body).header("content-type", "text/plain").send().await.problem(415, "unsupported-media-type");
    let large = json!({ "url": "https://hooks.test/", "description": "x".repeat(20_000) }).to_string().into_bytes();
    let large = call.header("content-type", "application/json").body(large).send().await;
    assert!(large.problem(413, "body-too-large")["detail"].as_str().unwrap().contains("16384"));
    assert_eq!(world.test.archive.head_size().await.unwrap(), before, "nobody did anything");
    for number in 0..32 {
        set_up(&world, &officer, json!({ "url": format!("https://hooks.test/{number}") })).await;
    }
    let many = send(&world, &officer, "POST", "/v1/webhooks", &json!({ "url": "https://hooks.test/" })).await;
    many.problem(409, "too-many-webhooks");
}
