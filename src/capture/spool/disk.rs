//! What the journal needs of a file system, as a seam: a directory of segments, each written once from its start.
//!
//! Invariant: when [`SegmentFile::sync`] returns `Ok`, every byte written before it survives a power cut, and when
//! [`Disk::sync`] returns `Ok`, so do the names made and removed before it. Tests put a disk in here that fails at each step.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Number of a segment: the order they were begun in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

/// One segment being written.
pub trait SegmentFile: Send {
    /// Appends.
    ///
    /// # Errors
    /// When any byte may not have been taken. The segment is then given up and never written again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// When it may not be. The segment is then given up: after a failed sync a later one proves nothing about these bytes.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of segments.
pub trait Disk: Send + Sync {
    /// Segments there are, in order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn segments(&self) -> io::Result<Vec<SegmentNumber>>;

    /// Begins a new, empty one.
    ///
    /// # Errors
    /// When there is one of this number, or it cannot be made.
    fn create(&self, number: SegmentNumber) -> io::Result<Box<dyn SegmentFile>>;

    /// All of it, at most `bound` bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, number: SegmentNumber, bound: u64) -> io::Result<Vec<u8>>;

    /// Its size in bytes.
    ///
    /// # Errors
    /// When it cannot be told.
    fn size(&self, number: SegmentNumber) -> io::Result<u64>;

    /// Removes it. The name may come back after a power cut: replaying twice is harmless.
    ///
    /// # Errors
    /// When it may still be there.
    fn remove(&self, number: SegmentNumber) -> io::Result<()>;

    /// Keeps a damaged one out of the way, for whoever looks into it.
    ///
    /// # Errors
    /// When it may still be among the segments.
    fn set_aside(&self, number: SegmentNumber) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// When they may not be.
    fn sync(&self) -> io::Result<()>;
}

/// A real directory, readable by this user only, locked against a second process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Open on the directory itself: what makes names durable.
    handle: File,
    /// Held while this lives; the kernel lets go of it when the process ends in any way.
    _lock: File,
}

impl Directory {
    /// Opens the directory, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // The directory's own name has to be durable as well, or a power cut takes all that is in it.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another muniment process has this spool directory open")
            }
            TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), handle: File::open(path)?, _lock: lock })
    }

    fn file(&self, number: SegmentNumber) -> PathBuf {
        self.path.join(format!("{:016x}.spool", number.0))
    }
}

struct RealFile(File);

impl SegmentFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Disk for Directory {
    fn segments(&self) -> io::Result<Vec<SegmentNumber>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".spool")).filter(|hex| hex.len() == 16);
            numbers.extend(hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(SegmentNumber));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn create(&self, number: SegmentNumber) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(self.file(number))?;
        Ok(Box::new(RealFile(file)))
    }

    fn read(&self, number: SegmentNumber, bound: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.file(number))?;
        let size = file.metadata()?.len().min(bound);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(bound).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn size(&self, number: SegmentNumber) -> io::Result<u64> {
        Ok(fs::metadata(self.file(number))?.len())
    }

    fn remove(&self, number: SegmentNumber) -> io::Result<()> {
        fs::remove_file(self.file(number))
    }

    fn set_aside(&self, number: SegmentNumber) -> io::Result<()> {
        let file = self.file(number);
        fs::rename(&file, file.with_extension("damaged"))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}
