//! The ranges: each advisor's entries without a gap, and no record missing or too many.

use std::collections::BTreeSet;

use super::{Context, Examiner, RangeReport};
use crate::bundle::bag::{BagError, Wanted, next_line};
use crate::bundle::paths;
use crate::bundle::range::{Bounds, LINE_MAX, Range};
use crate::bundle::report::Check;

impl Examiner<'_> {
    pub(super) fn ranges(&mut self, context: Option<&Context>) -> Result<(), BagError> {
        let Some(context) = context else {
            self.findings.not_made(Check::Range, "what was asked cannot be read");
            return Ok(());
        };
        if context.query.advisors.is_empty() {
            self.findings.not_made(Check::Range, "the bundle does not say that it holds all of anything");
        }
        let bounds = Bounds { query: &context.query, export: &context.export, checkpoint: &context.checkpoint };
        let mut wanted = BTreeSet::new();
        for stream in context.query.advisors.iter().copied() {
            let path = paths::range(stream);
            let mut range = Range::new(stream, &bounds);
            if let Some(mut lines) = self.bag.beside(&path)? {
                while let Some(line) = next_line(&mut *lines, LINE_MAX)? {
                    range.line(&line);
                }
            }
            range.finish();
            if self.bag.take(&path, Wanted::Digest)?.is_none() {
                range.problems.push(format!("advisor {stream}: the range is missing"));
            }
            let missing: Vec<_> = range.records.difference(&self.records).copied().collect();
            let (entries, records) = (range.entries, range.records.len() as u64);
            let complete = range.problems.is_empty() && missing.is_empty();
            range.problems.into_iter().for_each(|problem| self.findings.fail(Check::Range, problem));
            for record in missing {
                self.findings.fail_record(Check::Range, record, "is in the range and not in the bundle");
            }
            wanted.append(&mut range.records);
            self.told.append(&mut range.told);
            self.ranges.push(RangeReport { advisor: stream, entries, records, complete });
        }
        if !context.query.advisors.is_empty() {
            let others: Vec<_> = self.records.difference(&wanted).copied().collect();
            for record in others {
                self.findings.fail_record(Check::Range, record, "is in the bundle and in none of its ranges");
            }
        }
        Ok(())
    }
}
