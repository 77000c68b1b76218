//! The main job, end to end: an unmodified client posts through the proxy; the post is durable before it leaves, found by the
//! API, proved by the verifier and by `psql` alone.

use muniment::ledger::{Entry, TlogProof, VerifyingKey};
use muniment::record::Digest;
use serde_json::{Value, json};

use crate::service::{Curl, Device, Firm, HOST, Origin, TOKEN, eventually, text};

/// Posts as an ordinary client of the network would.
fn post(firm: &Firm, device: &Device, origin: &Origin, status: &str) -> Value {
    let curl = firm.device(device).header("authorization", &format!("Bearer {TOKEN}"));
    let answer = curl.json(&json!({ "status": status })).send(&origin.url("/api/v1/statuses"));
    answer.unwrap().json(200)
}

/// The one record with this text, once it and its outcome are projected.
fn find(officer: &Curl, firm: &Firm, words: &str) -> Value {
    let url = firm.api(&format!("/v1/records?text={}", words.replace(' ', "%20")));
    eventually(|| {
        let found = officer.get(&url).unwrap().json(200);
        let records = found["records"].as_array().unwrap().clone();
        assert!(records.len() < 2, "{found}");
        records.into_iter().next().filter(|record| !record["outcome"].is_null())
    })
}

#[test]
fn a_post_through_the_proxy_is_kept_found_and_proved() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let advisor = firm.add_advisor("Ada Advisor");
    let device = firm.add_device(&advisor, "laptop");
    let token = firm.add_officer("Olga", "compliance");

    let posted = post(&firm, &device, &origin, "Buy low, sell high.");
    assert_eq!(origin.statuses().len(), 1);

    // An officer finds it by its text, and reads it.
    let officer = firm.officer(&token).header("muniment-purpose", "end-to-end test");
    let id = text(&find(&officer, &firm, "sell high"), "id");
    let record = officer.get(&firm.api(&format!("/v1/records/{id}?proof=1"))).unwrap().json(200);
    let communication = &record["communications"][0];
    assert_eq!(communication["text"], "Buy low, sell high.");
    assert_eq!(communication["kind"], "post");
    let item = format!("{HOST}/{}", text(&posted, "id"));
    assert_eq!(communication["item"], item.as_str(), "known from the origin's answer only");
    assert_eq!(record["outcome"]["state"], "accepted");
    assert_eq!(record["outcome"]["status"], 200);
    assert_eq!(record["advisors"], json!([advisor]));
    assert_eq!(record["device"], device.id.as_str());
    assert_eq!(record["network"], "mastodon");

    // The proof leads from the entry's bytes to a checkpoint that the log signed.
    let index = record["index"].as_u64().unwrap();
    let answer = officer.get(&firm.api(&format!("/v1/entries/{index}"))).unwrap();
    let entry = Entry::parse(&answer.body).unwrap();
    assert_eq!(answer.header("muniment-leaf"), Some(entry.leaf().to_string().as_str()));
    let key: VerifyingKey = text(&firm.ask(&["checkpoint"]), "key").parse().unwrap();
    let proof = TlogProof::parse(&text(&record, "proof")).unwrap();
    let (checkpoint, vouched) = proof.verify(&entry.leaf(), &[key]).unwrap();
    assert!(checkpoint.size > index && vouched.len() == 1);
    assert!(proof.verify(&Digest::of(&[b"another entry"]), &[]).is_err());

    // The credential was neither kept nor shown.
    assert!(!record.to_string().contains(TOKEN));
    assert_eq!(service.stop(), 0);
}
