//! What is made of the records for reading: tables, lines, a page. Nothing rests on them.
//!
//! Invariant: they follow from the records that are shown, byte for byte, in the writer and in the verifier: what is in a rendition and not in
//! the records is found.

mod csv;
mod custody;
mod html;
mod jsonl;
mod privilege;

use super::paths;
use super::query::BundleQuery;
use super::shown::ShownRecord;
use crate::ledger::Entry;

pub(super) use privilege::{Withholding, line as privilege_line};

/// Takes what is rendered, piece after piece.
pub(super) trait Sink {
    type Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// The files, in the order of the bundle.
pub(super) const FILES: [&str; 5] = [paths::PRIVILEGE_LOG, paths::CUSTODY, paths::CSV, paths::JSONL, paths::HTML];

/// All renditions in the making.
pub(super) struct Renditions<S> {
    /// One for each of [`FILES`].
    sinks: [S; 5],
    text: String,
}

impl<S: Sink> Renditions<S> {
    /// Begins them.
    pub(super) fn new(sinks: [S; 5], query: &BundleQuery, export: &Entry) -> Result<Self, S::Error> {
        let mut renditions = Self { sinks, text: String::new() };
        renditions.put(|at, text| match at {
            2 => csv::header(text),
            4 => html::header(query, export, text),
            _ => {}
        })?;
        Ok(renditions)
    }

    fn put(&mut self, render: impl Fn(usize, &mut String)) -> Result<(), S::Error> {
        for (at, sink) in self.sinks.iter_mut().enumerate() {
            self.text.clear();
            render(at, &mut self.text);
            sink.write(self.text.as_bytes())?;
        }
        Ok(())
    }

    /// Adds a record to each.
    pub(super) fn record(&mut self, record: &ShownRecord) -> Result<(), S::Error> {
        self.put(|at, text| match at {
            0 => privilege::record(record, text),
            1 => record.entries.iter().for_each(|shown| custody::entry(&shown.entry, text)),
            2 => csv::record(record, text),
            3 => jsonl::record(record, text),
            _ => html::record(record, text),
        })
    }

    /// Ends them, and hands the sinks back.
    pub(super) fn finish(mut self, export: &Entry, records: u64) -> Result<[S; 5], S::Error> {
        self.put(|at, text| match at {
            1 => custody::entry(export, text),
            4 => html::footer(records, text),
            _ => {}
        })?;
        Ok(self.sinks)
    }
}
