//! The blob store: a directory of sealed files, each named by the SHA-256 of its bytes.
//!
//! Invariant: a name that was given out is durable (file, name and directory), so an entry that refers to it may be appended.
//! What is in a file is one record's ciphertext; nothing is shared. Files come before their entry, so a crash in between leaves
//! a file that nobody refers to, which verification names once it is a day old ([`BlobStore::settled`]).
//!
//! The store blocks: call it from a blocking task.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::ArchiveError;
use super::submission::BlobDigest;
use crate::record::Digest;

/// A file that was begun this long ago and is not finished was left behind.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A directory of blobs.
#[derive(Debug, Clone)]
pub struct BlobStore {
    dir: PathBuf,
}

/// A blob being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    dir: PathBuf,
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl BlobStore {
    /// Makes the directories if need be, durably, before any name in them is given out; and clears away what was left half-written.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let unfinished = dir.join("unfinished");
        fs::create_dir_all(&unfinished).map_err(ArchiveError::io(&unfinished))?;
        for place in (0..=u8::MAX).map(|first| dir.join(format!("{first:02x}"))) {
            match fs::create_dir(&place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(ArchiveError::io(place)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        // Also when all were there: whoever made them may not have come this far.
        sync_dir(dir)?;
        if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
            sync_dir(above)?;
        }
        for file in fs::read_dir(&unfinished).map_err(ArchiveError::io(&unfinished))?.flatten() {
            let age = file.metadata().and_then(|file| file.modified()).map(|modified| modified.elapsed());
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                fs::remove_file(file.path()).map_err(ArchiveError::io(file.path()))?;
            }
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Begins a blob; write its sealed bytes, then [`BlobWriter::finish`].
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer(&self) -> Result<BlobWriter, ArchiveError> {
        let unfinished = self.dir.join("unfinished");
        let file = NamedTempFile::new_in(&unfinished).map_err(ArchiveError::io(&unfinished))?;
        Ok(BlobWriter { dir: self.dir.clone(), file, hasher: Sha256::new(), size: 0 })
    }

    fn path(&self, digest: BlobDigest) -> PathBuf {
        place(&self.dir, digest).0
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, digest: BlobDigest) -> Result<File, ArchiveError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ArchiveError::Blob { digest: digest.0, problem: "is missing" })
            }
            Err(error) => Err(ArchiveError::io(path)(error)),
        }
    }

    /// Reads a blob to the end and compares bytes with name and size.
    ///
    /// # Errors
    /// When it is missing, or not what it should be.
    pub fn check(&self, digest: BlobDigest, size: u64) -> Result<(), ArchiveError> {
        let mut file = self.read(digest)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut found = 0_u64;
        loop {
            let read = file.read(&mut buffer).map_err(ArchiveError::io(self.path(digest)))?;
            if read == 0 {
                break;
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            found = found.saturating_add(read as u64);
        }
        if found != size {
            return Err(ArchiveError::Blob { digest: digest.0, problem: "has another size" });
        }
        if Digest(hasher.finalize().into()) != digest.0 {
            return Err(ArchiveError::Blob { digest: digest.0, problem: "is not what its name is the hash of" });
        }
        Ok(())
    }

    /// Deletes a blob whose record was disposed of. One that is gone already is fine.
    ///
    /// # Errors
    /// When it is there and cannot be deleted.
    pub fn delete(&self, digest: BlobDigest) -> Result<(), ArchiveError> {
        let (path, dir) = place(&self.dir, digest);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ArchiveError::io(path)(error)),
        }
    }

    /// Files older than a day whose names begin with this byte: old enough that their entry has come or never will.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn settled(&self, first: u8) -> Result<Vec<BlobDigest>, ArchiveError> {
        let dir = self.dir.join(format!("{first:02x}"));
        let files = match fs::read_dir(&dir) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ArchiveError::io(dir)(error)),
        };
        let is_old = |file: &fs::DirEntry| {
            let age = file.metadata().and_then(|file| file.modified()).map(|modified| modified.elapsed());
            matches!(age, Ok(Ok(age)) if age > ABANDONED)
        };
        let name = |file: fs::DirEntry| file.file_name().to_str().and_then(|name| name.parse().ok().map(BlobDigest));
        Ok(files.flatten().filter(is_old).filter_map(name).collect())
    }

    /// Is there a file of this name?
    #[must_use]
    pub fn has(&self, digest: BlobDigest) -> bool {
        self.path(digest).exists()
    }
}

/// `<dir>/ab/abcd…`: 256 directories, so that none grows without bound.
fn place(dir: &Path, digest: BlobDigest) -> (PathBuf, PathBuf) {
    let name = digest.0.to_string();
    let dir = dir.join(name.get(..2).unwrap_or_default());
    (dir.join(&name), dir)
}

fn sync_dir(dir: &Path) -> Result<(), ArchiveError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(ArchiveError::io(dir))
}

impl BlobWriter {
    /// Makes the blob durable under its name; answers with name and size.
    ///
    /// # Errors
    /// When it cannot be made durable: then no entry may refer to it.
    pub fn finish(self) -> Result<(BlobDigest, u64), ArchiveError> {
        let digest = BlobDigest(Digest(self.hasher.finalize().into()));
        let (path, dir) = place(&self.dir, digest);
        self.file.as_file().sync_all().map_err(ArchiveError::io(self.file.path()))?;
        self.file.persist(&path).map_err(|error| ArchiveError::io(&path)(error.error))?;
        sync_dir(&dir)?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size = self.size.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_by_its_bytes_and_found_changed_when_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"sealed").unwrap();
        let (digest, size) = writer.finish().unwrap();
        assert_eq!((digest.0, size), (Digest::of(&[b"sealed"]), 6));
        store.check(digest, 6).unwrap();

        fs::write(store.path(digest), b"Sealed").unwrap();
        assert!(matches!(store.check(digest, 6), Err(ArchiveError::Blob { .. })));
        store.delete(digest).unwrap();
        store.delete(digest).unwrap();
        assert!(matches!(store.check(digest, 6), Err(ArchiveError::Blob { problem: "is missing", .. })));
    }

    #[test]
    fn every_directory_is_there_before_a_name_is_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("blobs");
        BlobStore::open(&dir).unwrap();
        let places = || fs::read_dir(&dir).unwrap().flatten().filter(|place| place.file_name().len() == 2).count();
        assert_eq!(places(), 256);
        fs::remove_dir(dir.join("ab")).unwrap();
        BlobStore::open(&dir).unwrap();
        assert_eq!(places(), 256);
    }

    #[test]
    fn a_blob_that_was_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(dir.path().join("unfinished")).unwrap().count(), 0);
    }
}
