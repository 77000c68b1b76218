//! The access log: who looked at what, when and why, asked by the record and by the person.

use muniment::archive::Append as _;
use muniment::ledger::EntryType;
use serde_json::{Value, json};

use super::kept::{account, dispose, keep};
use super::routes::Shown;
use super::world::{Officer, World, by};
use crate::support::sound::assert_sound;
use crate::support::submissions::{detail, sealed};

/// The indices, officers and operations of the looks that a question finds.
async fn looks(world: &World, officer: &Officer, query: &str) -> Vec<Value> {
    world.project().await;
    let answer = world.get(&format!("/v1/access?limit=500&order=oldest&{query}")).officer(officer).send().await;
    answer.json(200)["looks"].as_array().unwrap().clone()
}

fn operations(looks: &[Value]) -> Vec<&str> {
    looks.iter().map(|look| look["operation"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn who_looked_at_a_record_or_a_person_is_answered_with_when_and_why() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let (id, ada) = (shown.kept.id().to_string(), shown.advisor.to_string());
    let account = shown.account.clone();
    let other = world.test.archive.add_advisor(by(), "Bert").await.unwrap().id.to_string();
    let (olga, otto, admin) =
        (world.officer(&["compliance"]).await, world.officer(&["legal"]).await, world.officer(&["admin"]).await);
    world.project().await;
    let path = format!("/v1/records/{id}");
    let call = world.get(&path).token(&olga.token).header("muniment-purpose", "complaint 17");
    assert_eq!(call.send().await.status, 200);
    assert_eq!(world.get(&format!("/v1/records?advisor={ada}")).officer(&otto).send().await.status, 200);
    assert_eq!(world.get(&format!("/v1/records?advisor={other}")).officer(&otto).send().await.status, 200);
    world.get(&path).officer(&admin).send().await.problem(403, "role-missing");
    assert_eq!(world.get("/v1/accounts").officer(&admin).send().await.status, 200);
    assert_eq!(world.get("/v1/advisors").officer(&admin).send().await.status, 200);

    let at_record = looks(&world, &olga, &format!("record={id}")).await;
    assert_eq!(operations(&at_record), ["records.get", "records.list", "records.get"]);
    let (first, refused) = (&at_record[0], &at_record[2]);
    assert_eq!(first["officer"], olga.id.to_string());
    assert_eq!((&first["purpose"], &first["allowed"]), (&json!("complaint 17"), &json!(true)));
    assert_eq!((&first["records"], &first["advisors"]), (&json!([id]), &json!([ada])));
    assert_eq!((&refused["officer"], &refused["allowed"]), (&json!(admin.id.to_string()), &json!(false)));
    assert!(first["at"].as_str().unwrap() <= refused["at"].as_str().unwrap());

    // The person: by their records, by their account, by the lists that showed them.
    let at_ada = looks(&world, &olga, &format!("advisor={ada}")).await;
    assert_eq!(
        operations(&at_ada),
        ["records.get", "records.list", "records.get", "accounts.list", "advisors.list", "access.list"],
        "the question about the record was one about her too"
    );
    let at_account = looks(&world, &olga, &format!("account={account}")).await;
    assert_eq!(operations(&at_account), ["records.get", "records.list", "records.get", "accounts.list", "access.list"]);
    let at_other = looks(&world, &olga, &format!("advisor={other}")).await;
    assert_eq!(operations(&at_other), ["records.list", "advisors.list"]);
    let by_otto = looks(&world, &olga, &format!("officer={}&operation=records.list", otto.id)).await;
    assert_eq!(by_otto.len(), 2);
    let refused = looks(&world, &olga, "allowed=false").await;
    assert_eq!(operations(&refused), ["records.get"]);
    let now = first["at"].as_str().unwrap();
    assert!(looks(&world, &olga, &format!("until={now}")).await.is_empty());
    assert!(looks(&world, &olga, &format!("since={now}&record={id}")).await.len() >= 3);
    assert!(looks(&world, &olga, "since=2100-01-01").await.is_empty());
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_record_that_is_attributed_later_was_looked_at_as_theirs_and_a_disposed_one_names_no_account() {
    let world = World::new().await;
    let olga = world.officer(&["compliance"]).await;
    let (ada, bert) = (
        world.test.archive.add_advisor(by(), "Ada").await.unwrap().id,
        world.test.archive.add_advisor(by(), "Bert").await.unwrap().id,
    );
    let account = account(&world.test, ada, "did:plc:ada").await;
    let fields: &[(&str, &[u8])] = &[("0.text", b"hello"), ("0.account", b"{\"id\":\"did:plc:ada\"}")];
    let kept = keep(&world.test, &[ada], &[], fields).await;
    world.project().await;
    assert_eq!(world.get(&format!("/v1/records/{}", kept.id())).officer(&olga).send().await.status, 200);
    assert!(looks(&world, &olga, &format!("advisor={bert}")).await.is_empty());
    let facts = detail(json!({ "cause": "account", "entry": kept.entry.to_string(), "index": kept.index }));
    let late = sealed(&world.test, &kept.record, EntryType::Attribution, facts, &[bert], &[]);
    world.test.archive.append(late).await.unwrap();
    let at_bert = looks(&world, &olga, &format!("advisor={bert}&operation=records.get")).await;
    assert_eq!(operations(&at_bert), ["records.get"]);
    let query = format!("account={account}&operation=records.get");
    assert_eq!(looks(&world, &olga, &query).await.len(), 1);

    dispose(&world.test, &[kept.id()]).await;
    assert!(looks(&world, &olga, &query).await.is_empty(), "which account it was is gone with the content");
    let still = looks(&world, &olga, &format!("record={}&operation=records.get", kept.id())).await;
    assert_eq!(still.len(), 1, "that somebody looked is not");
    // A rebuild comes to the same.
    let compared = world.test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await.unwrap();
    assert!(compared.unwrap().is_sound());
}

#[tokio::test]
async fn the_access_log_is_paged_in_ledger_order_and_looking_at_it_is_in_it() {
    let world = World::new().await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["auditor"]).await);
    for _ in 0..7 {
        assert_eq!(world.get("/v1/records?text=guaranteed").officer(&olga).send().await.status, 200);
    }
    world.project().await;
    let (mut indices, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/access?operation=records.search&limit=3{after}");
        let page = world.get(&path).officer(&olga).send().await.json(200);
        indices.extend(page["looks"].as_array().unwrap().iter().map(|look| look["index"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(indices.len(), 7);
    assert!(indices.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {indices:?}");
    assert_eq!(looks(&world, &olga, "operation=access.list").await.len(), 3, "each page was a look");
    // What was searched for may repeat what was said: an auditor sees that somebody searched, and why.
    let seen = looks(&world, &otto, "operation=records.search").await;
    assert!(seen.iter().all(|look| look["query"].is_null() && look["purpose"] == "a test looks"));
    let seen = looks(&world, &olga, "operation=records.search").await;
    assert!(seen.iter().all(|look| look["query"] == "text=guaranteed"));
    for (query, parameter) in [
        ("operation=records.burn", "operation"),
        ("officer=olga", "officer"),
        ("allowed=maybe", "allowed"),
        ("since=2026-02-02&until=2026-02-01", "until"),
    ] {
        world.get(&format!("/v1/access?{query}")).officer(&olga).send().await.wrong(parameter);
    }
}
