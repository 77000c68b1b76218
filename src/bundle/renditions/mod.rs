//! What is made of the records for reading: tables, lines, a page. Nothing rests on them.
//!
//! Invariant: they follow from the records that are shown, byte for byte, in the writer and in the verifier: what is in a rendition and not in
//! the records is found.

mod around;
mod attachment;
mod certificate;
mod coverage;
mod csv;
mod custody;
mod eml;
mod html;
mod jsonl;
mod load_file;
mod message;
mod mime;
mod page;
mod privilege;
mod rsmf;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::circumstance::{Circumstance, Told};
use super::paths;
use super::query::BundleQuery;
use super::shown::ShownRecord;
use crate::ledger::{Checkpoint, Entry};
use crate::record::Digest;
use coverage::Coverage;
use message::Message;

pub(super) use privilege::{Withholding, line as privilege_line};

/// What a bundle may hold besides, for the tools of those who review it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rendition {
    /// A mail for each communication.
    Eml,
    /// A volume for review platforms: Concordance DAT, texts, and mails as native files.
    LoadFile,
    /// Conversations in Relativity's Short Message Format 2.0.
    Rsmf,
}

impl Rendition {
    const ALL: [Self; 3] = [Self::Eml, Self::LoadFile, Self::Rsmf];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eml => "eml",
            Self::LoadFile => "load-file",
            Self::Rsmf => "rsmf",
        }
    }
}

impl fmt::Display for Rendition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No rendition of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such rendition: there are eml, load-file and rsmf")]
pub struct RenditionError;

impl FromStr for Rendition {
    type Err = RenditionError;

    fn from_str(text: &str) -> Result<Self, RenditionError> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(RenditionError)
    }
}

/// Takes what is rendered, piece after piece and file after file.
pub(super) trait Sink {
    type Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// What was written since the last end is the file of this path.
    fn end(&mut self, path: String);

    /// A file that is whole.
    fn file(&mut self, path: String, bytes: &[u8]) -> Result<(), Self::Error> {
        self.write(bytes)?;
        self.end(path);
        Ok(())
    }
}

/// The files that every bundle has, in their order. The first is left out where it says nothing.
const FILES: [&str; 8] = [
    paths::PRIVILEGE_LOG,
    paths::CUSTODY,
    paths::CSV,
    paths::JSONL,
    paths::HTML,
    paths::COVERAGE,
    paths::AROUND,
    paths::CERTIFICATE,
];
/// Their places in it.
mod at {
    pub(super) const PRIVILEGE_LOG: usize = 0;
    pub(super) const CUSTODY: usize = 1;
    pub(super) const CSV: usize = 2;
    pub(super) const JSONL: usize = 3;
    pub(super) const HTML: usize = 4;
    pub(super) const COVERAGE: usize = 5;
    pub(super) const AROUND: usize = 6;
    pub(super) const CERTIFICATE: usize = 7;
}
/// Checks of the archive that the certificate lists.
const CHECKS_MAX: usize = 100;

/// A load file in the making.
struct Volume<S> {
    table: S,
    files: S,
    documents: u64,
}

/// All renditions in the making.
pub(super) struct Renditions<S> {
    /// One for each of [`FILES`].
    always: [S; 8],
    eml: Option<S>,
    volume: Option<Volume<S>>,
    rsmf: Option<(S, rsmf::Slice)>,
    query: BundleQuery,
    coverage: Coverage,
    last_told: Option<Circumstance>,
    checks: Vec<String>,
    says_reasons: bool,
    text: String,
}

impl<S: Sink> Renditions<S> {
    /// Begins those that a bundle of this query has.
    pub(super) fn new<E: From<S::Error>>(
        query: &BundleQuery,
        export: &Entry,
        checkpoint: &Checkpoint,
        mut sink: impl FnMut() -> Result<S, E>,
    ) -> Result<Self, E> {
        let wanted: BTreeSet<_> = query.renditions.iter().copied().collect();
        let mut optional = |one: Rendition| wanted.contains(&one).then(&mut sink).transpose();
        let eml = optional(Rendition::Eml)?;
        let (table, files) = (optional(Rendition::LoadFile)?, optional(Rendition::LoadFile)?);
        let rsmf = optional(Rendition::Rsmf)?.map(|sink| (sink, rsmf::Slice::default()));
        let mut volume = table.zip(files).map(|(table, files)| Volume { table, files, documents: 0 });
        if let Some(volume) = &mut volume {
            let mut text = String::new();
            load_file::header(&mut text);
            volume.table.write(text.as_bytes())?;
        }
        let always = [sink()?, sink()?, sink()?, sink()?, sink()?, sink()?, sink()?, sink()?];
        let mut renditions = Self {
            always,
            eml,
            volume,
            rsmf,
            query: query.clone(),
            coverage: Coverage::default(),
            last_told: None,
            checks: Vec::new(),
            says_reasons: false,
            text: String::new(),
        };
        renditions.put(|file, text| match file {
            at::CSV => csv::header(text),
            at::HTML => html::header(query, export, text),
            at::AROUND => around::header(query, text),
            at::CERTIFICATE => certificate::header(query, export, checkpoint, text),
            _ => {}
        })?;
        Ok(renditions)
    }

    fn put(&mut self, render: impl Fn(usize, &mut String)) -> Result<(), S::Error> {
        for (file, sink) in self.always.iter_mut().enumerate() {
            self.text.clear();
            render(file, &mut self.text);
            self.says_reasons |= file == at::PRIVILEGE_LOG && !self.text.is_empty();
            sink.write(self.text.as_bytes())?;
        }
        Ok(())
    }

    /// Adds a record to each; its own file has this digest.
    pub(super) fn record(&mut self, record: &ShownRecord, digest: Digest) -> Result<(), S::Error> {
        self.put(|file, text| match file {
            at::PRIVILEGE_LOG => privilege::record(record, text),
            at::CUSTODY => record.entries.iter().for_each(|shown| custody::entry(&shown.entry, text)),
            at::CSV => csv::record(record, text),
            at::JSONL => jsonl::record(record, text),
            at::HTML => html::record(record, text),
            at::CERTIFICATE => certificate::record(record, digest, text),
            _ => {}
        })?;
        if self.query.renditions.is_empty() {
            return Ok(());
        }
        for message in Message::all(record) {
            self.message(&message)?;
        }
        Ok(())
    }

    /// Adds what stands around the records; all of it comes after them, in its order.
    pub(super) fn circumstance(&mut self, of: Circumstance, told: &Told) -> Result<(), S::Error> {
        self.coverage.add(of, told);
        let is_first = self.last_told.replace(of) != Some(of);
        if of == Circumstance::Integrity && self.checks.len() < CHECKS_MAX {
            self.checks.push(certificate::check(told));
        }
        let coverage = std::mem::take(&mut self.coverage);
        let put = self.put(|file, text| {
            if file == at::AROUND {
                around::entry(of, is_first, told, &coverage, text);
            }
        });
        self.coverage = coverage;
        put
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), S::Error> {
        if let Some(sink) = &mut self.eml {
            sink.file(eml::path(message), eml::mail(message, &self.query).as_bytes())?;
        }
        if let Some(volume) = &mut self.volume {
            volume.documents += 1;
            let document = load_file::document(volume.documents, message, &self.query);
            volume.table.write(document.row.as_bytes())?;
            volume.files.file(document.text_path, document.text.as_bytes())?;
            volume.files.file(document.native_path, document.native.as_bytes())?;
        }
        if let Some((sink, slice)) = &mut self.rsmf
            && let Some((path, mail)) = slice.add(message, &self.query)
        {
            sink.file(path, mail.as_bytes())?;
        }
        Ok(())
    }

    /// Ends them, and hands the sinks back, in the order of the bundle.
    pub(super) fn finish(mut self, export: &Entry, records: u64) -> Result<Vec<S>, S::Error> {
        let (coverage, checks) =
            (std::mem::take(&mut self.coverage).json(&self.query), std::mem::take(&mut self.checks));
        self.put(|file, text| match file {
            at::CUSTODY => custody::entry(export, text),
            at::HTML => html::footer(records, text),
            at::COVERAGE => text.push_str(&coverage),
            at::AROUND => around::footer(text),
            at::CERTIFICATE => certificate::footer(records, &checks, text),
            _ => {}
        })?;
        let mut sinks = Vec::with_capacity(12);
        for (path, mut sink) in FILES.into_iter().zip(self.always) {
            if path != paths::PRIVILEGE_LOG || self.says_reasons {
                sink.end(path.to_owned());
            }
            sinks.push(sink);
        }
        sinks.extend(self.eml);
        if let Some(mut volume) = self.volume {
            volume.table.end(paths::LOAD_FILE.to_owned());
            sinks.extend([volume.table, volume.files]);
        }
        if let Some((mut sink, mut slice)) = self.rsmf {
            if let Some((path, mail)) = slice.close(&self.query) {
                sink.file(path, mail.as_bytes())?;
            }
            sinks.push(sink);
        }
        Ok(sinks)
    }
}
