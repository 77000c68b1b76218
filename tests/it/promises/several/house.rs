//! A house with several proxies on one Postgres, set up as the operator guide says: each with a data directory and a line to the database
//! of its own, which can be cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::docs::fences;
use crate::service::{Curl, Device, Firm, Origin, Service, TOKEN, free_port};
use crate::support::postgres::{Alone, Server};
use crate::support::relay::Relay;

/// Longest until the archive has caught up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One proxy.
pub(super) struct Node {
    pub(super) firm: Firm,
    pub(super) line: Relay,
    pub(super) service: Option<Service>,
}

/// All of them. Fields are dropped in order: proxies before the server.
pub(super) struct House {
    pub(super) origin: Origin,
    pub(super) nodes: Vec<Node>,
    port: u16,
    _server: Alone,
    _dir: TempDir,
    _lines: tokio::runtime::Runtime,
}

/// What the archive has of one text.
pub(super) struct Kept {
    pub(super) outcome: Option<String>,
    pub(super) source: String,
}

impl House {
    /// Sets it up and starts every proxy. `when_unavailable` takes the place of what the guide recommends.
    pub(super) fn start(count: usize, when_unavailable: &str, more: &str) -> Self {
        let (origin, dir, port) = (Origin::start(), tempfile::tempdir().unwrap(), free_port());
        let server = Server::alone(&dir.path().join("server"), port);
        let lines = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator-guide.md");
        let guide = std::fs::read_to_string(guide).unwrap();
        let [shared] = <[String; 1]>::try_from(fences(&guide, "toml")).unwrap();
        let blobs = dir.path().join("blobs");
        let settings = |line: &Relay| {
            let shared = shared.replace("@db/", &format!("@127.0.0.1:{}/", line.port()));
            let shared = shared.replace("/mnt/blobs", blobs.to_str().unwrap());
            format!(
                "{}append_timeout = \"2s\"\n{more}",
                shared.replace("\"refuse\"", &format!("\"{when_unavailable}\""))
            )
        };
        let node = |_number| {
            let line = lines.block_on(Relay::to(server.socket(port)));
            Node { firm: Firm::new(&origin, &settings(&line)), line, service: None }
        };
        let nodes = (0..count).map(node).collect();
        let mut house = Self { origin, nodes, port, _server: server, _dir: dir, _lines: lines };
        house.set_up(&guide);
        for number in 0..count {
            house.serve(number);
        }
        house
    }

    /// As the guide says: roles and tables once, keys to everybody.
    fn set_up(&self, guide: &str) {
        let first = &self.nodes[0].firm;
        let safe = first.dir().join("safe");
        std::fs::create_dir(&safe).unwrap();
        std::fs::write(first.dir().join("roles.sql"), &fences(guide, "sql")[0]).unwrap();
        let server = format!("127.0.0.1:{}", self.port);
        let script = format!(
            "psql -q -v ON_ERROR_STOP=1 -f roles.sql postgres://postgres@{server}/postgres
             export MUNIMENT_OWNER_URL=postgres://muniment_owner@{server}/muniment
             muniment migrate
             muniment ca export --out root.pem"
        );
        run(first.shell(&script));
        let block = |with: &str| {
            let mut found = fences(guide, "console").into_iter().filter(|block| block.contains(with));
            let block = found.next().unwrap_or_else(|| panic!("no block with `{with}`"));
            // Proxies are started one by one, and watched.
            block.lines().filter(|line| !line.starts_with("muniment serve")).collect::<Vec<_>>().join("\n")
        };
        let here = |firm: &Firm, block: &str| {
            let block = block.replace("/var/lib/muniment", firm.data().to_str().unwrap());
            let block = block.replace("/etc/muniment", firm.dir().to_str().unwrap());
            run(firm.shell(&block.replace("/safe/", &format!("{}/", safe.display()))));
        };
        here(first, &block("master.key"));
        for node in self.nodes.iter().skip(1) {
            here(&node.firm, &block("install -d"));
        }
    }

    pub(super) fn serve(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.service = Some(node.firm.serve());
    }

    /// kill -9, and gone.
    pub(super) fn kill(&mut self, number: usize) {
        if let Some(mut service) = self.nodes[number].service.take() {
            service.signal("KILL");
            service.wait();
        }
    }

    /// Every proxy ends well.
    pub(super) fn stop(&mut self) {
        for node in &mut self.nodes {
            assert_eq!(node.service.take().map(Service::stop), Some(0));
        }
    }

    /// The rows that the superuser's `psql` prints.
    pub(super) fn rows(&self, query: &str) -> Vec<String> {
        let url = format!("postgres://postgres@127.0.0.1:{}/muniment", self.port);
        let output = Command::new("psql").args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", query, &url]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    pub(super) fn one(&self, query: &str) -> String {
        self.rows(query).into_iter().next().unwrap_or_default()
    }

    /// Makes the projections again, as the owner.
    pub(super) fn rebuild(&self) {
        let owner = format!("postgres://muniment_owner@127.0.0.1:{}/muniment", self.port);
        run(self.nodes[0].firm.shell(&format!("MUNIMENT_OWNER_URL={owner} muniment rebuild")));
    }

    /// The source id of a proxy.
    pub(super) fn source(&self, number: usize) -> String {
        std::fs::read_to_string(self.nodes[number].firm.data().join("source")).unwrap().trim().to_owned()
    }

    /// A device as curl, through this proxy.
    pub(super) fn device(&self, number: usize, device: &Device) -> Curl {
        let root = self.nodes[0].firm.dir().join("root.pem");
        Curl::new()
            .option(
                "--proxy",
                &format!("http://{}:{}@127.0.0.1:{}", device.id, device.secret, self.nodes[number].firm.proxy),
            )
            .option("--cacert", root.to_str().unwrap())
            .header("authorization", &format!("Bearer {TOKEN}"))
    }

    /// Everything that was said, by text. Waits until all that is wanted is there and closed.
    pub(super) fn kept(&self, wanted: &[String]) -> BTreeMap<String, Vec<Kept>> {
        let query = "select coalesce(r.state, ''), r.source, c.text from projection.records r \
                     join projection.communications c using (record) where r.type = 'capture' and c.text is not null";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut found: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
            for row in self.rows(query) {
                let [outcome, source, text] = row.splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
                let outcome = Some(outcome.to_owned()).filter(|outcome| !outcome.is_empty());
                found.entry(text.to_owned()).or_default().push(Kept { outcome, source: source.to_owned() });
            }
            let closed = found.values().flatten().all(|kept| kept.outcome.is_some());
            if closed && wanted.iter().all(|text| found.contains_key(text)) || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Everything the network accepted is kept once and closed; what is kept at all is closed.
    pub(super) fn assert_kept(&self) -> BTreeMap<String, Vec<Kept>> {
        let accepted: Vec<String> = self.origin.statuses().into_iter().map(|status| status.text).collect();
        let kept = self.kept(&accepted);
        let missing: Vec<&String> = accepted.iter().filter(|text| !kept.contains_key(*text)).collect();
        assert!(missing.is_empty(), "{} of {} accepted are not archived: {missing:?}", missing.len(), accepted.len());
        let twice: Vec<&String> = kept.iter().filter(|(_text, kept)| kept.len() != 1).map(|(text, _)| text).collect();
        assert!(twice.is_empty(), "captured more than once: {twice:?}");
        let open = kept.iter().filter(|(_text, kept)| kept.iter().any(|kept| kept.outcome.is_none()));
        let open: Vec<&String> = open.map(|(text, _)| text).collect();
        assert!(open.is_empty(), "captures without an outcome: {open:?}");
        println!("{} accepted, {} archived", accepted.len(), kept.len());
        kept
    }

    /// What an officer reads at one proxy.
    pub(super) fn read(&self, number: usize, token: &str, path: &str) -> Value {
        let firm = &self.nodes[number].firm;
        firm.officer(token).header("muniment-purpose", "test").get(&firm.api(path)).unwrap().json(200)
    }

    /// The metrics of one proxy.
    pub(super) fn metrics(&self, number: usize) -> String {
        let firm = &self.nodes[number].firm;
        String::from_utf8(Curl::new().get(&firm.api("/metrics")).unwrap().body).unwrap()
    }
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
