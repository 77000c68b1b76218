//! Beneath the service: its private Postgres, killed with -9 and asked with `psql`.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// kill -9 of the postmaster whose cluster lies below `data`, if one is up.
pub(crate) fn kill_postgres(data: &Path) {
    let Some(pid) = postmaster(data) else { return };
    // It may be gone already: then there is nothing to kill, and kill says so.
    let _sent = Command::new("kill").arg("-KILL").arg(pid.to_string()).output().unwrap();
}

/// The pid in `postmaster.pid`, wherever below the data directory the cluster is.
pub(crate) fn postmaster(data: &Path) -> Option<i32> {
    let mut directories: Vec<(PathBuf, u8)> = vec![(data.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        // A cluster's own directories come and go while Postgres starts.
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            if entry.file_name() == "postmaster.pid" {
                let text = std::fs::read_to_string(entry.path()).ok()?;
                return text.lines().next()?.trim().parse().ok();
            }
            if depth < 3 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push((entry.path(), depth + 1));
            }
        }
    }
    None
}

/// What the owner's `psql` prints for a query: rows by line, columns by `|`.
pub(crate) fn psql(data: &Path, query: &str) -> String {
    let postgres = data.join("postgres");
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "muniment", "-d", "muniment", "-c", query, "-h"])
        .arg(postgres.join("socket"))
        .env("PGPASSWORD", std::fs::read_to_string(postgres.join("owner.password")).unwrap().trim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every process of the Postgres below a data directory, stopped where it is; goes on when dropped.
pub(crate) struct Freezer {
    pids: Vec<String>,
    watch: std::process::Child,
}

impl Freezer {
    pub(crate) fn freeze(data: &Path) -> Self {
        let postmaster = postmaster(data).expect("a running postgres").to_string();
        // The parent first, so that it makes no new children.
        signal("STOP", std::slice::from_ref(&postmaster));
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().unwrap();
        let children = String::from_utf8(listed.stdout).unwrap();
        let all: Vec<String> = children.split_whitespace().map(str::to_owned).chain([postmaster]).collect();
        signal("STOP", &all);
        // A test that is killed drops nothing: nobody is left standing still behind it.
        let script = "me=$1; shift; while kill -0 $me 2>/dev/null; do sleep 1; done; kill -CONT $* 2>/dev/null; kill -QUIT $* 2>/dev/null";
        let mut watch = Command::new("sh");
        watch.args(["-c", script, "watch", &std::process::id().to_string()]).args(&all).process_group(0);
        watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { watch: watch.spawn().unwrap(), pids: all }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        signal("CONT", &self.pids);
        // It may be gone already, if somebody ended it.
        let _gone = self.watch.kill();
        let _reaped = self.watch.wait();
    }
}

fn signal(name: &str, pids: &[String]) {
    let _sent = Command::new("kill").arg(format!("-{name}")).args(pids).output().unwrap();
}
