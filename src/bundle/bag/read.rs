//! Reads a bag, whether zipped or unpacked: each file once, in the order of the manifests, digested on the way.
//!
//! Invariant: what was handed out and not complained of is what a manifest names, and when nothing is complained of at the end there is
//! no other file. What is wrong is told in words, with the path; only what leaves nothing to go on with ends the reading.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::line::{self, Line};
use super::zip::is_name;
use super::zip_read::Zip;
use super::{MANIFEST, TAG_MANIFEST, is_payload};
use crate::record::Digest;

/// The deepest folder of a bundle.
const DEPTH_MAX: usize = 8;
/// Complaints listed; further ones are counted.
const TOLD_MAX: usize = 1_000;

/// Nothing can be said of a bag.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// It cannot be read at all.
    #[error("cannot read the bundle")]
    Read(#[from] io::Error),
    /// Not a bag, or none that can be read to its end.
    #[error("{0}")]
    Form(&'static str),
}

pub(super) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// Where a bundle is.
#[derive(Debug, Clone)]
pub enum Source {
    /// A zip.
    Zip(PathBuf),
    /// A zip in memory.
    Bytes(Arc<[u8]>),
    /// Unpacked: the folder that holds `bagit.txt`.
    Directory(PathBuf),
}

impl Source {
    /// A path as somebody names it: a folder, or else a zip.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        if path.is_dir() { Self::Directory(path.to_owned()) } else { Self::Zip(path.to_owned()) }
    }

    pub(super) fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match self {
            Self::Zip(path) | Self::Directory(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        })
    }
}

/// Where files are taken from.
enum Place {
    Zip(Box<Zip>),
    /// Files in all.
    Directory {
        root: PathBuf,
        files: u64,
    },
}

/// What a file is wanted for.
#[derive(Debug, Clone, Copy)]
pub(in crate::bundle) enum Wanted {
    /// Its digest only.
    Digest,
    /// Its bytes, of which there may be so many.
    Bytes(u64),
}

/// A file that was read.
#[derive(Debug)]
pub(in crate::bundle) struct Opened {
    pub(in crate::bundle) digest: Digest,
    pub(in crate::bundle) size: u64,
    /// Empty where only the digest was wanted.
    pub(in crate::bundle) bytes: Vec<u8>,
}

/// A manifest, and the line that comes next.
struct Manifest {
    from: Box<dyn BufRead>,
    next: Option<Line>,
}

/// A bag that is being read.
pub(in crate::bundle) struct Bag {
    place: Place,
    payload: Manifest,
    tags: Manifest,
    taken: u64,
    octets: u64,
    streams: u64,
    pub(in crate::bundle) complaints: Vec<String>,
    pub(in crate::bundle) uncounted: u64,
}

/// Counts files and refuses what is none.
fn walk(at: &Path, depth: usize, files: &mut u64, complain: &mut dyn FnMut(String)) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(&entry.path(), depth + 1, files, complain)?;
        } else if kind.is_file() && name.to_str().is_some_and(is_name) {
            *files += 1;
        } else {
            // A link would show one file here and another elsewhere.
            complain(format!("`{}` is no file of a bundle", name.to_string_lossy()));
        }
    }
    Ok(())
}

impl Bag {
    /// Opens a bag; `is_named` tells the files that [`Bag::beside`] will be asked for.
    pub(in crate::bundle) fn open(source: &Source, is_named: impl Fn(&str) -> bool) -> Result<Self, BagError> {
        let mut complaints = Vec::new();
        let place = if let Source::Directory(root) = source {
            let mut files = 0;
            walk(root, 0, &mut files, &mut |complaint| complaints.push(complaint))?;
            complaints.truncate(TOLD_MAX);
            Place::Directory { root: root.clone(), files }
        } else {
            let named = |path: &str| is_named(path) || matches!(path, MANIFEST | TAG_MANIFEST);
            Place::Zip(Box::new(Zip::open(source, named)?))
        };
        let no_manifest = BagError::Form("there is no manifest: not a bundle");
        let open = |path| Ok::<_, BagError>(beside(&place, path)?.map(|from| Manifest { from, next: None }));
        let (Some(payload), Some(tags)) = (open(MANIFEST)?, open(TAG_MANIFEST)?) else { return Err(no_manifest) };
        let mut bag = Self { place, payload, tags, taken: 0, octets: 0, streams: 0, complaints, uncounted: 0 };
        bag.advance(true)?;
        bag.advance(false)?;
        Ok(bag)
    }

    pub(in crate::bundle) fn complain(&mut self, complaint: String) {
        if self.complaints.len() < TOLD_MAX {
            self.complaints.push(complaint);
        } else {
            self.uncounted += 1;
        }
    }

    /// The folder of a zip.
    pub(in crate::bundle) fn folder(&self) -> Option<&str> {
        match &self.place {
            Place::Zip(zip) => Some(zip.folder()),
            Place::Directory { .. } => None,
        }
    }

    fn advance(&mut self, payload: bool) -> Result<(), BagError> {
        let manifest = if payload { &mut self.payload } else { &mut self.tags };
        loop {
            match line::next(&mut *manifest.from)? {
                Some(Err(text)) if self.complaints.len() < TOLD_MAX => {
                    self.complaints.push(format!("a manifest says `{text}`, which names no file"));
                }
                Some(Err(_text)) => self.uncounted += 1,
                Some(Ok(line)) => {
                    manifest.next = Some(line);
                    return Ok(());
                }
                None => {
                    manifest.next = None;
                    return Ok(());
                }
            }
        }
    }

    /// The next file in `data/`, as the manifest has it.
    pub(in crate::bundle) fn next_payload(&self) -> Option<&str> {
        self.payload.next.as_ref().map(|line| line.path.as_str())
    }

    /// The next file elsewhere.
    pub(in crate::bundle) fn next_tag(&self) -> Option<&str> {
        self.tags.next.as_ref().map(|line| line.path.as_str())
    }

    /// Bytes and number of the files in `data/` so far.
    pub(in crate::bundle) const fn payload_read(&self) -> (u64, u64) {
        (self.octets, self.streams)
    }

    /// Takes the next file, which must be this one. None where it is not there, or is larger than what is wanted.
    pub(in crate::bundle) fn take(&mut self, path: &str, wanted: Wanted) -> Result<Option<Opened>, BagError> {
        let payload = is_payload(path);
        let next = if payload { &self.payload.next } else { &self.tags.next };
        let Some(line) = next.clone().filter(|line| line.path == path) else {
            self.complain(format!("`{path}` is not named by a manifest where it belongs"));
            return Ok(None);
        };
        self.advance(payload)?;
        let Some(opened) = self.read(path, wanted)? else { return Ok(None) };
        if opened.digest != line.digest {
            self.complain(format!("`{path}` has another digest than the manifest says"));
        }
        if payload {
            self.octets = self.octets.saturating_add(opened.size);
            self.streams += 1;
        }
        Ok(Some(opened))
    }

    /// Takes the manifest of the others, which none names.
    pub(in crate::bundle) fn take_tag_manifest(&mut self) -> Result<(), BagError> {
        self.read(TAG_MANIFEST, Wanted::Digest).map(drop)
    }

    fn read(&mut self, path: &str, wanted: Wanted) -> Result<Option<Opened>, BagError> {
        let mut complaints = Vec::new();
        let opened = match &mut self.place {
            Place::Zip(zip) => {
                // One file too many is named and gone past.
                if zip.peek() != Some(path) && zip.peek_after() == Some(path) {
                    complaints
                        .push(format!("`{}` is in the zip where `{path}` belongs", zip.peek().unwrap_or_default()));
                    zip.skip()?;
                }
                let taken = if zip.peek() == Some(path) { zip.take()? } else { None };
                match taken {
                    Some((crc, same, from)) => {
                        if !same {
                            complaints.push(format!("`{path}` has two headers in the zip that differ"));
                        }
                        let (opened, found) = digest(from, wanted)?;
                        if found != crc {
                            complaints.push(format!("`{path}` has another checksum than the zip says"));
                        }
                        Some(opened)
                    }
                    None => None,
                }
            }
            Place::Directory { root, .. } => {
                let at = root.join(path);
                match fs::symlink_metadata(&at) {
                    Ok(metadata) if metadata.is_file() => Some(digest(File::open(&at)?, wanted)?.0),
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    Ok(_) | Err(_) => None,
                }
            }
        };
        complaints.into_iter().for_each(|complaint| self.complain(complaint));
        let Some(opened) = opened else {
            self.complain(format!("`{path}` is missing"));
            return Ok(None);
        };
        self.taken += 1;
        if let Wanted::Bytes(bound) = wanted
            && opened.size > bound
        {
            self.complain(format!("`{path}` is larger than such a file can be ({bound} bytes)"));
            return Ok(None);
        }
        Ok(Some(opened))
    }

    /// A file that was announced when the bag was opened, to be read beside the others.
    pub(in crate::bundle) fn beside(&self, path: &str) -> Result<Option<Box<dyn BufRead>>, BagError> {
        beside(&self.place, path)
    }

    /// Goes past what the manifests name next and nothing asks for, until this holds of what comes.
    pub(in crate::bundle) fn skip_until(
        &mut self,
        payload: bool,
        known: impl Fn(&str) -> bool,
    ) -> Result<(), BagError> {
        loop {
            let next = if payload { &self.payload.next } else { &self.tags.next };
            let Some(path) = next.as_ref().map(|line| line.path.clone()).filter(|path| !known(path)) else {
                return Ok(());
            };
            self.complain(format!("`{path}` is named by a manifest and is no file of a bundle there"));
            self.advance(payload)?;
            if let Place::Zip(zip) = &mut self.place
                && zip.peek() == Some(&path)
            {
                zip.skip()?;
                self.taken += 1;
            }
        }
    }

    /// There must be nothing left.
    pub(in crate::bundle) fn finish(&mut self) -> Result<(), BagError> {
        self.skip_until(true, |_path| false)?;
        self.skip_until(false, |_path| false)?;
        let mut left = Vec::new();
        match &mut self.place {
            Place::Zip(zip) => {
                while let Some(path) = zip.peek().map(ToOwned::to_owned) {
                    if left.len() < TOLD_MAX {
                        left.push(format!("`{path}` is in the zip and named by no manifest"));
                    }
                    zip.skip()?;
                }
            }
            Place::Directory { files, .. } if *files != self.taken => {
                left.push(format!("there are {files} files, and the manifests name {}", self.taken));
            }
            Place::Directory { .. } => {}
        }
        left.into_iter().for_each(|complaint| self.complain(complaint));
        Ok(())
    }
}

fn beside(place: &Place, path: &str) -> Result<Option<Box<dyn BufRead>>, BagError> {
    match place {
        Place::Zip(zip) => zip.named(path),
        Place::Directory { root, .. } => match fs::symlink_metadata(root.join(path)) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(Box::new(BufReader::with_capacity(1 << 16, File::open(root.join(path))?))))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(_) | Err(_) => Ok(None),
        },
    }
}

/// Reads to the end; answers with the checksum too.
fn digest(mut from: impl Read, wanted: Wanted) -> io::Result<(Opened, u32)> {
    let bound = match wanted {
        Wanted::Digest => 0,
        Wanted::Bytes(bound) => bound,
    };
    let (mut sha, mut crc, mut size, mut bytes) = (Sha256::new(), crc32fast::Hasher::new(), 0_u64, Vec::new());
    let mut piece = [0; 1 << 14];
    loop {
        let read = from.read(&mut piece)?;
        let Some(new) = piece.get(..read).filter(|new| !new.is_empty()) else { break };
        sha.update(new);
        crc.update(new);
        size = size.saturating_add(new.len() as u64);
        if size <= bound {
            bytes.extend_from_slice(new);
        }
    }
    Ok((Opened { digest: Digest(sha.finalize().into()), size, bytes }, crc.finalize()))
}
