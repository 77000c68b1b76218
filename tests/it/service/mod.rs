//! A running `muniment serve` in a process of its own, with an origin to post to: what the tests of the whole program share.

mod curl;
mod doctor;
mod export;
mod guide;
mod keys;
mod origin;
mod people;
mod phone;
mod rotate;
mod signals;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use curl::Curl;
pub(crate) use origin::{HOST, Origin, TOKEN};
pub(crate) use phone::Phone;

/// Longest a service may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Directories, settings and the commands that use them. The service itself may run or not.
pub(crate) struct Firm {
    dir: tempfile::TempDir,
    pub(crate) proxy: u16,
    pub(crate) api: u16,
}

/// A running service; killed when dropped.
pub(crate) struct Service {
    child: Child,
    /// Lines of its log, as they come.
    lines: mpsc::Receiver<String>,
}

/// A device as `device add` printed it.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Firm {
    /// A firm that intercepts the origin's host. `more` is appended to the settings.
    pub(crate) fn new(origin: &Origin, more: &str) -> Self {
        Self::beside(&[(HOST.to_owned(), origin.address().to_string())], origin.root_pem(), more)
    }

    /// A firm that intercepts these hosts, found at these addresses, vouched for by this root.
    pub(crate) fn beside(hosts: &[(String, String)], root_pem: &str, more: &str) -> Self {
        Self::beside_unlisted(hosts, &[], root_pem, more)
    }

    /// The same, with hosts that are found at an address as well but not intercepted.
    pub(crate) fn beside_unlisted(
        hosts: &[(String, String)],
        unlisted: &[(String, String)],
        root_pem: &str,
        more: &str,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The embedded Postgres runs as another user when the test is root: it must be able to pass through.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let (proxy, api) = (free_port(), free_port());
        std::fs::write(dir.path().join("origin-root.pem"), root_pem).unwrap();
        let names: Vec<String> = hosts.iter().map(|(host, _address)| format!("\"{host}\"")).collect();
        let resolve: Vec<String> =
            hosts.iter().chain(unlisted).map(|(host, address)| format!("\"{host}\" = \"{address}\"")).collect();
        let settings = format!(
            "data_dir = \"data\"\n[proxy]\nlisten = \"127.0.0.1:{proxy}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n\
             [upstream]\nextra_roots = [\"origin-root.pem\"]\nresolve = {{ {} }}\n\
             [intercept]\nextra_hosts = [{}]\n{more}\n",
            resolve.join(", "),
            names.join(", "),
        );
        std::fs::write(dir.path().join("muniment.toml"), settings).unwrap();
        Self { dir, proxy, api }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muniment"));
        command.arg("--config").arg(self.dir().join("muniment.toml")).args(arguments).current_dir(self.dir());
        command.stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.dir());
        command
    }

    /// Runs a command to its end and gives its JSON answer.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[&["--json"], arguments].concat()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stderr}"))
    }

    /// Starts the service and waits until it is ready.
    pub(crate) fn serve(&self) -> Service {
        self.ready(self.start())
    }

    /// The same, with no more than so many open files.
    pub(crate) fn serve_with_files(&self, files: usize) -> Service {
        let plain = self.command(&["serve"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"]).arg(plain.get_program());
        limited.args(plain.get_args()).current_dir(self.dir()).stdin(Stdio::null()).env_clear();
        limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.ready(Service::spawn(limited))
    }

    /// Lines of a document as a shell runs them, on this firm's settings.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_muniment")).parent().unwrap();
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", script]).current_dir(self.dir()).stdin(Stdio::null()).env_clear();
        // The program under test comes first.
        command.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
        command.env("HOME", self.dir()).env("MUNIMENT_CONFIG", self.dir().join("muniment.toml"));
        command
    }

    /// Starts the service, whatever comes of it.
    pub(crate) fn start(&self) -> Service {
        Service::spawn(self.command(&["serve"]))
    }

    fn ready(&self, mut service: Service) -> Service {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = service.child.try_wait().unwrap() {
                panic!("the service ended with {status}: {:#?}", service.lines());
            }
            if Curl::new().get(&format!("http://127.0.0.1:{}/ready", self.api)).is_ok_and(|a| a.status == 200) {
                return service;
            }
            assert!(Instant::now() < deadline, "not ready: {:#?}", service.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn add_advisor(&self, name: &str) -> String {
        text(&self.ask(&["advisor", "add", name]), "id")
    }

    pub(crate) fn add_device(&self, advisor: &str, name: &str) -> Device {
        let added = self.ask(&["device", "add", "--advisor", advisor, name]);
        Device { id: text(&added, "id"), secret: text(&added, "secret") }
    }

    /// Answers with the token.
    pub(crate) fn add_officer(&self, name: &str, role: &str) -> String {
        text(&self.ask(&["officer", "add", name, "--role", role]), "token")
    }

    /// The firm's root certificate, as a file.
    pub(crate) fn root(&self) -> PathBuf {
        let path = self.dir().join("firm-root.pem");
        self.ask(&["ca", "export", "--out", path.to_str().unwrap()]);
        path
    }

    /// curl as an advisor's device uses it.
    pub(crate) fn device(&self, device: &Device) -> Curl {
        Curl::new()
            .option("--proxy", &format!("http://{}:{}@127.0.0.1:{}", device.id, device.secret, self.proxy))
            .option("--cacert", self.root().to_str().unwrap())
    }

    /// curl as an officer uses it.
    pub(crate) fn officer(&self, token: &str) -> Curl {
        Curl::new().header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.api)
    }
}

/// Asks until the answer is there: projections follow the ledger, a moment behind.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A text field of an answer.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

impl Service {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged since the last call.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Sends SIGTERM, waits for the end, and gives the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; -1 when a signal ended it.
    pub(crate) fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "does not end: {:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    // What this process was given already, and perhaps has not bound yet.
    static TAKEN: std::sync::Mutex<Vec<u16>> = std::sync::Mutex::new(Vec::new());
    // Not one that the system would choose: it gives those to connections as well, and other tests make thousands.
    let first = 12_000 + std::process::id() % 10_000;
    let ports =
        (0..20_000).map(|step| 12_000 + (first + step * 7) % 20_000).filter_map(|port| u16::try_from(port).ok());
    let mut taken = TAKEN.lock().unwrap();
    let free = ports
        .into_iter()
        .find(|port| !taken.contains(port) && std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    taken.extend(free);
    free.unwrap()
}
