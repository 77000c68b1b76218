//! The system as regulators ask about it: what it consists of, how it is and was set, what it covered, what verifying found.

use std::time::Duration;

use muniment::archive::{Append as _, Submission};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Digest, Timestamp};
use serde_json::{Value, json};

use super::routes::Shown;
use super::world::World;
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, detail, gap, sealed};

/// Settings that came into force.
async fn settings(world: &World, rules: Digest, text: &str) -> u64 {
    let record = NewRecord::new(&world.test);
    let facts = detail(json!({ "change": "in_force", "rules": rules.to_string(), "software": "muniment-0.1.0" }));
    let mut submission =
        sealed(&world.test, &record, EntryType::Settings, facts, &[], &[("settings", text.as_bytes())]);
    submission.draft.actor = Actor::Service("service".try_into().unwrap());
    world.test.archive.append(Submission { key: Some(record.wrapped()), ..submission }).await.unwrap().index
}

#[tokio::test]
async fn the_inventory_names_components_keys_rules_retention_and_sources() {
    let world = World::new().await;
    let officer = world.officer(&["auditor"]).await;
    let (old, new) = (Digest::of(&[b"old"]), Digest::of(&[b"new"]));
    let first = settings(&world, old, "{}").await;
    let second = settings(&world, new, "{}").await;
    let third = settings(&world, new, "{\"api\":{}}").await;
    world.project().await;
    let system = world.get("/v1/system").officer(&officer).send().await.json(200);
    assert_eq!(system["components"]["muniment"], env!("CARGO_PKG_VERSION"));
    assert!(system["components"]["postgres"].as_str().unwrap().starts_with(char::is_numeric));
    assert!(system["components"]["schema"].as_u64().unwrap() >= 20_261_122_000_070);
    assert_eq!(system["keys"]["master"].as_str().unwrap().len(), 16);
    assert!(system["keys"]["log"].as_str().unwrap().contains('+'), "a verifier key: {system}");
    assert!(system["keys"]["ca_root"].is_null(), "this process intercepts nothing");
    assert!((2_190..=2_192).contains(&system["retention"]["content_days"].as_u64().unwrap()), "six years");
    let rules = system["rules"].as_array().unwrap();
    let told: Vec<(&str, u64, u64)> = rules
        .iter()
        .map(|rules| {
            let place = |key: &str| rules[key].as_u64().unwrap();
            (rules["digest"].as_str().unwrap(), place("since_index"), place("last_index"))
        })
        .collect();
    assert_eq!(told, [(&*old.to_string(), first, first), (&*new.to_string(), second, third)]);
    // Another process with a data directory of its own is another source.
    let data_dir = tempfile::tempdir().unwrap();
    let second = world.test.open_again(data_dir.path()).await.unwrap();
    let last = second.append(gap(&world.test, "outage")).await.unwrap();
    let system = world.get("/v1/system").officer(&officer).send().await.json(200);
    let sources = system["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2);
    assert_eq!((&sources[0]["here"], &sources[0]["last_index"]), (&json!(false), &json!(last.index)));
    assert_eq!((&sources[0]["last_at"], &sources[0]["entries"]), (&json!(last.at.to_string()), &json!(2)));
    assert_eq!(sources[1]["here"], true);
    second.close().await;
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn settings_are_shown_as_they_were_in_force_one_after_the_other() {
    let world = World::new().await;
    let officer = world.officer(&["admin"]).await;
    settings(&world, Digest::ZERO, r#"{"api":{"requests":256}}"#).await;
    let newest = settings(&world, Digest::ZERO, r#"{"api":{"requests":64}}"#).await;
    world.project().await;
    let answer = world.get("/v1/settings?limit=1").officer(&officer).send().await.json(200);
    let entry = &answer["settings"][0];
    assert_eq!((&entry["index"], &entry["settings"]["api"]["requests"]), (&json!(newest), &json!(64)));
    assert_eq!((&entry["software"], &entry["change"]), (&json!("muniment-0.1.0"), &json!("in_force")));
    let next = format!("/v1/settings?after={}", answer["next"]);
    let answer = world.get(&next).officer(&officer).send().await.json(200);
    assert_eq!(answer["settings"][0]["settings"]["api"]["requests"], 256);
    assert_eq!(answer["next"], Value::Null);
}

#[tokio::test]
async fn a_device_is_covered_but_for_its_gaps() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["auditor"]).await;
    let device = world.get(&format!("/v1/devices/{}", shown.device)).officer(&world.officer(&["admin"]).await);
    let from: Timestamp = device.send().await.json(200)["from"].as_str().unwrap().parse().unwrap();
    let after = |seconds: i64| Timestamp::from_unix_micros(from.unix_micros() + seconds * 1_000_000).unwrap();
    // One of the device, one of another device, one that names nobody.
    let spans = [
        (Some(shown.device.to_string()), 10, 20),
        (Some(uuid::Uuid::from_u128(9).to_string()), 30, 40),
        (None, 50, 60),
    ];
    for (device, since, until) in spans {
        let mut one = gap(&world.test, "outage");
        one.draft.detail.insert("from".to_owned(), json!(after(since)));
        one.draft.detail.insert("until".to_owned(), json!(after(until)));
        one.draft.detail.extend(device.map(|device| ("device".to_owned(), json!(device))));
        world.test.archive.append(one).await.unwrap();
    }
    world.project().await;
    let path = format!("/v1/coverage?advisor={}&since={from}&until={}", shown.advisor, after(100));
    let answer = world.get(&path).officer(&officer).send().await.json(200);
    let coverage = &answer["coverage"][0];
    assert_eq!(
        (&coverage["device"], &coverage["advisor"]),
        (&json!(shown.device.to_string()), &json!(shown.advisor.to_string()))
    );
    let period = |a: i64, b: i64| json!({ "from": after(a), "until": after(b) });
    assert_eq!(coverage["period"], period(0, 100));
    assert_eq!(coverage["covered"], json!([period(0, 10), period(20, 50), period(60, 100)]), "{coverage}");
    let gaps: Vec<&Value> = coverage["gaps"].as_array().unwrap().iter().map(|gap| &gap["cause"]).collect();
    assert!(gaps.len() >= 2 && gaps.iter().all(|cause| *cause == "outage"), "{gaps:?}");
    assert_eq!(coverage["more"], false);
    // Before the device was registered nothing is covered.
    let path = format!("/v1/coverage?until={from}");
    let answer = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!((&answer["coverage"][0]["period"], &answer["coverage"][0]["covered"]), (&Value::Null, &json!([])));
    world.get("/v1/coverage?since=2026-02-02&until=2026-02-01").officer(&officer).send().await.wrong("until");
}

#[tokio::test]
async fn every_verification_is_listed_with_what_it_found() {
    let world = World::new().await;
    let officer = world.officer(&["auditor"]).await;
    for failures in [0, 2] {
        let mut checked = gap(&world.test, "unused");
        checked.draft.entry_type = EntryType::Verification;
        let result = if failures == 0 { "verified" } else { "failed" };
        checked.draft.detail =
            detail(json!({ "failures": failures, "from": 0, "until": 9, "result": result, "scope": "all" }));
        world.test.archive.append(checked).await.unwrap();
    }
    world.project().await;
    let answer = world.get("/v1/verifications?order=oldest").officer(&officer).send().await.json(200);
    let found: Vec<(&str, u64)> = answer["verifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["result"].as_str().unwrap(), one["failures"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, [("verified", 0), ("failed", 2)]);
}

#[tokio::test]
async fn who_waits_for_a_checkpoint_is_answered_when_it_covers_the_entry_or_told_to_ask_again() {
    let world = World::new().await;
    let officer = world.officer(&["auditor"]).await;
    let index = world.test.archive.append(gap(&world.test, "outage")).await.unwrap().index;
    let path = format!("/v1/checkpoints/wait?index={index}");
    let answer = world.get(&format!("{path}&seconds=0")).officer(&officer).send().await;
    answer.problem(409, "not-published");
    assert_eq!(answer.header("retry-after"), Some("2"));
    let waiting = tokio::spawn({
        let call = world.get(&path).officer(&officer);
        async move { call.send().await.json(200) }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "nothing is published by itself here");
    world.test.archive.publish(true).await.unwrap();
    let checkpoint = waiting.await.unwrap();
    assert!(checkpoint["size"].as_u64().unwrap() > index);
    assert!(checkpoint["note"].as_str().unwrap().contains("\u{2014} "), "signed");
    for (query, parameter) in [("", "index"), ("?index=-1", "index"), ("?index=0&seconds=21", "seconds")] {
        world.get(&format!("/v1/checkpoints/wait{query}")).officer(&officer).send().await.wrong(parameter);
    }
    // A service that goes away keeps nobody waiting.
    let later = world.get(&format!("/v1/checkpoints/wait?index={}", index + 100)).officer(&officer);
    world.instance.draining.cancel();
    let begun = world.test.clock.now();
    later.send().await.problem(409, "not-published");
    assert!(world.test.clock.now().unix_micros() - begun.unix_micros() < 5_000_000);
}
