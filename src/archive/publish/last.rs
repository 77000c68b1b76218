//! The last checkpoint, kept in a file outside the database.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;
use crate::ledger::{Checkpoint, VerifyingKey};

/// The file, and whose signature it must bear.
#[derive(Debug, Clone)]
pub struct Guard {
    path: PathBuf,
    key: VerifyingKey,
}

impl Guard {
    /// The file in this data directory.
    #[must_use]
    pub fn new(data_dir: &Path, key: VerifyingKey) -> Self {
        Self { path: data_dir.join("checkpoint"), key }
    }

    /// The checkpoint in the file; none before the first.
    ///
    /// # Errors
    /// When it cannot be read, or is not a checkpoint of ours: a guard that was tampered with guards nothing.
    pub fn load(&self) -> Result<Option<Checkpoint>, ArchiveError> {
        let Some(bytes) = self.note()? else { return Ok(None) };
        let opened = Checkpoint::open(&bytes, std::slice::from_ref(&self.key));
        let (checkpoint, _vouched) =
            opened.map_err(|source| ArchiveError::Guard { path: self.path.clone(), source })?;
        Ok(Some(checkpoint))
    }

    /// The bytes in the file; none before the first.
    pub(in crate::archive) fn note(&self) -> Result<Option<Vec<u8>>, ArchiveError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArchiveError::io(&self.path)(error)),
        }
    }

    /// Replaces the checkpoint in the file; durable on return.
    pub(super) fn store(&self, note: &str) -> Result<(), ArchiveError> {
        let io = |error| ArchiveError::io(&self.path)(error);
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        file.write_all(note.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        file.persist(&self.path).map_err(|error| io(error.error))?;
        std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
    }
}
