//! The list of records: each filter shows what it says and nothing else.

use muniment::archive::{Append as _, RecordFilter, Slice, Submission};
use muniment::ledger::EntryType;
use muniment::record::{AccountId, Ids as _, RecordId};
use serde_json::{Value, json};

use super::kept::{Kept, keep};
use super::world::{Officer, World};
use crate::support::submissions::{NewRecord, advisor, capture_detail, detail, sealed};

/// The ids a list shows, oldest first.
async fn listed(world: &World, officer: &Officer, query: &str) -> Vec<RecordId> {
    let answer = world.get(&format!("/v1/records?order=oldest&{query}")).officer(officer).send().await.json(200);
    let records = answer["records"].as_array().unwrap();
    records.iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn each_filter_shows_what_it_says_and_nothing_else() {
    let world = World::new().await;
    let test = &world.test;
    let officer = world.officer(&["compliance"]).await;
    let account = AccountId::new(test.ids.fresh());
    let facts = json!({ "subject": "account", "change": "added", "id": account.to_string(),
                        "advisor": advisor(1).to_string(), "network": "mastodon" });
    let named = NewRecord::new(test);
    let identity = sealed(test, &named, EntryType::Identity, detail(facts), &[advisor(1)], &[("id", b"42")]);
    test.archive.append(Submission { key: Some(named.wrapped()), ..identity }).await.unwrap();

    let post = keep(test, &[advisor(1)], &[], &[("0.text", b"Guaranteed 100% returns")]).await.accepted(test).await;
    let reply = keep(
        test,
        &[advisor(1), advisor(2)],
        &[("network", json!("mastodon")), ("kinds", json!(["reply"])), ("flags", json!(["redacted"]))],
        &[
            ("0.text", b"buy low, sell high"),
            ("0.account", b"{\"id\":\"42\"}"),
            ("0.conversation", b"talk/7?a=b&c"),
            ("0.recipients", br#"[{"id":"did:plc:eve"},{"id":"77","handle":"@Bea.Example"}]"#),
        ],
    )
    .await;
    let seen = NewRecord::new(test);
    let mut facts = capture_detail(test.ids.fresh());
    facts.extend([("direction".to_owned(), json!("inbound")), ("flags".to_owned(), json!(["off_channel"]))]);
    facts.remove("method");
    let fields: &[(&str, &[u8])] = &[("0.text", b"returns?"), ("0.item", b"at://item/1")];
    let observed = sealed(test, &seen, EntryType::Observation, facts, &[advisor(2)], fields);
    test.archive.append(Submission { key: Some(seen.wrapped()), ..observed }).await.unwrap();
    world.project().await;
    let (post, reply, seen) = (post.id(), reply.id(), seen.id);

    let device = "00000000-0000-0000-0000-00000000004d";
    let (one, two) = (format!("advisor={}", advisor(1)), format!("advisor={}", advisor(2)));
    for (query, expected) in [
        ("", vec![post, reply, seen]),
        ("network=mastodon", vec![reply]),
        ("network=bluesky", vec![post, seen]),
        ("network=other", vec![]),
        ("kind=reply", vec![reply]),
        ("direction=inbound", vec![seen]),
        ("direction=outbound", vec![post, reply]),
        (one.as_str(), vec![post, reply]),
        (two.as_str(), vec![reply, seen]),
        (&format!("device={device}"), vec![post, reply, seen]),
        (&format!("device={}", advisor(9)), vec![]),
        (&format!("account={account}"), vec![reply]),
        ("conversation=talk%2F7%3Fa%3Db%26c", vec![reply]),
        ("conversation=talk%2F7", vec![]),
        ("recipient=77", vec![reply]),
        ("recipient=bea.example", vec![reply]),
        ("recipient=%40BEA.example&account=ACCOUNT".replace("ACCOUNT", &account.to_string()).as_str(), vec![reply]),
        ("recipient=did%3Aplc%3Aeve&kind=reply", vec![reply]),
        ("recipient=bea.example&kind=post", vec![]),
        ("recipient=bea", vec![]),
        ("item=at%3A%2F%2Fitem%2F1", vec![seen]),
        ("outcome=accepted", vec![post]),
        ("outcome=refused", vec![]),
        ("outcome=none", vec![reply]),
        ("flag=off_channel", vec![seen]),
        ("flag=redacted", vec![reply]),
        ("content=readable", vec![post, reply, seen]),
        ("content=disposed", vec![]),
        ("text=RETURNS", vec![post, seen]),
        ("text=100%25", vec![post]),
        ("text=%25", vec![post]),
        ("text=low,+sell", vec![reply]),
        ("text=%27%3B+drop+table+x%3B--", vec![]),
        ("words=sell+buy", vec![reply]),
        ("words=returns+-guaranteed", vec![seen]),
        ("words=%22sell+high%22", vec![reply]),
        ("network=bluesky&direction=outbound&text=returns", vec![post]),
        ("text=returns&kind=reply", vec![]),
    ] {
        assert_eq!(listed(&world, &officer, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn dates_bound_the_list_from_and_to() {
    let world = World::new().await;
    let test = &world.test;
    let officer = world.officer(&["legal"]).await;
    for number in 0..4 {
        keep(test, &[], &[], &[("0.text", format!("{number}").as_bytes())]).await;
        // Two groups never bear one time.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    world.project().await;
    let all = Slice { after: None, newest_first: false, limit: 10 };
    let rows = test.archive.records(&RecordFilter::default(), all).await.unwrap();
    let ids = |from: usize, to: usize| rows[from..to].iter().map(|row| row.record).collect::<Vec<_>>();
    let (second, last) = (rows[1].at.to_string(), rows[3].at.to_string());
    let date = &second[..10];
    for (query, expected) in [
        (format!("from={second}"), ids(1, 4)),
        (format!("to={second}"), ids(0, 1)),
        (format!("from={second}&to={last}"), ids(1, 3)),
        // The same moment in another zone; `+` is escaped, as everywhere in a query.
        (format!("from={}%2B00:00", second.trim_end_matches('Z')), ids(1, 4)),
        ("from=2020-01-01".to_owned(), ids(0, 4)),
        ("from=2020-01-01&to=2020-01-02".to_owned(), vec![]),
        ("to=2020-01-01".to_owned(), vec![]),
        (format!("from={date}"), ids(0, 4)),
        ("from=0000-01-01&to=9999-12-31".to_owned(), ids(0, 4)),
    ] {
        assert_eq!(listed(&world, &officer, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_shows_what_is_known_without_what_was_said() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let test = &world.test;
    let kept: Kept = keep(test, &[advisor(1)], &[], &[("0.text", b"secret words")]).await.accepted(test).await;
    world.project().await;
    let answer = world.get("/v1/records").token(&officer.token).send().await;
    let list = answer.json(200);
    let record = &list["records"][0];
    assert_eq!(record["id"], kept.id().to_string());
    assert_eq!(record["index"], kept.index);
    assert_eq!(record["entry"], kept.entry.to_string());
    assert_eq!(
        (&record["type"], &record["network"], &record["kinds"]),
        (&json!("capture"), &json!("bluesky"), &json!(["post"]))
    );
    assert_eq!(record["outcome"]["state"], "accepted");
    assert_eq!(record["advisors"], json!([advisor(1).to_string()]));
    assert_eq!(record["content"], "readable");
    assert_eq!(list["next"], Value::Null);
    assert!(!answer.text().contains("secret words"));
}
