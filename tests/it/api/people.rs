//! Advisors, devices, accounts and officers one by one: since when, until when, and what changed in between.

use muniment::archive::{Append as _, Limits, Submission};
use muniment::ledger::EntryType;
use muniment::record::Clock as _;
use serde_json::{Value, json};

use super::routes::Shown;
use super::world::{World, by};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, detail, sealed};

#[tokio::test]
async fn effective_dates_and_changes_come_out_of_the_ledger() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["admin"]).await;
    // The account's handle changes, the device is revoked.
    let record = NewRecord::new(&world.test);
    let facts = json!({ "subject": "account", "change": "changed", "id": shown.account, "advisor": shown.advisor.to_string(),
                        "network": "bluesky" });
    let fields: &[(&str, &[u8])] = &[("handle", b"ada.new.example")];
    let changed = sealed(&world.test, &record, EntryType::Identity, detail(facts), &[shown.advisor], fields);
    world.test.archive.append(Submission { key: Some(record.wrapped()), ..changed }).await.unwrap();
    let revoked = world.test.archive.revoke_device(by(), shown.device, shown.advisor).await.unwrap();
    world.project().await;

    let advisor = world.get(&shown.address("/v1/advisors/{id}", None)).officer(&officer).send().await.json(200);
    assert_eq!((&advisor["name"], &advisor["until"]), (&json!("Ada Advisor"), &Value::Null));
    assert_eq!(advisor["devices"], json!([shown.device.to_string()]));
    assert_eq!(advisor["history"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&advisor["history"][0]["change"], &advisor["history"][0]["by"]),
        (&json!("added"), &json!("service:cli"))
    );
    assert_eq!(advisor["entries"], world.test.archive.stream_size(shown.advisor).await.unwrap());

    let device = world.get(&shown.address("/v1/devices/{id}", None)).officer(&officer).send().await.json(200);
    assert_eq!(device["until"], revoked.at.to_string());
    assert_eq!(device["revoked_index"], revoked.index);
    let changes: Vec<&str> =
        device["history"].as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["added", "revoked"]);
    assert!(device["from"].as_str().unwrap() <= device["until"].as_str().unwrap());

    let account = world.get(&shown.address("/v1/accounts/{id}", None)).officer(&officer).send().await.json(200);
    assert_eq!((&account["handle"], &account["network_id"]), (&json!("ada.new.example"), &json!("did:plc:ada")));
    let handles: Vec<&Value> = account["history"].as_array().unwrap().iter().map(|change| &change["handle"]).collect();
    assert_eq!(handles, [&json!("ada.example"), &json!("ada.new.example")]);
    assert!(account["first_seen_at"].is_string());
    for path in ["/v1/advisors/", "/v1/devices/", "/v1/accounts/"] {
        let nobody = format!("{path}01890000-0000-7000-8000-000000000000");
        world.get(&nobody).officer(&officer).send().await.problem(404, "not-found");
        world.get(&format!("{path}ada")).officer(&officer).send().await.wrong("id");
    }
    // An id of another kind is nobody's here.
    world.get(&format!("/v1/advisors/{}", shown.device)).officer(&officer).send().await.problem(404, "not-found");
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn officers_are_listed_with_what_they_may_and_until_when() {
    let world = World::new().await;
    let olga = world.officer(&["admin"]).await;
    let now = world.test.clock.now();
    let past = muniment::record::Timestamp::from_unix_micros(now.unix_micros() - 1_000_000).unwrap();
    let expired = world.officer_within(&["legal"], &Limits { expires_at: Some(past), ..Limits::default() }).await;
    let limits = Limits { operations: vec!["read-ledger".to_owned()], ..Limits::default() };
    let scoped = world.officer_within(&["auditor", "compliance"], &limits).await;
    let gone = world.officer(&["auditor"]).await;
    world.test.archive.revoke_officer(by(), gone.id).await.unwrap();
    let answer = world.get("/v1/officers?order=oldest").officer(&olga).send().await.json(200);
    let officers = answer["officers"].as_array().unwrap();
    let states: Vec<(&str, &str)> =
        officers.iter().map(|one| (one["id"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    let [a, b, c, d] = [&olga, &expired, &scoped, &gone].map(|officer| officer.id.to_string());
    assert_eq!(states, [(&*a, "active"), (&*b, "expired"), (&*c, "active"), (&*d, "revoked")]);
    assert_eq!(officers[1]["expires_at"], past.to_string());
    assert_eq!(
        (&officers[2]["operations"], &officers[2]["roles"]),
        (&json!(["read-ledger"]), &json!(["auditor", "compliance"]))
    );
    assert!(!answer.to_string().contains("muniment_"), "tokens are shown to nobody");
    assert_sound(&world.test).await;
}
