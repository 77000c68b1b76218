//! The files of the firm CA.
//!
//! ```text
//! <data_dir>/ca/root.pem      what devices trust, preceded by what leads to it when the firm brought an intermediate
//! <data_dir>/ca/root.key      the root's private key, sealed, with the same certificates; may be taken away and kept offline
//! <data_dir>/ca/issuing.pem   the issuing certificate and its sealed key, in one file: they change together or not at all
//! <data_dir>/ca/lock          held while anything is changed
//! ```
//!
//! Invariant: a file is whole and durable, or the one before is still there; only its owner can read it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::AuthorityError;

pub(super) const ROOT: &str = "root.pem";
pub(super) const ROOT_KEY: &str = "root.key";
pub(super) const ISSUING: &str = "issuing.pem";
const LOCK: &str = "lock";
/// Largest file: some thousand hosts in an issuing certificate.
const LARGEST: u64 = 1 << 20;
/// Longest wait for another process, in steps.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// The directory.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

/// Held while files change; the kernel lets go of it when the process ends in any way.
pub(super) struct Held(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Store {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the directory where it is missing.
    pub(super) fn create(&self) -> Result<(), AuthorityError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(AuthorityError::io(&self.dir))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Waits until no other process changes anything.
    pub(super) fn hold(&self) -> Result<Held, AuthorityError> {
        let path = self.path(LOCK);
        let file =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(AuthorityError::io(&path))?;
        for _step in 0..PATIENCE.as_millis() / STEP.as_millis() {
            match file.try_lock() {
                Ok(()) => return Ok(Held(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(STEP),
                Err(TryLockError::Error(source)) => return Err(AuthorityError::Io { path, source }),
            }
        }
        Err(AuthorityError::Busy { path })
    }

    /// The text of a file; nothing when it is not there.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, AuthorityError> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuthorityError::io(&path)(error)),
        };
        let found = file.metadata().map_err(AuthorityError::io(&path))?;
        if found.mode() & 0o077 != 0 {
            return Err(AuthorityError::Exposed { path });
        }
        let mut text = Zeroizing::new(String::new());
        match file.take(LARGEST).read_to_string(&mut text) {
            Ok(_size) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(AuthorityError::Damaged { path, what: "is not text" })
            }
            Err(error) => Err(AuthorityError::io(&path)(error)),
        }
    }

    /// Replaces a file: written beside, made durable, renamed, and the name made durable.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), AuthorityError> {
        let path = self.path(name);
        let mut beside = tempfile::Builder::new();
        beside.prefix(".new-").permissions(fs::Permissions::from_mode(0o600));
        let mut file = beside.tempfile_in(&self.dir).map_err(AuthorityError::io(&self.dir))?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(AuthorityError::io(&path))?;
        file.persist(&path).map_err(|error| AuthorityError::io(&path)(error.error))?;
        self.sync()
    }

    /// Removes a file, where it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), AuthorityError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(AuthorityError::io(&path)(error)),
        }
    }

    fn sync(&self) -> Result<(), AuthorityError> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(AuthorityError::io(&self.dir))
    }
}
