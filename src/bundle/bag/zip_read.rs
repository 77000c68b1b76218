//! Reads a bag's zip: files in their order, and some by name.
//!
//! Invariant: what is handed out is a file whose headers are spelled as ours, that begins where the one before ended. Bounds: a name of 255
//! characters; nothing is compressed, so nothing grows; memory holds the places of the files asked for by name.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::read::{BagError, ReadSeek, Source};
use super::zip::{CENTRAL, END, END_64, LOCATOR, Member, central_header, end, local_header, number, read_central};

/// The most files that are asked for by name: a range for each of 128 advisors, and a few others.
const NAMED_MAX: usize = 200;

/// Where the directory is.
#[derive(Debug, Clone, Copy)]
struct Directory {
    count: u64,
    size: u64,
    offset: u64,
}

/// Members one after the other.
struct Central {
    from: BufReader<Box<dyn ReadSeek>>,
    left: u64,
    /// Where the next file must begin.
    offset: u64,
    end: u64,
}

/// A zip that is read from its first file to its last.
pub(super) struct Zip {
    source: Source,
    central: Central,
    data: BufReader<Box<dyn ReadSeek>>,
    next: Option<Member>,
    /// The one behind it.
    after: Option<Member>,
    /// The bag's folder, with its slash.
    folder: String,
    named: BTreeMap<String, Member>,
}

fn form(problem: &'static str) -> BagError {
    BagError::Form(problem)
}

/// Finds the directory from the end of the file.
fn find(from: &mut (impl Read + Seek)) -> Result<Directory, BagError> {
    let length = from.seek(SeekFrom::End(0))?;
    let tail = length.min((END_64 + LOCATOR + END) as u64);
    from.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    from.take(tail).read_to_end(&mut bytes)?;
    let last = bytes.len().checked_sub(END).and_then(|at| bytes.get(at..));
    let last =
        last.filter(|last| last.starts_with(b"PK\x05\x06")).ok_or(form("not a zip, or one with more behind it"))?;
    let mut directory =
        Directory { count: number::<2>(last, 10), size: number::<4>(last, 12), offset: number::<4>(last, 16) };
    if bytes.starts_with(b"PK\x06\x06") {
        directory = Directory {
            count: number::<8>(&bytes, 32),
            size: number::<8>(&bytes, 40),
            offset: number::<8>(&bytes, 48),
        };
    }
    let spelled = end(directory.count, directory.size, directory.offset);
    let at = directory.offset.checked_add(directory.size);
    if !bytes.ends_with(&spelled) || at.and_then(|at| at.checked_add(spelled.len() as u64)) != Some(length) {
        return Err(form("the end of the zip is not spelled as a bundle's is"));
    }
    Ok(directory)
}

impl Central {
    fn open(source: &Source, directory: Directory) -> Result<Self, BagError> {
        let mut from = source.open()?;
        from.seek(SeekFrom::Start(directory.offset))?;
        let from = BufReader::with_capacity(1 << 16, from);
        Ok(Self { from, left: directory.count, offset: 0, end: directory.offset })
    }

    fn next(&mut self) -> Result<Option<Member>, BagError> {
        if self.left == 0 {
            return if self.offset == self.end { Ok(None) } else { Err(form("the zip holds bytes that no file has")) };
        }
        let mut header = vec![0; CENTRAL];
        read_exactly(&mut self.from, &mut header)?;
        let more =
            usize::try_from(number::<2>(&header, 28).saturating_add(number::<2>(&header, 30))).unwrap_or(usize::MAX);
        if more > 1 << 10 {
            return Err(form("a name in the zip is too long"));
        }
        let fixed = header.len();
        header.resize(fixed.saturating_add(more), 0);
        read_exactly(&mut self.from, header.get_mut(fixed..).unwrap_or_default())?;
        let member = read_central(&header).ok_or(form("the directory of the zip is not spelled as a bundle's is"))?;
        if member.offset != self.offset {
            return Err(form("a file of the zip does not begin where the one before ends"));
        }
        let header = local_header(&member).len() as u64;
        let next = self.offset.checked_add(header).and_then(|at| at.checked_add(member.size));
        self.offset = next.filter(|next| *next <= self.end).ok_or(form("a file of the zip ends behind the last"))?;
        self.left -= 1;
        Ok(Some(member))
    }
}

fn read_exactly(from: &mut impl Read, into: &mut [u8]) -> Result<(), BagError> {
    match from.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(form("the zip is cut off")),
        read => Ok(read?),
    }
}

impl Zip {
    /// Opens a zip; `is_named` tells the files that will be asked for by name.
    pub(super) fn open(source: &Source, is_named: impl Fn(&str) -> bool) -> Result<Self, BagError> {
        let directory = find(&mut source.open()?)?;
        let mut all = Central::open(source, directory)?;
        let mut folder = None;
        let mut named = BTreeMap::new();
        let mut size = 0_u64;
        while let Some(member) = all.next()? {
            size = size.saturating_add(central_header(&member).len() as u64);
            let (own, path) = member.name.split_once('/').ok_or(form("a file of the zip is in no folder"))?;
            let folder = folder.get_or_insert_with(|| format!("{own}/"));
            if !member.name.starts_with(folder.as_str()) {
                return Err(form("the zip holds more than one folder"));
            }
            if named.len() > NAMED_MAX {
                return Err(form("the zip holds more ranges than a bundle can"));
            }
            if is_named(path) && named.insert(path.to_owned(), member.clone()).is_some() {
                return Err(form("a name stands twice in the zip"));
            }
        }
        if size != directory.size {
            return Err(form("the directory of the zip holds more than its files"));
        }
        let folder = folder.ok_or(form("the zip is empty"))?;
        let mut central = Central::open(source, directory)?;
        let (next, after) = (central.next()?, central.next()?);
        let data = BufReader::with_capacity(1 << 16, source.open()?);
        Ok(Self { source: source.clone(), central, data, next, after, folder, named })
    }

    /// The bag's folder.
    pub(super) fn folder(&self) -> &str {
        self.folder.trim_end_matches('/')
    }

    fn path<'a>(&self, member: &'a Member) -> &'a str {
        member.name.strip_prefix(&self.folder).unwrap_or_default()
    }

    /// The path of the next file.
    pub(super) fn peek(&self) -> Option<&str> {
        self.next.as_ref().map(|member| self.path(member))
    }

    /// The path of the one behind it.
    pub(super) fn peek_after(&self) -> Option<&str> {
        self.after.as_ref().map(|member| self.path(member))
    }

    /// Goes past the next file.
    pub(super) fn skip(&mut self) -> Result<Option<Member>, BagError> {
        let after = self.central.next()?;
        Ok(std::mem::replace(&mut self.next, std::mem::replace(&mut self.after, after)))
    }

    /// Hands out the next file: its checksum, whether its own header says the same, and its bytes.
    pub(super) fn take(&mut self) -> Result<Option<(u32, bool, impl Read + '_)>, BagError> {
        let Some(member) = self.skip()? else { return Ok(None) };
        let spelled = local_header(&member);
        let here = self.data.stream_position()?;
        let ahead = i64::try_from(member.offset).unwrap_or(i64::MAX).saturating_sub(i64::try_from(here).unwrap_or(0));
        // Mostly it is right here.
        self.data.seek_relative(ahead)?;
        let mut header = vec![0; spelled.len()];
        read_exactly(&mut self.data, &mut header)?;
        Ok(Some((member.crc, header == spelled, self.data.by_ref().take(member.size))))
    }

    /// A file by its name, to be read beside the others.
    pub(super) fn named(&self, path: &str) -> Result<Option<Box<dyn BufRead>>, BagError> {
        let Some(member) = self.named.get(path) else { return Ok(None) };
        let mut from = self.source.open()?;
        from.seek(SeekFrom::Start(member.offset.saturating_add(local_header(member).len() as u64)))?;
        Ok(Some(Box::new(BufReader::with_capacity(1 << 16, from).take(member.size))))
    }
}
