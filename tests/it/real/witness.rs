//! A witness and a verifier that somebody else wrote: they cosign what we publish, and say of it what we say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muniment::archive::Append as _;
use muniment::ledger::{Tile, TilePath, VerifyingKey, bundle_bytes, tile_bytes};
use muniment::record::Digest;
use serde_json::{Value, json};

use super::parts::{Server, told};
use crate::support::archive::{TestArchive, signing};
use crate::support::submissions::gap;
use crate::witness::feed::{Fed, witnessing};
use crate::witness::{Home, feed};

const SERVE: &str = "witness/serve.py";
const OPINION: &str = "witness/opinion.py";

async fn grow(test: &TestArchive, by: usize) {
    futures_util::future::try_join_all((0..by).map(|_| test.archive.append(gap(test, "outage")))).await.unwrap();
    test.archive.publish(true).await.unwrap().unwrap();
}

fn base64(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect()
}

/// Everything that is to be judged: the newest checkpoint with its cosignatures, proofs, and every tile of the tree.
async fn evidence(test: &TestArchive, witness: &VerifyingKey) -> Value {
    let published = test.archive.checkpoint(None).await.unwrap().unwrap();
    let (size, root) = (published.checkpoint.size, published.checkpoint.root);
    let note = test.archive.cosigned(&published).await.unwrap().note;
    let (mut inclusion, mut consistency, mut tiles) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for index in [0, 1, 254, 255, 256, 300, size - 1] {
        let found = test.archive.inclusion(index, Some(size)).await.unwrap().unwrap();
        let leaf = STANDARD.encode(found.leaf.as_bytes());
        inclusion.push(json!({"index": index, "leaf": leaf, "hashes": base64(&found.proof.hashes)}));
    }
    for old in [1, 2, 255, 256, 257, size - 1, size] {
        let found = test.archive.consistency(old, size).await.unwrap().unwrap();
        let root = STANDARD.encode(found.old.1.as_bytes());
        consistency.push(json!({"old": old, "root": root, "hashes": base64(&found.hashes)}));
    }
    for tile in Tile::between(0, size) {
        let hashes = test.archive.tile(tile).await.unwrap().unwrap();
        tiles.insert(tile.to_string(), STANDARD.encode(tile_bytes(&hashes)).into());
        if tile.level == 0 {
            let first = tile.index * 256;
            let entries = test.archive.entries(first..first + u64::from(tile.width)).await.unwrap();
            let path = TilePath::Entries { index: tile.index, width: tile.width };
            tiles.insert(path.to_string(), STANDARD.encode(bundle_bytes(&entries).unwrap()).into());
        }
    }
    json!({
        "log": signing().verifying_key().to_string(), "witnesses": [witness.to_string()], "quorum": 1, "checkpoint": note,
        "size": size, "root": STANDARD.encode(root.as_bytes()), "inclusion": inclusion, "consistency": consistency, "tiles": tiles,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_we_did_not_write_cosigns_and_another_verifier_agrees_with_all_of_it() {
    let test = TestArchive::new().await;
    let log = signing().verifying_key().clone();
    let vkey = log.to_string();
    let witness = Server::plain(SERVE, &["--name", "witness.test/w1", "--origin", log.name(), "--vkey", &vkey]);
    let key: VerifyingKey = witness.ready["vkey"].as_str().unwrap().parse().unwrap();
    let url = witness.ready["url"].as_str().unwrap().to_owned();
    let fed = Fed::new(&test, &witnessing(&[(&key, url)], "all"));
    for by in [3, 250, 300] {
        grow(&test, by).await;
        let size = test.archive.checkpoint(None).await.unwrap().unwrap().checkpoint.size;
        let witnessed = fed.feed.vouched(size).await.unwrap().expect("it cosigns");
        assert_eq!((witnessed.published.checkpoint.size, witnessed.vouched.len()), (size, 2));
    }
    let given = evidence(&test, &key).await;
    let verdicts = told(OPINION, &["verdicts"], &given);
    assert_eq!(verdicts.len(), 1 + 7 + 7 + 1);
    for verdict in &verdicts {
        assert_eq!(verdict["holds"], true, "{verdict}");
    }

    // It does object, where there is something to object to.
    let mut wrong = given;
    let note = wrong["checkpoint"].as_str().unwrap().to_owned();
    wrong["checkpoint"] = note.lines().take(5).map(|line| format!("{line}\n")).collect::<String>().into();
    for kind in ["inclusion", "consistency"] {
        for proof in wrong[kind].as_array_mut().unwrap() {
            proof["hashes"].as_array_mut().unwrap().push(STANDARD.encode([1; 32]).into());
        }
    }
    wrong["tiles"]["tile/0/000"] = STANDARD.encode([1; 8192]).into();
    for verdict in told(OPINION, &["verdicts"], &wrong) {
        assert_eq!(verdict["holds"], false, "{verdict}");
    }
}

#[test]
fn our_witness_cosigns_for_a_log_that_we_did_not_write_and_refuses_its_fork() {
    let key = told(OPINION, &["key"], &Value::Null)[0]["vkey"].as_str().unwrap().parse().unwrap();
    let home = Home::new("witness.example/w1", &[&key]);
    let witness = home.start();
    let (url, vkey) = (feed::url(&witness), home.key.to_string());
    let sizes = ["1", "2", "3", "64", "65", "200", "200", "1000"];
    let arguments = [&["feed", "--url", &url, "--vkey", &vkey, "--size"], &sizes[..]].concat();
    let verdicts = told(OPINION, &arguments, &Value::Null);
    let (fork, cosigned) = verdicts.split_last().unwrap();
    assert_eq!(cosigned.len(), sizes.len());
    for verdict in cosigned {
        assert_eq!(
            (verdict["check"].as_str(), verdict["holds"].as_bool()),
            (Some("cosigned"), Some(true)),
            "{verdict}"
        );
    }
    assert_eq!((fork["check"].as_str(), fork["holds"].as_bool()), (Some("fork"), Some(false)), "{fork}");
    assert!(fork["said"].as_str().unwrap().contains("422"), "{fork}");
}
