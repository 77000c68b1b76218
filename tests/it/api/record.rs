//! One record: what was said, what the origin said, where it comes from, and a proof that a stranger can check.

use muniment::ledger::{Committed, Entry, TlogProof};
use muniment::record::Digest;
use serde_json::{Value, json};

use super::kept::{dispose, keep};
use super::routes::{SAID, Shown};
use super::world::World;
use crate::support::archive::signing;
use crate::support::submissions::advisor;

#[tokio::test]
async fn a_record_shows_content_outcome_and_provenance() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let record = world.get(&format!("/v1/records/{}", shown.kept.id())).officer(&officer).send().await.json(200);
    let said = &record["communications"][0];
    assert_eq!((&said["text"], &said["kind"], &said["number"]), (&json!(SAID), &json!("post"), &json!(0)));
    assert_eq!(said["account"]["id"], "did:plc:ada");
    assert_eq!(said["item"], "at://did:plc:someone/app.bsky.feed.post/1", "known from the answer only");
    assert_eq!(said["attachments"][0]["href"], format!("/v1/records/{}/attachments/0/0", shown.kept.id()));
    assert_eq!(record["outcome"]["state"], "accepted");
    assert_eq!(record["exchange_as_kept"]["request_head"], "POST /upload HTTP/1.1\r\ncontent-type: text/html\r\n");
    assert_eq!(record["provenance"]["actor"], "device:00000000-0000-0000-0000-00000000004d");
    assert_eq!(record["provenance"]["source"], world.test.archive.source().to_string());
    assert_eq!(record["provenance"]["rules"], Digest::ZERO.to_string());
    let entries = record["entries"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| &entry["type"]).collect::<Vec<_>>(), ["capture", "outcome"]);
    assert!(record.get("proof").is_none(), "only when asked for");
}

#[tokio::test]
async fn p2_a_proof_is_checked_offline_and_agrees_with_every_other_answer() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["legal"]).await;
    let get = |path: String| world.get(&path).officer(&officer);
    let record = get(format!("/v1/records/{}?proof=1", shown.kept.id())).send().await.json(200);
    let index = shown.kept.index;
    let answer = get(format!("/v1/entries/{index}")).send().await;
    let entry = Entry::parse(&answer.body).unwrap();
    assert_eq!(answer.header("muniment-leaf"), Some(entry.leaf().to_string().as_str()));
    assert_eq!(record["entries"][0]["leaf"], entry.leaf().to_string());
    // From here on, nothing but the bytes that were answered and the log's public key.
    let text = record["proof"].as_str().unwrap();
    let proof = TlogProof::parse(text).unwrap();
    let (checkpoint, vouched) = proof.verify(&entry.leaf(), &[signing().verifying_key().clone()]).unwrap();
    assert_eq!((proof.index, vouched.len()), (index, 1));
    assert!(checkpoint.size > index);
    assert!(proof.verify(&Digest::of(&[b"another"]), &[signing().verifying_key().clone()]).is_err());
    // The same by its own address, under the same checkpoint; and that checkpoint is in the list.
    let inclusion = get(format!("/v1/proofs/inclusion?index={index}")).send().await;
    assert_eq!(inclusion.text(), text);
    assert_eq!(inclusion.header("muniment-leaf"), answer.header("muniment-leaf"));
    let sized = get(format!("/v1/proofs/inclusion?index={index}&size={}", checkpoint.size)).send().await;
    assert_eq!(sized.text(), text);
    let list = get("/v1/checkpoints".to_owned()).send().await.json(200);
    let listed =
        list["checkpoints"].as_array().unwrap().iter().find(|listed| listed["size"] == checkpoint.size).unwrap();
    assert_eq!(listed["root"], checkpoint.root.to_string());
    assert_eq!(listed["note"], proof.checkpoint);

    // Each field is what the entry commits to: sha256(salt || bytes).
    let Committed::Listed(commitments) = entry.committed() else { panic!("few fields are listed") };
    for field in record["entries"][0]["fields"].as_array().unwrap() {
        let (name, href) = (field["name"].as_str().unwrap(), field["href"].as_str().unwrap());
        let answer = get(href.to_owned()).send().await;
        let salt = hex::decode(answer.header("muniment-salt").unwrap()).unwrap();
        let digest = Digest::of(&[&salt, &answer.body]);
        let committed = commitments.get(name).unwrap().to_string();
        use base64::Engine as _;
        assert_eq!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_bytes()), committed, "{name}");
        assert_eq!(answer.header("muniment-commitment"), Some(committed.as_str()));
        assert_eq!(field["commitment"], committed);
    }
}

#[tokio::test]
async fn a_record_that_no_checkpoint_covers_yet_is_published_for_its_proof() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"new")]).await;
    world.project().await;
    let inclusion = format!("/v1/proofs/inclusion?index={}", kept.index);
    let answer = world.get(&inclusion).officer(&officer).send().await;
    answer.problem(409, "not-published");
    assert_eq!(answer.header("retry-after"), Some("2"));
    let record = world.get(&format!("/v1/records/{}?proof=1", kept.id())).officer(&officer).send().await.json(200);
    assert!(TlogProof::parse(record["proof"].as_str().unwrap()).is_ok());
    assert_eq!(world.get(&inclusion).officer(&officer).send().await.status, 200);
}

#[tokio::test]
async fn what_was_disposed_of_is_shown_as_disposed_of() {
    let world = World::new().await;
    let test = &world.test;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let disposal = dispose(test, &[shown.kept.id()]).await;
    world.project().await;
    let answer = world.get(&format!("/v1/records/{}?proof=1", shown.kept.id())).officer(&officer).send().await;
    let record = answer.json(200);
    assert!(!answer.text().contains("zanzibar"));
    assert_eq!((&record["content"], &record["disposed"]), (&json!("disposed"), &json!(disposal)));
    assert_eq!(record["communications"], json!([]));
    let fields = record["entries"][0]["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 5, "the commitments remain");
    assert!(fields.iter().all(|field| field["href"].is_null() && field["commitment"].is_string()));
    // And so does the proof that there was something.
    let entry = world.get(&format!("/v1/entries/{}", shown.kept.index)).officer(&officer).send().await;
    let proof = TlogProof::parse(record["proof"].as_str().unwrap()).unwrap();
    proof.verify(&Entry::parse(&entry.body).unwrap().leaf(), &[signing().verifying_key().clone()]).unwrap();
    for route in ["fields/{}/0.text", "attachments/0/0"] {
        let path = format!("/v1/records/{}/{}", shown.kept.id(), route.replace("{}", &shown.kept.index.to_string()));
        let problem = world.get(&path).officer(&officer).send().await.problem(410, "disposed");
        assert_eq!(problem["disposal"], disposal, "{path}");
    }
    let list = world.get("/v1/records?content=disposed").officer(&officer).send().await.json(200);
    assert_eq!(list["records"][0]["id"], shown.kept.id().to_string());
    let search = world.get("/v1/records?text=zanzibar").officer(&officer).send().await.json(200);
    assert_eq!(search["records"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_read_any_more_is_shown_as_unreadable_and_never_guessed() {
    for (statement, projected) in [
        ("update content.sealed set ciphertexts[1] = ciphertexts[2] where entry_index = $", false),
        ("delete from content.sealed where entry_index = $", true),
        ("delete from content.keys where record = '#'", false),
        ("update content.keys set wrapped = decode(repeat('00', 40), 'hex') where record = '#'", true),
    ] {
        let world = World::new().await;
        let officer = world.officer(&["compliance"]).await;
        let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"zanzibar"), ("0.item", b"i")]).await;
        // Damaged after it was projected, or before.
        if !projected {
            world.project().await;
        }
        let (index, id) = (kept.index.to_string(), kept.id().to_string());
        world.test.database.tamper(&statement.replace('$', &index).replace('#', &id)).await;
        world.project().await;
        let record = world.get(&format!("/v1/records/{id}")).officer(&officer).send().await.json(200);
        assert_eq!(record["content"], "unreadable", "{statement}: {record}");
        let said: Vec<&Value> = record["communications"].as_array().unwrap().iter().map(|said| &said["text"]).collect();
        assert!(said.iter().all(|text| text.is_null()), "{statement}: {said:?}");
        let field = world.get(&format!("/v1/records/{id}/fields/{index}/0.text")).officer(&officer).send().await;
        let problem = field.problem(500, "unreadable");
        assert!(!problem.to_string().contains("zanzibar"));
        // What is not damaged is as it was.
        assert_eq!(world.get(&format!("/v1/entries/{index}")).officer(&officer).send().await.status, 200);
    }
}

#[tokio::test]
async fn a_record_says_until_when_it_is_kept_by_which_rule_and_which_holds_keep_it_beyond() {
    let world = World::new().await;
    let kept = keep(&world.test, &[advisor(1)], &[], &[("0.text", b"kept")]).await;
    let officer = world.officer(&["compliance"]).await;
    let path = format!("/v1/records/{}", kept.id());
    let shown = world.get(&path).officer(&officer).send().await.json(200);
    let retention = &shown["retention"];
    let last = shown["entries"].as_array().unwrap().last().unwrap()["at"].as_str().unwrap();
    assert_eq!((&retention["rule"], &retention["keep"]), (&json!("finra_2210"), &json!("6 years")));
    assert_eq!((&retention["runs_from"], &retention["from"]), (&json!("last_entry"), &json!(last)));
    assert!(retention["cites"].as_str().unwrap().contains("FINRA"));
    let year: u32 = last[..4].parse().unwrap();
    assert_eq!(retention["earliest"], format!("{}{}", year + 6, &last[4..]));
    assert_eq!(retention["held_by"], json!([]));
    dispose(&world.test, &[kept.id()]).await;
    world.project().await;
    let gone = world.get(&path).officer(&officer).send().await.json(200);
    assert_eq!(gone["retention"], json!(null));
}
