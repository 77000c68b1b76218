//! Counts: exact, and the same as what the list finds.

use muniment::archive::{Append as _, Submission};
use muniment::ledger::EntryType;
use muniment::record::{AccountId, Ids as _};
use serde_json::{Value, json};

use super::kept::keep;
use super::limits::{end, stall};
use super::world::World;
use crate::support::submissions::{NewRecord, advisor, detail, gap, sealed};

#[tokio::test]
async fn every_count_is_what_the_list_finds_with_that_filter() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["compliance"]).await);
    let account = AccountId::new(test.ids.fresh());
    let facts = json!({ "subject": "account", "change": "added", "id": account.to_string(),
                        "advisor": advisor(1).to_string(), "network": "mastodon" });
    let named = NewRecord::new(test);
    let identity = sealed(test, &named, EntryType::Identity, detail(facts), &[advisor(1)], &[("id", b"42")]);
    test.archive.append(Submission { key: Some(named.wrapped()), ..identity }).await.unwrap();
    for number in 0..12 {
        let by = [advisor(1), advisor(2)];
        let by = if number % 3 == 0 { &by[..] } else { &by[..1] };
        let network = if number % 2 == 0 { "mastodon" } else { "bluesky" };
        let kinds = if number % 4 == 0 { json!(["post", "reply", "post"]) } else { json!(["post"]) };
        let facts = [("network", json!(network)), ("kinds", kinds), ("flags", json!(["redacted"]))];
        let said = if number < 5 { "zanzibar one" } else { "two" };
        let fields: &[(&str, &[u8])] = &[
            ("0.text", said.as_bytes()),
            ("0.account", b"{\"id\":\"42\"}"),
            ("0.author", b"{\"id\":\"7\",\"handle\":\"@Ada\"}"),
        ];
        let kept = keep(test, by, &facts, fields).await;
        if number < 7 {
            kept.accepted(test).await;
        }
    }
    let last = keep(test, &[], &[("direction", json!("inbound"))], &[("0.text", b"two"), ("0.account", b"ada")]).await;
    let mut about = gap(test, "read_capped");
    about.draft.detail.insert("capture".to_owned(), json!(last.entry.to_string()));
    test.archive.append(about).await.unwrap();
    world.project().await;
    let get = async |path: &str| world.get(path).officer(&officer).send().await.json(200);
    let mut walked = 0;
    for (query, total) in [
        ("", 13),
        ("network=mastodon", 6),
        ("text=ZANZIBAR", 5),
        ("words=two&outcome=none", 6),
        ("author=ada", 13),
        ("author=7", 12),
        ("author=%40ADA", 12),
        ("author=other", 0),
        ("gap=read_capped", 1),
        ("gap=outage", 0),
    ] {
        let facets = get(&format!("/v1/records/facets?{query}")).await;
        assert_eq!(facets["total"], total, "{query}: {facets}");
        assert_eq!(facets["others"], json!({}));
        for facet in ["network", "kind", "direction", "advisor", "account", "outcome", "flag", "content"] {
            for counted in facets[facet].as_array().unwrap() {
                if query.contains(&format!("{facet}=")) {
                    continue;
                }
                let narrower = format!("{query}&{facet}={}", counted["value"].as_str().unwrap());
                let list = get(&format!("/v1/records?limit=500&{}", narrower.trim_start_matches('&'))).await;
                assert_eq!(counted["count"], list["records"].as_array().unwrap().len(), "{narrower}");
                walked += 1;
            }
        }
        let months: u64 =
            facets["month"].as_array().unwrap().iter().map(|month| month["count"].as_u64().unwrap()).sum();
        assert_eq!(months, total, "{query}");
    }
    assert!(walked > 60, "only {walked}");
    let all = get("/v1/records/facets").await;
    assert_eq!(
        all["kind"],
        json!([{ "value": "post", "count": 13 }, { "value": "reply", "count": 3 }]),
        "each record once"
    );
    assert_eq!(all["account"], json!([{ "value": account.to_string(), "count": 6 }]));
    assert_eq!(all["as_of"], Value::Null);
}

#[tokio::test]
async fn a_count_that_takes_too_long_is_ended_with_what_to_do() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let other = stall(&world).await;
    let call = world.get("/v1/records/facets").officer(&officer);
    let asking = tokio::spawn(async move { call.send().await });
    // What the server's own statement_timeout does, sooner.
    let mut admin = world.test.database.superuser().await;
    let cancel = "select count(pg_cancel_backend(pid)) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and query like '%projection.records%'";
    let mut cancelled = 0_i64;
    while cancelled == 0 {
        cancelled = sqlx::query_scalar(cancel).fetch_one(&mut admin).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    asking.await.unwrap().problem(503, "timed-out");
    end(other).await;
    assert_eq!(world.get("/v1/records/facets").officer(&officer).send().await.json(200)["total"], 0);
}
