//! Starts the scripts of `tests/real` and reads the JSON lines they print.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::service::Firm;

/// Longest a server may take to be up, and a client to be done.
const PATIENCE: Duration = Duration::from_secs(180);

/// Certificates that stand for the public web's: the proxy trusts their root, and devices trust the firm's alone.
pub(super) struct Certificates {
    pub(super) dir: tempfile::TempDir,
}

impl Certificates {
    pub(super) fn make(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(scripts().join("make-cert")).arg(dir.path()).args(names).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn root_pem(&self) -> String {
        std::fs::read_to_string(self.file("ca.pem")).unwrap()
    }
}

/// A running server. It stops when its standard input closes, so it never outlives the test.
pub(super) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Its first line.
    pub(super) ready: Value,
    lines: mpsc::Receiver<Value>,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(super) fn start(script: &str, certificates: &Certificates, arguments: &[&str]) -> Self {
        Self::begin(script, Some(certificates), arguments)
    }

    /// One that speaks plain HTTP.
    pub(super) fn plain(script: &str, arguments: &[&str]) -> Self {
        Self::begin(script, None, arguments)
    }

    fn begin(script: &str, certificates: Option<&Certificates>, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Servers started by root run some of their parts as other users.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let mut child = part(script)
            .args(certificates.map(|files| ["--cert".into(), files.file("cert.pem")]).into_iter().flatten())
            .args(certificates.map(|files| ["--key".into(), files.file("key.pem")]).into_iter().flatten())
            .args(arguments)
            .env("TMPDIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let ready = lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{script} does not come up: {error}"));
        assert_eq!(ready["ready"], true, "{script}: {ready}");
        Self { child, stdin, ready, lines, _dir: dir }
    }

    /// Host → address and port, for `upstream.resolve`.
    pub(super) fn resolve(&self) -> Vec<(String, String)> {
        let resolve = self.ready["resolve"].as_object().unwrap();
        resolve.iter().map(|(host, address)| (host.clone(), address.as_str().unwrap().to_owned())).collect()
    }

    /// What it has said since the last call.
    pub(super) fn said(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while std::time::Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A client as a device of the firm: proxy and trust from the environment, as any program takes them.
pub(super) fn client(script: &str, firm: &Firm, device: &crate::service::Device, arguments: &[&str]) -> Vec<Value> {
    let root = firm.root();
    let proxy = format!("http://{}:{}@127.0.0.1:{}", device.id, device.secret, firm.proxy);
    let mut command = part(script);
    command.args(arguments).env("HTTPS_PROXY", &proxy).env("https_proxy", &proxy).env("HOME", firm.dir());
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, &root);
    }
    lines(script, command)
}

/// A client of somebody who is nobody's advisor: straight to the server.
pub(super) fn stranger(script: &str, certificates: &Certificates, arguments: &[&str]) -> Vec<Value> {
    let mut command = part(script);
    command.args(arguments).env_remove("HTTPS_PROXY").env_remove("https_proxy");
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, certificates.file("ca.pem"));
    }
    lines(script, command)
}

/// A client of the audit API, with this officer's token; with none where it is empty.
pub(super) fn caller(script: &str, token: &str, arguments: &[&str]) -> Vec<Value> {
    let mut command = part(script);
    command.args(arguments).env_remove("HTTPS_PROXY").env_remove("https_proxy").env_remove("MUNIMENT_TOKEN");
    if !token.is_empty() {
        command.env("MUNIMENT_TOKEN", token);
    }
    lines(script, command)
}

/// A script that is told on standard input what it is to look at.
pub(super) fn told(script: &str, arguments: &[&str], input: &Value) -> Vec<Value> {
    use std::io::Write as _;
    let mut command = part(script);
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(script: &str, mut command: Command) -> Vec<Value> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}\n{errors}", output.status);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn part(script: &str) -> Command {
    let mut command = Command::new(scripts().join("exec"));
    command.arg(script);
    command
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real")
}
