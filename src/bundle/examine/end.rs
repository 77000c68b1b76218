//! The last files: renditions, what is said of the bag, the log's statement; and that there are no others.

use super::{Context, Examiner};
use crate::bundle::bag::{self, BagError, Wanted};
use crate::bundle::paths;
use crate::bundle::report::Check;
use crate::bundle::statement::{self, Facts};
use crate::ledger::{open_envelope, read_envelope};
use crate::record::Digest;

/// Largest envelope and largest `bag-info.txt` in bytes.
const SMALL_MAX: u64 = 1 << 16;

impl Examiner<'_> {
    pub(super) fn end(&mut self, context: Option<&Context>) -> Result<(), BagError> {
        self.reasons.finish()?;
        for problem in std::mem::take(&mut self.reasons.problems) {
            self.findings.fail(Check::Redactions, problem);
        }
        self.renditions(context)?;
        if let Some(context) = context
            && context.stated != Some(self.records.len() as u64)
        {
            let problem =
                format!("the export says that it takes another number of records than the {} here", self.records.len());
            self.findings.fail(Check::Export, problem);
        }
        self.bag.skip_until(true, |_path| false)?;
        self.bag.skip_until(false, |path| matches!(path, bag::INFO | bag::MANIFEST | paths::STATEMENT))?;
        let info = self.bag.take(bag::INFO, Wanted::Digest)?.map(|opened| opened.digest);
        let manifest = self.bag.take(bag::MANIFEST, Wanted::Digest)?.map(|opened| opened.digest);
        let envelope = self.take(paths::STATEMENT, SMALL_MAX)?;
        if let Some(context) = context {
            let said = self.bag.payload_read();
            let expected = statement::bag_info(&context.checkpoint.origin, context.query.bundle, &context.export, said);
            if info != Some(Digest::of(&[expected.as_bytes()])) {
                self.findings.fail(Check::Bag, "`bag-info.txt` does not say what the bag is".to_owned());
            }
            self.statement(context, envelope.as_deref(), info, manifest);
        }
        self.bag.take_tag_manifest()?;
        self.bag.finish()?;
        for complaint in std::mem::take(&mut self.bag.complaints) {
            self.findings.fail(Check::Bag, complaint);
        }
        self.findings.untold += self.bag.uncounted;
        Ok(())
    }

    fn renditions(&mut self, context: Option<&Context>) -> Result<(), BagError> {
        let (Some(renditions), Some(context)) = (self.renditions.take(), context) else {
            self.findings.not_made(Check::Renditions, "what the bundle says of itself cannot be read");
            return Ok(());
        };
        let Ok(sinks) = renditions.finish(&context.export, self.records.len() as u64);
        for (path, made) in sinks.into_iter().flat_map(|sink| sink.ended) {
            let found = self.bag.take(&path, Wanted::Digest)?.map(|opened| opened.digest);
            if found != Some(made) {
                let check = if path == paths::PRIVILEGE_LOG { Check::Redactions } else { Check::Renditions };
                self.findings.fail(check, format!("`{path}` does not follow from the records"));
            }
        }
        Ok(())
    }

    /// The log's word on what the bundle holds.
    fn statement(
        &mut self,
        context: &Context,
        envelope: Option<&[u8]>,
        info: Option<Digest>,
        manifest: Option<Digest>,
    ) {
        let (Some(envelope), Some(info), Some(manifest), Some(readme)) = (envelope, info, manifest, context.readme)
        else {
            self.findings.fail(Check::Statement, "the statement, or what it speaks of, is missing".to_owned());
            return;
        };
        let facts = Facts {
            bundle: context.query.bundle,
            as_of: context.query.as_of,
            export: &context.export,
            checkpoint: (context.checkpoint.size, context.checkpoint.root),
            records: self.records.len() as u64,
            readme,
            info,
            manifest,
            policy: context.policy,
        };
        let opened = if self.keys.is_empty() {
            read_envelope(envelope, statement::PAYLOAD_TYPE).map(|(payload, key, _signature)| (payload, key))
        } else {
            open_envelope(envelope, statement::PAYLOAD_TYPE, self.keys)
        };
        match opened {
            Err(error) => self.findings.fail(Check::Statement, error.to_string()),
            Ok((_payload, key)) if !key.starts_with(&format!("{}+", context.checkpoint.origin)) => {
                self.findings.fail(Check::Statement, "another key than the log's signed it".to_owned());
            }
            Ok((payload, _key)) if payload != statement::payload(&facts) => {
                self.findings.fail(Check::Statement, "it speaks of other files, or of another bundle".to_owned());
            }
            Ok(_) => {}
        }
    }
}
