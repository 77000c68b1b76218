//! Reads the privilege log beside the records: the next reason must be the one of the next field that is withheld.

use std::io::{self, BufRead};

use crate::bundle::bag::next_line;
use crate::bundle::renditions::{Withholding, privilege_line};
use crate::bundle::shown::REASON_MAX;
use crate::record::{FieldName, RecordId};

/// A line with the longest reason, all of it escaped.
const LINE_MAX: u64 = REASON_MAX as u64 * 6 + 400;

/// The privilege log, and the line that comes next.
pub(super) struct ReasonsRead {
    from: Option<Box<dyn BufRead>>,
    next: Option<Withholding>,
    pub(super) problems: Vec<String>,
}

impl ReasonsRead {
    pub(super) fn new(from: Option<Box<dyn BufRead>>) -> Self {
        Self { from, next: None, problems: Vec::new() }
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < 1_000 {
            self.problems.push(problem);
        }
    }

    fn peek(&mut self) -> io::Result<Option<&Withholding>> {
        while self.next.is_none() {
            let Some(from) = &mut self.from else { break };
            let Some(line) = next_line(&mut **from, LINE_MAX)? else { break };
            let read = serde_json::from_slice::<Withholding>(&line).ok();
            self.next =
                read.filter(|read| privilege_line(read) == line && (1..=REASON_MAX).contains(&read.reason.len()));
            if self.next.is_none() {
                self.problem("a line of the privilege log is not spelled as one".to_owned());
            }
        }
        Ok(self.next.as_ref())
    }

    /// The reason for a field; none where there is none.
    pub(super) fn reason(&mut self, record: RecordId, entry: u64, field: &FieldName) -> io::Result<Option<String>> {
        loop {
            let Some(next) = self.peek()? else { return Ok(None) };
            let place = (next.entry, &next.field);
            if next.record == record && place < (entry, field) {
                let problem =
                    format!("record {record}: `{}` of entry {} has a reason and is not withheld", place.1, place.0);
                self.problem(problem);
                self.next = None;
            } else if next.record == record && place == (entry, field) {
                return Ok(self.next.take().map(|next| next.reason));
            } else {
                return Ok(None);
            }
        }
    }

    /// What is left has no field.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        while let Some(Withholding { record, entry, field, .. }) = self.peek()? {
            let problem = format!("record {record}: `{field}` of entry {entry} has a reason and is not withheld");
            self.problem(problem);
            self.next = None;
        }
        Ok(())
    }
}
