//! The first files: what was asked, the export's own entry, the checkpoint.

use super::{Context, Examiner};
use crate::bundle::bag::{self, BagError, Wanted};
use crate::bundle::disclosure::{self, Read};
use crate::bundle::paths;
use crate::bundle::query::BundleQuery;
use crate::bundle::report::{Check, Verdict};
use crate::bundle::write::consistency_text;
use crate::ledger::{
    Checkpoint, CheckpointError, Entry, EntryType, NOTE_MAX, Note, POLICY_MAX, Policy, parse_base64_digest,
    verify_consistency,
};
use crate::record::{Digest, FieldName};

/// Largest `query.json` and `export.json` in bytes.
const QUERY_MAX: u64 = 1 << 20;
const EXPORT_MAX: u64 = 16 << 20;
/// A proof is at most so many hashes of 45 characters.
const CONSISTENCY_MAX: u64 = 130 * 45;

/// The export's entry, its proof, and what is shown of it.
type ExportRead = (Entry, String, Vec<(FieldName, Vec<u8>)>);

impl Examiner<'_> {
    fn fail(&mut self, check: Check, problem: &str) {
        self.findings.fail(check, problem.to_owned());
    }

    pub(super) fn begin(&mut self) -> Result<Option<Context>, BagError> {
        if !self.take_same(bag::BAGIT, bag::DECLARATION)? {
            self.fail(Check::Bag, "`bagit.txt` does not declare a bag as a bundle's does");
        }
        let readme = self.bag.take(paths::README, Wanted::Digest)?.map(|opened| opened.digest);
        let query_json = self.take(paths::QUERY, QUERY_MAX)?;
        let query = query_json.as_deref().and_then(BundleQuery::parse);
        if query.is_none() {
            self.fail(Check::Export, "`query.json` is missing or not spelled as a bundle's");
        }
        let export = self.take(paths::EXPORT, EXPORT_MAX)?;
        let export = export.and_then(|json| self.export(&json));
        let (note, checkpoint) = self.checkpoint()?;
        let policy = self.policy()?;
        match &note {
            Some(note) => self.quorum(note),
            None => self.findings.not_made(Check::Quorum, "there is no checkpoint to hold against a policy"),
        }
        if let Some((entry, read, _values)) = &export {
            let (bytes, proof) = (entry.bytes().to_vec(), read.clone());
            let same =
                self.take_same(paths::EXPORT_ENTRY, &bytes)? & self.take_same(paths::EXPORT_PROOF, proof.as_bytes())?;
            if !same {
                self.fail(Check::Export, "the entry or the proof beside `export.json` is another");
            }
            if !note.as_deref().is_some_and(|note| ends_with_note(&proof, note)) {
                self.fail(Check::Export, "the export is proved under another checkpoint than the bundle's");
            }
        }
        if let (Some(note), Some(checkpoint)) = (&note, &checkpoint) {
            self.earlier(note, checkpoint)?;
        }
        let (Some(query), Some((export, _proof, values)), Some(note), Some(checkpoint)) =
            (query, export, note, checkpoint)
        else {
            self.fail(Check::Export, "what the bundle says of itself cannot be read");
            return Ok(None);
        };
        let committed =
            values.iter().find(|(name, _value)| *name == FieldName::QUERY).map(|(_name, value)| value.as_slice());
        if committed != query_json.as_deref() {
            self.fail(Check::Export, "`query.json` is not the query that the export's entry commits to");
        }
        let stated = self.stated(&export, &query);
        if let Some(folder) = self.bag.folder().map(ToOwned::to_owned)
            && folder != format!("bundle-{}", query.bundle)
        {
            self.fail(Check::Bag, "the zip's folder is not named after the bundle");
        }
        Ok(Some(Context { query, export, stated, checkpoint, note, readme, policy }))
    }

    /// What the firm asks of witnesses, where the bundle says it: it must be a policy, and that is all that is made of it.
    fn policy(&mut self) -> Result<Option<Digest>, BagError> {
        if self.bag.next_tag() != Some(paths::POLICY) {
            return Ok(None);
        }
        let Some(text) = self.take(paths::POLICY, POLICY_MAX as u64)? else { return Ok(None) };
        if let Err(error) = Policy::parse(&text) {
            self.findings.fail(Check::Quorum, format!("`policy.txt`: {error}"));
        }
        Ok(Some(Digest::of(&[&text])))
    }

    /// Holds the export's entry against the query; answers with how many records it states.
    fn stated(&mut self, export: &Entry, query: &BundleQuery) -> Option<u64> {
        let text = |key: &str| export.detail().get(key).and_then(|value| value.as_str());
        let count = |key: &str| export.detail().get(key).and_then(serde_json::Value::as_u64);
        let mut wrong = Vec::new();
        if export.entry_type() != EntryType::Export {
            wrong.push("the entry beside the query is no export");
        }
        if text("bundle") != Some(query.bundle.to_string().as_str()) || count("as_of") != Some(query.as_of) {
            wrong.push("the export's entry is of another bundle or another size than the query");
        }
        if query.as_of > export.index() {
            wrong.push("the bundle says it looked at entries after its own export");
        }
        let streams: Vec<_> = export.streams().iter().map(|stream| stream.id).collect();
        if streams != query.advisors {
            wrong.push("the export does not stand in the streams of those of whom all is said to be here");
        }
        wrong.into_iter().for_each(|problem| self.fail(Check::Export, problem));
        count("records")
    }

    /// The export's entry, its proof, and what is shown of it.
    fn export(&mut self, json: &[u8]) -> Option<ExportRead> {
        let (report, read): (_, Vec<Read>) = disclosure::examine(json, self.keys, &mut self.last);
        if matches!(report.verdict, Verdict::Failed { .. }) {
            report.failures.iter().for_each(|problem| self.findings.fail(Check::Export, problem.clone()));
        }
        let mut read = read.into_iter();
        match (read.next(), read.next()) {
            (Some((entry, disclosed)), None) => {
                let proof = disclosed.proof.clone();
                Some((entry, proof, disclosed.into_shown()))
            }
            _ => {
                self.fail(Check::Export, "`export.json` does not show one entry");
                None
            }
        }
    }

    /// The bundle's checkpoint: its text, and what it says.
    fn checkpoint(&mut self) -> Result<(Option<String>, Option<Checkpoint>), BagError> {
        let note = self.take(paths::CHECKPOINT, NOTE_MAX as u64)?.and_then(|note| String::from_utf8(note).ok());
        let read = note.as_ref().map(|note| self.open_note(note));
        match read {
            Some(Ok(checkpoint)) => Ok((note, Some(checkpoint))),
            Some(Err((error, checkpoint))) => {
                self.findings.fail(Check::Checkpoint, error.to_string());
                Ok((note, checkpoint))
            }
            None => {
                self.fail(Check::Checkpoint, "there is no checkpoint");
                Ok((None, None))
            }
        }
    }

    /// What a note says, and what is wrong with it.
    fn open_note(&mut self, note: &str) -> Result<Checkpoint, (CheckpointError, Option<Checkpoint>)> {
        let read =
            Note::parse(note.as_bytes()).map_err(CheckpointError::from).and_then(|note| Checkpoint::parse(note.text()));
        let read = read.map_err(|error| (error, None))?;
        if self.keys.is_empty() {
            return Ok(read);
        }
        match Checkpoint::open(note.as_bytes(), self.keys) {
            Ok(_opened) => Ok(read),
            Err(error) => Err((error, Some(read))),
        }
    }

    /// The earlier checkpoint and that this one continues it, where the bundle has one.
    fn earlier(&mut self, note: &str, checkpoint: &Checkpoint) -> Result<(), BagError> {
        let Some(old) = self.bag.next_tag().and_then(paths::parse_earlier) else { return Ok(()) };
        let text =
            self.take(&paths::earlier_checkpoint(old), NOTE_MAX as u64)?.and_then(|text| String::from_utf8(text).ok());
        let proof = self.take(&paths::consistency(old, checkpoint.size), CONSISTENCY_MAX)?;
        let earlier = match text.as_ref().map(|text| self.open_note(text)) {
            Some(Ok(earlier)) => earlier,
            Some(Err((error, _read))) => {
                self.findings.fail(Check::Checkpoint, format!("the earlier one: {error}"));
                return Ok(());
            }
            None => {
                self.fail(Check::Checkpoint, "the earlier one cannot be read");
                return Ok(());
            }
        };
        let hashes = proof.as_deref().and_then(read_hashes);
        let continues = hashes.is_some_and(|hashes| {
            let (from, to) = ((earlier.size, &earlier.root), (checkpoint.size, &checkpoint.root));
            verify_consistency(from, to, &hashes).is_ok()
        });
        if !continues || earlier.size != old || earlier.origin != checkpoint.origin || text.as_deref() == Some(note) {
            self.fail(Check::Checkpoint, "the bundle's checkpoint does not continue the earlier one");
        }
        Ok(())
    }
}

/// Is this the proof's checkpoint?
pub(super) fn ends_with_note(proof: &str, note: &str) -> bool {
    proof.split_once("\n\n").is_some_and(|(_head, checkpoint)| checkpoint == note)
}

/// A hash a line, in one spelling.
fn read_hashes(text: &[u8]) -> Option<Vec<Digest>> {
    let text = std::str::from_utf8(text).ok()?;
    let hashes = text.lines().map(parse_base64_digest).collect::<Option<Vec<_>>>()?;
    (consistency_text(&hashes) == text).then_some(hashes)
}
