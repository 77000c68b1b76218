//! Matters and holds over HTTP: opened, placed, shown, released, by those who may; what is held is not disposed of.

use muniment::archive::{AppendError, ArchiveError, Disposal};
use muniment::ledger::{Actor, EntryType};
use muniment::record::Clock as _;
use serde_json::{Value, json};

use super::call::Answer;
use super::kept::keep;
use super::world::{Officer, Setting, World, by};
use crate::support::sound::assert_sound;
use crate::support::submissions::advisor;

async fn send(world: &World, officer: &Officer, method: &str, path: &str, body: &Value) -> Answer {
    let call = world.get(path).officer(officer).method(method).header("content-type", "application/json");
    call.body(body.to_string().into_bytes()).send().await
}

async fn following() -> World {
    World::with(Setting { follow: true, ..Setting::default() }).await
}

fn path_of(what: &str, shown: &Value) -> String {
    format!("/v1/{what}/{}", shown["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_hold_keeps_a_record_from_disposal_says_so_on_it_and_lets_go_of_it() {
    let world = following().await;
    let (legal, test) = (world.officer(&["legal"]).await, &world.test);
    let ada = test.archive.add_advisor(by(), "Ada").await.unwrap().id;
    let kept = keep(test, &[ada], &[], &[("0.text", b"held")]).await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    let matter = send(&world, &legal, "POST", "/v1/matters", &json!({"name": "Smith", "external": "2:26-cv-1"})).await;
    assert_eq!(matter.header("location"), Some(path_of("matters", &matter.json(201)).as_str()));
    let matter = matter.json(201);
    let path = path_of("matters", &matter);
    let hold = json!({"matter": matter["id"], "reason": "subpoena", "custodians": [ada], "from": "2020-01-01"});
    let hold = send(&world, &legal, "POST", "/v1/holds", &hold).await.json(201);
    assert_eq!(
        (&hold["state"], &hold["covers"], &hold["advisors"][0]),
        (&json!("in_force"), &json!("custodians"), &json!(ada))
    );
    assert_eq!((&hold["from"], &hold["reason"]), (&json!("2020-01-01T00:00:00.000000Z"), &json!("subpoena")));
    let by_officer = format!("officer:{}", legal.id);
    assert_eq!((&hold["placed_by"], &hold["history"][0]["change"]), (&json!(by_officer), &json!("placed")));

    let disposal = Disposal {
        records: vec![kept.id()],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    let refused = test.archive.dispose(&disposal).await;
    assert!(matches!(refused, Err(ArchiveError::Append(AppendError::Refused { .. }))), "{refused:?}");
    let record = format!("/v1/records/{}", kept.id());
    let shown = world.get(&record).officer(&legal).send().await.json(200);
    assert_eq!(shown["holds"], json!([{"hold": hold["id"], "why": "custodian"}]));

    let closed = json!({"state": "closed", "reason": "settled"});
    let problem = send(&world, &legal, "PATCH", &path, &closed).await.problem(409, "holds-in-force");
    assert!(problem["detail"].as_str().unwrap().starts_with("1 of its holds"), "{problem}");
    let release = format!("{}/release", path_of("holds", &hold));
    let released = send(&world, &legal, "POST", &release, &json!({"reason": "settled"})).await.json(200);
    assert_eq!((&released["state"], &released["release_reason"]), (&json!("released"), &json!("settled")));
    send(&world, &legal, "POST", &release, &json!({"reason": "again"})).await.problem(409, "hold-released");
    assert_eq!(send(&world, &legal, "PATCH", &path, &closed).await.json(200)["state"], "closed");
    let late = json!({"matter": matter["id"], "reason": "late", "everything": true});
    send(&world, &legal, "POST", "/v1/holds", &late).await.problem(409, "matter-closed");
    test.archive.dispose(&disposal).await.unwrap();
    world.project().await;
    assert_eq!(world.get(&record).officer(&legal).send().await.json(200)["holds"], json!([]));

    let whole = world.get(&path).officer(&legal).send().await.json(200);
    assert_eq!(whole["holds"][0]["id"], hold["id"]);
    assert_eq!(whole["history"][1]["reason"], "settled");
    let of = world.get(&format!("/v1/holds?matter={}", matter["id"].as_str().unwrap())).officer(&legal).send().await;
    assert_eq!(of.json(200)["holds"].as_array().unwrap().len(), 1);
    let none = world.get("/v1/holds?matter=01890000-0000-7000-8000-000000000000").officer(&legal).send().await;
    assert_eq!(none.json(200)["holds"], json!([]));
    assert_sound(test).await;
}

#[tokio::test]
async fn custodians_are_told_and_say_so() {
    let world = following().await;
    let legal = world.officer(&["legal"]).await;
    let ada = world.test.archive.add_advisor(by(), "Ada").await.unwrap().id;
    let matter = send(&world, &legal, "POST", "/v1/matters", &json!({"name": "Smith"})).await.json(201);
    let path = path_of("matters", &matter);
    let told = json!({"advisor": ada, "text": "keep\nit"});
    let early = send(&world, &legal, "POST", &format!("{path}/notices"), &told).await;
    assert!(early.wrong("advisor").contains("no custodian"));
    let added = send(&world, &legal, "POST", &format!("{path}/custodians"), &json!({"advisor": ada})).await.json(200);
    assert_eq!((&added["custodians"][0]["advisor"], &added["custodians"][0]["until"]), (&json!(ada), &Value::Null));
    let told = send(&world, &legal, "POST", &format!("{path}/notices"), &told).await.json(200);
    assert_eq!(
        (&told["notices"][0]["text"], &told["notices"][0]["acknowledged_at"]),
        (&json!("keep\nit"), &Value::Null)
    );
    let acknowledge = format!("{path}/notices/acknowledge");
    let notice = json!({"notice": told["notices"][0]["notice"]});
    let done = send(&world, &legal, "POST", &acknowledge, &notice).await.json(200);
    assert!(done["notices"][0]["acknowledged_at"].is_string());
    let nobody = json!({"notice": "01890000-0000-7000-8000-000000000000"});
    send(&world, &legal, "POST", &acknowledge, &nobody).await.problem(404, "not-found");
    let gone = json!({"advisor": ada, "removed": true});
    let gone = send(&world, &legal, "POST", &format!("{path}/custodians"), &gone).await.json(200);
    assert!(gone["custodians"][0]["until"].is_string());
    let stranger = json!({"advisor": "01890000-0000-7000-8000-000000000000"});
    send(&world, &legal, "POST", &format!("{path}/custodians"), &stranger).await.wrong("advisor");
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn what_cannot_be_meant_places_no_hold() {
    let world = following().await;
    let legal = world.officer(&["legal"]).await;
    let nobody = "01890000-0000-7000-8000-000000000000";
    for (body, parameter) in [
        (json!({"reason": "r"}), "body"),
        (json!({"reason": "r", "everything": false}), "body"),
        (json!({"reason": "r", "everything": true, "records": [nobody]}), "body"),
        (json!({"everything": true}), "body"),
        (json!({"reason": " ", "everything": true}), "reason"),
        (json!({"reason": "r", "records": []}), "records"),
        (json!({"reason": "r", "records": vec![nobody; 1]}), "records"),
        (json!({"reason": "r", "custodians": [nobody]}), "advisor"),
        (json!({"reason": "r", "records": [nobody], "from": "2026-01-01"}), "from"),
        (json!({"reason": "r", "everything": true, "from": "2026-01-02", "to": "2026-01-01"}), "to"),
        (json!({"reason": "r", "everything": true, "from": "tomorrow"}), "from"),
        (json!({"reason": "r", "query": {}}), "query"),
        (json!({"reason": "r", "query": {"kind": "song"}}), "kind"),
        (json!({"reason": "r", "query": {"content": "readable"}}), "query"),
        (json!({"reason": "r", "query": ["mastodon"]}), "body"),
        (json!({"reason": "r", "query": {"network": "x", "from": "nonsense"}}), "from"),
        (json!({"reason": "r", "name": "x".repeat(201), "everything": true}), "name"),
    ] {
        let answer = send(&world, &legal, "POST", "/v1/holds", &body).await;
        assert!(!answer.wrong(parameter).is_empty(), "{body}");
    }
    let unknown = json!({"reason": "r", "everything": true, "matter": nobody});
    send(&world, &legal, "POST", "/v1/holds", &unknown).await.problem(404, "not-found");
    let entries = assert_sound(&world.test).await;
    assert!(entries.iter().all(|entry| entry.entry_type() != EntryType::Hold));
}

#[tokio::test]
async fn the_same_hold_with_the_same_key_is_placed_once_and_a_query_is_kept_as_it_was_meant() {
    let world = following().await;
    let legal = world.officer(&["legal"]).await;
    keep(&world.test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await;
    let body = json!({"reason": "r", "query": {"text": "zanzibar", "from": "2020-01-01"}}).to_string().into_bytes();
    let call = world.get("/v1/holds").officer(&legal).method("POST").header("content-type", "application/json");
    let call = call.header("idempotency-key", "one").body(body);
    let (first, again) = (call.send().await, call.send().await);
    assert_eq!((again.header("idempotency-replayed"), first.text()), (Some("true"), again.text()));
    let hold = first.json(201);
    assert_eq!((&hold["covers"], &hold["evaluated"]), (&json!("selected"), &json!(0)));
    assert_eq!(hold["query"], json!({"text": "zanzibar", "from": "2020-01-01T00:00:00.000000Z"}));
    let entries = assert_sound(&world.test).await;
    let placed: Vec<_> = entries.iter().filter(|entry| entry.entry_type() == EntryType::Hold).collect();
    assert_eq!(placed.len(), 1);
    // Who asked is on record before it is placed.
    let look = entries.iter().find(|entry| entry.detail().get("operation").is_some_and(|word| word == "holds.create"));
    assert!(look.unwrap().index() < placed[0].index());
    assert!(!String::from_utf8_lossy(placed[0].bytes()).contains("zanzibar"), "never in the clear");
}
