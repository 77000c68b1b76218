//! Records out of a running archive as a bundle, and what becomes of it in the hands of others.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Firm, Origin, TOKEN, eventually, text};

const SECRET: &str = "Our counsel says to sell.";

/// A firm where two advisors have posted, one of them something that counsel said.
struct Posted {
    firm: Firm,
    ada: String,
    bea: String,
    /// Of the post that speaks of counsel.
    record: String,
}

impl Posted {
    fn new(origin: &Origin) -> (Self, super::Service) {
        let firm = Firm::new(origin, "");
        let service = firm.serve();
        let (ada, bea) = (firm.add_advisor("Ada"), firm.add_advisor("Bea"));
        let token = firm.add_officer("Olga", "compliance");
        for (advisor, posts) in [(&ada, &["Bonds are bonds.", SECRET][..]), (&bea, &["Guaranteed to grow."][..])] {
            let device = firm.add_device(advisor, "laptop");
            let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
            for post in posts {
                curl.clone().json(&json!({"status": post})).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
            }
        }
        let officer = firm.officer(&token).header("muniment-purpose", "a test");
        let record = eventually(|| {
            let found = officer.clone().get(&firm.api("/v1/records?text=counsel")).unwrap().json(200);
            found["records"].as_array().unwrap().first().map(|record| text(record, "id"))
        });
        (Self { firm, ada, bea, record }, service)
    }

    fn export(&self, more: &[&str], out: &str) -> Value {
        let arguments = [&["export", "--reason", "matter 2026-014", "--out", out], more].concat();
        self.firm.ask(&arguments)
    }

    /// Exit code and report of the verifier that a stranger has.
    fn verify(&self, file: &str, vkey: &str) -> (i32, Value) {
        let done = Command::new(env!("CARGO_BIN_EXE_muniment-verify"))
            .args(["bundle", file, "--vkey", vkey, "--json"])
            .current_dir(self.firm.dir())
            .output()
            .unwrap();
        let report = serde_json::from_slice(&done.stdout);
        let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
        (done.status.code().unwrap(), report)
    }
}

/// The verifier key is in what the export says should be run.
fn vkey_in(answer: &Value) -> String {
    answer["verify"].as_str().unwrap().split('\'').nth(1).unwrap().to_owned()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_matters_records_leave_with_names_gaps_looks_holds_and_a_draft_certificate() {
    let origin = Origin::start();
    let (posted, service) = Posted::new(&origin);
    let legal = posted.firm.add_officer("Lena", "legal");
    let legal = posted.firm.officer(&legal).header("muniment-purpose", "SECRET-WHY");
    let post =
        |path: &str, status, body: &Value| legal.clone().json(body).send(&posted.firm.api(path)).unwrap().json(status);
    let matter = text(&post("/v1/matters", 201, &json!({"name": "Smith ./. Example"})), "id");
    let none = posted
        .firm
        .command(&["export", "--matter", &matter, "--reason", "a test", "--out", "none.zip"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no custodians"), "{none:?}");
    post(&format!("/v1/matters/{matter}/custodians"), 200, &json!({"advisor": posted.ada}));
    post("/v1/holds", 201, &json!({"matter": matter, "reason": "subpoena", "custodians": [posted.ada]}));
    legal.clone().get(&posted.firm.api(&format!("/v1/records/{}", posted.record))).unwrap().json(200);

    let answer = posted.export(&["--matter", &matter], "matter.zip");
    assert_eq!((&answer["complete"], &answer["records"]), (&json!([posted.ada]), &json!(2)), "{answer}");
    let (code, report) = posted.verify("matter.zip", &vkey_in(&answer));
    assert_eq!((code, &report["verdict"]), (0, &json!("verified")), "{report:#}");
    let read = |file: &str| {
        let path = format!("bundle-{}/data/{file}", text(&answer, "bundle"));
        let done = Command::new("python3")
            .args([
                "-c",
                "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))",
            ])
            .arg(posted.firm.dir().join("matter.zip"))
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let page = read("html/circumstances.html");
    for said in ["Ada", "laptop", "records.get", "custodian_added", "hold", &matter] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let coverage: Value = serde_json::from_str(&read("gaps/coverage.json")).unwrap();
    assert_eq!(
        (&coverage["advisors"][0]["advisor"], &coverage["advisors"][0]["name"]),
        (&json!(posted.ada), &json!("Ada"))
    );
    assert_eq!(coverage["advisors"][0]["devices"][0]["name"], "laptop", "{coverage}");
    assert!(read("certificate/certificate.html").contains("as many records as 2"));
    let bytes = fs::read(posted.firm.dir().join("matter.zip")).unwrap();
    for closed in ["SECRET-WHY", "subpoena", "Smith ./.", &posted.bea] {
        assert!(!holds(&bytes, closed), "{closed}");
    }
    let missing = "0198c0de-0000-7000-8000-000000000009";
    let none = posted
        .firm
        .command(&["export", "--matter", missing, "--reason", "a test", "--out", "none.zip"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no matter"), "{none:?}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn all_of_an_advisors_records_leave_as_a_bundle_that_says_so_and_is_on_record() {
    let origin = Origin::start();
    let (posted, service) = Posted::new(&origin);
    // What lies where the bundle is made is not written to, and not followed.
    let elsewhere = posted.firm.dir().join("elsewhere");
    fs::write(&elsewhere, "somebody's").unwrap();
    std::os::unix::fs::symlink(&elsewhere, posted.firm.dir().join("ada.zip.part")).unwrap();
    let answer = posted.export(&["--advisor", &posted.ada, "--from", "2026-01-01"], "ada.zip");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
    assert_eq!((&answer["complete"], &answer["records"]), (&json!([posted.ada]), &json!(2)), "{answer}");
    let vkey = vkey_in(&answer);
    let (code, report) = posted.verify("ada.zip", &vkey);
    assert_eq!((code, &report["verdict"]), (0, &json!("verified")), "{report:#}");
    assert_eq!(report["ranges"][0]["complete"], true, "{report:#}");

    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(posted.firm.dir().join("ada.zip")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "its owner's alone");
    let bytes = fs::read(posted.firm.dir().join("ada.zip")).unwrap();
    assert!(holds(&bytes, SECRET) && holds(&bytes, "Bonds are bonds."));
    assert!(!holds(&bytes, "Guaranteed to grow.") && !holds(&bytes, &posted.bea), "nothing of anybody else's");
    assert!(!holds(&bytes, TOKEN), "and no credential");

    // On record: the export itself, with its reason sealed, and a look that the access log shows with it.
    let index = answer["entry"].as_u64().unwrap();
    let auditor = posted.firm.add_officer("Otto", "auditor");
    let entry = posted.firm.officer(&auditor).get(&posted.firm.api(&format!("/v1/entries/{index}"))).unwrap().json(200);
    assert_eq!((&entry["type"], &entry["detail"]["records"]), (&json!("export"), &json!(2)), "{entry}");
    assert_eq!(entry["streams"][0]["id"], posted.ada.as_str());
    assert!(!entry.to_string().contains("2026-014"), "never in the clear");
    let looks = eventually(|| {
        let path = posted.firm.api(&format!("/v1/access?advisor={}", posted.ada));
        let looks = posted.firm.officer(&auditor).header("muniment-purpose", "audit").get(&path).unwrap().json(200);
        let of_export = |look: &&Value| look["operation"] == "records.export";
        looks["looks"].as_array().unwrap().iter().find(of_export).cloned()
    });
    assert_eq!(looks["purpose"], "matter 2026-014", "{looks}");

    // Nothing is overwritten, and a changed byte is found.
    let mut again = posted.firm.command(&["export", "--advisor", &posted.ada, "--reason", "again", "--out", "ada.zip"]);
    let again = again.output().unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("there already"));
    let mut altered = bytes;
    let at = altered.windows(5).position(|window| window == b"Bonds").unwrap();
    altered[at] = b'b';
    fs::write(posted.firm.dir().join("altered.zip"), altered).unwrap();
    assert_eq!(posted.verify("altered.zip", &vkey).0, 1);
    assert_eq!(posted.firm.ask(&["verify"])["sound"], true);
    assert_eq!(service.stop(), 0);

    // Also when nothing runs.
    let answer = posted.export(&["--advisor", &posted.bea, "--advisor", &posted.ada], "both.zip");
    assert_eq!((answer["complete"].as_array().unwrap().len(), &answer["records"]), (2, &json!(3)), "{answer}");
    assert_eq!(posted.verify("both.zip", &vkey).0, 0);
    let left: Vec<_> = fs::read_dir(posted.firm.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| Path::new(name).extension().is_some_and(|part| part == "part")), "{left:?}");
}

#[test]
fn what_is_withheld_is_in_no_byte_and_what_is_searched_for_is_what_is_there() {
    let origin = Origin::start();
    let (posted, service) = Posted::new(&origin);
    let hidden = format!("{}=attorney-client privilege", posted.record);
    let answer = posted.export(&["--advisor", &posted.ada, "--withhold", &hidden], "privileged.zip");
    let vkey = vkey_in(&answer);
    let (code, report) = posted.verify("privileged.zip", &vkey);
    assert_eq!((code, &report["verdict"]), (0, &json!("verified")), "{report:#}");
    let bytes = fs::read(posted.firm.dir().join("privileged.zip")).unwrap();
    assert!(!holds(&bytes, "counsel") && !holds(&bytes, "Our+counsel") && holds(&bytes, &posted.record));
    assert!(holds(&bytes, "attorney-client privilege") && holds(&bytes, "Bonds are bonds."));
    assert_eq!(
        (&answer["complete"], &answer["records"]),
        (&json!([posted.ada]), &json!(2)),
        "it is there, shown or not"
    );

    let answer = posted.export(&["--query", "guaranteeing"], "found.zip");
    assert_eq!((&answer["complete"], &answer["records"]), (&json!([]), &json!(1)), "{answer}");
    assert!(holds(&fs::read(posted.firm.dir().join("found.zip")).unwrap(), "Guaranteed to grow."));
    let (code, report) = posted.verify("found.zip", &vkey);
    assert_eq!((code, &report["provided"]), (0, &Value::Null), "{report:#}");

    let answer = posted.export(&["--record", &posted.record, "--withhold", "text=privilege"], "one.zip");
    assert_eq!(answer["records"], 1);
    assert_eq!(posted.verify("one.zip", &vkey).0, 0);
    let bytes = fs::read(posted.firm.dir().join("one.zip")).unwrap();
    for words in ["counsel says", "counsel+says", "counsel%20says"] {
        assert!(!holds(&bytes, words), "neither as it was read nor as it was sent: {words}");
    }
    assert!(holds(&bytes, "request.body"), "it is said that there are such bytes");

    for (wrong, says) in [
        (&["--record", &posted.ada][..], "there is no record"),
        (&["--record", &posted.record, "--from", "2026-01-01"], "goes with no other filter"),
        (&[], "say what is wanted"),
        (&["--advisor", &posted.ada, "--from", "2026-02-01", "--until", "2026-01-01"], "must be later"),
    ] {
        let mut command =
            posted.firm.command(&[&["export", "--reason", "a test", "--out", "wrong.zip"], wrong].concat());
        let done = command.output().unwrap();
        assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains(says), "{wrong:?} {done:?}");
        assert!(!posted.firm.dir().join("wrong.zip").exists());
    }
    assert_eq!(service.stop(), 0);
}
