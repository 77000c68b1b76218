//! `./dev run`, as a new user would: a blank home, and what it prints works when pasted.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::service::free_port;

/// Longest until everything is printed: the program may have to be built first.
const PATIENCE: Duration = Duration::from_secs(280);

#[test]
fn dev_run_starts_from_a_blank_home_and_prints_what_works() {
    let home = tempfile::tempdir().unwrap();
    // The private Postgres runs as another user when the test is root: it must be able to pass through.
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let settings = home.path().join("muniment.toml");
    let (proxy, api) = (free_port(), free_port());
    std::fs::write(
        &settings,
        format!("data_dir = \"data\"\n[proxy]\nlisten = \"127.0.0.1:{proxy}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n"),
    )
    .unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("./dev");
    command.arg("run").current_dir(root).env("HOME", home.path()).env("MUNIMENT_CONFIG", &settings);
    command.env_remove("DATABASE_URL").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // The toolchain is found through the home directory unless it is named.
    let old_home = std::env::var("HOME").unwrap();
    for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let place = std::env::var(name).unwrap_or_else(|_unset| format!("{old_home}/{below}"));
        command.env(name, place);
    }
    // A group of its own, so that the service ends with the script whatever happens.
    let mut script = Script::start(command.process_group(0));

    let printed = script.read_until("Stop with Ctrl-C");
    let line = |mark: &str| {
        let found = printed.iter().find(|line| line.contains(mark));
        found.unwrap_or_else(|| panic!("no `{mark}` in {printed:#?}")).trim().to_owned()
    };
    // The officer's line, pasted into a shell.
    let look = Command::new("sh").args(["-c", &format!("{} -fsS", line("/v1/records"))]).output().unwrap();
    assert!(look.status.success(), "{}", String::from_utf8_lossy(&look.stderr));
    let page: serde_json::Value = serde_json::from_slice(&look.stdout).unwrap();
    assert!(page["records"].is_array(), "{page}");
    // The device's line: the credential in the address opens the proxy (a host that does not resolve is the network's fault,
    // a wrong credential would be 407).
    let address = line("export HTTPS_PROXY=").split_once("HTTPS_PROXY=").unwrap().1.to_owned();
    let curl = ["-sS", "-o", "/dev/null", "-w", "%{http_connect}", "--max-time", "30", "--proxy", &address];
    let through = Command::new("curl").args(curl).arg("https://nowhere.invalid/").output().unwrap();
    let status = String::from_utf8_lossy(&through.stdout).into_owned();
    assert!(status.starts_with('5'), "connect answered {status}");
    // The verifier's line.
    let verify = line(" verify");
    let verified = Command::new("sh").args(["-c", &verify]).env("MUNIMENT_CONFIG", &settings).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    assert!(script.stop(), "the script ends well");
}

struct Script {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Script {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn read_until(&self, mark: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error} after {all:#?}"));
            let last = line.contains(mark);
            all.push(line);
            if last {
                return all;
            }
        }
    }

    fn signal(&self, name: &str, pid: &str) {
        let _gone_already = Command::new("kill").args([name, "--", pid]).output().unwrap();
    }

    /// SIGTERM to the script, which passes it on; true when it ended by itself.
    fn stop(&mut self) -> bool {
        self.signal("-TERM", &self.child.id().to_string());
        for _tick in 0..300 {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.stop();
            self.signal("-KILL", &format!("-{}", self.child.id()));
            let _reaped = self.child.wait();
        }
    }
}
