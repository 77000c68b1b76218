//! A real Postgres for tests: one throw-away server per test run, a fresh database per test.
//!
//! The first test that needs it starts the server (as the user `postgres` when we are root) and migrates a template; every
//! test copies that template. A small shell loop beside the server stops it and removes its files once the test run is over,
//! however it ends. Nothing it holds needs to survive, so it runs without fsync; what must survive a kill -9 still does.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use muniment::archive::embedded::Programs;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

const TEMPLATE: &str = "muniment_template";
const SERVICE: &str = "muniment_service";

/// The server of this test run.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    dir: PathBuf,
    bin: PathBuf,
}

/// A database of its own; dropped with the value.
#[derive(Debug)]
pub(crate) struct Database {
    server: Server,
    name: String,
}

impl Server {
    /// The running server; the first caller of a test run starts it.
    pub(crate) async fn shared() -> Self {
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
        let dir = std::env::temp_dir().join(format!("muniment-test-{run}"));
        let server = Self::within(dir);
        let lock = File::create(server.dir.join("lock")).unwrap();
        lock.lock().unwrap();
        if !server.dir.join("ready").exists() {
            server.start("-c listen_addresses= -c fsync=off -c max_connections=300 -c full_page_writes=off");
            server.make_template().await;
            File::create(server.dir.join("ready")).unwrap();
        }
        server
    }

    /// A server with nothing in it, on a loopback port, that keeps what it acknowledges; stopped with the value.
    pub(crate) fn alone(dir: &Path, port: u16) -> Alone {
        let server = Self::within(dir.to_owned());
        server.start(&format!("-c listen_addresses=127.0.0.1 -c port={port}"));
        Alone(server)
    }

    /// A server that keeps what it acknowledges, for commands that insist on that, with a migrated database on it.
    pub(crate) async fn durable(dir: &Path) -> (Alone, Database) {
        let server = Self::within(dir.to_owned());
        server.start("-c listen_addresses=");
        server.make_template().await;
        let database = Database::copy_on(server.clone(), TEMPLATE).await;
        (Alone(server), database)
    }

    fn within(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let programs = Programs::find(None, std::env::var_os("PATH").as_deref(), &dir).unwrap();
        let bin = programs.path("postgres").parent().unwrap().to_owned();
        Self { dir, bin }
    }

    fn start(&self, options: &str) {
        let data = self.dir.join("data");
        self.run(
            "initdb",
            &["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale", "C.UTF-8", "-D"],
            &data,
        );
        let options = format!("-c unix_socket_directories={} {options}", self.dir.display());
        let log = self.dir.join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["start", "-w", "-s", "-l", log, "-o", &options, "-D"], &data);
        self.watch(&data);
    }

    /// Whoever runs the tests: the runner where each test is a process of its own, else this process.
    fn runner() -> u32 {
        match std::env::var_os("NEXTEST_RUN_ID") {
            Some(_) => std::os::unix::process::parent_id(),
            None => std::process::id(),
        }
    }

    fn watch(&self, data: &Path) {
        // As ourselves: the server's user may not signal us, and so could not see whether we live.
        let script = "while kill -0 \"$1\" 2>/dev/null; do sleep 1; done
                      kill -QUIT $(head -n 1 \"$2/postmaster.pid\"); sleep 1; rm -rf \"$3\"";
        let mut watch = Command::new("sh");
        watch.args(["-c", script, "watch", &Self::runner().to_string()]).arg(data).arg(&self.dir);
        watch.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Outlives this process on purpose.
        drop(watch.spawn().unwrap());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir);
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = user("postgres");
            command.uid(uid).gid(gid);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str], data: &Path) {
        let mut command = self.command(self.bin.join(program).to_str().unwrap());
        command.args(arguments).arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // pg_ctl's child keeps the pipe open, so its output goes nowhere.
        if program == "pg_ctl" {
            command.stderr(Stdio::null());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// How a role connects to a database of this server.
    pub(crate) fn options(&self, role: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.dir)
            .port(5432)
            .ssl_mode(PgSslMode::Disable)
            .username(role)
            .database(database)
    }

    /// A directory of its own that the server's user can write to; gone with the server.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(format!("{name}-{:x}", fresh_number()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        dir
    }

    fn tool(&self, program: &str, arguments: &[&str], last: &[&std::ffi::OsStr]) {
        let mut command = self.command(self.bin.join(program).to_str().unwrap());
        command.args(["-U", "postgres", "-h"]).arg(&self.dir).args(arguments).args(last);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(".s.PGSQL.5432")
    }

    async fn connect(&self, database: &str) -> PgConnection {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.options("postgres", database).connect().await {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn make_template(&self) {
        let mut admin = self.connect("postgres").await;
        for statement in ["create role muniment_service login noinherit", "create database muniment_template"] {
            sqlx::raw_sql(statement).execute(&mut admin).await.unwrap();
        }
        muniment::archive::migrate(&self.options("postgres", TEMPLATE), SERVICE).await.unwrap();
    }
}

fn user(name: &str) -> (u32, u32) {
    let ask = |what| {
        let said = Command::new("id").args([what, name]).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
    };
    (ask("-u"), ask("-g"))
}

/// A server of one test.
#[derive(Debug)]
pub(crate) struct Alone(Server);

impl Alone {
    /// Its unix socket.
    pub(crate) fn socket(&self, port: u16) -> PathBuf {
        self.0.dir.join(format!(".s.PGSQL.{port}"))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut command = self.0.command(self.0.bin.join("pg_ctl").to_str().unwrap());
        command.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.0.dir.join("data"));
        // What still ran would end with the run of the tests.
        let _done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Database {
    /// A migrated database with nothing in it.
    pub(crate) async fn fresh() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// A copy of another database, which nobody may be connected to.
    pub(crate) async fn copy_of(template: &str) -> Self {
        Self::copy_on(Server::shared().await, template).await
    }

    async fn copy_on(server: Server, template: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::from_u128(fresh_number()).simple());
        let mut admin = server.connect("postgres").await;
        let deadline = Instant::now() + Duration::from_secs(60);
        let create = format!("create database {name} template {template}");
        while let Err(error) = sqlx::raw_sql(AssertSqlSafe(create.clone())).execute(&mut admin).await {
            // The server itself waits five seconds for whoever is leaving, its own vacuum included: too short on a busy machine.
            let in_use = error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55006"));
            assert!(in_use && Instant::now() < deadline, "{error}");
        }
        Self { server, name }
    }

    /// An empty database that was never migrated.
    pub(crate) async fn bare() -> Self {
        Self::copy_of("template0").await
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// The running service's login.
    pub(crate) fn service(&self) -> PgConnectOptions {
        self.server.options(SERVICE, &self.name)
    }

    /// The superuser, who owns everything.
    pub(crate) fn owner(&self) -> PgConnectOptions {
        self.server.options("postgres", &self.name)
    }

    /// A connection as the superuser: to look at what is there, and to tamper with it.
    pub(crate) async fn superuser(&self) -> PgConnection {
        self.server.connect(&self.name).await
    }

    /// A connection that works in one role.
    pub(crate) async fn as_role(&self, role: &str) -> PgConnection {
        self.service().options([("role", role)]).connect().await.unwrap()
    }

    /// Dumps it, as an operator backs it up.
    pub(crate) fn dump(&self, arguments: &[&str], to: &Path) {
        let to = format!("--file={}", to.display());
        self.server.tool("pg_dump", arguments, &[to.as_ref(), self.name.as_ref()]);
    }

    /// Such a dump, in the custom format, restored into a new database of this server.
    pub(crate) async fn restored(&self, from: &Path) -> Self {
        let database = Self::copy_on(self.server.clone(), "template0").await;
        let into = format!("--dbname={}", database.name);
        let arguments = ["--exit-on-error", "--single-transaction", &into];
        self.server.tool("pg_restore", &arguments, &[from.as_os_str()]);
        database
    }

    /// Runs statements as the superuser with all triggers off: what a database administrator could do.
    pub(crate) async fn tamper(&self, statements: &str) {
        let mut connection = self.superuser().await;
        let text = format!("set session_replication_role = replica; {statements}");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut command = self.server.command(self.server.bin.join("dropdb").to_str().unwrap());
        command.args(["--force", "--if-exists", "-U", "postgres", "-h"]).arg(&self.server.dir).arg(&self.name);
        // The whole server goes when the run is over; a database that stays until then does no harm.
        let _done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn fresh_number() -> u128 {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u128::from_be_bytes(bytes)
}
