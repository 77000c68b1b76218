//! Threads: what a record answers, what answers it, and the messages around it.

use muniment::record::RecordId;
use serde_json::{Value, json};

use super::kept::keep;
use super::versions::observe;
use super::world::{Officer, World};
use crate::support::submissions::{advisor, outcome};
use muniment::archive::Append as _;

async fn texts(world: &World, officer: &Officer, id: RecordId, query: &str) -> (Vec<String>, Value) {
    let answer = world.get(&format!("/v1/records/{id}/thread?{query}")).officer(officer).send().await.json(200);
    let said = answer["thread"].as_array().unwrap().iter().flat_map(|one| one["communications"].as_array().unwrap());
    (said.map(|said| said["text"].as_str().unwrap_or_default().to_owned()).collect(), answer)
}

#[tokio::test]
async fn a_thread_is_followed_up_and_down_from_any_of_its_members() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["compliance"]).await);
    let inbound = [("direction", json!("inbound"))];
    // a <- b <- c, a <- d; c is ours and gets its id from the answer; somebody answers it.
    let (a, ..) = observe(
        &world,
        &inbound,
        &[("0.text", b"a"), ("0.item", b"a"), ("0.author", b"{\"id\":\"1\",\"handle\":\"kay\"}")],
    )
    .await;
    let (b, ..) = observe(&world, &inbound, &[("0.text", b"b"), ("0.item", b"b"), ("0.parent", b"a")]).await;
    let c = keep(test, &[advisor(1)], &[("kinds", json!(["reply"]))], &[("0.text", b"c"), ("0.parent", b"b")]).await;
    test.archive.append(outcome(test, &c.record, c.entry, &c.advisors)).await.unwrap();
    let answer = [("0.text", b"d".as_slice()), ("0.item", b"d"), ("0.parent", b"a"), ("0.root", b"a")];
    observe(&world, &inbound, &answer).await;
    let size = {
        world.project().await;
        test.archive.publish(true).await.unwrap().unwrap().checkpoint.size
    };
    let of_ours =
        [("0.text", b"e".as_slice()), ("0.item", b"e"), ("0.parent", b"at://did:plc:someone/app.bsky.feed.post/1")];
    observe(&world, &inbound, &of_ours).await;
    keep(
        test,
        &[advisor(1)],
        &[("kinds", json!(["edit"]))],
        &[("0.text", b"c!"), ("0.edited_from", b"at://did:plc:someone/app.bsky.feed.post/1")],
    )
    .await;
    // Others.
    observe(&world, &inbound, &[("0.text", b"x"), ("0.item", b"x"), ("0.parent", b"y")]).await;
    observe(&world, &[("network", json!("mastodon"))], &[("0.text", b"z"), ("0.item", b"b"), ("0.parent", b"a")]).await;
    world.project().await;
    for id in [a.id, b.id, c.id()] {
        let (said, answer) = texts(&world, &officer, id, "").await;
        assert_eq!(said, ["a", "b", "c", "d", "e", "c!"], "of {id}");
        assert_eq!((&answer["more"], &answer["next"]), (&json!(false), &Value::Null));
        let first = &answer["thread"][0];
        assert_eq!(
            (&first["direction"], &first["communications"][0]["author"]["handle"]),
            (&json!("inbound"), &json!("kay"))
        );
        assert_eq!(answer["thread"][2]["versions"], format!("/v1/records/{}/versions", c.id()));
        assert_eq!(answer["thread"][2]["outcome"]["state"], "accepted");
        let (then, _) = texts(&world, &officer, id, &format!("as_of={size}")).await;
        assert_eq!(then, ["a", "b", "c", "d"], "of {id} as of {size}");
    }
    // In pages.
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let (said, answer) = texts(&world, &officer, b.id, &format!("limit=2{after}")).await;
        assert!(said.len() <= 2);
        paged.extend(said);
        let Some(next) = answer["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, ["a", "b", "c", "d", "e", "c!"]);
}

#[tokio::test]
async fn the_messages_of_a_conversation_stand_around_each_of_them() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["legal"]).await);
    let mut ids = Vec::new();
    for number in 0..30 {
        let text = format!("{number}");
        let fields: &[(&str, &[u8])] =
            &[("0.text", text.as_bytes()), ("0.conversation", if number % 3 == 0 { b"other" } else { b"talk" })];
        let facts =
            [("kinds", json!(["message"])), ("direction", json!(if number % 2 == 0 { "inbound" } else { "outbound" }))];
        ids.push(keep(test, &[advisor(1)], &facts, fields).await.id());
    }
    world.project().await;
    let (said, answer) = texts(&world, &officer, ids[10], "limit=500").await;
    let expected: Vec<String> = (0..30).filter(|number| number % 3 != 0).map(|number| number.to_string()).collect();
    assert_eq!(said, expected);
    assert_eq!((&answer["conversations"], &answer["roots"]), (&json!(["talk"]), &json!([])));
    let nobody = "/v1/records/01890000-0000-7000-8000-000000000000/thread";
    world.get(nobody).officer(&officer).send().await.problem(404, "not-found");
}
