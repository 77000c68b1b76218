//! `muniment dispose` and `muniment retention` as an operator types them, against an archive whose records are old.

use std::time::Duration;

use muniment::ledger::EntryType;
use muniment::record::{Clock as _, FieldName};
use sqlx::postgres::PgConnectOptions;

use super::dispose::{YEAR, post};
use crate::cli::Cli;
use crate::support::archive::{ORIGIN, TestArchive};
use crate::support::postgres::{Alone, Server};
use crate::support::sound::assert_sound;
use crate::support::submissions::advisor;

fn url(options: &PgConnectOptions) -> String {
    let socket = options.get_socket().unwrap().display().to_string().replace('/', "%2F");
    format!(
        "postgres://{}@{socket}:{}/{}?sslmode=disable",
        options.get_username(),
        options.get_port(),
        options.get_database().unwrap()
    )
}

/// An archive on a server of its own, which keeps what it acknowledges: commands insist on that. Dropped last to first.
pub(super) struct Old {
    pub(super) test: TestArchive,
    _server: Alone,
    _dir: tempfile::TempDir,
}

impl Old {
    pub(super) async fn new(by: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (server, database) = Server::durable(&dir.path().join("server")).await;
        Self { test: TestArchive::ago_on(database, by).await, _server: server, _dir: dir }
    }
}

/// Commands on the archive of a test: its database, its keys, its files.
pub(super) fn commands(test: &TestArchive, more: &str) -> Cli {
    let cli = Cli::new()
        .with("DATABASE_URL", &url(&test.database.service()))
        .with("MUNIMENT_OWNER_URL", &url(&test.database.owner()))
        .with("MUNIMENT_MASTER_KEY", &"07".repeat(32));
    let blobs = test.dir.path().join("blobs");
    let settings = format!(
        "data_dir = \"data\"\n[firm]\nlog_origin = \"{ORIGIN}\"\n[archive]\nblobs = \"{}\"\n{more}",
        blobs.display()
    );
    cli.settings(&settings);
    // The checkpoint of this archive is signed with the key of test archives.
    std::fs::create_dir(cli.dir().join("data")).unwrap();
    cli
}

const CONFIG: [&str; 2] = ["--config", "muniment.toml"];

pub(super) fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&CONFIG, arguments].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_dispose_shows_first_and_acts_once_it_is_confirmed_with_who_and_why_on_record() {
    let old = Old::new(7 * YEAR).await;
    let test = &old.test;
    for number in 0..3 {
        post(test, 1 + number % 2, "xyzzy must go").await;
    }
    test.clock.step_forward(7 * YEAR);
    post(test, 1, "plugh must stay").await;
    let cli = commands(test, "[backup]\nretention = \"10d\"\n");

    let shown = cli.run(&with(&["--json", "dispose"])).json();
    assert_eq!((&shown["confirmed"], &shown["due"], &shown["disposed"]), (&false.into(), &3.into(), &0.into()));
    let rule = shown["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "finra_2210").unwrap();
    assert_eq!((&rule["due"], rule["cites"].as_str().unwrap().contains("2210")), (&3.into(), true));
    assert_eq!(shown["advisors"][0]["advisor"], advisor(1).to_string());
    assert_eq!(
        (&shown["advisors"][0]["due"], &shown["too_young"].as_u64().is_some_and(|young| young >= 1)),
        (&2.into(), &true)
    );
    let text = cli.run(&with(&["dispose"])).stdout;
    assert!(text.contains("3 records may go, 0 are held") && text.contains("nothing was disposed of"), "{text}");

    let refused = cli.run(&with(&["dispose", "--confirm"]));
    assert_eq!((refused.code, refused.stderr.contains("--reason")), (2, true), "{refused:?}");
    let done = cli.run(&with(&["--json", "dispose", "--confirm", "--reason", "yearly disposal"])).json();
    assert_eq!((&done["disposed"], &done["backups_expire_in_days"]), (&3.into(), &10.into()));
    let again = cli.run(&with(&["--json", "dispose", "--confirm", "--reason", "yearly disposal"])).json();
    assert_eq!((&again["due"], &again["disposed"]), (&0.into(), &0.into()));

    let entries = assert_sound(test).await;
    let of = |operation: &str| {
        entries
            .iter()
            .filter(|entry| entry.detail().get("operation").is_some_and(|said| said == operation))
            .collect::<Vec<_>>()
    };
    let disposal = entries.iter().find(|entry| entry.entry_type() == EntryType::Disposal).unwrap();
    assert_eq!(disposal.actor().to_string(), "service:command");
    let asked = of("records.dispose");
    assert_eq!((asked.len(), of("records.due").len()), (2, 2));
    assert!(asked[0].index() < disposal.index(), "who asked and why comes first");
    let content = test.archive.content(asked[0]).await.unwrap().unwrap();
    assert_eq!(content.text(FieldName::PURPOSE.as_str()), Some("yearly disposal"));
    let in_force =
        entries.iter().find(|entry| entry.detail().get("change").is_some_and(|said| said == "in_force")).unwrap();
    assert!(in_force.index() < disposal.index(), "and by which schedule");
    let content = test.archive.content(in_force).await.unwrap().unwrap();
    let said: serde_json::Value = serde_json::from_str(content.text(FieldName::SETTINGS.as_str()).unwrap()).unwrap();
    assert_eq!(said["retention"]["in_force"]["default"]["name"], "finra_4511");
    assert_eq!(said["backup"]["retention"], "10d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_floor_is_shown_and_set_by_its_owner_and_that_is_on_record() {
    let old = Old::new(4 * YEAR).await;
    let test = &old.test;
    post(test, 1, "old").await;
    test.clock.step_forward(4 * YEAR);
    let cli = commands(test, "[retention]\nschedule = \"three.toml\"\n");
    let class = "cites = \"SEA 17a-4(b)(4)\"\nkeep = \"3 years\"\nfrom = \"last_entry\"\n";
    std::fs::write(
        cli.dir().join("three.toml"),
        format!("fiscal_year_end = \"12-31\"\n[default]\nname = \"three\"\n{class}"),
    )
    .unwrap();
    let shown = cli.run(&with(&["--json", "dispose"])).json();
    assert_eq!((&shown["due"], &shown["under_floor"], &shown["floor"]), (&0.into(), &1.into(), &"6 years".into()));
    let text = cli.run(&with(&["dispose"])).stdout;
    assert!(text.contains("1 more are kept by the archive's own floor of 6 years"), "{text}");
    assert_eq!(cli.run(&with(&["--json", "retention", "floor"])).json()["floor"], "6 years");
    let refused = cli.run(&with(&["retention", "floor", "3 years"]));
    assert_eq!((refused.code, refused.stderr.contains("--reason")), (2, true), "{refused:?}");
    let set = cli.run(&with(&["--json", "retention", "floor", "3 years", "--reason", "counsel says so"])).json();
    assert_eq!((&set["floor"], &set["before"]), (&"3 years".into(), &"6 years".into()));
    assert_eq!(cli.run(&with(&["--json", "dispose"])).json()["due"], 1);
    let entries = assert_sound(test).await;
    let changed = entries
        .iter()
        .find(|entry| entry.detail().get("change").is_some_and(|said| said == "retention_floor"))
        .unwrap();
    let content = test.archive.content(changed).await.unwrap().unwrap();
    assert_eq!(content.text(FieldName::REASON.as_str()), Some("counsel says so"));
    assert!(test.clock.now() > changed.at());
}

#[test]
fn a_schedule_that_cannot_be_meant_is_refused_with_its_line() {
    let cli = Cli::new();
    cli.settings("data_dir = \"data\"\n[retention]\nschedule = \"retention.toml\"\n");
    let missing = cli.run(&with(&["check-config"]));
    assert!(missing.code == 1 && missing.stderr.contains("retention.toml cannot be read"), "{missing:?}");
    let good = include_str!("../../../config/retention.toml");
    std::fs::write(cli.dir().join("retention.toml"), good.replace("\"6 years\"", "\"6 winters\"")).unwrap();
    let line = 1 + good.lines().position(|line| line == "keep = \"6 years\"").unwrap();
    let wrong = cli.run(&with(&["check-config"]));
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let said = format!("retention.toml:{line}: `keep` is \"6 winters\": write a length");
    assert!(wrong.stderr.contains(&said) && wrong.stderr.contains("hint: config/retention.toml"), "{wrong:?}");
    std::fs::write(cli.dir().join("retention.toml"), good).unwrap();
    let right = cli.run(&with(&["check-config"]));
    assert!(right.code == 0 && right.stdout.contains("#   finra_4511: 6 years from last_entry"), "{right:?}");
    let json = cli.run(&with(&["--json", "check-config"])).json();
    assert_eq!(json["retention"]["default"]["keep"], "6 years");
}
