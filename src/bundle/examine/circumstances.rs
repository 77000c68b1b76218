//! What stands around the records: each entry proved, of its kind, and committing to what is shown of it.

use super::{Context, Examiner};
use crate::bundle::bag::{BagError, Wanted, next_line};
use crate::bundle::circumstance::{Circumstance, LINE_MAX, Told};
use crate::bundle::paths;
use crate::bundle::report::Check;

impl Examiner<'_> {
    pub(super) fn circumstances(&mut self, context: Option<&Context>) -> Result<(), BagError> {
        let Some(context) = context else {
            self.findings.not_made(Check::Circumstances, "what was asked cannot be read");
            return Ok(());
        };
        for of in Circumstance::ALL {
            let path = paths::circumstance(of);
            if self.bag.next_payload() != Some(path.as_str()) {
                continue;
            }
            let mut last = None;
            if let Some(mut lines) = self.bag.beside(&path)? {
                while let Some(line) = next_line(&mut *lines, LINE_MAX)? {
                    self.told(of, &line, &mut last, context);
                }
            }
            if last.is_none() {
                self.findings.fail(Check::Circumstances, format!("`{path}` holds nothing"));
            }
            self.bag.take(&path, Wanted::Digest)?;
        }
        for (of, index) in std::mem::take(&mut self.told) {
            let problem = format!("{}: entry {index} stands in a range and is not told", of.as_str());
            self.findings.fail(Check::Circumstances, problem);
        }
        Ok(())
    }

    fn told(&mut self, of: Circumstance, line: &[u8], last: &mut Option<u64>, context: &Context) {
        let told = match Told::parse(line) {
            Ok(told) => told,
            Err(problem) => return self.findings.fail(Check::Circumstances, format!("{}: {problem}", of.as_str())),
        };
        let index = told.entry.index();
        let out_of_order = || last.is_some_and(|last| last >= index).then(|| format!("entry {index} is out of order"));
        if let Some(problem) = told.problem(of, context.query.as_of, &context.checkpoint).or_else(out_of_order) {
            self.findings.fail(Check::Circumstances, format!("{}: {problem}", of.as_str()));
        }
        *last = Some(index);
        self.told.remove(&(of, index));
        if let Some(renditions) = &mut self.renditions {
            let Ok(()) = renditions.circumstance(of, &told);
        }
    }
}
