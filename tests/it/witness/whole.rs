//! The whole of it, as people run it: a firm's service, a witness and an auditor elsewhere, and a stranger with the bundle.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{Home, muniment};
use crate::service::{Firm, Origin, TOKEN, eventually};

fn verify(arguments: &[&str], firm: &Firm) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muniment-verify"));
    let done =
        command.args(arguments).arg("--json").current_dir(firm.dir()).env_remove("MUNIMENT_VKEY").output().unwrap();
    let report = serde_json::from_slice(&done.stdout);
    (done.status.code(), report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr))))
}

fn verdict(report: &Value, check: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|pair| pair[0] == check).unwrap_or_else(|| panic!("{report:#}"))[1].clone()
}

#[test]
fn a_stranger_holds_a_bundle_against_a_policy_and_an_attestation_that_the_firm_did_not_make() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let (ada, token, auditor) =
        (firm.add_advisor("Ada"), firm.add_officer("Olga", "compliance"), firm.add_officer("Aron", "auditor"));
    let device = firm.add_device(&ada, "laptop");
    let log: muniment::ledger::VerifyingKey = firm.ask(&["checkpoint"])["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(service.stop(), 0);

    // Somebody elsewhere.
    let home = Home::new("witness.example/w1", &[&log]);
    let witness = home.start();
    let settings = firm.dir().join("muniment.toml");
    let mut text = fs::read_to_string(&settings).unwrap();
    text.push_str(&format!(
        "[witnessing]\nevery = \"1s\"\n[[witnesses]]\nvkey = \"{}\"\nurl = \"http://{}\"\n",
        home.key, witness.address
    ));
    fs::write(&settings, text).unwrap();
    let doctor = firm.command(&["--json", "doctor"]).output().unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let line = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "witnesses").unwrap();
    assert_eq!(line["state"], "ok", "{line}");

    let service = firm.serve();
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    curl.json(&json!({"status": "Bonds are bonds."})).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
    let officer = firm.officer(&token);
    let witnessed = eventually(|| {
        let answer = officer.clone().get(&firm.api("/v1/checkpoints/witnessed")).unwrap();
        (answer.status == 200).then(|| answer.text().to_owned())
    });
    assert_eq!(witnessed.matches('—').count(), 2, "{witnessed}");
    let integrity = officer.get(&firm.api("/v1/integrity")).unwrap().json(200);
    assert_eq!(integrity["witnesses"][0]["key"], home.key.to_string(), "{integrity}");
    assert!(integrity["witnessed"].as_u64().unwrap() > 0, "{integrity}");

    let answer = firm.ask(&["export", "--advisor", &ada, "--reason", "matter 2026-014", "--out", "ada.zip"]);
    assert_eq!(answer["witnessed"], true, "{answer}");

    // An auditor with a token reads all of it, up to the bundle's checkpoint.
    let unpacked = Command::new("python3")
        .args(["-c", "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall('.')", "ada.zip"])
        .current_dir(firm.dir())
        .status();
    assert!(unpacked.unwrap().success());
    let bundle = format!("bundle-{}", answer["bundle"].as_str().unwrap());
    fs::write(
        home.dir.path().join("audit.toml"),
        format!("name = \"witness.example/w1\"\n[[logs]]\nvkey = \"{log}\"\nurl = \"{}\"\n", firm.api("/v1")),
    )
    .unwrap();
    let checkpoint = firm.dir().join(&bundle).join("proofs/checkpoint");
    let mut audit = muniment(&["witness", "audit", "audit.toml", "--checkpoint"], home.dir.path());
    let audited = audit.arg(&checkpoint).env("MUNIMENT_TOKEN", &auditor).output().unwrap();
    assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stderr));
    fs::write(firm.dir().join("attestation"), &audited.stdout).unwrap();
    assert_eq!(service.stop(), 0);

    // A stranger, who took the witness's key from the witness and the log's from where the firm published it.
    let policy = format!("log {log}\nwitness auditor {}\nquorum auditor\n", home.key);
    fs::write(firm.dir().join("policy.txt"), policy).unwrap();
    let (code, report) =
        verify(&["bundle", "ada.zip", "--policy", "policy.txt", "--attestation", "attestation"], &firm);
    assert_eq!((code, &report["verdict"]), (Some(0), &json!("verified")), "{report:#}");
    assert_eq!((verdict(&report, "quorum"), verdict(&report, "range")), (json!("verified"), json!("verified")));
    assert_eq!(report["attested_by"], json!(["witness.example/w1"]));
    let provided = report["provided"].as_str().unwrap();
    assert!(provided.starts_with("complete; no stream forks up to size"), "{provided}");

    // A disclosure out of it is under the same policy.
    let (code, report) =
        verify(&["disclosure", &format!("{bundle}/data/query/export.json"), "--policy", "policy.txt"], &firm);
    assert_eq!((code, verdict(&report, "quorum")), (Some(0), json!("verified")), "{report:#}");
    let stranger = muniment::ledger::CosigningKey::new("w.example", &[1; 32]).unwrap();
    let policy = format!("log {log}\nwitness w {}\nquorum w\n", stranger.verifying_key());
    fs::write(firm.dir().join("other.txt"), policy).unwrap();
    for what in [&["bundle", "ada.zip"][..], &["disclosure", &format!("{bundle}/data/query/export.json")]] {
        let (code, report) = verify(&[what, &["--policy", "other.txt"]].concat(), &firm);
        assert_eq!((code, verdict(&report, "quorum")), (Some(1), json!({"failed": {"check": "quorum"}})));
    }
}
