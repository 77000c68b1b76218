//! Peers that are programs of their own: mitmproxy and squid, if the machine has them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::pair::Side;
use crate::process::Process;

/// What mitmproxy runs for each request: the body of a post is in SQLite, and synced, before it leaves.
pub const KEEP: &str = r#"
import sqlite3
posts = sqlite3.connect("posts.sqlite")
posts.execute("pragma journal_mode=wal")
posts.execute("pragma synchronous=full")
posts.execute("create table if not exists post (id integer primary key, host text, path text, body blob)")

def request(flow):
    if flow.request.method == "POST":
        with posts:
            posts.execute("insert into post (host, path, body) values (?, ?, ?)",
                          (flow.request.host, flow.request.path, flow.request.content))
"#;

/// `script` is what it runs for each request.
pub fn mitmproxy(program: &Path, directory: &Path, script: Option<&str>) -> Side {
    let own = directory.join("mitmproxy");
    fs::create_dir_all(&own).unwrap();
    let port = free_port();
    let mut command = Command::new(program);
    command.args(["--quiet", "--listen-host", "127.0.0.1", "--listen-port", &port.to_string()]);
    command.args(["--set", &format!("confdir={}", own.display())]);
    command.args(["--set", &format!("ssl_verify_upstream_trusted_ca={}", directory.join("origin-root.pem").display())]);
    if let Some(script) = script {
        fs::write(own.join("keep.py"), script).unwrap();
        command.arg("--scripts").arg(own.join("keep.py"));
    }
    let process = Process::listening(command.current_dir(&own), port);
    Side { name: "mitmproxy", process, ca: own.join("mitmproxy-ca-cert.pem") }
}

/// As a tunnel that keeps nothing.
pub fn squid(program: &Path, directory: &Path) -> Side {
    let own = directory.join("squid");
    fs::create_dir_all(&own).unwrap();
    // It runs as another user when we are root.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
    let port = free_port();
    let settings = format!(
        "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log {0}/cache.log\n\
         pid_filename {0}/squid.pid\ncoredump_dir {0}\nshutdown_lifetime 1 second\n",
        own.display()
    );
    fs::write(own.join("squid.conf"), settings).unwrap();
    let process = Process::listening(Command::new(program).arg("-N").arg("-f").arg(own.join("squid.conf")), port);
    // What is in the tunnel is the origin's.
    Side { name: "squid", process, ca: directory.join("origin-root.pem") }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
