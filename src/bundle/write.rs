//! Writes a bundle: what was asked, each record with its proofs, the ranges, the renditions, and the log's word on all of it.
//!
//! Invariant: the same records under the same checkpoint are the same bytes, and what is written verifies: a record that does not fit its
//! entries, a field withheld without a reason, or a proof under another checkpoint is refused before a byte of it is written. Memory holds one
//! record, and the ids of all; the rest waits in scratch files, which whoever calls makes and which nobody else can open.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};

use super::bag::{self, BagWriteError, BagWriter, Files, Spool};
use super::circumstance::{Circumstance, Told};
use super::disclosure::{Disclosed, Disclosure, DisclosureError, ShownField};
use super::query::BundleQuery;
use super::renditions::{Renditions, Sink};
use super::shown::{REASON_MAX, Reasons, ShownEntry, ShownRecord};
use super::statement::{self, Facts};
use super::{paths, range};
use crate::ledger::{Checkpoint, CheckpointError, Committed, Entry, Note, SigningKey, seal_envelope};
use crate::record::{AdvisorId, Digest, FieldName, RecordId};

pub(super) const README_TEXT: &str = include_str!("readme.txt");

/// A bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleWriteError {
    /// The bag.
    #[error(transparent)]
    Bag(#[from] BagWriteError),
    /// A record does not fit its entries.
    #[error("record {record} cannot be disclosed")]
    Disclosure {
        /// Which.
        record: RecordId,
        /// Why.
        source: DisclosureError,
    },
    /// Whoever reads must be told why a field is not there.
    #[error("`{field}` of record {record} is withheld without a reason of 1 to {REASON_MAX} bytes")]
    NoReason {
        /// Which record.
        record: RecordId,
        /// Which field.
        field: FieldName,
    },
    /// All proofs lead to one checkpoint.
    #[error("entry {index} is proved under another checkpoint than the bundle's")]
    OtherCheckpoint {
        /// Which entry.
        index: u64,
    },
    /// An entry about the records is of another kind, out of its order, or does not commit to what is to be shown of it.
    #[error("entry {index} cannot stand among the circumstances there")]
    Circumstance {
        /// Which.
        index: u64,
    },
    /// The export's entry has no record, or the checkpoint cannot be read.
    #[error("the export's entry or its checkpoint is none")]
    Export,
    /// The bundle's checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Each record and each range stands in a bundle once.
    #[error("{0} is in the bundle already")]
    Twice(uuid::Uuid),
}

/// An earlier checkpoint, and that the bundle's continues it.
#[derive(Debug, Clone)]
pub struct EarlierCheckpoint {
    /// The signed note.
    pub note: String,
    /// The consistency proof.
    pub hashes: Vec<Digest>,
}

/// What is known before the first record.
#[derive(Debug, Clone)]
pub struct BundleHead {
    /// What was asked.
    pub query: BundleQuery,
    /// The export's own entry, with what it says of query and purpose. Its checkpoint is the bundle's.
    pub export: Disclosed,
    /// The first checkpoint over any of it, where that is another.
    pub earlier: Option<EarlierCheckpoint>,
    /// Whose cosignatures the firm asks for (C2SP tlog-policy).
    pub policy: Option<String>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the zip.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
}

/// Hands out empty scratch files.
pub type Scratch = Box<dyn FnMut() -> io::Result<File> + Send>;

impl Sink for Files {
    type Error = BagWriteError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), BagWriteError> {
        self.write(bytes)
    }

    fn end(&mut self, path: String) {
        self.end(path);
    }
}

/// A bundle that is being written.
pub struct BundleWriter<W> {
    bag: BagWriter<W>,
    scratch: Scratch,
    query: BundleQuery,
    export: Entry,
    checkpoint: String,
    readme: Digest,
    policy: Option<Digest>,
    renditions: Renditions<Files>,
    written: HashSet<uuid::Uuid>,
    records: u64,
    range: Option<(AdvisorId, Spool)>,
    told: Option<(Circumstance, u64, Spool)>,
}

fn spool(scratch: &mut Scratch) -> Result<Spool, BagWriteError> {
    scratch().map(Spool::new).map_err(BagWriteError::Scratch)
}

impl<W: Write> BundleWriter<W> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// See [`BundleWriteError`].
    pub fn new(out: W, head: BundleHead, mut scratch: Scratch) -> Result<Self, BundleWriteError> {
        let BundleHead { query, export, earlier, policy } = head;
        let (entry, proof) = (export.entry.clone(), export.proof.clone());
        let record = entry.record().ok_or(BundleWriteError::Export)?;
        let checkpoint = read_checkpoint(&proof.checkpoint)?;
        let mut bag = BagWriter::new(out, &format!("bundle-{}", query.bundle), &mut *scratch)?;
        bag.add(bag::BAGIT, bag::DECLARATION)?;
        let readme = bag.add(paths::README, README_TEXT.as_bytes())?;
        bag.add(paths::QUERY, &query.to_json())?;
        let disclosure = Disclosure::new(record, vec![export]);
        let disclosure = disclosure.map_err(|source| BundleWriteError::Disclosure { record, source })?;
        bag.add(paths::EXPORT, disclosure.to_json().as_bytes())?;
        bag.add(paths::CHECKPOINT, proof.checkpoint.as_bytes())?;
        let policy = policy.map(|policy| bag.add(paths::POLICY, policy.as_bytes())).transpose()?;
        bag.add(paths::EXPORT_ENTRY, entry.bytes())?;
        bag.add(paths::EXPORT_PROOF, proof.to_string().as_bytes())?;
        if let Some(EarlierCheckpoint { note, hashes }) = earlier {
            let old = read_checkpoint(&note)?.size;
            bag.add(&paths::earlier_checkpoint(old), note.as_bytes())?;
            bag.add(&paths::consistency(old, checkpoint.size), consistency_text(&hashes).as_bytes())?;
        }
        let sink = || scratch().map(Files::new).map_err(BagWriteError::Scratch);
        let renditions = Renditions::new(&query, &entry, &checkpoint, sink)?;
        Ok(Self {
            bag,
            scratch,
            query,
            export: entry,
            checkpoint: proof.checkpoint,
            readme,
            policy,
            renditions,
            written: HashSet::new(),
            records: 0,
            range: None,
            told: None,
        })
    }

    fn once(&mut self, id: uuid::Uuid) -> Result<(), BundleWriteError> {
        if self.written.insert(id) { Ok(()) } else { Err(BundleWriteError::Twice(id)) }
    }

    /// Adds a record: its entries, and for each why what is not shown of it is withheld. All records come before the first range.
    ///
    /// # Errors
    /// See [`BundleWriteError`].
    pub fn record(&mut self, id: RecordId, entries: Vec<(Disclosed, Reasons)>) -> Result<(), BundleWriteError> {
        self.once(id.uuid())?;
        let mut record = ShownRecord { id, entries: Vec::with_capacity(entries.len()) };
        let mut disclosed = Vec::with_capacity(entries.len());
        let mut proofs = Vec::with_capacity(entries.len());
        for (entry, mut reasons) in entries {
            if entry.proof.checkpoint != self.checkpoint {
                return Err(BundleWriteError::OtherCheckpoint { index: entry.entry.index() });
            }
            let mut shown: Vec<_> = entry.shown.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
            shown.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let is_shown = |name: &FieldName| shown.binary_search_by(|(other, _value)| other.cmp(name)).is_ok();
            let all = match (entry.entry.committed(), &entry.commitments) {
                (Committed::Listed(listed), _) => listed,
                (Committed::Root(_), Some(given)) => given,
                (Committed::Root(_), None) => {
                    let source = DisclosureError::CommitmentsMissing { index: entry.entry.index() };
                    return Err(BundleWriteError::Disclosure { record: id, source });
                }
            };
            let mut withheld = Reasons::new();
            for (name, _commitment) in all.iter().filter(|(name, _commitment)| !is_shown(name)) {
                let reason = reasons.remove(name).filter(|reason| (1..=REASON_MAX).contains(&reason.len()));
                let reason = reason.ok_or_else(|| BundleWriteError::NoReason { record: id, field: name.clone() })?;
                withheld.insert(name.clone(), reason);
            }
            proofs.push(entry.proof.to_string());
            record.entries.push(ShownEntry { entry: entry.entry.clone(), shown, withheld });
            disclosed.push(entry);
        }
        let disclosure = Disclosure::new(id, disclosed);
        let disclosure = disclosure.map_err(|source| BundleWriteError::Disclosure { record: id, source })?;
        let digest = self.bag.add(&paths::record(id), disclosure.to_json().as_bytes())?;
        for shown in &record.entries {
            for (name, value) in shown.shown.iter().filter(|(name, _value)| paths::is_native(name)) {
                self.bag.add(&paths::native(id, shown.entry.index(), name), value)?;
            }
        }
        for (shown, proof) in record.entries.iter().zip(proofs) {
            self.bag.add(&paths::entry(id, shown.entry.index()), shown.entry.bytes())?;
            self.bag.add(&paths::proof(id, shown.entry.index()), proof.as_bytes())?;
        }
        self.renditions.record(&record, digest)?;
        self.records += 1;
        Ok(())
    }

    /// Adds the next entry of an advisor's range; those of one advisor come together, and advisors in the order of their ids.
    ///
    /// # Errors
    /// See [`BundleWriteError`].
    pub fn range_entry(&mut self, stream: AdvisorId, entry: &Entry, hashes: &[Digest]) -> Result<(), BundleWriteError> {
        if self.range.as_ref().is_none_or(|(current, _spool)| *current != stream) {
            self.end_range()?;
            self.once(stream.uuid())?;
            self.range = Some((stream, spool(&mut self.scratch)?));
        }
        if let Some((_stream, spool)) = &mut self.range {
            spool.write(&range::line(entry, hashes))?;
        }
        Ok(())
    }

    fn end_range(&mut self) -> Result<(), BundleWriteError> {
        if let Some((stream, spool)) = self.range.take() {
            self.bag.add_spool(&paths::range(stream), spool)?;
        }
        Ok(())
    }

    /// Adds an entry about the records, with what of it is shown, which must be text. All of one kind come together, in the order of the
    /// ledger, and kinds in theirs, after the last range.
    ///
    /// # Errors
    /// See [`BundleWriteError`].
    pub fn circumstance(
        &mut self,
        of: Circumstance,
        entry: Entry,
        hashes: Vec<Digest>,
        mut shown: Vec<ShownField>,
    ) -> Result<(), BundleWriteError> {
        self.end_range()?;
        let index = entry.index();
        let is_next = self.told.as_ref().is_none_or(|(before, last, _spool)| (*before, *last) < (of, index));
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let told = Told { entry, hashes, shown };
        let line = told.line().filter(|_line| is_next && of.has(told.entry.entry_type()) && told.commits());
        let line = line.ok_or(BundleWriteError::Circumstance { index })?;
        if self.told.as_ref().is_none_or(|(before, ..)| *before != of) {
            self.end_told()?;
            self.told = Some((of, index, spool(&mut self.scratch)?));
        }
        if let Some((_of, last, spool)) = &mut self.told {
            *last = index;
            spool.write(&line)?;
        }
        Ok(self.renditions.circumstance(of, &told)?)
    }

    fn end_told(&mut self) -> Result<(), BundleWriteError> {
        if let Some((of, _last, spool)) = self.told.take() {
            self.bag.add_spool(&paths::circumstance(of), spool)?;
        }
        Ok(())
    }

    /// Ends the bundle, signs it, and hands back what it was written to.
    ///
    /// # Errors
    /// See [`BundleWriteError`].
    pub fn finish(mut self, signing: &SigningKey) -> Result<(W, Written), BundleWriteError> {
        self.end_range()?;
        self.end_told()?;
        let Self { mut bag, mut scratch, query, export, checkpoint, readme, policy, renditions, records, .. } = self;
        for files in renditions.finish(&export, records)? {
            bag.add_files(files)?;
        }
        let info = statement::bag_info(signing.verifying_key().name(), query.bundle, &export, bag.payload());
        let info = bag.add(bag::INFO, info.as_bytes())?;
        let mut empty = || scratch().map_err(BagWriteError::Scratch);
        let manifest = bag.add_manifest(empty()?)?;
        let checkpoint = read_checkpoint(&checkpoint)?;
        let facts = Facts {
            bundle: query.bundle,
            as_of: query.as_of,
            export: &export,
            checkpoint: (checkpoint.size, checkpoint.root),
            records,
            readme,
            info,
            manifest,
            policy,
        };
        let envelope = seal_envelope(signing, statement::PAYLOAD_TYPE, &statement::payload(&facts));
        bag.add(paths::STATEMENT, envelope.as_bytes())?;
        let (out, bytes) = bag.finish([empty()?, empty()?])?;
        Ok((out, Written { bytes, records }))
    }
}

/// What a signed checkpoint says, whoever signed it.
fn read_checkpoint(note: &str) -> Result<Checkpoint, BundleWriteError> {
    let note = Note::parse(note.as_bytes()).map_err(CheckpointError::from)?;
    Ok(Checkpoint::parse(note.text())?)
}

/// A consistency proof, a hash a line.
pub(super) fn consistency_text(hashes: &[Digest]) -> String {
    use base64::Engine as _;
    let line = |hash: &Digest| base64::engine::general_purpose::STANDARD.encode(hash.as_bytes()) + "\n";
    hashes.iter().map(line).collect()
}
