//! What leaves the building: a bundle under a checkpoint that witnesses cosigned, held against the policy of whoever reads it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use muniment::bundle::{Check, Source, Trust, Verdict, verify_bundle, verify_bundle_with};
use muniment::capture::{Blobs, SystemEntropy};
use muniment::export::{Asked, Exported, Exporter};
use muniment::ledger::{Actor, Attestation, Checkpoint, CosigningKey, Note, Policy};
use muniment::record::Digest;
use muniment::witness::Feed;

use super::Home;
use super::feed::{Fed, url, witnessing};
use crate::support::archive::{TestArchive, master, signing};
use crate::support::submissions::{advisor, post};

/// What an export seals is small.
struct NoBlobs;

impl Blobs for NoBlobs {
    fn create(&self) -> io::Result<Box<dyn muniment::capture::BlobWriter>> {
        Err(io::Error::other("an export needs no blob"))
    }
}

async fn export(test: &TestArchive, feed: Option<Arc<Feed>>) -> (tempfile::TempDir, PathBuf, Exported) {
    for n in 0..3 {
        test.append(post(test, advisor(1), &format!("post {n}"))).await;
    }
    let asked = Asked {
        advisors: vec![advisor(1)],
        records: vec![],
        words: None,
        from: None,
        until: None,
        matter: None,
        purpose: "matter 2026-014".to_owned(),
        withhold: vec![],
        renditions: Vec::new(),
    };
    let (clock, ids) = (Arc::clone(&test.clock), Arc::clone(&test.ids));
    let exporter =
        Exporter::new(&test.archive, clock, ids, Arc::new(SystemEntropy), master(), Arc::new(NoBlobs), signing());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    let by = Actor::Service("test".try_into().unwrap());
    let exported = exporter.witnessed_by(feed).run(by, asked, &path, |_done, _of| {}).await.unwrap();
    (dir, path, exported)
}

fn quorum(path: &Path, policy: &str) -> (Verdict, Verdict) {
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let trust = Trust { policy: Some(&policy), ..Trust::default() };
    let report = verify_bundle_with(&Source::at(path), &trust).unwrap();
    (report.verdict.clone(), report.verdict_of(Check::Quorum).unwrap().clone())
}

fn file(path: &Path, name: &str) -> String {
    let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); sys.stdout.buffer.write(z.read([n for n in z.namelist() if n.endswith(sys.argv[2])][0]))";
    let read = Command::new("python3").args(["-c", script]).arg(path).arg(name).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    String::from_utf8(read.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_under_a_checkpoint_that_the_quorum_cosigned_and_its_reader_brings_the_policy() {
    let test = TestArchive::new().await;
    let home = Home::new("witness.example/w1", &[signing().verifying_key()]);
    let witness = home.start();
    let fed = Fed::new(&test, &witnessing(&[(&home.key, url(&witness))], "all"));
    let (dir, path, exported) = export(&test, Some(Arc::clone(&fed.feed))).await;
    assert_eq!((exported.witnessed, &exported.report.verdict), (Some(true), &Verdict::Verified));
    let own = file(&path, "proofs/policy.txt");
    assert_eq!(own, fed.feed.quorum().text);

    // Without a policy of the reader's own, nobody says that enough have cosigned: what is in the bundle is the firm's word.
    let report = verify_bundle(&Source::at(&path), &[signing().verifying_key().clone()]).unwrap();
    assert!(matches!(report.verdict_of(Check::Quorum), Some(Verdict::NotChecked { .. })));
    assert_eq!(quorum(&path, &own), (Verdict::Verified, Verdict::Verified));
    // Another witness, or another log.
    let other = CosigningKey::new("witness.example/w1", &[3; 32]).unwrap();
    let failed = Verdict::Failed { check: Check::Quorum };
    let log = signing().verifying_key().to_string();
    let wants = |key: &muniment::ledger::VerifyingKey, log: &str| format!("log {log}\nwitness w {key}\nquorum w\n");
    assert_eq!(quorum(&path, &wants(other.verifying_key(), &log)), (failed.clone(), failed.clone()));
    let stranger = muniment::ledger::SigningKey::new("other.example", &[4; 32]).unwrap().verifying_key().to_string();
    let (all_in_all, verdict) = quorum(&path, &wants(&home.key, &stranger));
    assert!(matches!(all_in_all, Verdict::Failed { .. }) && verdict == failed);

    // The program says the same.
    let ours = dir.path().join("policy.txt");
    std::fs::write(&ours, wants(&home.key, &log)).unwrap();
    let verified = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muniment-verify"));
        let ended = command.args(arguments).env_remove("MUNIMENT_VKEY").output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
    };
    let (bundle, policy) = (path.to_str().unwrap(), ours.to_str().unwrap());
    let (code, said) = verified(&["bundle", bundle, "--policy", policy]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("quorum        verified"), "{said}");
    std::fs::write(&ours, wants(other.verifying_key(), &log)).unwrap();
    assert_eq!(verified(&["bundle", bundle, "--policy", policy]).0, Some(1));
    std::fs::write(&ours, "nonsense\n").unwrap();
    assert_eq!(verified(&["bundle", bundle, "--policy", policy]).0, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_no_witness_vouches_for_in_time_is_made_and_says_so() {
    let test = TestArchive::new().await;
    let home = Home::new("witness.example/w1", &[signing().verifying_key()]);
    let mut settings = witnessing(&[(&home.key, "http://127.0.0.1:1".to_owned())], "all");
    settings.wait = Duration::from_secs(1);
    let fed = Fed::new(&test, &settings);
    let (_dir, path, exported) = export(&test, Some(Arc::clone(&fed.feed))).await;
    assert_eq!((exported.witnessed, &exported.report.verdict), (Some(false), &Verdict::Verified));
    assert_eq!(quorum(&path, &fed.feed.quorum().text).1, Verdict::Failed { check: Check::Quorum });
    let (_dir, path, exported) = export(&test, None).await;
    assert_eq!(exported.witnessed, None);
    assert!(verify_bundle(&Source::at(&path), &[signing().verifying_key().clone()]).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_complete_without_proviso_once_an_auditor_attests_that_no_stream_forks() {
    let test = TestArchive::new().await;
    let (_dir, path, _exported) = export(&test, None).await;
    let note = file(&path, "proofs/checkpoint");
    let checkpoint = Checkpoint::parse(Note::parse(note.as_bytes()).unwrap().text()).unwrap();
    let said = Attestation { origin: checkpoint.origin.clone(), size: checkpoint.size, root: checkpoint.root };
    let [auditor, stranger] = [1, 2].map(|n| CosigningKey::new("auditor.example", &[n; 32]).unwrap());
    let policy =
        format!("log {}\nwitness auditor {}\nquorum none\n", signing().verifying_key(), auditor.verifying_key());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let verified = |said: &Attestation, by: &CosigningKey| {
        let attestations = [("file".to_owned(), said.sign(by, 1_700_000_000).unwrap().to_string().into_bytes())];
        let trust = Trust { policy: Some(&policy), attestations: &attestations, ..Trust::default() };
        verify_bundle_with(&Source::at(&path), &trust).unwrap()
    };
    let report = verified(&said, &auditor);
    assert_eq!(report.verdict, Verdict::Verified);
    assert_eq!(report.attested_by, ["auditor.example"]);
    let words = format!("complete; no stream forks up to size {} attested by auditor.example", checkpoint.size);
    assert_eq!(report.provided, Some(words));
    for (said, by, check) in [
        (said.clone(), &stranger, Check::Range),
        (Attestation { size: said.size + 1, ..said.clone() }, &auditor, Check::Range),
        (Attestation { origin: "other.example".into(), ..said.clone() }, &auditor, Check::Range),
        (Attestation { root: Digest([1; 32]), ..said.clone() }, &auditor, Check::Checkpoint),
    ] {
        let report = verified(&said, by);
        assert_eq!(report.verdict_of(check), Some(&Verdict::Failed { check }), "{said:?}");
        assert!(report.attested_by.is_empty() && report.provided.is_none(), "nothing is called complete");
    }
}
