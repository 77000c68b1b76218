//! The main job, end to end: an unmodified client posts through the proxy; the post is durable before it leaves, found by the
//! API, proved by the verifier and by `psql` alone.

use muniment::archive::embedded::Programs;
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

    // The verifier finds nothing wrong while the service runs, nor after it has stopped.
    let held = firm.dir().join("checkpoint.txt");
    std::fs::write(&held, text(&firm.ask(&["checkpoint"]), "note")).unwrap();
    let verified = firm.ask(&["verify", "--against", held.to_str().unwrap()]);
    assert_eq!(verified["sound"], true, "{verified}");
    assert!(verified["fields"].as_u64().unwrap() > 5, "{verified}");
    psql_finds_the_chain_whole(&firm);
    assert_eq!(service.stop(), 0);
    assert_eq!(firm.ask(&["verify"])["sound"], true);
}

/// The auditor's check: `psql` and nothing of ours.
fn psql_finds_the_chain_whole(firm: &Firm) {
    const CHAIN: &str = "
        select count(*), count(*) filter (where
                   sha256('\\x00'::bytea || body) <> leaf
                or (convert_from(body, 'UTF8')::json ->> 'index')::bigint <> index
                or convert_from(body, 'UTF8')::json ->> 'previous'
                   <> coalesce((select encode(before.leaf, 'hex') from ledger.entries before where before.index = e.index - 1),
                               repeat('0', 64)))
          from ledger.entries e";
    let postgres = firm.dir().join("data/postgres");
    let programs = Programs::find(None, std::env::var_os("PATH").as_deref(), &postgres.join("cluster")).unwrap();
    let output = std::process::Command::new(programs.path("psql"))
        .args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--username=muniment",
            "--dbname=muniment",
            "--command",
            CHAIN,
        ])
        .arg("--host")
        .arg(postgres.join("socket"))
        .env("PGPASSWORD", std::fs::read_to_string(postgres.join("owner.password")).unwrap().trim())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (entries, bad) = said.trim().split_once('|').unwrap_or_else(|| panic!("{said} {:?}", output.stderr));
    assert!(entries.parse::<u64>().unwrap() > 5, "{said}");
    assert_eq!(bad, "0", "{said}");
}
