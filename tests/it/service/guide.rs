//! What the operator guide shows for a server of one's own and for backups, pasted: set up, kept, dumped, restored elsewhere, gone on.
//!
//! The `console` blocks are run as they stand, but for the names of hosts and directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use tempfile::TempDir;

use super::{Device, Firm, Origin, Service, TOKEN, eventually, free_port};
use crate::docs::fences;
use crate::support::postgres::{Alone, Server};

/// A machine with a Postgres server, and with what the guide's names stand for there.
struct Site {
    firm: Firm,
    port: u16,
    /// The guide's, as they are run here.
    blocks: Vec<String>,
    _server: Alone,
    _dir: TempDir,
}

impl Site {
    /// `host` is what the guide calls the server; backups are in `kept`.
    fn new(origin: &Origin, host: &str, kept: &Path) -> Self {
        let (firm, dir, port) = (Firm::new(origin, ""), tempfile::tempdir().unwrap(), free_port());
        let server = Server::alone(&dir.path().join("server"), port);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let guide = fs::read_to_string(root.join("docs/operator-guide.md")).unwrap();
        let [roles] = <[String; 1]>::try_from(fences(&guide, "sql")).unwrap();
        fs::write(firm.dir().join("roles.sql"), roles).unwrap();
        let here = |block: String| {
            block
                .replace(&format!("@{host}/"), &format!("@127.0.0.1:{port}/"))
                .replace("/var/lib/muniment/", &format!("{}/", firm.data().display()))
                .replace("/etc/muniment/", &format!("{}/", firm.dir().display()))
                .replace("/backup/", &format!("{}/", kept.join("backup").display()))
                .replace("/safe/", &format!("{}/", kept.join("safe").display()))
        };
        let blocks = fences(&guide, "console").into_iter().map(here).collect();
        Self { firm, port, blocks, _server: server, _dir: dir }
    }

    fn block(&self, with: &str) -> &str {
        let mut found = self.blocks.iter().filter(|block| block.contains(with));
        let block = found.next().unwrap_or_else(|| panic!("no block with `{with}`"));
        assert!(found.next().is_none(), "more than one block with `{with}`");
        block
    }

    /// Runs the lines of a block, but for the one that serves.
    fn paste(&self, with: &str) -> Output {
        let lines = self.block(with).lines().filter(|line| !line.starts_with("muniment serve"));
        let script = lines.collect::<Vec<_>>().join("\n");
        let output = self.firm.shell(&script).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// A last line, in the environment that a block has set.
    fn then(&self, with: &str, line: &str) -> String {
        let exports = self.block(with).lines().filter(|line| line.starts_with("export "));
        exports.chain([line]).collect::<Vec<_>>().join("\n")
    }

    /// Runs a command in the environment that a block has set.
    fn ask(&self, with: &str, line: &str) -> Output {
        self.firm.shell(&self.then(with, line)).output().unwrap()
    }

    /// What the line that serves starts.
    fn serve(&self, with: &str) -> Service {
        let line = self.block(with).lines().find(|line| line.starts_with("muniment serve")).unwrap();
        self.firm.ready(Service::spawn(self.firm.shell(&self.then(with, &format!("exec {line}")))))
    }

    fn json(&self, with: &str, line: &str) -> serde_json::Value {
        let output = self.ask(with, line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Posts through the proxy, in a body of at least this size; the root is that of the guide's firm.
fn post(firm: &Firm, device: &Device, root: &Path, origin: &Origin, words: &str, size: usize) {
    let proxy = format!("http://{}:{}@127.0.0.1:{}", device.id, device.secret, firm.proxy);
    let curl = super::Curl::new().option("--proxy", &proxy).option("--cacert", root.to_str().unwrap());
    // From a file: it may be more than a command line takes.
    let body = firm.dir().join("body.json");
    fs::write(&body, json!({ "status": words, "padding": "x".repeat(size) }).to_string()).unwrap();
    let curl = curl.header("authorization", &format!("Bearer {TOKEN}")).header("content-type", "application/json");
    let curl = curl.option("--data-binary", &format!("@{}", body.display()));
    curl.send(&origin.url("/api/v1/statuses")).unwrap().json(200);
}

fn found(firm: &Firm, token: &str, word: &str) -> usize {
    let officer = firm.officer(token).header("muniment-purpose", "after the restore");
    let page = officer.get(&firm.api(&format!("/v1/records?text={word}"))).unwrap().json(200);
    page["records"].as_array().unwrap().len()
}

/// Rows alone, into a database that was migrated: refused, and nothing of it stays.
fn assert_rows_alone_are_refused(site: &Site) {
    let server = format!("127.0.0.1:{}", site.port);
    let script = format!(
        "psql -q -c 'create database other owner muniment_owner' postgres://postgres@{server}/postgres
         export MUNIMENT_OWNER_URL=postgres://muniment_owner@{server}/other DATABASE_URL=postgres://muniment_serve@{server}/other
         muniment migrate
         pg_dump --data-only --format=custom --schema=ledger --schema=content --file=rows.dump postgres://postgres@{server}/muniment
         ! pg_restore --data-only --exit-on-error --single-transaction --dbname=$MUNIMENT_OWNER_URL rows.dump
         test \"$(psql -qAt -c 'select count(*) from ledger.entries' $MUNIMENT_OWNER_URL)\" = 0"
    );
    let output = site.firm.shell(&script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("duplicate key value"), "{errors}");
}

const SET_UP: &str = "muniment migrate\nmuniment serve";
const DUMP: &str = "pg_dump";
const KEYS: &str = "master.key";
const RESTORE: &str = "pg_restore";

#[test]
fn a_backup_restored_into_a_new_server_as_the_guide_says_is_sound_and_goes_on() {
    let origin = Origin::start();
    let kept = tempfile::tempdir().unwrap();
    for name in ["backup", "safe"] {
        fs::create_dir(kept.path().join(name)).unwrap();
    }
    let old = Site::new(&origin, "db", kept.path());
    old.paste(SET_UP);
    let service = old.serve(SET_UP);
    let advisor = old.json(SET_UP, "muniment --json advisor add Ada");
    let line = format!("muniment --json device add --advisor {} laptop", advisor["id"].as_str().unwrap());
    let device = old.json(SET_UP, &line);
    let device = Device { id: super::text(&device, "id"), secret: super::text(&device, "secret") };
    let officer = old.json(SET_UP, "muniment --json officer add Olga --role compliance");
    let token = super::text(&officer, "token");
    let root: PathBuf = old.firm.dir().join("root.pem");
    assert!(old.ask(SET_UP, "muniment ca export --out root.pem").status.success());
    post(&old.firm, &device, &root, &origin, "walrus", 0);
    // Large enough for a file of its own.
    post(&old.firm, &device, &root, &origin, "narwhal", 600_000);
    eventually(|| (found(&old.firm, &token, "narwhal") == 1).then_some(()));
    eventually(|| old.firm.data().join("checkpoint").exists().then_some(()));

    old.paste(KEYS);
    old.paste(DUMP);
    let blobs = fs::read_dir(kept.path().join("backup/blobs")).unwrap().count();
    assert!(blobs > 0, "the large one is in a file");
    post(&old.firm, &device, &root, &origin, "after the backup", 0);
    let checkpoint = kept.path().join("later");
    assert!(old.ask(SET_UP, &format!("muniment checkpoint > {}", checkpoint.display())).status.success());
    assert_eq!(service.stop(), 0);

    let new = Site::new(&origin, "new", kept.path());
    fs::create_dir(new.firm.data()).unwrap();
    let said = new.paste(RESTORE);
    assert!(String::from_utf8_lossy(&said.stdout).contains("the archive is sound"), "{said:?}");
    // Lists are there before anything serves.
    let devices = new.json(RESTORE, "muniment --json device list");
    assert_eq!(devices["devices"][0]["id"], device.id.as_str(), "{devices}");
    // What was kept elsewhere shows that entries are missing.
    let against = new.ask(RESTORE, &format!("muniment verify --against {}", checkpoint.display()));
    assert!(!against.status.success(), "{against:?}");

    let service = new.serve(RESTORE);
    eventually(|| (found(&new.firm, &token, "walrus") == 1).then_some(()));
    assert_eq!(found(&new.firm, &token, "narwhal"), 1);
    assert_eq!(found(&new.firm, &token, "backup"), 0);
    post(&new.firm, &device, &root, &origin, "ocelot", 0);
    eventually(|| (found(&new.firm, &token, "ocelot") == 1).then_some(()));
    assert_eq!(service.stop(), 0);
    let before = kept.path().join("backup/checkpoint");
    let verified = new.ask(RESTORE, &format!("muniment verify --against {}", before.display()));
    assert!(verified.status.success(), "{verified:?}");
    assert!(String::from_utf8_lossy(&verified.stdout).contains("the archive is sound"), "{verified:?}");
    assert_rows_alone_are_refused(&new);
}

#[test]
fn one_machine_is_put_back_from_a_copy_of_its_directory() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada"), "laptop");
    let token = firm.add_officer("Olga", "compliance");
    let root = firm.root();
    post(&firm, &device, &root, &origin, "walrus", 0);
    assert_eq!(service.stop(), 0);
    let script = "cp -a data copy; mv data lost; cp -a copy data";
    assert!(firm.shell(script).status().unwrap().success());
    let service = firm.serve();
    post(&firm, &device, &root, &origin, "ocelot", 0);
    for word in ["walrus", "ocelot"] {
        eventually(|| (found(&firm, &token, word) == 1).then_some(()));
    }
    assert_eq!(firm.ask(&["verify"])["sound"], true);
    assert_eq!(service.stop(), 0);
}
