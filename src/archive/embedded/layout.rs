//! Where the parts of the private Postgres lie, who holds it, and its passwords.
//!
//! ```text
//! <dir>/cluster/            Postgres's own data directory
//! <dir>/cluster.new/        one that was not finished; removed at the next start
//! <dir>/lock                held by the process that runs the server; its pid inside
//! <dir>/owner.password      of the role that owns the archive (migrate, rebuild, verify)
//! <dir>/service.password    of the role the running service logs in as
//! <dir>/socket/             the only way in; in /tmp when this path is too long for a socket
//! <dir>/postgres.log        what Postgres says, without statements or values
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::EmbeddedError;
use super::account::Account;
use crate::record::Digest;

/// Name of the database and of the role that owns it.
pub(super) const OWNER: &str = "muniment";
/// Name of the role the running service logs in as.
pub(super) const SERVICE: &str = "muniment_service";
/// The port is only part of the socket's name.
const PORT: u16 = 5432;
/// The shortest limit among the systems we run on (macOS: 104 with its zero byte).
const SOCKET_PATH: usize = 103;
/// File in the cluster that says who made it.
const MARK: &str = "muniment.cluster";
const LOG_LIMIT: u64 = 16 << 20;

#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    pub(super) account: Option<Account>,
}

impl Layout {
    /// Makes the directories, so that the server's user can reach what is its own and nothing else.
    pub(super) fn prepare(dir: &Path) -> Result<Self, EmbeddedError> {
        let dir = std::path::absolute(dir).map_err(EmbeddedError::io(dir))?;
        let account = Account::choose(&dir.join("cluster"))?;
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir).map_err(EmbeddedError::io(&dir))?;
        if let Some(account) = &account {
            account.reach(&dir)?;
        }
        let layout = Self { dir, account };
        layout.make_socket_dir()?;
        Ok(layout)
    }

    /// The layout of what is there already: none where there is no cluster.
    pub(super) fn existing(dir: &Path) -> Result<Option<Self>, EmbeddedError> {
        let dir = std::path::absolute(dir).map_err(EmbeddedError::io(dir))?;
        if !dir.join("cluster").is_dir() {
            return Ok(None);
        }
        let account = Account::choose(&dir.join("cluster"))?;
        Ok(Some(Self { dir, account }))
    }

    /// Whether a process holds the lock now.
    pub(super) fn is_locked(&self) -> Result<bool, EmbeddedError> {
        let path = self.dir.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(EmbeddedError::io(&path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(EmbeddedError::io(&path)(error)),
        }
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    pub(super) fn unfinished(&self) -> PathBuf {
        self.dir.join("cluster.new")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    pub(super) fn socket_dir(&self) -> PathBuf {
        let near = self.dir.join("socket");
        if near.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() <= SOCKET_PATH {
            return near;
        }
        let name = Digest::of(&[self.dir.as_os_str().as_encoded_bytes()]).to_string();
        PathBuf::from(format!("/tmp/muniment-{}", name.get(..16).unwrap_or_default()))
    }

    fn make_socket_dir(&self) -> Result<(), EmbeddedError> {
        let dir = self.socket_dir();
        let owner = self.account.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => self.account.as_ref().map_or(Ok(()), |account| account.own(&dir)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Below /tmp anybody could have put something in our way.
                let found = std::fs::symlink_metadata(&dir).map_err(EmbeddedError::io(&dir))?;
                if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
                    return Err(EmbeddedError::Foreign { dir, why: "the socket directory belongs to somebody else" });
                }
                Ok(())
            }
            Err(error) => Err(EmbeddedError::io(dir)(error)),
        }
    }

    /// Refuses a cluster that somebody else made: we would run with settings and passwords that are not its own.
    pub(super) fn check_mark(&self) -> Result<(), EmbeddedError> {
        let foreign = |why| EmbeddedError::Foreign { dir: self.cluster(), why };
        if !self.cluster().join("PG_VERSION").is_file() {
            return Err(foreign("it has no PG_VERSION"));
        }
        if !self.cluster().join(MARK).is_file() {
            return Err(foreign("it lacks the file muniment.cluster"));
        }
        Ok(())
    }

    pub(super) fn mark(&self, cluster: &Path) -> Result<(), EmbeddedError> {
        let path = cluster.join(MARK);
        std::fs::write(&path, "1\n").map_err(EmbeddedError::io(&path))?;
        self.account.as_ref().map_or(Ok(()), |account| account.own(&path))
    }

    /// Takes the lock, or says which process holds it. The lock ends with the process, however it ends.
    pub(super) fn lock(&self) -> Result<Result<File, String>, EmbeddedError> {
        let path = self.dir.join("lock");
        let io = |error| EmbeddedError::io(&path)(error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
                writeln!(file, "{}", std::process::id()).map_err(io)?;
                Ok(Ok(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // What it says is only for the message.
                let _read = file.read_to_string(&mut pid);
                Ok(Err(pid.trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The log for the server to write to; an old one of too great a size is put aside.
    pub(super) fn open_log(&self) -> Result<File, EmbeddedError> {
        let path = self.log();
        if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
            std::fs::rename(&path, self.dir.join("postgres.log.1")).map_err(EmbeddedError::io(&path))?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(EmbeddedError::io(&path))
    }

    /// The end of the log, for error messages.
    pub(super) fn log_end(&self) -> String {
        let text = std::fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// The password of one role: made when first asked for.
    pub(super) fn password(&self, role: &str) -> Result<String, EmbeddedError> {
        let path = self.password_file(role);
        if let Ok(found) = std::fs::read_to_string(&path)
            && found.len() >= 64
        {
            return Ok(found.trim().to_owned());
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_source| EmbeddedError::Random)?;
        let password = hex::encode(random);
        let io = |error| EmbeddedError::io(&path)(error);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(io)?;
        file.write_all(password.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(io)?;
        Ok(password)
    }

    pub(super) fn password_file(&self, role: &str) -> PathBuf {
        self.dir.join(if role == OWNER { "owner.password" } else { "service.password" })
    }

    pub(super) fn connect_options(&self, role: &str, database: &str) -> Result<PgConnectOptions, EmbeddedError> {
        Ok(PgConnectOptions::new_without_pgpass()
            .socket(self.socket_dir())
            .port(PORT)
            .ssl_mode(PgSslMode::Disable)
            .username(role)
            .password(&self.password(role)?)
            .database(database))
    }
}
