//! Checkpoints, tiles and proofs: good ones hold, and each wrong question says what would be right.

use muniment::archive::Append as _;
use muniment::ledger::{Checkpoint, Entry, Note, Tile, TlogProof, leaf_hash, parse_bundle, verify_consistency};
use muniment::record::Digest;
use serde_json::Value;

use super::world::{Officer, World};
use crate::support::archive::signing;
use crate::support::submissions::gap;

/// An archive of some hundred entries with a few checkpoints, the last of which leaves three entries uncovered.
async fn published(world: &World) -> (Officer, Vec<u64>) {
    let officer = world.officer(&["auditor"]).await;
    let mut sizes = Vec::new();
    for step in [1, 100, 160, 3] {
        let appends = (0..step).map(|_| world.test.archive.append(gap(&world.test, "outage")));
        futures_util::future::try_join_all(appends).await.unwrap();
        if step != 3 {
            world.test.archive.publish(true).await.unwrap();
            sizes.push(world.test.archive.checkpoint(None).await.unwrap().unwrap().checkpoint.size);
        }
    }
    (officer, sizes)
}

fn signed(note: &str) -> Checkpoint {
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.verify(&[signing().verifying_key().clone()]).unwrap().len(), 1, "signed by the log");
    Checkpoint::parse(parsed.text()).unwrap()
}

fn digest(value: &Value) -> Digest {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn checkpoints_are_signed_and_continue_each_other() {
    let world = World::new().await;
    let (officer, sizes) = published(&world).await;
    let list = world.get("/v1/checkpoints?order=oldest").officer(&officer).send().await.json(200);
    let list = list["checkpoints"].as_array().unwrap();
    assert_eq!(list.iter().map(|one| one["size"].as_u64().unwrap()).collect::<Vec<_>>(), sizes);
    for one in list {
        let checkpoint = signed(one["note"].as_str().unwrap());
        assert_eq!((one["size"].as_u64(), digest(&one["root"])), (Some(checkpoint.size), checkpoint.root));
        assert_eq!(one["origin"], checkpoint.origin);
    }
    let latest = world.get("/v1/checkpoints/latest").officer(&officer).send().await;
    assert_eq!(latest.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(latest.text(), list.last().unwrap()["note"].as_str().unwrap());
    assert_eq!(world.get("/v1/checkpoint").officer(&officer).send().await.body, latest.body);
    for pair in list.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let path = format!("/v1/proofs/consistency?old={}&new={}", old["size"], new["size"]);
        let proof = world.get(&path).officer(&officer).send().await.json(200);
        assert_eq!(
            (digest(&proof["old"]["root"]), digest(&proof["new"]["root"])),
            (digest(&old["root"]), digest(&new["root"]))
        );
        let hashes: Vec<Digest> = proof["hashes"].as_array().unwrap().iter().map(digest).collect();
        let size = |tree: &Value| tree["size"].as_u64().unwrap();
        verify_consistency((size(old), &digest(&old["root"])), (size(new), &digest(&new["root"])), &hashes).unwrap();
    }
}

#[tokio::test]
async fn before_the_first_checkpoint_there_is_none_and_that_is_said() {
    let world = World::new().await;
    let officer = world.officer(&["auditor"]).await;
    for path in ["/v1/checkpoint", "/v1/checkpoints/latest", "/v1/proofs/inclusion?index=0"] {
        world.get(path).officer(&officer).send().await.problem(409, "not-published");
    }
    world.get("/v1/tile/0/000.p/1").officer(&officer).send().await.problem(404, "not-found");
    world.get("/v1/tile/entries/000.p/1").officer(&officer).send().await.problem(404, "not-found");
    let list = world.get("/v1/checkpoints").officer(&officer).send().await.json(200);
    assert_eq!(list["checkpoints"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn every_entry_under_a_checkpoint_has_a_proof() {
    let world = World::new().await;
    let (officer, sizes) = published(&world).await;
    let last = *sizes.last().unwrap();
    for index in [0, 1, sizes[0], 127, 128, 255, 256, last - 1] {
        let entry = world.get(&format!("/v1/entries/{index}")).officer(&officer).send().await;
        for size in std::iter::once(None).chain(sizes.iter().filter(|size| **size > index).map(Some)) {
            let sized = size.map(|size| format!("&size={size}")).unwrap_or_default();
            let answer =
                world.get(&format!("/v1/proofs/inclusion?index={index}{sized}")).officer(&officer).send().await;
            assert_eq!(answer.status, 200, "{index} {size:?}: {}", answer.text());
            let proof = TlogProof::parse(&answer.text()).unwrap();
            let leaf = Entry::parse(&entry.body).unwrap().leaf();
            let (checkpoint, _) = proof.verify(&leaf, &[signing().verifying_key().clone()]).unwrap();
            assert!(checkpoint.size > index && size.is_none_or(|size| *size == checkpoint.size));
        }
    }
}

#[tokio::test]
async fn a_proof_that_cannot_be_says_why() {
    let world = World::new().await;
    let (officer, sizes) = published(&world).await;
    let ask = async |path: String| world.get(&path).officer(&officer).send().await;
    let (last, end) = (*sizes.last().unwrap(), world.test.archive.head_size().await.unwrap());
    for (query, parameter, hint) in [
        (String::new(), "index", "is needed"),
        ("size=3".to_owned(), "index", "is needed"),
        ("index=x".to_owned(), "index", "an entry's index"),
        ("index=-1".to_owned(), "index", "an entry's index"),
        ("index=1.0".to_owned(), "index", "an entry's index"),
        ("index=18446744073709551616".to_owned(), "index", "an entry's index"),
        ("index=5&size=5".to_owned(), "size", "does not reach"),
        ("index=5&size=0".to_owned(), "size", "does not reach"),
        ("index=5&size=x".to_owned(), "size", "published checkpoint"),
    ] {
        let detail = ask(format!("/v1/proofs/inclusion?{query}")).await.wrong(parameter);
        assert!(detail.contains(hint), "{query}: {detail}");
    }
    for index in [end, end + 1, u64::MAX] {
        ask(format!("/v1/proofs/inclusion?index={index}")).await.problem(404, "not-found");
    }
    ask(format!("/v1/proofs/inclusion?index={}", end - 1)).await.problem(409, "not-published");
    for size in [last - 1, last + 1, end, u64::MAX] {
        let problem = ask(format!("/v1/proofs/inclusion?index=0&size={size}")).await.problem(404, "not-found");
        assert!(problem["detail"].as_str().unwrap().contains("/v1/checkpoints lists them"), "{problem}");
    }
    for (query, parameter, hint) in [
        ("", "old", "is needed"),
        ("old=1", "new", "is needed"),
        ("new=1", "old", "is needed"),
        ("old=x&new=1", "old", "size of a tree"),
        ("old=1&new=-1", "new", "size of a tree"),
        ("old=3&new=2", "new", "at least `old`"),
    ] {
        let detail = ask(format!("/v1/proofs/consistency?{query}")).await.wrong(parameter);
        assert!(detail.contains(hint), "{query}: {detail}");
    }
    for (old, new) in [(1, end + 1), (end + 1, end + 1), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        ask(format!("/v1/proofs/consistency?old={old}&new={new}")).await.problem(404, "not-found");
    }
    // Of nothing everything is a continuation, and a tree continues itself.
    for (old, new) in [(0, 0), (0, 1), (1, 1), (0, last), (last, last)] {
        let proof = ask(format!("/v1/proofs/consistency?old={old}&new={new}")).await.json(200);
        let hashes: Vec<Digest> = proof["hashes"].as_array().unwrap().iter().map(digest).collect();
        verify_consistency((old, &digest(&proof["old"]["root"])), (new, &digest(&proof["new"]["root"])), &hashes)
            .unwrap();
    }
}

#[tokio::test]
async fn tiles_hold_the_tree_that_the_checkpoint_signs() {
    let world = World::new().await;
    let (officer, sizes) = published(&world).await;
    let last = *sizes.last().unwrap();
    let get = async |path: &str| world.get(path).officer(&officer).send().await;
    let rest = u16::try_from(last - 256).unwrap();
    let mut leaves = Vec::new();
    for (path, width) in [("000".to_owned(), 256), (format!("001.p/{rest}"), rest)] {
        let bundle = get(&format!("/v1/tile/entries/{path}")).await;
        assert_eq!(bundle.header("content-type"), Some("application/octet-stream"));
        let hashes = get(&format!("/v1/tile/0/{path}")).await;
        let tile = Tile { level: 0, index: leaves.len() as u64 / 256, width };
        let hashes = tile.parse(&hashes.body).unwrap();
        let entries = parse_bundle(&bundle.body, width).unwrap();
        assert_eq!(entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>(), hashes);
        leaves.extend(hashes);
    }
    let checkpoint = signed(&get("/v1/checkpoint").await.text());
    let mut frontier = muniment::ledger::Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    assert_eq!((frontier.root(), leaves.len() as u64), (checkpoint.root, checkpoint.size));
    // Any narrower tile of the same place was published once, and is still answered.
    assert_eq!(get("/v1/tile/0/000.p/7").await.body, get("/v1/tile/0/000").await.body.slice(..7 * 32));
    for path in ["0/002.p/1", "0/001", "1/000", "1/000.p/2", "2/000.p/1", "entries/001", "entries/x999/999", "63/000"] {
        let answer = get(&format!("/v1/tile/{path}")).await;
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.text());
        answer.problem(answer.status.as_u16(), if answer.status == 404 { "not-found" } else { "parameter-invalid" });
    }
    for path in [
        "x",
        "0",
        "0/",
        "0/0",
        "0/0000",
        "0/x000/000",
        "00/000",
        "-1/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/x",
        "64/000",
        "entries/000/",
        "entries",
        "0/000?",
    ] {
        let answer = get(&format!("/v1/tile/{path}")).await;
        if path.ends_with('?') {
            assert_eq!(answer.status, 200, "an empty query is no query");
        } else {
            assert!(answer.wrong("path").contains("tlog-tiles path"), "{path}");
        }
    }
}
