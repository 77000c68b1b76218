//! No id twice, in memory that does not grow with the archive: what does not fit is sorted into temporary files and merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Ids held in memory before they go to a file (24 bytes each).
const HELD_MAX: usize = 2_000_000;

/// An id and the index where it stands.
type Seen = (u128, u64);

/// Collects ids and finds those that came before.
#[derive(Debug)]
pub(super) struct Unique {
    held: Vec<Seen>,
    held_max: usize,
    runs: Vec<Run>,
    scratch: PathBuf,
}

impl Unique {
    pub(super) fn new(scratch: &Path) -> Self {
        Self::with_bound(scratch, HELD_MAX)
    }

    fn with_bound(scratch: &Path, held_max: usize) -> Self {
        Self { held: Vec::new(), held_max, runs: Vec::new(), scratch: scratch.to_owned() }
    }

    pub(super) fn add(&mut self, id: u128, index: u64) -> io::Result<()> {
        self.held.push((id, index));
        if self.held.len() >= self.held_max {
            // Ids are nearly in order of time, which a run-aware sort makes cheap.
            self.held.sort();
            self.runs.push(Run::write(&self.scratch, self.runs.len(), &self.held)?);
            self.held.clear();
        }
        Ok(())
    }

    /// Tells every index whose id stands at an earlier index too, with that index.
    pub(super) fn finish(mut self, mut twice: impl FnMut(u64, u64)) -> io::Result<()> {
        self.held.sort();
        let mut before: Option<Seen> = None;
        let mut check = |seen: Seen| {
            if let Some((id, first)) = before
                && id == seen.0
            {
                twice(seen.1, first);
            }
            before = Some(seen);
        };
        if self.runs.is_empty() {
            self.held.drain(..).for_each(check);
            return Ok(());
        }
        let last = self.runs.len();
        let mut held = std::mem::take(&mut self.held).into_iter();
        let mut heap = BinaryHeap::new();
        for (at, run) in self.runs.iter_mut().enumerate() {
            heap.extend(run.read()?.map(|seen| Reverse((seen, at))));
        }
        heap.extend(held.next().map(|seen| Reverse((seen, last))));
        while let Some(Reverse((seen, at))) = heap.pop() {
            check(seen);
            let next = match self.runs.get_mut(at) {
                Some(run) => run.read()?,
                None => held.next(),
            };
            heap.extend(next.map(|seen| Reverse((seen, at))));
        }
        Ok(())
    }
}

/// A sorted run in a file, which is removed when it is dropped.
#[derive(Debug)]
struct Run {
    path: PathBuf,
    file: BufReader<File>,
}

impl Run {
    fn write(scratch: &Path, number: usize, seen: &[Seen]) -> io::Result<Self> {
        // The address tells apart two verifications in one process; an existing file is never opened.
        let name = format!("muniment-verify-{}-{:p}-{number}.ids", std::process::id(), seen);
        let path = scratch.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let mut run = Self { path, file: BufReader::new(file) };
        let mut to = BufWriter::new(run.file.get_mut());
        for (id, index) in seen {
            to.write_all(&id.to_be_bytes())?;
            to.write_all(&index.to_be_bytes())?;
        }
        to.flush()?;
        drop(to);
        run.file.rewind()?;
        Ok(run)
    }

    fn read(&mut self) -> io::Result<Option<Seen>> {
        let (mut id, mut index) = ([0; 16], [0; 8]);
        match self.file.read_exact(&mut id) {
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        self.file.read_exact(&mut index)?;
        Ok(Some((u128::from_be_bytes(id), u64::from_be_bytes(index))))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A scratch file that stays behind holds ids only; the operating system clears it in time.
        let _removed = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repeated_id_is_found_whether_held_or_in_files() {
        let scratch = tempfile::tempdir().unwrap();
        let ids = [9_u128, 3, 7, 3, 1, 9, 3, 8, 2, 2];
        for held_max in [1, 2, 3, 4, 10, 11] {
            let mut unique = Unique::with_bound(scratch.path(), held_max);
            for (index, id) in (0..).zip(ids) {
                unique.add(id, index).unwrap();
            }
            let mut found = Vec::new();
            unique.finish(|index, first| found.push((index, first))).unwrap();
            found.sort_unstable();
            assert_eq!(found, [(3, 1), (5, 0), (6, 3), (9, 8)], "{held_max} held");
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }
}
