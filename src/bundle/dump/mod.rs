//! The archive dump: a directory that anybody with read access makes with `psql` alone, and its verification.
//!
//! `entries.tsv` and `checkpoints.tsv` are PostgreSQL `copy` text; the two statements are in `docs/FORMAT.md`. Rows are read in
//! one pass, hashed on every core, and followed in order; memory does not grow with the dump.

mod copy;
mod pipeline;

use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use uuid::Uuid;

use self::copy::{fields, unescape, unescape_bytea};
use super::held::{CheckpointRow, Place};
use super::history::{CheckedRow, History, Row};
use super::report::{Failure, HistoryReport};
use crate::ledger::{INTEGER_MAX, Policy, VerifyingKey, parse_decimal, parse_digest, parse_uuid};

/// A dump could not be read. What is wrong inside it is a failure of the report, not this.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}", path = path.display())]
pub struct DumpError {
    path: PathBuf,
    source: io::Error,
}

/// A checkpoint kept outside the archive.
#[derive(Debug, Clone)]
pub struct OutsideCheckpoint {
    /// What to call it (its file).
    pub name: String,
    /// The signed note.
    pub note: Vec<u8>,
}

/// What a dump is held against.
#[derive(Debug, Clone)]
pub struct DumpOptions {
    /// Keys of the log (and of witnesses).
    pub keys: Vec<VerifyingKey>,
    /// Checkpoints kept outside.
    pub outside: Vec<OutsideCheckpoint>,
    /// Whose cosignatures are asked for; its logs are believed besides `keys`.
    pub policy: Option<Policy>,
    /// Where ids are sorted that do not fit into memory.
    pub scratch: PathBuf,
    /// How many rows are hashed at a time.
    pub threads: NonZeroUsize,
}

/// Only what failed gets a path of its own.
fn failed(path: &Path) -> impl FnOnce(io::Error) -> DumpError {
    move |source| DumpError { path: path.to_owned(), source }
}

/// Checks a dump. Failures go to `sink` as they are found, neighbours of one kind joined.
///
/// # Errors
/// When a file cannot be read, or the scratch directory cannot be written.
pub fn verify_dump(
    directory: &Path,
    options: &DumpOptions,
    sink: impl FnMut(Failure),
) -> Result<HistoryReport, DumpError> {
    let path = |name: &str| directory.join(name);
    let (entries, checkpoints) = (path("entries.tsv"), path("checkpoints.tsv"));
    let entries_file = File::open(&entries).map_err(failed(&entries))?;
    let checkpoints_file = match File::open(&checkpoints) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened.map_err(failed(&checkpoints))?),
    };
    let policy = options.policy.as_ref();
    let keys: Vec<_> = options.keys.iter().chain(policy.map_or(&[][..], Policy::logs)).cloned().collect();
    let keys = keys.as_slice();
    let mut outside: Vec<_> = options
        .outside
        .iter()
        .map(|held| CheckpointRow::held(&held.name, &held.note, keys).under(&held.note, policy, keys))
        .collect();
    outside.sort_by_key(CheckpointRow::size);
    let mut outside = outside.into_iter().map(Ok).peekable();
    let mut history = History::new(&options.scratch, !keys.is_empty(), !options.outside.is_empty(), sink);
    if policy.is_some() {
        history.with_policy();
    }

    thread::scope(|scope| {
        let rows = pipeline::lines(scope, entries_file, options.threads, read_entry);
        let mut inside = checkpoints_file
            .map(|file| {
                pipeline::lines(scope, file, options.threads, |line: &[u8]| read_checkpoint(line, policy, keys))
            })
            .into_iter()
            .flatten()
            .map(|row| row.map(|row| row.unwrap_or_else(|| CheckpointRow::held("that cannot be read", b"", keys))))
            .peekable();
        for row in rows {
            let row = row.map_err(failed(&entries))?;
            take_due(&mut history, Place::Inside, &mut inside, false).map_err(failed(&checkpoints))?;
            take_due(&mut history, Place::Outside, &mut outside, false).map_err(failed(&checkpoints))?;
            match row {
                Ok(row) => history.row(row).map_err(failed(&options.scratch))?,
                Err(problem) => history.unreadable(problem),
            }
        }
        take_due(&mut history, Place::Inside, &mut inside, true).map_err(failed(&checkpoints))?;
        take_due(&mut history, Place::Outside, &mut outside, true).map_err(failed(&checkpoints))
    })?;
    history.finish().map_err(failed(&options.scratch))
}

/// Hands over the checkpoints whose size is reached; at the end also those that speak of more than there is.
fn take_due<S: FnMut(Failure)>(
    history: &mut History<S>,
    place: Place,
    checkpoints: &mut Peekable<impl Iterator<Item = io::Result<CheckpointRow>>>,
    at_end: bool,
) -> io::Result<()> {
    let size = history.size();
    let due = |row: &io::Result<CheckpointRow>| row.as_ref().map_or(true, |row| at_end || row.size() <= size);
    while let Some(row) = checkpoints.next_if(due) {
        history.checkpoint(place, &row?);
    }
    Ok(())
}

/// One line of `entries.tsv`: index, id, leaf in hex, body in `escape` form.
fn read_entry(line: &[u8]) -> Result<CheckedRow, &'static str> {
    // An entry that nobody touched holds nothing that either escape changes, and no tab: then nobody has to look for them.
    if let Some(row) = plain_row(line).as_ref().map(CheckedRow::of).filter(|row| row.link().is_some()) {
        return Ok(row);
    }
    let [index, id, leaf, body] = fields(line).ok_or("cannot be read: a row has four columns")?;
    let index = read_index(index).ok_or("cannot be read: index is not a count")?;
    let id = id.try_into().ok().and_then(parse_uuid).ok_or("cannot be read: id is not a uuid")?;
    let id = Uuid::from_u128(id);
    let leaf = leaf.try_into().ok().and_then(parse_digest).ok_or("cannot be read: leaf is not 64 hex digits")?;
    let body = unescape(body).and_then(|text| unescape_bytea(&text)).ok_or("cannot be read: body is not escaped")?;
    Ok(CheckedRow::of(&Row { index, id, leaf, body: &body }))
}

fn read_index(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().and_then(parse_decimal).filter(|index| *index <= INTEGER_MAX)
}

/// The row of a line whose first columns have their only length. What stands in the fourth is not looked at.
fn plain_row(line: &[u8]) -> Option<Row<'_>> {
    let (index, rest) = line.split_at_checked(memchr::memchr(b'\t', line)?)?;
    let (id, rest) = rest.strip_prefix(b"\t")?.split_first_chunk()?;
    let (leaf, rest) = rest.strip_prefix(b"\t")?.split_first_chunk()?;
    let (index, id, leaf) = (read_index(index)?, Uuid::from_u128(parse_uuid(id)?), parse_digest(leaf)?);
    Some(Row { index, id, leaf, body: rest.strip_prefix(b"\t")? })
}

/// One line of `checkpoints.tsv`: size and note.
fn read_checkpoint(line: &[u8], policy: Option<&Policy>, keys: &[VerifyingKey]) -> Option<CheckpointRow> {
    let [size, note] = fields(line)?;
    let size = std::str::from_utf8(size).ok().and_then(parse_decimal)?;
    let note = unescape(note)?;
    Some(CheckpointRow::of(size, &note, keys).under(&note, policy, keys))
}
