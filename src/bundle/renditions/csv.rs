//! The records as comma-separated values (RFC 4180), safe to open in a spreadsheet: a line for each communication of an entry, and one for
//! an entry without.

use crate::bundle::cell::csv_cell;
use crate::bundle::shown::{ShownEntry, ShownRecord};
use crate::record::Part;

/// What is said of the entry.
const FACTS: [&str; 13] = [
    "record",
    "index",
    "entry",
    "type",
    "at",
    "captured_at",
    "actor",
    "advisors",
    "network",
    "direction",
    "state",
    "status",
    "number",
];
/// What is said of the communication.
const PARTS: [Part; 9] = [
    Part::Text,
    Part::Author,
    Part::Account,
    Part::Recipients,
    Part::Parent,
    Part::Conversation,
    Part::Item,
    Part::Permalink,
    Part::OccurredAt,
];

fn cell(text: &str, into: &mut String) {
    if !into.is_empty() && !into.ends_with('\n') {
        into.push(',');
    }
    csv_cell(text, into);
}

pub(super) fn header(into: &mut String) {
    FACTS.into_iter().for_each(|name| cell(name, into));
    cell("kind", into);
    PARTS.iter().for_each(|part| cell(part.as_str(), into));
    cell("withheld", into);
    into.push_str("\r\n");
}

pub(super) fn record(record: &ShownRecord, into: &mut String) {
    for shown in &record.entries {
        let numbers = shown.numbers();
        if numbers.is_empty() {
            line(record, shown, None, into);
        }
        numbers.into_iter().for_each(|number| line(record, shown, Some(number), into));
    }
}

fn line(record: &ShownRecord, shown: &ShownEntry, number: Option<u32>, into: &mut String) {
    let entry = &shown.entry;
    let number_text = number.map(|number| number.to_string()).unwrap_or_default();
    let facts: [String; 13] = [
        record.id.to_string(),
        entry.index().to_string(),
        entry.id().to_string(),
        entry.entry_type().to_string(),
        entry.at().to_string(),
        entry.captured_at().to_string(),
        entry.actor().to_string(),
        shown.advisors(),
        shown.detail("network"),
        shown.detail("direction"),
        shown.detail("state"),
        shown.detail("status"),
        number_text.clone(),
    ];
    facts.iter().for_each(|fact| cell(fact, into));
    let kinds = shown.detail("kinds");
    let kind = number.and_then(|number| kinds.split(' ').nth(number as usize)).unwrap_or_default();
    cell(kind, into);
    for part in PARTS {
        cell(&shown.text(&format!("{number_text}.{part}")).unwrap_or_default(), into);
    }
    let of_number = |name: &&str| number.is_none() || name.split_once('.').is_some_and(|(n, _)| n == number_text);
    let withheld: Vec<_> = shown.withheld.keys().map(|name| name.as_str()).filter(of_number).collect();
    cell(&withheld.join(" "), into);
    into.push_str("\r\n");
}
