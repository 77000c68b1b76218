//! Proof of disposal: what a stranger is told of records that are gone, and that every change of it is noticed.

use std::process::Command;

use muniment::bundle::{Verdict, verify_disposal};
use muniment::ledger::VerifyingKey;
use serde_json::Value;

use super::command::{Old, commands, with};
use super::dispose::{YEAR, post};
use crate::support::submissions::{NewRecord, advisor, outcome, post_of};

fn verifier(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muniment-verify"));
    let output = command.args(arguments).env_remove("MUNIMENT_VKEY").output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_stranger_checks_that_a_record_is_gone_by_which_rule_and_when_that_is_final() {
    let old = Old::new(7 * YEAR).await;
    let test = &old.test;
    let record = NewRecord::new(test);
    let capture = post_of(test, &record, &[advisor(1)], "xyzzy must go");
    let id = capture.draft.id;
    test.append(capture).await;
    test.append(outcome(test, &record, id, &[advisor(1)])).await;
    let also = post(test, 2, "plugh must go too").await;
    test.clock.step_forward(7 * YEAR);
    let cli = commands(test, "");
    let refused = cli.run(&with(&["--json", "dispose", "--proof", &record.id.to_string(), "--out", "early.json"]));
    let error = refused.error();
    assert!(error["message"].as_str().unwrap().contains("neither a record that was disposed of"), "{error}");
    let done = cli.run(&with(&["--json", "dispose", "--confirm", "--reason", "yearly disposal"])).json();
    assert_eq!(done["disposed"], 2);

    let one = cli.run(&with(&["--json", "dispose", "--proof", &record.id.to_string(), "--out", "gone.json"])).json();
    assert_eq!((&one["records"], &one["rule"]), (&Value::from(1), &Value::from("finra_2210")));
    let again = cli.run(&with(&["dispose", "--proof", &record.id.to_string(), "--out", "gone.json"]));
    assert_ne!(again.code, 0, "nothing is overwritten");
    let vkey = one["verify"].as_str().unwrap().split('\'').nth(1).unwrap().to_owned();
    let path = cli.dir().join("gone.json").display().to_string();
    let (code, said) = verifier(&["disposal", &path, "--vkey", &vkey]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("rule finra_2210") && said.contains(&format!("record {}", record.id)), "{said}");
    assert_eq!(verifier(&["disposal", &path]).0, 4, "without a key the signature is not checked");
    let (code, said) = verifier(&["disposal", &path, "--vkey", &vkey, "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["verdict"], &report["contents"]), (0, &"verified".into(), &9.into()));
    assert_eq!(report["backups_expire_at"], one["backups_expire_at"]);

    let json = std::fs::read(&path).unwrap();
    let page = std::fs::read_to_string(cli.dir().join("gone.html")).unwrap();
    assert!(
        page.contains("The firm destroyed") && page.contains("finra_2210") && page.contains(&record.id.to_string())
    );
    for text in [String::from_utf8(json.clone()).unwrap(), page] {
        assert!(
            !text.contains("xyzzy") && !text.contains(&also.id.to_string()),
            "of this record, and without its words"
        );
    }

    // All of the disposal, by its entry's id: the one that the record's proof begins with.
    let proof: Value = serde_json::from_slice(&json).unwrap();
    let keys: Vec<VerifyingKey> = vec![vkey.parse().unwrap()];
    let index = verify_disposal(&json, &keys, None).index.unwrap();
    let disposal = test.archive.entry(index).await.unwrap().unwrap().id().to_string();
    let both = cli.run(&with(&["--json", "dispose", "--proof", &disposal, "--out", "both.json"])).json();
    assert_eq!(both["records"], 2);

    // Nothing can be changed and pass.
    for at in (0..json.len()).step_by(41) {
        let mut changed = json.clone();
        changed[at] ^= 1;
        assert_ne!(verify_disposal(&changed, &keys, None).verdict, Verdict::Verified, "byte {at}");
    }
    let entries = proof["records"][0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for change in [
        |proof: &mut Value| proof["records"][0]["record"] = "0198c0de-0000-7000-8000-00aa00000000".into(),
        |proof: &mut Value| proof["records"][0]["entries"].as_array_mut().unwrap().reverse(),
        |proof: &mut Value| proof["records"][0]["entries"] = Value::Array(Vec::new()),
        |proof: &mut Value| proof["disposal"][0] = proof["records"][0]["entries"][0].clone(),
        |proof: &mut Value| {
            let entry = proof["records"][0]["entries"][0].clone();
            proof["disposal"].as_array_mut().unwrap().push(entry);
        },
        |proof: &mut Value| {
            let disposal = proof["disposal"][0].clone();
            proof["records"][0]["entries"].as_array_mut().unwrap().push(disposal);
        },
    ] {
        let mut changed = proof.clone();
        change(&mut changed);
        let report = verify_disposal(changed.to_string().as_bytes(), &keys, None);
        assert!(matches!(report.verdict, Verdict::Failed { .. }), "{changed}");
    }
}
