//! All of one advisor's entries over a time, so that nobody can leave one out: how they are written, and when they are complete.
//!
//! Each entry says how many of the advisor's entries come before it. A run of them that begins before the range, ends behind it and counts up
//! by one has every entry between. What a log could still do is to count two entries as the same one; whoever reads the whole log sees that,
//! and the verdict says so.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::circumstance::Circumstance;
use super::query::BundleQuery;
use super::shown::is_of_range;
use crate::ledger::{Checkpoint, Entry, parse_base64_digest, verify_inclusion};
use crate::record::{AdvisorId, Digest, RecordId, Timestamp, canonical};

/// Longest line: an entry in base64 with 64 hashes.
pub(super) const LINE_MAX: u64 = 100_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeLine {
    entry: String,
    hashes: Vec<String>,
}

/// An entry of a range, with the proof that it is in the tree.
pub(super) fn line(entry: &Entry, hashes: &[Digest]) -> Vec<u8> {
    let hashes = hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
    let mut line = canonical(&RangeLine { entry: STANDARD.encode(entry.bytes()), hashes }).unwrap_or_default();
    line.push(b'\n');
    line
}

fn parse(line: &[u8]) -> Result<(Entry, Vec<Digest>), String> {
    let read: RangeLine = serde_json::from_slice(line).map_err(|_source| "a line is not one of a range".to_owned())?;
    let bytes = STANDARD.decode(&read.entry).map_err(|_source| "an entry is not base64".to_owned())?;
    let entry = Entry::from_bytes(bytes).map_err(|error| error.to_string())?;
    let hashes = read.hashes.iter().map(|hash| parse_base64_digest(hash)).collect::<Option<Vec<_>>>();
    let hashes = hashes.ok_or_else(|| format!("entry {}: a hash of its proof is none", entry.index()))?;
    if self::line(&entry, &hashes) == line {
        Ok((entry, hashes))
    } else {
        Err(format!("entry {}: its line is spelled in another way", entry.index()))
    }
}

/// The end of what is asked for.
pub(super) struct Bounds<'a> {
    pub(super) query: &'a BundleQuery,
    pub(super) export: &'a Entry,
    pub(super) checkpoint: &'a Checkpoint,
}

impl Bounds<'_> {
    fn is_before(&self, at: Timestamp) -> bool {
        self.query.from.is_some_and(|from| at < from)
    }

    fn is_after(&self, entry: &Entry) -> bool {
        entry.index() >= self.query.as_of || self.query.until.is_some_and(|until| entry.at() >= until)
    }

    /// The record that this entry puts into the range.
    pub(super) fn record(&self, entry: &Entry) -> Option<RecordId> {
        let inside = !self.is_before(entry.at()) && !self.is_after(entry) && is_of_range(entry.entry_type());
        entry.record().filter(|_record| inside)
    }
}

/// A range that is being read.
pub(super) struct Range<'a> {
    stream: AdvisorId,
    bounds: &'a Bounds<'a>,
    last: Option<(u64, Entry)>,
    pub(super) entries: u64,
    pub(super) records: BTreeSet<RecordId>,
    /// What must stand among the circumstances.
    pub(super) told: BTreeSet<(Circumstance, u64)>,
    pub(super) problems: Vec<String>,
}

impl<'a> Range<'a> {
    pub(super) const fn new(stream: AdvisorId, bounds: &'a Bounds<'a>) -> Self {
        Self {
            stream,
            bounds,
            last: None,
            entries: 0,
            records: BTreeSet::new(),
            told: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < 1_000 {
            self.problems.push(format!("advisor {}: {problem}", self.stream));
        }
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        self.entries += 1;
        let (entry, hashes) = match parse(line) {
            Ok(parsed) => parsed,
            Err(problem) => return self.problem(problem),
        };
        let (index, leaf) = (entry.index(), entry.leaf());
        let Checkpoint { size, root, .. } = self.bounds.checkpoint;
        if let Err(error) = verify_inclusion(&leaf, index, *size, root, &hashes) {
            self.problem(format!("entry {index}: {error}"));
        }
        let Some(place) = entry.streams().iter().find(|place| place.id == self.stream).map(|place| place.index) else {
            return self.problem(format!("entry {index} is not the advisor's"));
        };
        match &self.last {
            None if place > 0 && !self.bounds.is_before(entry.at()) => {
                self.problem(format!("{place} entries before entry {index} are missing"));
            }
            Some((before, last)) if before.checked_add(1) != Some(place) => {
                let last = last.index();
                self.problem(format!(
                    "entry {index} is number {place} of the advisor's, and entry {last} before it number {before}"
                ));
            }
            Some((_, last)) if last.index() >= index || last.at() > entry.at() => {
                self.problem(format!("entry {index} comes before the one that stands before it"));
            }
            None | Some(_) => {}
        }
        self.records.extend(self.bounds.record(&entry));
        let of = Circumstance::of_ranges(entry.entry_type()).filter(|_of| index < self.bounds.query.as_of);
        self.told.extend(of.map(|of| (of, index)));
        self.last = Some((place, entry));
    }

    /// The last entry must be behind the range, or be the export, which says how many there were.
    pub(super) fn finish(&mut self) {
        let behind = self
            .last
            .as_ref()
            .is_some_and(|(_place, entry)| entry.leaf() == self.bounds.export.leaf() || self.bounds.is_after(entry));
        if !behind {
            self.problem("entries up to the end of the range are missing".to_owned());
        }
    }
}
