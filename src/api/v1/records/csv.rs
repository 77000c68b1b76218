//! Records as comma-separated values (RFC 4180), safe to open in a spreadsheet ([`csv_cell`]).

use serde_json::Value;

use super::said::{Party, Said};
use super::summary::RecordSummary;
use crate::bundle::csv_cell;

/// The columns.
const COLUMNS: [&str; 40] = [
    "cursor",
    "index",
    "record",
    "entry",
    "type",
    "at",
    "captured_at",
    "network",
    "transport",
    "direction",
    "flags",
    "rule",
    "method",
    "exchange",
    "device",
    "advisors",
    "retry_of",
    "outcome",
    "outcome_status",
    "disposed",
    "content",
    "number",
    "kind",
    "text",
    "author_id",
    "author_handle",
    "author_name",
    "account_id",
    "account_handle",
    "recipients",
    "item",
    "parent",
    "root",
    "conversation",
    "permalink",
    "occurred_at",
    "edited_from",
    "visibility",
    "attachments",
    "size",
];

/// One line being written.
#[derive(Default)]
struct Line(String);

impl Line {
    fn cell(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        csv_cell(text, &mut self.0);
    }

    fn some(&mut self, text: Option<&str>) {
        self.cell(text.unwrap_or_default());
    }

    fn shown(&mut self, value: Option<impl ToString>) {
        self.cell(&value.map(|value| value.to_string()).unwrap_or_default());
    }

    fn party(&mut self, party: Option<&Party>, has_name: bool) {
        self.some(party.and_then(|party| party.id.as_deref()));
        self.some(party.and_then(|party| party.handle.as_deref()));
        if has_name {
            self.some(party.and_then(|party| party.name.as_deref()));
        }
    }

    fn end(mut self, into: &mut String) {
        self.0.push_str("\r\n");
        into.push_str(&self.0);
    }
}

/// The first line.
pub(super) fn header(into: &mut String) {
    let mut line = Line::default();
    COLUMNS.iter().for_each(|name| line.cell(name));
    line.end(into);
}

/// A line for each communication of a record, or one where there is none to show. The last of them bears the cursor, so that going on
/// after it misses none.
pub(super) fn record(cursor: &str, record: &RecordSummary, said: &[Said], into: &mut String) {
    let lines = said.len().max(1);
    for at in 0..lines {
        let mut line = Line::default();
        line.cell(if at + 1 == lines { cursor } else { "" });
        facts(record, &mut line);
        words(said.get(at), &mut line);
        line.shown(Some(record.size));
        line.end(into);
    }
}

fn facts(record: &RecordSummary, line: &mut Line) {
    line.shown(Some(record.index));
    line.shown(Some(record.id));
    line.shown(Some(record.entry));
    line.cell(&record.kind);
    line.shown(Some(record.at));
    line.shown(Some(record.captured_at));
    line.cell(&record.network);
    line.cell(&record.transport);
    line.cell(&record.direction);
    line.cell(&record.flags.join(" "));
    line.some(record.rule.as_deref());
    line.some(record.method.as_deref());
    line.shown(Some(record.exchange));
    line.shown(record.device);
    let advisors: Vec<String> = record.advisors.iter().map(ToString::to_string).collect();
    line.cell(&advisors.join(" "));
    line.shown(record.retry_of);
    line.some(record.outcome.as_ref().map(|outcome| outcome.state.as_str()));
    line.shown(record.outcome.as_ref().and_then(|outcome| outcome.status));
    line.shown(record.disposed);
    line.cell(&record.content);
}

fn words(said: Option<&Said>, line: &mut Line) {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    line.shown(said.map(|said| said.number));
    line.some(said.map(|said| said.kind.as_str()));
    line.some(said.and_then(|said| said.text.as_deref()));
    line.party(said.and_then(|said| said.author.as_ref()), true);
    line.party(said.and_then(|said| said.account.as_ref()), false);
    line.shown(said.and_then(|said| json(&said.recipients)));
    for part in [
        |said: &Said| said.item.clone(),
        |said: &Said| said.parent.clone(),
        |said: &Said| said.root.clone(),
        |said: &Said| said.conversation.clone(),
        |said: &Said| said.permalink.clone(),
        |said: &Said| said.occurred_at.clone(),
        |said: &Said| said.edited_from.clone(),
        |said: &Said| said.visibility.clone(),
    ] {
        line.shown(said.and_then(part));
    }
    line.shown(said.and_then(|said| json(&said.attachments)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one line the way RFC 4180 says.
    fn read(line: &str) -> Vec<String> {
        let (mut cells, mut chars) = (Vec::new(), line.strip_suffix("\r\n").unwrap().chars().peekable());
        loop {
            assert_eq!(chars.next(), Some('"'));
            let mut cell = String::new();
            loop {
                match chars.next().unwrap() {
                    '"' if chars.peek() == Some(&'"') => cell.extend(chars.next()),
                    '"' => break,
                    c => cell.push(c),
                }
            }
            cells.push(cell);
            match chars.next() {
                Some(',') => {}
                None => return cells,
                Some(c) => panic!("{c:?} behind a cell"),
            }
        }
    }

    proptest! {
        #[test]
        fn cells_come_back_as_they_were_and_none_is_a_formula(
            cells in prop::collection::vec(prop_oneof![".{0,20}", "[=+@\t\r\n\"',-]{0,8}"], 1..6),
        ) {
            let (mut line, mut text) = (Line::default(), String::new());
            cells.iter().for_each(|cell| line.cell(cell));
            line.end(&mut text);
            let back = read(&text);
            prop_assert_eq!(back.len(), cells.len());
            for (cell, back) in cells.iter().zip(back) {
                prop_assert!(!back.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
                prop_assert!(back == *cell || back.strip_prefix('\'') == Some(cell));
            }
        }
    }
}
