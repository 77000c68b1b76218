//! The way of an export: on record, under a checkpoint, written, checked, and only then where it was wanted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::ExportError;
use super::ask::Asked;
use super::circumstances::{self, Concerned, Scope};
use super::record::{Proofs, take};
use super::select::{Selected, begin, select, walk};
use crate::archive::{Append as _, Archive};
use crate::bundle::{
    BundleHead, BundleQuery, BundleReport, BundleWriter, Circumstance, Disclosed, EarlierCheckpoint, ShownField,
    Source, Verdict, verify_bundle,
};
use crate::capture::{Blobs, Entropy, Sealer};
use crate::ledger::{Actor, Draft, Entry, EntryType, SigningKey};
use crate::record::{Clock, FieldName, Ids, MasterKey, RecordId};
use crate::witness::Feed;

/// Bytes of sealed content, and records, that are opened at once.
const GROUP_BYTES: u64 = 16 << 20;
const GROUP: usize = 200;

/// Takes records out.
pub struct Exporter<'a> {
    archive: &'a Archive,
    clock: Arc<dyn Clock>,
    sealer: Sealer,
    signing: SigningKey,
    witnesses: Option<Arc<Feed>>,
}

/// What was handed out.
#[derive(Debug)]
pub struct Exported {
    /// Which bundle.
    pub bundle: Uuid,
    /// Place of the export's entry.
    pub index: u64,
    /// Bytes of the zip.
    pub bytes: u64,
    /// What the verifier says of it.
    pub report: BundleReport,
    /// Whether its checkpoint meets the quorum; none where no witness is asked.
    pub witnessed: Option<bool>,
}

pub(super) type Writer = BundleWriter<BufWriter<File>>;

impl<'a> Exporter<'a> {
    /// An exporter of this archive, under the log's key.
    pub fn new(
        archive: &'a Archive,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        entropy: Arc<dyn Entropy>,
        master: MasterKey,
        blobs: Arc<dyn Blobs>,
        signing: SigningKey,
    ) -> Self {
        Self { archive, clock, sealer: Sealer { master, entropy, ids, blobs }, signing, witnesses: None }
    }

    /// Asks these witnesses for a checkpoint that meets their quorum, and puts the policy into the bundle.
    #[must_use]
    pub fn witnessed_by(self, witnesses: Option<Arc<Feed>>) -> Self {
        Self { witnesses, ..self }
    }
}

impl Exporter<'_> {
    /// Puts the export on record, and writes the bundle to a file that is not there yet.
    ///
    /// # Errors
    /// See [`ExportError`]. An export that was put on record and could not be written stays on record.
    pub async fn run(
        &self,
        actor: Actor,
        mut asked: Asked,
        to: &Path,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Exported, ExportError> {
        asked.check()?;
        if to.exists() {
            return Err(ExportError::Exists(to.to_owned()));
        }
        let as_of = self.archive.head_size().await?;
        self.archive.catch_up().await?;
        let selected = select(self.archive, &asked, as_of).await?;
        let bundle = self.sealer.ids.fresh();
        let mut query = BundleQuery::new(bundle, as_of);
        if asked.is_of_streams() {
            query.advisors.clone_from(&asked.advisors);
        }
        query.renditions.clone_from(&asked.renditions);
        (query.from, query.until, query.filter) = (asked.from, asked.until, asked.typed());
        let (entry, shown) = self.put_on_record(actor, &asked, &query, selected.records.len()).await?;
        let index = entry.index();
        let (proofs, witnessed) = self.publish(index).await?;
        let hashes = self.archive.inclusion_hashes(&[index], proofs.size).await?.pop().unwrap_or_default();
        let proof = proofs.of(&entry, hashes);
        let export = Disclosed { entry, proof, shown, commitments: None };
        let earlier = self.earlier(selected.first, proofs.size).await?;
        let part = Part::beside(to);
        let policy = self.witnesses.as_ref().map(|feed| feed.quorum().text.clone());
        let head = BundleHead { query, export, earlier, policy };
        let mut writer = part.begin(head)?;
        let concerned = self.records(&mut writer, &asked, &selected, as_of, &proofs, &mut progress).await?;
        let mut of_ranges = BTreeSet::new();
        if asked.is_of_streams() {
            of_ranges = self.ranges(&mut writer, &asked, as_of, index, &proofs).await?;
        }
        let scope = Scope { asked: &asked, selected: &selected, concerned: &concerned, of_ranges: &of_ranges, as_of };
        circumstances::tell(self.archive, &mut writer, &scope, &proofs).await?;
        let (out, written) = writer.finish(&self.signing)?;
        let file = out.into_inner().map_err(|error| part.failed(error.into_error()))?;
        file.sync_all().map_err(|error| part.failed(error))?;
        let report = self.check(&part).await?;
        part.keep(to)?;
        Ok(Exported { bundle, index, bytes: written.bytes, report, witnessed })
    }

    /// Appends the entry; answers with it and what it commits to.
    async fn put_on_record(
        &self,
        actor: Actor,
        asked: &Asked,
        query: &BundleQuery,
        records: usize,
    ) -> Result<(Entry, Vec<ShownField>), ExportError> {
        let (secret, key) = self.sealer.record()?;
        let mut envelope = self.sealer.envelope(&secret);
        let fields = [(FieldName::PURPOSE, asked.purpose.clone().into_bytes()), (FieldName::QUERY, query.to_json())];
        let id = envelope.id();
        let mut shown = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            envelope.put(name.clone(), &value)?;
            shown.push(ShownField { salt: secret.salt(id, &name), name, value });
        }
        let mut detail = Map::from_iter([
            ("as_of".to_owned(), Value::from(query.as_of)),
            ("bundle".to_owned(), Value::from(query.bundle.to_string())),
            ("format".to_owned(), Value::from("bundle")),
            ("records".to_owned(), Value::from(records)),
        ]);
        if let Some(matter) = asked.matter {
            detail.insert("matter".to_owned(), Value::from(matter.to_string()));
        }
        let submission = envelope.close().submit(Some(key), |id, commitments| Draft {
            id,
            entry_type: EntryType::Export,
            actor,
            captured_at: self.clock.now(),
            record: None,
            streams: query.advisors.clone(),
            commitments,
            detail,
        });
        let appended = self.archive.append(submission).await?;
        let entry = self.archive.entry(appended.index).await?.ok_or(ExportError::NotPublished)?;
        Ok((entry, shown))
    }

    /// A checkpoint over the export's entry: one that enough witnesses cosigned, where they do so in time. Without them the export is made all the
    /// same, and says so: a witness that is away must not keep anybody from what is theirs.
    async fn publish(&self, index: u64) -> Result<(Proofs, Option<bool>), ExportError> {
        self.archive.publish(true).await?;
        let covering = index.saturating_add(1);
        let witnessed = match &self.witnesses {
            Some(feed) => feed.vouched(covering).await?,
            None => None,
        };
        let is_witnessed = self.witnesses.as_ref().map(|_feed| witnessed.is_some());
        let published = match witnessed {
            Some(witnessed) => witnessed.published,
            None => {
                let plain = self.archive.checkpoint(Some(covering)).await?.ok_or(ExportError::NotPublished)?;
                // What there is of cosignatures is better than none.
                self.archive.cosigned(&plain).await?
            }
        };
        Ok((Proofs { checkpoint: published.note, size: published.checkpoint.size }, is_witnessed))
    }

    /// The first checkpoint that covered any of it, and that the newest continues it.
    async fn earlier(&self, first: Option<u64>, size: u64) -> Result<Option<EarlierCheckpoint>, ExportError> {
        let Some(first) = first else { return Ok(None) };
        let published = self.archive.checkpoint(Some(first.saturating_add(1))).await?;
        let Some(earlier) = published.filter(|earlier| earlier.checkpoint.size < size) else { return Ok(None) };
        let consistency = self.archive.consistency(earlier.checkpoint.size, size).await?;
        Ok(consistency.map(|proof| EarlierCheckpoint { note: earlier.note, hashes: proof.hashes }))
    }

    /// Writes the records; answers with whom and when they concern.
    async fn records(
        &self,
        writer: &mut Writer,
        asked: &Asked,
        selected: &Selected,
        as_of: u64,
        proofs: &Proofs,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Concerned, ExportError> {
        let mut concerned = Concerned::of(asked);
        let (mut done, of) = (0, selected.records.len() as u64);
        for page in selected.records.chunks(GROUP) {
            let weights = self.archive.record_weights(page).await?;
            let mut rest = page;
            while !rest.is_empty() {
                // As many as fit, and one at least.
                let mut bytes = 0_u64;
                let fits = |record: &&RecordId| {
                    bytes = bytes.saturating_add(weights.get(*record).copied().unwrap_or_default());
                    bytes <= GROUP_BYTES
                };
                let count = rest.iter().take_while(fits).count().max(1);
                let (group, more) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                rest = more;
                let whole = self.archive.whole_records(group, as_of).await?;
                let indices: Vec<_> = whole
                    .iter()
                    .flat_map(|record| record.entries.iter().map(|(entry, _content)| entry.index()))
                    .collect();
                let mut hashes = self.archive.inclusion_hashes(&indices, proofs.size).await?.into_iter();
                for record in whole {
                    let id = record.id;
                    concerned.add(&record);
                    let taken = take(self.archive, record, &mut hashes, proofs, &asked.withhold).await?;
                    writer.record(id, taken)?;
                    done += 1;
                }
                progress(done, of);
            }
        }
        Ok(concerned)
    }

    async fn ranges(
        &self,
        writer: &mut Writer,
        asked: &Asked,
        as_of: u64,
        export: u64,
        proofs: &Proofs,
    ) -> Result<BTreeSet<(Circumstance, u64)>, ExportError> {
        let mut told = BTreeSet::new();
        for advisor in asked.advisors.iter().copied() {
            let from = begin(self.archive, advisor, asked.from).await?;
            walk(self.archive, advisor, from, async |mut entries: Vec<Entry>| {
                let behind = |entry: &Entry| {
                    entry.index() >= as_of
                        || entry.index() == export
                        || asked.until.is_some_and(|until| entry.at() >= until)
                };
                let end = entries.iter().position(behind);
                entries.truncate(end.map_or(entries.len(), |end| end.saturating_add(1)));
                let indices: Vec<_> = entries.iter().map(Entry::index).collect();
                let hashes = self.archive.inclusion_hashes(&indices, proofs.size).await?;
                for (entry, hashes) in entries.iter().zip(&hashes) {
                    writer.range_entry(advisor, entry, hashes)?;
                    let of = Circumstance::of_ranges(entry.entry_type()).filter(|_of| entry.index() < as_of);
                    told.extend(of.map(|of| (of, entry.index())));
                }
                Ok(end.is_none())
            })
            .await?;
        }
        Ok(told)
    }

    /// Reads the bundle as whoever gets it will.
    async fn check(&self, part: &Part) -> Result<BundleReport, ExportError> {
        let (source, keys) = (Source::Zip(part.path.clone()), [self.signing.verifying_key().clone()]);
        let checked = tokio::task::spawn_blocking(move || verify_bundle(&source, &keys)).await;
        let report = checked.map_err(|_join| ExportError::BrokenOff)?.map_err(ExportError::Unread)?;
        if report.verdict == Verdict::Verified {
            Ok(report)
        } else {
            Err(ExportError::Unsound(
                report.failures.first().cloned().unwrap_or_else(|| "it was not checked".to_owned()),
            ))
        }
    }
}

/// A bundle that is not yet where it was wanted. It is removed unless it is kept.
struct Part {
    path: PathBuf,
    folder: PathBuf,
}

impl Part {
    fn beside(to: &Path) -> Self {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self { path: to.with_file_name(name), folder: folder.to_owned() }
    }

    fn failed(&self, source: std::io::Error) -> ExportError {
        ExportError::File { path: self.path.clone(), source }
    }

    fn begin(&self, head: BundleHead) -> Result<Writer, ExportError> {
        // A part that a crash left is of no use: its export is another entry.
        let _removed = fs::remove_file(&self.path);
        // It holds what people wrote: nobody else on this machine reads it until its owner says so. A file that is there already would be
        // whoever's made it, and a link would lead elsewhere.
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&self.path).map_err(|source| self.failed(source))?;
        let folder = self.folder.clone();
        // Beside the bundle, so that nothing of it is on another disk; without a name, so that nobody opens them and a crash leaves none.
        let scratch = Box::new(move || tempfile::tempfile_in(&folder));
        Ok(BundleWriter::new(BufWriter::with_capacity(1 << 18, file), head, scratch)?)
    }

    /// Puts it where it was wanted, durably.
    fn keep(&self, to: &Path) -> Result<(), ExportError> {
        // A link and no renaming: what came there in between is not overwritten.
        fs::hard_link(&self.path, to).map_err(|source| ExportError::File { path: to.to_owned(), source })?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|source| self.failed(source))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.path);
    }
}
