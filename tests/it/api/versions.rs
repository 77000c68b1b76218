//! Versions: what a post was before it was edited, and what became of it.

use muniment::archive::{Append as _, Submission};
use muniment::ledger::EntryType;
use muniment::record::{EntryId, Ids as _};
use serde_json::{Value, json};

use super::kept::{Kept, dispose, keep};
use super::world::World;
use crate::support::submissions::{NewRecord, advisor, capture_detail, outcome, sealed};

/// An observation of an item.
pub(super) async fn observe(
    world: &World,
    facts: &[(&str, Value)],
    fields: &[(&str, &[u8])],
) -> (NewRecord, EntryId, u64) {
    let test = &world.test;
    let record = NewRecord::new(test);
    let mut all = capture_detail(test.ids.fresh());
    all.remove("method");
    all.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let observed = sealed(test, &record, EntryType::Observation, all, &[advisor(1)], fields);
    let entry = observed.draft.id;
    let index = test.archive.append(Submission { key: Some(record.wrapped()), ..observed }).await.unwrap().index;
    (record, entry, index)
}

async fn edit(world: &World, kind: &str, fields: &[(&str, &[u8])]) -> Kept {
    keep(&world.test, &[advisor(1)], &[("kinds", json!([kind]))], fields).await
}

#[tokio::test]
async fn every_version_is_shown_with_what_it_replaces() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["compliance"]).await);
    const ITEM: &[u8] = b"at://did:plc:someone/app.bsky.feed.post/1";
    // Its id is known from the answer only.
    let post = keep(test, &[advisor(1)], &[], &[("0.text", b"buy now")]).await;
    test.archive.append(outcome(test, &post.record, post.entry, &post.advisors)).await.unwrap();
    let (_, seen, seen_at) = observe(&world, &[], &[("0.text", b"buy now"), ("0.item", ITEM)]).await;
    let first = edit(&world, "edit", &[("0.text", b"buy soon"), ("0.item", b"item/2"), ("0.edited_from", ITEM)]).await;
    let second =
        edit(&world, "edit", &[("0.text", b"buy later"), ("0.item", b"item/2"), ("0.edited_from", b"item/2")]).await;
    let previous = [("previous_version", json!(seen.to_string()))];
    let (_, _, again_at) = observe(&world, &previous, &[("0.text", b"buy later"), ("0.item", ITEM)]).await;
    // What speaks of it without being a version of it, and what is another's.
    edit(&world, "reaction", &[("0.item", ITEM)]).await;
    edit(&world, "post", &[("0.item", b"item/9"), ("0.text", b"other")]).await;
    let elsewhere = [("network", json!("mastodon"))];
    observe(&world, &elsewhere, &[("0.item", ITEM), ("0.text", b"another network")]).await;
    let reparsed = [("derived_from", json!(post.entry.to_string()))];
    let reparsed = keep(test, &[], &reparsed, &[("0.text", b"BUY NOW"), ("0.item", ITEM)]).await;
    let deletion = edit(&world, "deletion", &[("0.item", b"item/2")]).await;
    test.archive.publish(true).await.unwrap();
    world.project().await;
    let expected = json!([
        ["sent", "buy now", null],
        ["seen", "buy now", post.index],
        ["edit", "buy soon", seen_at],
        ["edit", "buy later", first.index],
        ["seen", "buy later", seen_at],
        ["reparsed", "BUY NOW", post.index],
        ["deletion", null, second.index],
    ]);
    let brief = |answer: &Value| {
        let versions = answer["versions"].as_array().unwrap().iter();
        Value::Array(
            versions
                .map(|version| json!([version["how"], version["communication"]["text"], version["replaces"]]))
                .collect(),
        )
    };
    // From whichever of them one asks.
    for id in [post.id(), first.id(), second.id(), reparsed.id(), deletion.id()] {
        let answer = world.get(&format!("/v1/records/{id}/versions")).officer(&officer).send().await.json(200);
        assert_eq!(brief(&answer), expected, "of {id}");
        assert_eq!(answer["more"], false);
    }
    let answer = world.get(&format!("/v1/records/{}/versions", post.id())).officer(&officer).send().await.json(200);
    assert_eq!(answer["versions"][4]["record"]["index"], again_at);
    assert_eq!(answer["versions"][0]["record"]["outcome"]["state"], "accepted");

    // As of before the answer that named the item, it has no other version; later, it has them for ever.
    let size = world.test.archive.checkpoint(None).await.unwrap().unwrap().checkpoint.size;
    edit(&world, "edit", &[("0.text", b"buy never"), ("0.edited_from", b"item/2")]).await;
    dispose(test, &[second.id()]).await;
    world.project().await;
    let then = world.get(&format!("/v1/records/{}/versions?as_of={size}", post.id())).officer(&officer).send().await;
    let mut shown = brief(&then.json(200));
    let texts: Vec<&Value> = shown.as_array().unwrap().iter().map(|version| &version[1]).collect();
    assert!(
        !texts.contains(&&json!("buy never")) && !texts.contains(&&json!("buy later")) || texts.len() == 6,
        "{shown}"
    );
    shown.as_array_mut().unwrap().clear();
    let now = world.get(&format!("/v1/records/{}/versions", post.id())).officer(&officer).send().await.json(200);
    assert_eq!(brief(&now).as_array().unwrap().last().unwrap()[1], "buy never");
}

#[tokio::test]
async fn what_names_no_item_has_itself_and_what_was_disposed_of_says_so() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    let alone = keep(&world.test, &[], &[], &[("0.text", b"alone")]).await;
    keep(&world.test, &[], &[], &[("0.text", b"another")]).await;
    world.project().await;
    let path = format!("/v1/records/{}/versions", alone.id());
    let answer = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!(answer["versions"].as_array().unwrap().len(), 1);
    assert_eq!(answer["versions"][0]["communication"]["text"], "alone");
    let disposal = dispose(&world.test, &[alone.id()]).await;
    world.project().await;
    let answer = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!(answer["versions"][0]["record"]["disposed"], disposal);
    assert!(answer["versions"][0]["communication"]["text"].is_null());
    let nobody = "/v1/records/01890000-0000-7000-8000-000000000000/versions";
    world.get(nobody).officer(&officer).send().await.problem(404, "not-found");
}
