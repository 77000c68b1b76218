//! The private Postgres of a single machine: with no database configured, muniment makes one in its data directory and runs it.
//!
//! Invariant: one muniment process at a time runs the server (it holds `lock`), whoever was killed when. The server listens on
//! a unix socket only, as an unprivileged user, with durability on. What this does not do: download Postgres, upgrade a data
//! directory, or back it up.

mod account;
mod error;
mod layout;
mod locate;
mod server;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use error::EmbeddedError;
use layout::{Layout, OWNER, SERVICE};
pub use locate::{LEAST, Programs};

use super::roles;

/// Crash recovery replays the write-ahead log, which can take a while after a kill under load.
const READY: Duration = Duration::from_secs(300);
/// How long another process may take to let go of the directory.
const HANDOVER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes connections.
    Running,
    /// It died and is being started again.
    Restarting,
    /// It was stopped because we asked.
    Stopped,
}

/// A running private Postgres. Dropping it stops the server in the background; [`Embedded::stop`] waits for that.
#[derive(Debug)]
pub struct Embedded {
    owner: PgConnectOptions,
    service: PgConnectOptions,
    state: watch::Receiver<State>,
    /// `None` when another process of ours runs the server and we are its guest.
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Embedded {
    /// Makes the data directory if need be, starts the server and keeps it running. For `serve`: nobody else may run it.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; each says what to do.
    pub async fn start(dir: &Path, bindir: Option<&Path>) -> Result<Self, EmbeddedError> {
        let layout = Layout::prepare(dir)?;
        let deadline = Instant::now() + HANDOVER;
        loop {
            match layout.lock()? {
                Ok(lock) => return Self::run(layout, bindir, lock).await,
                Err(pid) if Instant::now() >= deadline => return Err(EmbeddedError::Taken { dir: layout.dir, pid }),
                Err(_pid) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// For a command: uses the server that `serve` runs, else runs it for as long as the command takes.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn join_or_start(dir: &Path, bindir: Option<&Path>) -> Result<Self, EmbeddedError> {
        let layout = Layout::prepare(dir)?;
        match layout.lock()? {
            Ok(lock) => Self::run(layout, bindir, lock).await,
            Err(_pid) => {
                let owner = layout.connect_options(OWNER, OWNER)?;
                await_ready(&layout, &owner, None).await?;
                let (_sender, state) = watch::channel(State::Running);
                Ok(Self { service: layout.connect_options(SERVICE, OWNER)?, owner, state, watch: None })
            }
        }
    }

    /// How the running service connects, when some process of ours runs the server now. Changes nothing, for a look.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub fn running(dir: &Path) -> Result<Option<PgConnectOptions>, EmbeddedError> {
        match Layout::existing(dir)? {
            Some(layout) if layout.is_locked()? => layout.connect_options(SERVICE, OWNER).map(Some),
            _ => Ok(None),
        }
    }

    async fn run(layout: Layout, bindir: Option<&Path>, lock: File) -> Result<Self, EmbeddedError> {
        let programs = Programs::find(bindir, std::env::var_os("PATH").as_deref(), &layout.cluster())?;
        server::stop_orphan(&layout).await?;
        server::make_cluster(&programs, &layout).await?;
        let postgres = layout.connect_options(OWNER, "postgres")?;
        let mut child = start_until_ready(&programs, &layout, &postgres).await?;
        let owner = layout.connect_options(OWNER, OWNER)?;
        if let Err(error) = set_up(&layout, &postgres).await {
            server::stop(&mut child).await;
            return Err(error);
        }
        let service = layout.connect_options(SERVICE, OWNER)?;
        let (sender, state) = watch::channel(State::Running);
        let stopping = CancellationToken::new();
        let task = tokio::spawn(watch_over(programs, layout, postgres, child, sender, stopping.clone(), lock));
        Ok(Self { owner, service, state, watch: Some(Watch { stopping, task }) })
    }

    /// How the owner connects: to migrate, rebuild, verify.
    #[must_use]
    pub const fn owner(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// How the running service connects: it may take the roles and nothing else.
    #[must_use]
    pub const fn service(&self) -> &PgConnectOptions {
        &self.service
    }

    /// How the server is, now and later.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Stops the server and waits until it is down. As a guest it only leaves.
    pub async fn stop(mut self) {
        let Some(mut watch) = self.watch.take() else { return };
        watch.stopping.cancel();
        // The task ends on its own once cancelled; that it panicked would already be in the log.
        let _ended = (&mut watch.task).await;
    }
}

/// Starts the server until it stays up: right after a kill its orphaned workers may still hold the shared memory for a moment.
async fn start_until_ready(
    programs: &Programs,
    layout: &Layout,
    options: &PgConnectOptions,
) -> Result<Child, EmbeddedError> {
    let deadline = Instant::now() + HANDOVER * 4;
    loop {
        let mut child = server::start(programs, layout)?;
        match await_ready(layout, options, Some(&mut child)).await {
            Ok(()) => return Ok(child),
            Err(EmbeddedError::Program { .. }) if Instant::now() < deadline => tokio::time::sleep(PAUSE * 4).await,
            Err(error) => {
                server::stop(&mut child).await;
                return Err(error);
            }
        }
    }
}

/// Waits until the server takes connections. Ends early when `child` ends.
async fn await_ready(
    layout: &Layout,
    options: &PgConnectOptions,
    mut child: Option<&mut Child>,
) -> Result<(), EmbeddedError> {
    let deadline = Instant::now() + READY;
    loop {
        if let Some(child) = child.as_deref_mut()
            && let Ok(Some(_status)) = child.try_wait()
        {
            return Err(EmbeddedError::Program { program: "postgres", said: layout.log_end() });
        }
        match tokio::time::timeout(Duration::from_secs(5), options.connect()).await {
            Ok(Ok(connection)) => {
                // It answered; how it takes the farewell does not matter.
                let _closed = connection.close().await;
                return Ok(());
            }
            Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("28P01") => {
                return Err(EmbeddedError::Password { file: layout.password_file(OWNER) });
            }
            Ok(Err(_)) | Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Ok(Err(_)) | Err(_) => {
                return Err(EmbeddedError::NotReady { seconds: READY.as_secs(), said: layout.log_end() });
            }
        }
    }
}

/// The database, the roles and the service's login; each only if it is not there.
async fn set_up(layout: &Layout, options: &PgConnectOptions) -> Result<(), EmbeddedError> {
    let mut connection: PgConnection = options.connect().await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(OWNER)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        sqlx::raw_sql("create database muniment template template0").execute(&mut connection).await?;
    }
    for statement in roles::missing(&mut connection).await? {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(SERVICE)
        .fetch_one(&mut connection)
        .await?;
    // `create role` takes no parameters; the password is 64 hex digits of our own making.
    let password = layout.password(SERVICE)?;
    let verb = if exists { "alter" } else { "create" };
    sqlx::raw_sql(AssertSqlSafe(format!("{verb} role muniment_service login noinherit password '{password}'")))
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("grant muniment_append, muniment_publish, muniment_project to muniment_service")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// Keeps the server running until we stop; holds the lock for as long.
async fn watch_over(
    programs: Programs,
    layout: Layout,
    options: PgConnectOptions,
    mut child: Child,
    state: watch::Sender<State>,
    stopping: CancellationToken,
    lock: File,
) {
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            status = child.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(reason = %status, "the private postgres died and is started again");
            }
        }
        state.send_replace(State::Restarting);
        // Until it is up again every append waits, spools or is refused: the archive's own business.
        while !stopping.is_cancelled() {
            match start_until_ready(&programs, &layout, &options).await {
                Ok(started) => {
                    child = started;
                    state.send_replace(State::Running);
                    pause = PAUSE;
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "the private postgres does not start");
                    tokio::select! { () = stopping.cancelled() => {}, () = tokio::time::sleep(pause) => {} }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
    server::stop(&mut child).await;
    state.send_replace(State::Stopped);
    drop(lock);
}
