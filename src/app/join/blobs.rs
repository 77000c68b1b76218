//! The archive's blob store, as capture writes to it.

use std::io::{self, Write};

use crate::archive::{ArchiveError, BlobDigest, BlobStore};
use crate::capture::{BlobWriter, Blobs};

/// See the module.
pub(in crate::app) struct ArchiveBlobs(pub(in crate::app) BlobStore);

struct Writer(crate::archive::BlobWriter);

fn as_io(error: ArchiveError) -> io::Error {
    match error {
        ArchiveError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

impl Blobs for ArchiveBlobs {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Writer(self.0.writer().map_err(as_io)?)))
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl BlobWriter for Writer {
    fn finish(self: Box<Self>) -> io::Result<(BlobDigest, u64)> {
        self.0.finish().map_err(as_io)
    }
}
