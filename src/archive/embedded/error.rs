//! What can go wrong with the private Postgres, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// The private Postgres cannot be made or run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No Postgres on this machine.
    #[error(
        "no postgres on this machine (looked in {looked}); install it (debian, ubuntu: `apt-get install postgresql`; \
         fedora: `dnf install postgresql-server`; macos: `brew install postgresql@17`), name its directory in PG_BINDIR, \
         or set archive.url to a server that runs elsewhere"
    )]
    NotInstalled {
        /// Where it was looked for.
        looked: String,
    },
    /// The Postgres found is too old.
    #[error("postgres {found} in {bindir} is too old; install version {least} or newer", bindir = .bindir.display())]
    TooOld {
        /// What was found.
        found: u32,
        /// Where.
        bindir: PathBuf,
        /// What is needed.
        least: u32,
    },
    /// The data directory was made by another major version.
    #[error(
        "{dir} was made by postgres {made_by}, and this machine has only {found}; install postgresql {made_by} beside it, or \
         move the data over with pg_upgrade",
        dir = .dir.display()
    )]
    OtherVersion {
        /// The data directory.
        dir: PathBuf,
        /// Version in it.
        made_by: u32,
        /// Versions found.
        found: String,
    },
    /// The data directory is not one of ours.
    #[error("{dir} is not a data directory that muniment made ({why}); move it away or choose another data_dir", dir = .dir.display())]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// What gave it away.
        why: &'static str,
    },
    /// Another muniment process runs this directory.
    #[error("another muniment process (pid {pid}) runs the postgres in {dir}; stop it first", dir = .dir.display())]
    Taken {
        /// The directory.
        dir: PathBuf,
        /// Who holds it.
        pid: String,
    },
    /// Postgres refuses to run as root, and there is no other user to run it as.
    #[error(
        "postgres does not run as root, and there is neither a user `postgres` nor `nobody` to run it as; make one, or start muniment as an ordinary user"
    )]
    NoUser,
    /// The unprivileged user cannot reach the directory.
    #[error(
        "postgres runs as user {user}, who cannot pass through {dir}; `chmod o+x {dir}`, or set data_dir to a place it can \
         reach, such as /var/lib/muniment",
        dir = .dir.display()
    )]
    OutOfReach {
        /// The user.
        user: String,
        /// The first directory in the way.
        dir: PathBuf,
    },
    /// The password files of the private server are gone or were changed.
    #[error("the private postgres refuses its own password; restore {file} from where it was kept", file = .file.display())]
    Password {
        /// Which file.
        file: PathBuf,
    },
    /// A program of Postgres failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// It started and did not answer in time.
    #[error("postgres did not come up within {seconds} s; the end of its log: {said}")]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// The end of its log.
        said: String,
    },
    /// A file or directory could not be made, read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its first set-up statements failed.
    #[error("the private postgres cannot be set up")]
    SetUp(#[from] sqlx::Error),
    /// The system gave no random bytes for its passwords.
    #[error("the system's source of random bytes gave none")]
    Random,
}

impl EmbeddedError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
