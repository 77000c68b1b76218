//! `muniment witness`: a process of its own, asked over HTTP as any log asks a witness.

mod exported;
pub(crate) mod feed;
mod kill;
pub(crate) mod log;
mod protocol;
mod whole;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use muniment::ledger::{Note, VerifyingKey, parse_signature_lines};

use log::Log;

/// Longest a witness may take to be up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a witness's settings, key and state.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) key: VerifyingKey,
}

/// A running witness; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn muniment(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muniment"));
    command.args(arguments).current_dir(dir).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

impl Home {
    /// Made by `muniment witness init`, watching these logs.
    pub(crate) fn new(name: &str, logs: &[&VerifyingKey]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = muniment(&["witness", "init", "--name", name, "witness.toml"], dir.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).unwrap().trim().parse().unwrap();
        let home = Self { dir, key };
        home.watch(logs);
        home
    }

    pub(crate) fn watch(&self, logs: &[&VerifyingKey]) {
        let logs: String = logs.iter().map(|key| format!("[[logs]]\nvkey = \"{key}\"\n")).collect();
        let text = format!("name = {:?}\nlisten = \"127.0.0.1:0\"\n{logs}", self.key.name());
        std::fs::write(self.dir.path().join("witness.toml"), text).unwrap();
    }

    pub(crate) fn start(&self) -> Running {
        let mut child = muniment(&["witness", "run", "witness.toml"], self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more once it is up, and still it must not block.
                let _unheard = sender.send(line);
            }
        });
        let ready = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the witness does not come up");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if value["message"] == "ready" {
                break value;
            }
        };
        Running { child, address: ready["witness"].as_str().unwrap().parse().unwrap() }
    }

    /// How `run` ends when it cannot start.
    pub(crate) fn refusal(&self) -> String {
        let mut command = muniment(&["witness", "run", "witness.toml"], self.dir.path());
        let ended = command.stdout(Stdio::null()).output().unwrap();
        assert!(!ended.status.success());
        String::from_utf8(ended.stderr).unwrap()
    }

    /// A cosignature over this log's tree, checked.
    pub(crate) fn check(&self, log: &Log, size: u64, answer: &Answer) -> u64 {
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines = parse_signature_lines(answer.body.as_bytes()).unwrap();
        let mut note = Note::parse(log.checkpoint(size).as_bytes()).unwrap();
        lines.into_iter().for_each(|line| note.add(line));
        let vouched = note.verify(std::slice::from_ref(&self.key)).unwrap();
        vouched[0].time.unwrap()
    }
}

impl Running {
    pub(crate) fn post(&self, body: &str) -> Answer {
        ask(self.address, "POST /add-checkpoint", body.as_bytes()).expect("the witness does not answer")
    }

    /// Asks for a cosignature over a log's tree.
    pub(crate) fn add(&self, log: &Log, old: u64, new: u64) -> Answer {
        self.post(&log.request(old, new))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(self.address, &format!("GET {path}"), b"").expect("the witness does not answer")
    }

    /// As a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One request over a connection of its own; none where the connection breaks.
pub(crate) fn ask(address: SocketAddr, request: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("{request} HTTP/1.1\r\nhost: witness\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    // A body that is too large is refused before it is read.
    let _refused = stream.write_all(body);
    let mut text = Vec::new();
    let _cut = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().unwrap();
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}
