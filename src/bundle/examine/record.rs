//! One record: its disclosure, its bytes as files, each entry with its proof, and the reasons for what is withheld.

use super::begin::ends_with_note;
use super::{Context, Examiner};
use crate::bundle::bag::{BagError, Wanted};
use crate::bundle::disclosure::{self, DISCLOSURE_MAX};
use crate::bundle::paths;
use crate::bundle::report::{Check, Verdict};
use crate::bundle::shown::{Reasons, ShownEntry, ShownRecord};
use crate::record::RecordId;

impl Examiner<'_> {
    pub(super) fn record(&mut self, id: RecordId, context: Option<&Context>) -> Result<(), BagError> {
        if !self.records.insert(id) {
            self.findings.fail_record(Check::Records, id, "stands in the bundle twice");
        }
        let Some(opened) = self.bag.take(&paths::record(id), Wanted::Bytes(DISCLOSURE_MAX as u64))? else {
            self.findings.fail_record(Check::Records, id, "cannot be read");
            return Ok(());
        };
        let (json, digest) = (opened.bytes, opened.digest);
        let (report, read) = disclosure::examine(&json, self.keys, &mut self.last);
        drop(json);
        if matches!(report.verdict, Verdict::Failed { .. }) {
            report.failures.iter().for_each(|problem| self.findings.fail_record(Check::Records, id, problem));
        }
        if report.record != Some(id) {
            self.findings.fail_record(Check::Records, id, "is not the record that its file is named after");
        }
        let mut record = ShownRecord { id, entries: Vec::with_capacity(read.len()) };
        let mut proofs = Vec::with_capacity(read.len());
        for (entry, disclosed) in read {
            self.entries += 1;
            let index = entry.index();
            if let Some(context) = context
                && (!ends_with_note(&disclosed.proof, &context.note) || index >= context.query.as_of)
            {
                let problem =
                    format!("entry {index} is proved under another checkpoint, or came after what was looked at");
                self.findings.fail_record(Check::Records, id, &problem);
            }
            let mut withheld = Reasons::new();
            for field in &disclosed.withheld {
                let reason = self.reasons.reason(id, index, field)?;
                if reason.is_none() {
                    let problem = format!("`{field}` of entry {index} is withheld without a reason");
                    self.findings.fail_record(Check::Redactions, id, &problem);
                }
                withheld.insert(field.clone(), reason.unwrap_or_default());
            }
            proofs.push(disclosed.proof.clone());
            record.entries.push(ShownEntry { entry, shown: disclosed.into_shown(), withheld });
        }
        self.files(&record, &proofs)?;
        if let Some(renditions) = &mut self.renditions {
            let Ok(()) = renditions.record(&record, digest);
        }
        Ok(())
    }

    /// The files that say again what the record says.
    fn files(&mut self, record: &ShownRecord, proofs: &[String]) -> Result<(), BagError> {
        let id = record.id;
        for shown in &record.entries {
            for (name, value) in shown.shown.iter().filter(|(name, _value)| paths::is_native(name)) {
                if !self.take_same(&paths::native(id, shown.entry.index(), name), value)? {
                    self.findings.fail_record(
                        Check::Records,
                        id,
                        &format!("the file of `{name}` is another than what is shown"),
                    );
                }
            }
        }
        for (shown, proof) in record.entries.iter().zip(proofs) {
            let index = shown.entry.index();
            let entry = self.take_same(&paths::entry(id, index), shown.entry.bytes())?;
            let proof = self.take_same(&paths::proof(id, index), proof.as_bytes())?;
            if !entry || !proof {
                let problem = format!("the file of entry {index} or of its proof is another than the record's");
                self.findings.fail_record(Check::Records, id, &problem);
            }
        }
        // A file between this record and the next is nobody's.
        let known = |path: &str| paths::parse_record(path).is_some() || paths::is_behind_records(path);
        self.bag.skip_until(true, known)
    }
}
