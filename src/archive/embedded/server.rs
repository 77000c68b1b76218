//! The server process: making its data directory, starting it, stopping it, and clearing away one from a former life.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::EmbeddedError;
use super::layout::{Layout, OWNER};
use super::locate::Programs;

/// How long a server may take to finish its work before it is stopped without.
const FAST: Duration = Duration::from_secs(30);
const IMMEDIATE: Duration = Duration::from_secs(10);

/// Settings that are not up for discussion. What it logs holds no statement and no value.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=64",
    "wal_compression=on",
    "max_wal_size=1GB",
    "log_destination=stderr",
    "logging_collector=off",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_statement=none",
    "log_min_duration_statement=-1",
    "log_autovacuum_min_duration=-1",
    "log_checkpoints=off",
];

/// A command of Postgres, as the user it has to run as, away from our directory and our terminal's signals.
fn command(programs: &Programs, layout: &Layout, program: &str) -> Command {
    let mut command = Command::new(programs.path(program));
    command.current_dir(&layout.dir).stdin(Stdio::null()).process_group(0).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("LC_MESSAGES", "C").env("PGTZ", "UTC").env("TZ", "UTC");
    if let Some(account) = &layout.account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the cluster, if there is none. It appears under its name only when it is whole, so a start that was killed half-way
/// leaves nothing that could be mistaken for an archive.
pub(super) async fn make_cluster(programs: &Programs, layout: &Layout) -> Result<(), EmbeddedError> {
    let (cluster, unfinished) = (layout.cluster(), layout.unfinished());
    if cluster.exists() {
        return layout.check_mark();
    }
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(EmbeddedError::io(&unfinished))?;
    }
    std::fs::create_dir(&unfinished).map_err(EmbeddedError::io(&unfinished))?;
    let password = layout.dir.join("initdb.password");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&password)
        .map_err(EmbeddedError::io(&password))?;
    file.write_all(layout.password(OWNER)?.as_bytes()).map_err(EmbeddedError::io(&password))?;
    if let Some(account) = &layout.account {
        account.own(&unfinished)?;
        account.own(&password)?;
    }
    let made = command(programs, layout, "initdb")
        .arg("--pgdata")
        .arg(&unfinished)
        .arg("--pwfile")
        .arg(&password)
        .args(["--username", OWNER, "--encoding", "UTF8", "--no-instructions", "--data-checksums"])
        .args(["--auth-local", "scram-sha-256", "--auth-host", "reject"])
        .args(["--lc-collate", "C", "--lc-ctype", &ctype()])
        .output()
        .await;
    std::fs::remove_file(&password).map_err(EmbeddedError::io(&password))?;
    let made = made.map_err(EmbeddedError::io(programs.path("initdb")))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).trim().replace('\n', " | ");
        return Err(EmbeddedError::Program { program: "initdb", said });
    }
    layout.mark(&unfinished)?;
    std::fs::rename(&unfinished, &cluster).map_err(EmbeddedError::io(&cluster))?;
    File::open(&layout.dir).and_then(|dir| dir.sync_all()).map_err(EmbeddedError::io(&layout.dir))
}

/// A locale whose letters are all of Unicode's, so that search folds `Ж` and `Ž` as well as `A`; `C` where there is none.
fn ctype() -> String {
    let said = std::process::Command::new("locale").arg("-a").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let known = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let known: Vec<&str> = known.lines().map(str::trim).collect();
    let wanted = ["C.UTF-8", "C.utf8", "en_US.UTF-8", "en_US.utf8"];
    wanted.into_iter().find(|name| known.contains(name)).unwrap_or("C").to_owned()
}

/// Starts the server on the cluster. It is our child, but not in our process group: the terminal's Ctrl-C is for us alone,
/// and we stop the server when everything else is done with it.
pub(super) fn start(programs: &Programs, layout: &Layout) -> Result<Child, EmbeddedError> {
    let log = layout.open_log()?;
    let mut server = command(programs, layout, "postgres");
    server.arg("-D").arg(layout.cluster());
    server.arg("-c").arg(format!("unix_socket_directories={}", quoted(&layout.socket_dir())));
    for setting in SETTINGS {
        server.arg("-c").arg(setting);
    }
    server.stdout(Stdio::null()).stderr(log).spawn().map_err(EmbeddedError::io(programs.path("postgres")))
}

/// A path as an item of a Postgres list.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('"', "\"\""))
}

/// Stops our own child: lets transactions end, then insists.
pub(super) async fn stop(child: &mut Child) {
    let Some(pid) = child.id().and_then(pid) else { return };
    for (signal, patience) in [(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)] {
        // An error means that it is gone already, which the wait below sees.
        let _sent = rustix::process::kill_process(pid, signal);
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            return;
        }
    }
}

/// Stops a server that an earlier muniment left behind when it was killed: its data directory must have one master only, and
/// that has to be the process that watches over it.
pub(super) async fn stop_orphan(layout: &Layout) -> Result<(), EmbeddedError> {
    let Some(pid) = orphan(layout) else { return Ok(()) };
    for (signal, patience) in [(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)] {
        let _sent = rustix::process::kill_process(pid, signal);
        for _tick in 0..patience.as_millis() / 50 {
            if !serves(pid, &layout.cluster()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(EmbeddedError::Program { program: "postgres", said: format!("process {pid:?} does not stop") })
}

/// The live server named in the cluster's `postmaster.pid`, if it is really that: after a crash the pid may be anybody's.
/// A stale file is left alone; Postgres itself judges it, with the shared memory segment as its second witness.
fn orphan(layout: &Layout) -> Option<Pid> {
    let text = std::fs::read_to_string(layout.cluster().join("postmaster.pid")).ok()?;
    let found = pid(text.lines().next()?.trim().parse().ok()?)?;
    serves(found, &layout.cluster()).then_some(found)
}

fn pid(raw: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(raw).ok()?)
}

/// Whether this process is a Postgres on this cluster: it works in its data directory (Linux), or names it in its command.
fn serves(pid: Pid, cluster: &Path) -> bool {
    let raw = pid.as_raw_nonzero();
    if Path::new("/proc/self").exists() {
        // Both sides as the kernel sees them: the data directory may be reached through a link.
        let (works_in, ours) = (std::fs::canonicalize(format!("/proc/{raw}/cwd")), std::fs::canonicalize(cluster));
        return works_in.is_ok_and(|works_in| ours.is_ok_and(|ours| ours == works_in));
    }
    let said = std::process::Command::new("ps").args(["-o", "command=", "-p", &raw.to_string()]).output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(&*cluster.to_string_lossy()))
}
