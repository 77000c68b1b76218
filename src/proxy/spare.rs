//! A file kept open for nothing, so that there is one to give when there are no more: a device that comes then is refused at once, and does
//! not wait for somebody who cannot accept it.

use std::fs::File;
use std::io;

use rustix::io::Errno;

/// Whether the system gives no more files, to this process or to anybody.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The file.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives it up; answers with whether there was one.
    pub(super) fn give(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes one again, as soon as there is one.
    pub(super) fn take(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }
}
