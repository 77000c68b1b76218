//! As of a checkpoint: the same question has the same answer for ever, and what it covers can be proved.

use muniment::archive::Append as _;
use muniment::ledger::{Entry, TlogProof};
use muniment::record::Digest;
use serde_json::{Value, json};

use super::document::assert_documented;
use super::kept::{dispose, keep};
use super::routes::document;
use super::world::World;
use crate::support::archive::signing;
use crate::support::submissions::{advisor, outcome};

/// Everything there is, under a checkpoint and projected; answers with its size.
async fn published(world: &World) -> u64 {
    let size = world.test.archive.publish(true).await.unwrap().unwrap().checkpoint.size;
    world.project().await;
    size
}

#[tokio::test]
async fn a_list_and_a_record_are_shown_as_they_stood() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["compliance"]).await);
    let one = keep(test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await;
    let two = keep(test, &[advisor(1)], &[], &[("0.text", b"second")]).await;
    let size = published(&world).await;
    let get = |path: String| world.get(&path).officer(&officer);
    let path = format!("/v1/records?as_of={size}&order=oldest");
    let first = get(path.clone()).send().await.json(200);
    assert_eq!(first["as_of"], size);
    assert_eq!(first["records"].as_array().unwrap().len(), 2);
    let record = get(format!("/v1/records/{}?as_of={size}&proof=1", one.id())).send().await.json(200);
    // Much happens.
    test.archive.append(outcome(test, &one.record, one.entry, &one.advisors)).await.unwrap();
    keep(test, &[advisor(1)], &[], &[("0.text", b"third")]).await;
    let later = published(&world).await;
    assert_eq!(get(path.clone()).send().await.json(200), first);
    assert_eq!(get(format!("/v1/records/{}?as_of={size}&proof=1", one.id())).send().await.json(200), record);
    assert_eq!((&record["outcome"], record["entries"].as_array().unwrap().len()), (&Value::Null, 1));
    let now = get(format!("/v1/records/{}?as_of={later}", one.id())).send().await.json(200);
    assert_eq!((&now["outcome"]["state"], now["entries"].as_array().unwrap().len()), (&json!("accepted"), 2));
    for (query, then, now) in
        [("", 2, 3), ("&outcome=none", 2, 2), ("&outcome=accepted", 0, 1), ("&text=zanzibar", 1, 1)]
    {
        for (size, expected) in [(size, then), (later, now)] {
            let list = get(format!("/v1/records?as_of={size}{query}")).send().await.json(200);
            assert_eq!(list["records"].as_array().unwrap().len(), expected, "{query} as of {size}");
        }
    }
    // What was not there then is not there.
    let new = keep(test, &[], &[], &[("0.text", b"fourth")]).await;
    world.project().await;
    get(format!("/v1/records/{}?as_of={size}", new.id())).send().await.problem(404, "not-found");
    // What was disposed of since is shown as that, in its place.
    let disposal = dispose(test, &[two.id()]).await;
    world.project().await;
    let list = get(path).send().await.json(200);
    assert_eq!(list["records"][0], first["records"][0]);
    assert_eq!(list["records"][1]["disposed"], disposal);
    assert_eq!(list["records"][1]["content"], "disposed");
    assert_eq!(list["records"][1]["index"], first["records"][1]["index"]);
}

#[tokio::test]
async fn pages_carry_the_size_they_were_asked_with() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["legal"]).await);
    for number in 0..5 {
        keep(test, &[], &[], &[("0.text", format!("a+b {number}").as_bytes())]).await;
    }
    let size = published(&world).await;
    let mut next = Some(format!("/v1/records?as_of={size}&limit=2&text=A%2Bb&order=oldest"));
    let mut places = Vec::new();
    while let Some(path) = next {
        let page = world.get(&path).officer(&officer).send().await.json(200);
        assert_eq!(page["as_of"], size, "{path}");
        places.extend(page["records"].as_array().unwrap().iter().map(|record| record["index"].as_u64().unwrap()));
        next = page["next_page"].as_str().map(ToOwned::to_owned);
        keep(test, &[], &[], &[("0.text", b"a+b later")]).await;
        world.project().await;
    }
    assert_eq!(places.len(), 5);
    assert!(places.is_sorted());
}

#[tokio::test]
async fn a_size_that_was_never_published_is_refused_with_those_that_were() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let document = document(&world).await;
    let kept = keep(&world.test, &[], &[], &[("0.text", b"a")]).await;
    for path in ["/v1/records".to_owned(), "/v1/records/facets".to_owned(), format!("/v1/records/{}", kept.id())] {
        let template = path.replace(&kept.id().to_string(), "{id}");
        let asked = format!("{path}?as_of=9223372036854775807");
        let answer = world.get(&asked).officer(&officer).send().await;
        answer.problem(404, "no-such-checkpoint");
        assert_documented(&document, &template, &asked, &answer);
    }
    let size = published(&world).await;
    for _ in 0..2 {
        keep(&world.test, &[], &[], &[("0.text", b"b")]).await;
    }
    let later = published(&world).await;
    for (asked, near) in
        [(0, format!("{size}")), (later - 1, format!("{size} and {later}")), (later + 5, format!("{later};"))]
    {
        let answer = world.get(&format!("/v1/records?as_of={asked}")).officer(&officer).send().await;
        let problem = answer.problem(404, "no-such-checkpoint");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&near) && detail.contains("/v1/checkpoints lists"), "{asked}: {detail}");
    }
}

#[tokio::test]
async fn p2_every_entry_of_a_record_has_its_proof_or_says_when_to_ask_again() {
    let world = World::new().await;
    let (test, officer) = (&world.test, world.officer(&["legal"]).await);
    let kept = keep(test, &[advisor(1)], &[], &[("0.text", b"zanzibar")]).await.accepted(test).await;
    let size = published(&world).await;
    let path = format!("/v1/records/{}?proof=1", kept.id());
    let check = async |record: &Value, under: Option<u64>| {
        for entry in record["entries"].as_array().unwrap() {
            let proof = TlogProof::parse(entry["proof"].as_str().unwrap()).unwrap();
            let bytes = world.get(&format!("/v1/entries/{}", entry["index"])).officer(&officer).send().await.body;
            let leaf = Entry::parse(&bytes).unwrap().leaf();
            let (checkpoint, _) = proof.verify(&leaf, &[signing().verifying_key().clone()]).unwrap();
            assert!(under.is_none_or(|size| checkpoint.size == size));
            assert!(proof.verify(&Digest::of(&[b"another"]), &[signing().verifying_key().clone()]).is_err());
            assert!(entry["proof_in_seconds"].is_null());
        }
    };
    let record = world.get(&path).officer(&officer).send().await.json(200);
    check(&record, None).await;
    assert_eq!(record["proof"], record["entries"][0]["proof"]);
    let later = published(&world).await;
    assert!(later > size);
    let record = world.get(&format!("{path}&as_of={later}")).officer(&officer).send().await.json(200);
    check(&record, Some(later)).await;
    // Nobody can publish: the answer says when to ask again, and everything else all the same.
    let new = keep(test, &[], &[], &[("0.text", b"new")]).await;
    world.project().await;
    test.database.tamper("revoke insert on ledger.checkpoints from muniment_publish").await;
    let path = format!("/v1/records/{}?proof=1", new.id());
    let record = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!(record["entries"][0]["proof_in_seconds"], 2);
    assert!(record["entries"][0]["proof"].is_null() && record.get("proof").is_none());
    test.database.tamper("grant insert on ledger.checkpoints to muniment_publish").await;
    check(&world.get(&path).officer(&officer).send().await.json(200), None).await;
}
