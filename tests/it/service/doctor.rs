//! `muniment doctor`, with each fault put in its way for real: what it says, and how it exits.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use muniment::proxy::intercept::authority::{Authority, Setup};
use muniment::record::{Clock, MasterKey, Timestamp};
use serde_json::Value;

use super::{Firm, HOST, Origin, free_port};
use crate::promises::power::{Freezer, psql};
use crate::support::postgres::Database;

/// What it says of one thing, and the exit code.
struct Told(Value, i32);

impl Told {
    fn by(firm: &Firm, environment: &[(&str, &str)]) -> Self {
        let mut command = firm.command(&["--json", "doctor"]);
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        let value = serde_json::from_slice(&output.stdout);
        Self(value.unwrap_or_else(|error| panic!("{error}: {output:?}")), output.status.code().unwrap())
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.0["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("nothing about {name}: {}", self.0))
    }

    #[track_caller]
    fn says(&self, name: &str, state: &str, words: &str) {
        let check = self.check(name);
        assert_eq!(check["state"], state, "{check}");
        assert!(check.to_string().contains(words), "{check}");
        assert_eq!(check["hint"].is_string(), state != "ok", "what is not in order comes with what to do: {check}");
    }
}

fn firm() -> (Origin, Firm) {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    (origin, firm)
}

#[test]
fn before_the_first_start_nothing_is_wrong_and_looking_makes_nothing() {
    let (_origin, firm) = firm();
    let told = Told::by(&firm, &[]);
    for name in
        ["database", "ca", "spool", "recognition workers", "port proxy.listen", "port api.listen", "network rules"]
    {
        told.says(name, "ok", "");
    }
    assert_eq!(told.1, 0, "{}", told.0);
    assert!(!firm.data().exists(), "looking made something");
    let output = firm.command(&["doctor"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok       recognition workers") && text.contains("`muniment serve`"), "{text}");
}

#[test]
fn a_running_service_is_asked_and_a_stopped_one_is_not_started() {
    let (_origin, firm) = firm();
    let service = firm.serve();
    let told = Told::by(&firm, &[]);
    told.says("port proxy.listen", "ok", "answers");
    told.says("port api.listen", "ok", "answers");
    told.says("database", "ok", "entries");
    told.says("database roles", "ok", "change or remove nothing");
    told.says("clock and database", "ok", "the database's");
    told.says("ca root", "ok", "sha256");
    told.says("ca issuing", "ok", "until");
    told.says("ca hosts", "ok", "permitted");
    told.says("spool", "ok", "empty");
    assert_eq!(told.1, 0, "{}", told.0);
    assert_eq!(service.stop(), 0);
    let told = Told::by(&firm, &[]);
    told.says("database", "ok", "stopped");
    told.says("port proxy.listen", "ok", "free");
    assert_eq!(crate::promises::power::postmaster(&firm.data()), None, "looking started nothing");
}

#[test]
fn a_role_that_may_change_what_was_kept_is_wrong() {
    let (_origin, firm) = firm();
    let service = firm.serve();
    psql(&firm.data(), "grant update, delete on ledger.entries to muniment_append");
    let told = Told::by(&firm, &[]);
    told.says("database roles", "wrong", "muniment_append may delete ledger.entries");
    assert_eq!((told.1, &told.0["state"]), (3, &"wrong".into()));
    psql(
        &firm.data(),
        "revoke update, delete on ledger.entries from muniment_append; grant update (body) on ledger.entries to muniment_project",
    );
    Told::by(&firm, &[]).says("database roles", "wrong", "muniment_project may update ledger.entries");
    assert_eq!(service.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_database_that_is_away_not_migrated_or_used_as_its_owner_is_wrong() {
    let (_origin, firm) = firm();
    let database = Database::bare().await;
    let url = |user: &str, database: &Database| {
        let socket = database.server().socket().parent().unwrap().display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{socket}/{}", database.name())
    };
    let told = Told::by(&firm, &[("DATABASE_URL", &url("postgres", &database))]);
    told.says("database", "wrong", "muniment migrate");
    assert_eq!(told.1, 3);
    let migrated = Database::fresh().await;
    let told = Told::by(&firm, &[("DATABASE_URL", &url("postgres", &migrated))]);
    told.says("database roles", "wrong", "postgres may delete content.keys");
    // The throw-away server of tests is not durable, and doctor sees that.
    told.says("database durability", "wrong", "fsync = off");
    let told = Told::by(&firm, &[("DATABASE_URL", &url("muniment_service", &migrated))]);
    told.says("database roles", "ok", "");
    let nowhere = format!("postgres://someone@127.0.0.1:{}/nothing", free_port());
    let told = Told::by(&firm, &[("DATABASE_URL", &nowhere)]);
    told.says("database", "wrong", "archive.url");
    assert!(!told.0.to_string().contains("someone"), "{}", told.0);
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A CA in the firm's data directory that was made so many days ago, and last looked after then.
fn old_authority(firm: &Firm, days: i64, hosts: &[&str]) {
    std::fs::create_dir_all(firm.data()).unwrap();
    let key = firm.data().join("master.key");
    std::fs::write(&key, hex::encode([5; 32])).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let then = muniment::app::SystemClock.now().unix_micros() - days * 24 * 3600 * 1_000_000;
    let setup = Setup {
        dir: firm.data().join("ca"),
        firm: "The firm".to_owned(),
        master: MasterKey::new([5; 32]),
        passphrase: None,
        clock: Arc::new(At(Timestamp::from_unix_micros(then).unwrap())),
    };
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    Authority::open_or_create(setup).unwrap().refresh(&hosts).unwrap();
}

#[test]
fn certificates_that_have_ended_are_said_with_what_to_do_and_who_can() {
    let (_origin, firm) = firm();
    old_authority(&firm, 30, &[HOST]);
    // The root key is here: serve makes the next one by itself.
    let told = Told::by(&firm, &[]);
    told.says("ca issuing", "warning", "muniment serve");
    told.says("ca root", "ok", "The firm");
    told.says("ca hosts", "warning", "not permitted");
    assert_eq!(told.1, 0, "warnings do not fail: {}", told.0);
    std::fs::rename(firm.data().join("ca/root.key"), firm.dir().join("offline.key")).unwrap();
    let told = Told::by(&firm, &[]);
    told.says("ca issuing", "wrong", "bring ca/root.key back");
    told.says("ca root key", "ok", "elsewhere");
    assert_eq!(told.1, 3);

    let (_origin, firm) = self::firm();
    old_authority(&firm, 20 * 366, &[HOST]);
    Told::by(&firm, &[]).says("ca root", "wrong", "no device believes it");
    std::fs::write(firm.data().join("master.key"), hex::encode([6; 32])).unwrap();
    Told::by(&firm, &[]).says("ca root key", "warning", "ca/root.key");
}

#[test]
fn what_waits_in_the_spool_and_a_database_that_stands_still_are_said() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "[archive]\nappend_timeout = \"1s\"");
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {}", super::TOKEN));
    // A device that proves itself while the database is there is believed while it is away.
    curl.get(&origin.url("/api/v1/instance")).unwrap().json(200);
    let freezer = Freezer::freeze(&firm.data());
    let said = curl.json(&serde_json::json!({ "status": "spooled" })).send(&origin.url("/api/v1/statuses"));
    said.unwrap().json(200);
    let told = Told::by(&firm, &[]);
    told.says("spool", "warning", "wait");
    told.says("database", "wrong", "");
    drop(freezer);
    super::eventually(|| (Told::by(&firm, &[]).check("spool")["state"] == "ok").then_some(()));
    service.signal("TERM");
    assert_eq!(service.wait(), 0);
}

#[test]
fn a_port_held_by_something_else_and_no_place_to_start_a_worker_in_are_wrong() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let held = std::net::TcpListener::bind(("127.0.0.1", firm.api)).unwrap();
    let answering = std::thread::spawn(move || {
        // Whoever asks is told something that muniment would not say.
        let (mut stream, _peer) = held.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"220 mail.example ESMTP\r\n").unwrap();
    });
    let told = Told::by(&firm, &[("TMPDIR", "/nowhere")]);
    answering.join().unwrap();
    told.says("port api.listen", "wrong", "ss -ltnp");
    told.says("port proxy.listen", "ok", "free");
    told.says("recognition workers", "wrong", "TMPDIR");
    assert_eq!(told.1, 3);
}
