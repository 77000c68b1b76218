//! Writes a bag as a zip, file after file, to anything that takes bytes.
//!
//! Invariant: the same files in the same order are the same bytes, whenever and wherever they are written. Memory holds one file and no
//! list: what the manifests and the directory say waits in scratch files, and so does a file whose size is not known yet.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write};

use sha2::{Digest as _, Sha256};

use super::line::Line;
use super::zip::{Member, central_header, end, is_name, local_header};
use super::{MANIFEST, TAG_MANIFEST, is_payload};
use crate::record::Digest;

/// A bag could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BagWriteError {
    /// Nobody takes the bytes any more.
    #[error("the bundle cannot be written; is there room where it goes to?")]
    Output(#[source] io::Error),
    /// A scratch file fails.
    #[error("a scratch file cannot be written or read; is there room for temporary files?")]
    Scratch(#[source] io::Error),
    /// A path that no bag has.
    #[error("`{0}` is no path of a bag")]
    Path(String),
}

/// What the zip and the manifest must know of a file.
#[derive(Debug, Default)]
struct Measure {
    crc: crc32fast::Hasher,
    sha: Sha256,
    size: u64,
}

impl Measure {
    fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.sha.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
    }

    fn end(self) -> Measured {
        Measured { digest: Digest(self.sha.finalize().into()), crc: self.crc.finalize(), size: self.size }
    }
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    digest: Digest,
    crc: u32,
    size: u64,
}

impl Measured {
    fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(&[bytes]), crc: crc32fast::hash(bytes), size: bytes.len() as u64 }
    }
}

fn from_its_beginning(file: BufWriter<File>) -> Result<BufReader<File>, BagWriteError> {
    let mut file = file.into_inner().map_err(|error| BagWriteError::Scratch(error.into_error()))?;
    file.rewind().map_err(BagWriteError::Scratch)?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// A file in the making, whose size is not known yet.
#[derive(Debug)]
pub(in crate::bundle) struct Spool {
    file: BufWriter<File>,
    measure: Measure,
}

impl Spool {
    pub(in crate::bundle) fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(1 << 16, file), measure: Measure::default() }
    }

    pub(in crate::bundle) fn write(&mut self, bytes: &[u8]) -> Result<(), BagWriteError> {
        self.measure.update(bytes);
        self.file.write_all(bytes).map_err(BagWriteError::Scratch)
    }
}

/// Several files in the making, one after the other.
#[derive(Debug)]
pub(in crate::bundle) struct Files {
    spool: BufWriter<File>,
    measure: Measure,
    ended: Vec<(String, Measured)>,
}

impl Files {
    pub(in crate::bundle) fn new(file: File) -> Self {
        Self { spool: BufWriter::with_capacity(1 << 16, file), measure: Measure::default(), ended: Vec::new() }
    }

    pub(in crate::bundle) fn write(&mut self, bytes: &[u8]) -> Result<(), BagWriteError> {
        self.measure.update(bytes);
        self.spool.write_all(bytes).map_err(BagWriteError::Scratch)
    }

    /// What was written since the last end is the file of this path.
    pub(in crate::bundle) fn end(&mut self, path: String) {
        self.ended.push((path, std::mem::take(&mut self.measure).end()));
    }
}

/// A bag that is being written.
#[derive(Debug)]
pub(in crate::bundle) struct BagWriter<W> {
    out: W,
    folder: String,
    offset: u64,
    count: u64,
    central: Spool,
    manifest: Spool,
    tags: Spool,
    octets: u64,
    streams: u64,
}

impl<W: Write> BagWriter<W> {
    /// Begins a bag in a folder of this name, with three scratch files.
    pub(in crate::bundle) fn new(
        out: W,
        folder: &str,
        mut scratch: impl FnMut() -> io::Result<File>,
    ) -> Result<Self, BagWriteError> {
        if !is_name(folder) || folder.contains('/') {
            return Err(BagWriteError::Path(folder.to_owned()));
        }
        let mut spool = || scratch().map(Spool::new).map_err(BagWriteError::Scratch);
        let (central, manifest, tags) = (spool()?, spool()?, spool()?);
        Ok(Self { out, folder: folder.to_owned(), offset: 0, count: 0, central, manifest, tags, octets: 0, streams: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BagWriteError> {
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.out.write_all(bytes).map_err(BagWriteError::Output)
    }

    /// Writes the headers of a file, and names it in the manifest that it belongs to.
    fn begin(&mut self, path: &str, measured: Measured) -> Result<(), BagWriteError> {
        let Measured { digest, crc, size } = measured;
        let member = Member { name: format!("{}/{path}", self.folder), crc, size, offset: self.offset };
        if !is_name(&member.name) {
            return Err(BagWriteError::Path(path.to_owned()));
        }
        if path != TAG_MANIFEST {
            let line = Line { digest, path: path.to_owned() }.to_string();
            if is_payload(path) {
                self.octets = self.octets.saturating_add(size);
                self.streams += 1;
                self.manifest.write(line.as_bytes())?;
            } else {
                self.tags.write(line.as_bytes())?;
            }
        }
        self.central.write(&central_header(&member))?;
        self.count += 1;
        self.put(&local_header(&member))
    }

    /// Adds a file.
    pub(in crate::bundle) fn add(&mut self, path: &str, bytes: &[u8]) -> Result<Digest, BagWriteError> {
        let measured = Measured::of(bytes);
        self.begin(path, measured)?;
        self.put(bytes)?;
        Ok(measured.digest)
    }

    /// Adds a file that waited.
    pub(in crate::bundle) fn add_spool(&mut self, path: &str, spool: Spool) -> Result<Digest, BagWriteError> {
        let measured = spool.measure.end();
        self.begin(path, measured)?;
        self.copy(&mut from_its_beginning(spool.file)?, measured.size)?;
        Ok(measured.digest)
    }

    /// Adds files that waited, in the order in which they were ended.
    pub(in crate::bundle) fn add_files(&mut self, files: Files) -> Result<(), BagWriteError> {
        let mut from = from_its_beginning(files.spool)?;
        for (path, measured) in files.ended {
            self.begin(&path, measured)?;
            self.copy(&mut from, measured.size)?;
        }
        Ok(())
    }

    fn copy(&mut self, from: &mut BufReader<File>, size: u64) -> Result<(), BagWriteError> {
        let mut left = size;
        while left > 0 {
            let held = from.fill_buf().map_err(BagWriteError::Scratch)?;
            let count = held.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let Some(bytes) = held.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Err(BagWriteError::Scratch(io::ErrorKind::UnexpectedEof.into()));
            };
            self.offset = self.offset.saturating_add(count as u64);
            self.out.write_all(bytes).map_err(BagWriteError::Output)?;
            from.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Bytes and number of the files in `data/`.
    pub(in crate::bundle) const fn payload(&self) -> (u64, u64) {
        (self.octets, self.streams)
    }

    /// Adds the manifest of the files in `data/`, of which there are no more to come.
    pub(in crate::bundle) fn add_manifest(&mut self, empty: File) -> Result<Digest, BagWriteError> {
        let manifest = std::mem::replace(&mut self.manifest, Spool::new(empty));
        self.add_spool(MANIFEST, manifest)
    }

    /// Adds the manifest of all others, and the directory. Answers with what was written to, and the bytes written.
    pub(in crate::bundle) fn finish(mut self, empty: [File; 2]) -> Result<(W, u64), BagWriteError> {
        let [tags, central] = empty.map(Spool::new);
        let tags = std::mem::replace(&mut self.tags, tags);
        self.add_spool(TAG_MANIFEST, tags)?;
        let (count, offset) = (self.count, self.offset);
        let central = std::mem::replace(&mut self.central, central);
        let size = central.measure.size;
        self.copy(&mut from_its_beginning(central.file)?, size)?;
        self.put(&end(count, size, offset))?;
        self.out.flush().map_err(BagWriteError::Output)?;
        Ok((self.out, self.offset))
    }
}
