//! A disk in memory that fails where it is told to, and can lose its power.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use muniment::capture::spool::{Disk, SegmentFile, SegmentNumber};
use parking_lot::Mutex;

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happened, and it says so.
    NotPersisted,
    /// It happened, and it says that it did not.
    PersistedButReportedFailed,
    /// A part of it happened.
    HalfPersisted,
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::NotPersisted, Fault::PersistedButReportedFailed, Fault::HalfPersisted];

#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    durable: usize,
    name_durable: bool,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<SegmentNumber, Content>,
    /// Removed, but the removal is not durable yet.
    removed: BTreeMap<SegmentNumber, Content>,
    aside: Vec<SegmentNumber>,
    steps: u64,
    fail_at: BTreeMap<u64, Fault>,
    full: bool,
    read_only: bool,
}

impl Inner {
    fn step(&mut self) -> Option<Fault> {
        let step = self.steps;
        self.steps += 1;
        self.fail_at.remove(&step)
    }
}

/// Clones share the disk.
#[derive(Clone, Default)]
pub(crate) struct FaultDisk(Arc<Mutex<Inner>>);

impl FaultDisk {
    pub(crate) fn failing(step: u64, fault: Fault) -> Self {
        let disk = Self::default();
        disk.fail_at(step, fault);
        disk
    }

    pub(crate) fn fail_at(&self, step: u64, fault: Fault) {
        self.0.lock().fail_at.insert(step, fault);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// No file can be moved or removed.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        self.0.lock().read_only = read_only;
    }

    /// Every byte there is, of every file, aside or not.
    pub(crate) fn all_bytes(&self) -> Vec<u8> {
        self.0.lock().files.values().flat_map(|content| content.written.clone()).collect()
    }

    pub(crate) fn set_aside_count(&self) -> usize {
        self.0.lock().aside.len()
    }

    /// Takes the file of a segment away.
    pub(crate) fn take_away(&self, number: u64) {
        self.0.lock().files.remove(&SegmentNumber(number)).unwrap();
    }

    /// Changes one byte in the middle of the oldest file.
    pub(crate) fn damage(&self, at: usize) {
        let mut inner = self.0.lock();
        let content = inner.files.values_mut().next().unwrap();
        content.written[at] ^= 0x40;
    }

    /// What a machine finds after its power was cut: durable bytes, and of the others as many as `survive` says; names that
    /// were not durable are lost, or removals undone.
    pub(crate) fn after_power_cut(&self, survive: impl Fn(usize) -> usize) -> Self {
        let inner = self.0.lock();
        let mut files: BTreeMap<_, _> = inner.removed.clone();
        files.extend(inner.files.iter().filter(|(_, content)| content.name_durable).map(|(n, c)| (*n, c.clone())));
        for content in files.values_mut() {
            let loose = content.written.len() - content.durable;
            content.written.truncate(content.durable + survive(loose).min(loose));
            content.durable = content.written.len();
        }
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })))
    }

    /// What another process finds after this one was killed: everything written.
    pub(crate) fn after_kill(&self) -> Self {
        let files = self.0.lock().files.clone();
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })))
    }
}

struct File(SegmentNumber, Arc<Mutex<Inner>>);

impl SegmentFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.1.lock();
        let fault = if inner.full { Some(Fault::HalfPersisted) } else { inner.step() };
        let kind = if inner.full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        let content = inner.files.get_mut(&self.0).ok_or(io::ErrorKind::NotFound)?;
        match fault {
            None => content.written.extend_from_slice(bytes),
            Some(Fault::NotPersisted) => {}
            Some(Fault::PersistedButReportedFailed) => content.written.extend_from_slice(bytes),
            Some(Fault::HalfPersisted) => content.written.extend_from_slice(&bytes[..bytes.len() / 2]),
        }
        fault.map_or(Ok(()), |_| Err(kind.into()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.1.lock();
        let fault = inner.step();
        let content = inner.files.get_mut(&self.0).ok_or(io::ErrorKind::NotFound)?;
        let loose = content.written.len() - content.durable;
        content.durable += match fault {
            None | Some(Fault::PersistedButReportedFailed) => loose,
            Some(Fault::NotPersisted) => 0,
            Some(Fault::HalfPersisted) => loose / 2,
        };
        fault.map_or(Ok(()), |_| Err(io::ErrorKind::Other.into()))
    }
}

impl Disk for FaultDisk {
    fn segments(&self) -> io::Result<Vec<SegmentNumber>> {
        Ok(self.0.lock().files.keys().copied().collect())
    }

    fn create(&self, number: SegmentNumber) -> io::Result<Box<dyn SegmentFile>> {
        let mut inner = self.0.lock();
        let fault = inner.step();
        if inner.files.contains_key(&number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if fault != Some(Fault::NotPersisted) {
            inner.files.insert(number, Content::default());
        }
        match fault {
            None => Ok(Box::new(File(number, Arc::clone(&self.0)))),
            Some(_) => Err(io::ErrorKind::Other.into()),
        }
    }

    fn read(&self, number: SegmentNumber, bound: u64) -> io::Result<Vec<u8>> {
        let inner = self.0.lock();
        let content = inner.files.get(&number).ok_or(io::ErrorKind::NotFound)?;
        assert!(content.written.len() as u64 <= bound, "a segment is larger than what its reader takes");
        Ok(content.written.clone())
    }

    fn size(&self, number: SegmentNumber) -> io::Result<u64> {
        Ok(self.0.lock().files.get(&number).ok_or(io::ErrorKind::NotFound)?.written.len() as u64)
    }

    fn remove(&self, number: SegmentNumber) -> io::Result<()> {
        let mut inner = self.0.lock();
        if inner.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let fault = inner.step();
        if fault != Some(Fault::NotPersisted) {
            let content = inner.files.remove(&number).ok_or(io::ErrorKind::NotFound)?;
            inner.removed.insert(number, content);
        }
        fault.map_or(Ok(()), |_| Err(io::ErrorKind::Other.into()))
    }

    fn set_aside(&self, number: SegmentNumber) -> io::Result<()> {
        let mut inner = self.0.lock();
        if inner.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        inner.files.remove(&number).ok_or(io::ErrorKind::NotFound)?;
        inner.aside.push(number);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        let fault = inner.step();
        if matches!(fault, None | Some(Fault::PersistedButReportedFailed)) {
            inner.files.values_mut().for_each(|content| content.name_durable = true);
            inner.removed.clear();
        }
        fault.map_or(Ok(()), |_| Err(io::ErrorKind::Other.into()))
    }
}
