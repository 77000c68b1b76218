//! The data directory: made at first start, with the firm's keys.
//!
//! ```text
//! <data_dir>/master.key     64 hex digits; without it nothing that was kept can be read again
//! <data_dir>/master.key.former  what it was before, while a rotation is not through
//! <data_dir>/log.key        signs checkpoints; a verifier knows the log by its public half
//! <data_dir>/…              what the parts keep: postgres/, blobs/, spool/, ca/, source, checkpoint
//! ```
//!
//! Invariant: a secret is never readable by anybody else, not for a moment, and a file is whole or not there.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::master;
use crate::capture::{Entropy, EntropyError};
use crate::ledger::{NoteKeyError, SigningKey};
use crate::record::MasterKey;
use crate::settings;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file or directory cannot be made, read or written.
    #[error("{} cannot be used", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret that others can read is no secret.
    #[error("{} can be read by others; `chmod 600` it, and ask who has read it", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// The master key file does not hold a master key.
    #[error("{} does not hold a master key: 64 hex digits, such as `openssl rand -hex 32` prints", .path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else is at it.
    #[error("another rotation is under way: it holds {}; wait for it to end", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The program that settings name gave no master key.
    #[error("the program in keys.master_key_command {why}")]
    KeyCommand {
        /// What it did.
        why: &'static str,
    },
    /// The log key file does not hold a signing key.
    #[error("{} does not hold a log key; restore it from a backup", .path.display())]
    NotALogKey {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteKeyError,
    },
    /// The name of the log was changed in the settings.
    #[error(
        "this ledger is called `{kept}`, and firm.log_origin says `{asked}`: under another name it is another ledger; change the key back"
    )]
    OtherOrigin {
        /// Since the first start.
        kept: String,
        /// What the settings say.
        asked: String,
    },
    /// No random bytes for a key.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl HomeError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A usable data directory.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Makes the directory if it is not there. Others may pass through but not list: the embedded Postgres runs as another
    /// user when we are root, and every secret in here is closed on its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        DirBuilder::new().recursive(true).mode(0o711).create(dir).map_err(HomeError::io(dir))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// A path inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A directory inside that is its owner's alone, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn dir(&self, name: &str) -> Result<PathBuf, HomeError> {
        let dir = self.path(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(HomeError::io(&dir))?;
        Ok(dir)
    }

    /// Reads the master key, or makes it where that is allowed. What it returns reads it again when it meets a key that it does not know.
    ///
    /// # Errors
    /// When it is missing, exposed, or no key.
    pub fn master_key(&self, from: &settings::MasterKey, entropy: &dyn Entropy) -> Result<MasterKey, HomeError> {
        if let settings::MasterKey::File { path, may_make: true } = from {
            self.make_once(path, master::line(&*master::fresh(entropy)?).as_bytes())?;
        }
        let (secrets, again) = (master::read(from)?, from.clone());
        let source = move || match master::read(&again) {
            Ok(secrets) => Some(secrets),
            Err(error) => {
                tracing::warn!(%error, "the master key cannot be read again; what was read before goes on");
                None
            }
        };
        Ok(MasterKey::of(&secrets).with_source(Arc::new(source)))
    }

    /// The key that signs checkpoints, made at first start under the log's name.
    ///
    /// # Errors
    /// When it cannot be made or read, or the name in the settings is no longer the log's.
    pub fn log_key(&self, origin: &str, entropy: &dyn Entropy) -> Result<SigningKey, HomeError> {
        let path = self.path("log.key");
        let wrong = |source| HomeError::NotALogKey { path: path.clone(), source };
        if !path.exists() {
            let mut seed = Zeroizing::new([0; 32]);
            entropy.fill(seed.as_mut_slice())?;
            let text = SigningKey::new(origin, &seed).map_err(wrong)?.secret_text();
            self.make_once(&path, format!("{}\n", text.as_str()).as_bytes())?;
        }
        let key = SigningKey::from_secret_text(read_secret(&path)?.trim()).map_err(wrong)?;
        let kept = key.verifying_key().name();
        if kept == origin {
            return Ok(key);
        }
        Err(HomeError::OtherOrigin { kept: kept.to_owned(), asked: origin.to_owned() })
    }

    /// Writes a file that only its owner can read, unless it is there. Whoever of two processes comes first wins, and a crash
    /// leaves either the whole file or none: it is written beside, and linked into place when it is durable.
    fn make_once(&self, path: &Path, content: &[u8]) -> Result<(), HomeError> {
        if path.exists() {
            return Ok(());
        }
        let mut beside = tempfile::Builder::new();
        beside.prefix(".new-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
        let mut file = beside.tempfile_in(&self.dir).map_err(HomeError::io(&self.dir))?;
        file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(HomeError::io(path))?;
        match std::fs::hard_link(file.path(), path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(HomeError::io(path)(error)),
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(HomeError::io(&self.dir))
    }
}

/// Reads a small file that must be its owner's alone.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<String>, HomeError> {
    let file = File::open(path).map_err(HomeError::io(path))?;
    let found = file.metadata().map_err(HomeError::io(path))?;
    if found.mode() & 0o077 != 0 {
        return Err(HomeError::Exposed { path: path.to_owned() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(4096).read_to_string(&mut text).map_err(HomeError::io(path))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::capture::SystemEntropy;

    fn file_key(home: &Home, may_make: bool) -> settings::MasterKey {
        settings::MasterKey::File { path: home.path("master.key"), may_make }
    }

    #[test]
    fn the_master_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("data")).unwrap();
        let first = home.master_key(&file_key(&home, true), &SystemEntropy).unwrap();
        let again = home.master_key(&file_key(&home, true), &SystemEntropy).unwrap();
        assert_eq!(first.as_bytes(), again.as_bytes());
        assert_eq!(std::fs::metadata(home.path("master.key")).unwrap().mode() & 0o777, 0o600);
        let left: Vec<_> =
            std::fs::read_dir(dir.path().join("data")).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["master.key"], "nothing half-made is left behind");
    }

    #[test]
    fn a_named_key_file_is_never_made_up() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let error = home.master_key(&file_key(&home, false), &SystemEntropy).unwrap_err();
        assert!(matches!(error, HomeError::Io { .. }), "{error}");
        assert!(!home.path("master.key").exists());
    }

    #[test]
    fn an_exposed_or_damaged_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let path = home.path("master.key");
        std::fs::write(&path, "00".repeat(32)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = home.master_key(&file_key(&home, true), &SystemEntropy).unwrap_err();
        assert!(matches!(error, HomeError::Exposed { .. }), "{error}");
        std::fs::write(&path, "00".repeat(31)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = home.master_key(&file_key(&home, true), &SystemEntropy).unwrap_err();
        assert!(matches!(error, HomeError::NotAKey { .. }), "{error}");
    }

    #[test]
    fn the_log_keeps_its_key_and_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let first = home.log_key("a.example/ledger", &SystemEntropy).unwrap();
        let again = home.log_key("a.example/ledger", &SystemEntropy).unwrap();
        assert_eq!(first.verifying_key().id(), again.verifying_key().id());
        assert_eq!(std::fs::metadata(home.path("log.key")).unwrap().mode() & 0o777, 0o600);
        let error = home.log_key("b.example/ledger", &SystemEntropy).unwrap_err();
        assert!(error.to_string().contains("a.example/ledger"), "{error}");
    }
}
