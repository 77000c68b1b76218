//! `muniment keys rotate-master`, killed at any moment: at each of them everything that was kept can be opened by the keys that are there.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use muniment::archive::{Archive, Options};
use muniment::record::MasterKey;

use super::command::{commands, with};
use crate::cli::Cli;
use crate::support::archive::{TestArchive, master, options};
use crate::support::large::{Firm, fill};
use crate::support::postgres::Server;

/// The key of test archives in the default file, and not in the environment.
fn with_key_file(test: &TestArchive) -> Cli {
    let cli = commands(test, "").without("MUNIMENT_MASTER_KEY");
    let path = cli.dir().join("data/master.key");
    std::fs::write(&path, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    cli
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_killed_at_any_moment_loses_no_key_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, database) = Server::durable(&dir.path().join("server")).await;
    let firm = Firm { advisors: 3, ..Firm::large(6_000) };
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    let cli = with_key_file(&test);
    let rotate = with(&["--json", "keys", "rotate-master", "--reason", "killed on its way"]);
    let mut killed = 0;
    // From before it has read its settings to after the last key, whether the machine is quiet or busy.
    for trial in 0..12_u64 {
        let mut child = cli.command(&rotate).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(60 + trial * 30)).await;
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        // SIGKILL, wherever it is.
        let _ended = child.kill();
        child.wait().unwrap();
        let keys = cli.run(&with(&["--json", "keys", "list"])).json();
        let keys = keys["keys"].as_array().unwrap();
        assert!(keys.len() <= 2 && keys.iter().all(|key| key["state"] != "missing"), "{keys:?}");
    }
    assert!(killed >= 2, "only {killed} were killed on their way");
    let done = cli.run(&rotate).json();
    assert_eq!((&done["left"], &done["unopened"]), (&0.into(), &0.into()), "{done}");
    let retired = cli.run(&with(&["--json", "keys", "retire", "--restarted", "--reason", "through"])).json();
    assert_eq!(retired["retired"].as_array().unwrap().len(), 1, "however often it was begun: {retired}");

    let text = std::fs::read_to_string(cli.dir().join("data/master.key")).unwrap();
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut key).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let options = options(test.database.service(), elsewhere.path(), &test.clock, &test.ids);
    let blobs = test.dir.path().join("blobs");
    let archive = Archive::open(Options { master: MasterKey::new(key), blobs, ..options }).await.unwrap();
    for number in (0..firm.records).step_by(97) {
        let record = firm.spec(number).record;
        assert!(archive.record_key(record).await.unwrap().is_some(), "record {number}");
        assert!(test.archive.record_key(record).await.is_err(), "the old key opens nothing");
    }
    archive.close().await;
    // Every content opens, and is what its entry commits to.
    assert_eq!(cli.run(&with(&["--json", "verify"])).json()["sound"], true);
}
