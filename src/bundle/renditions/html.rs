//! The records as one page that a judge can read: no script, nothing loaded from elsewhere.

use std::fmt::Write as _;

use super::page::{END, begin, note, row, text};
use crate::bundle::query::BundleQuery;
use crate::bundle::shown::{ShownEntry, ShownRecord, readable};
use crate::ledger::Entry;

pub(super) fn header(query: &BundleQuery, export: &Entry, into: &mut String) {
    begin(&format!("Records of bundle {}", query.bundle), into);
    note(
        "Made from the records in this bundle for reading. The records themselves, with their proofs, are the evidence; README.txt says how to check them.",
        into,
    );
    into.push_str("<dl>\n");
    row("Exported at", &export.at().to_string(), into);
    row("Exported by", &export.actor().to_string(), into);
    row("Export is entry", &export.index().to_string(), into);
    row("As of entries", &query.as_of.to_string(), into);
    for advisor in &query.advisors {
        row("All records of advisor", &advisor.to_string(), into);
    }
    for (name, time) in [("From", query.from), ("Until before", query.until)] {
        if let Some(time) = time {
            row(name, &time.to_string(), into);
        }
    }
    query.filter.iter().for_each(|(name, value)| row(&format!("Asked: {name}"), value, into));
    into.push_str("</dl>\n");
}

pub(super) fn record(record: &ShownRecord, into: &mut String) {
    let _written = writeln!(into, "<section id=\"r-{0}\"><h2>Record {0}</h2>", record.id);
    record.entries.iter().for_each(|shown| entry(shown, into));
    into.push_str("</section>\n");
}

fn entry(shown: &ShownEntry, into: &mut String) {
    into.push_str("<dl>\n");
    row("Entry", &format!("{} ({})", shown.entry.index(), shown.entry.entry_type()), into);
    row("Time", &shown.entry.at().to_string(), into);
    for (name, key) in [
        ("Network", "network"),
        ("Kind", "kinds"),
        ("Direction", "direction"),
        ("Outcome", "state"),
        ("Flags", "flags"),
    ] {
        let value = shown.detail(key);
        if !value.is_empty() {
            row(name, &value, into);
        }
    }
    row("Advisors", &shown.advisors(), into);
    shown.shown.iter().for_each(|(name, value)| row(name.as_str(), &readable(name, value), into));
    for (name, reason) in &shown.withheld {
        into.push_str("<dt>");
        text(name.as_str(), into);
        into.push_str("</dt><dd><span class=\"withheld\">withheld</span> ");
        text(reason, into);
        into.push_str("</dd>\n");
    }
    into.push_str("</dl>\n");
}

pub(super) fn footer(records: u64, into: &mut String) {
    note(&format!("{records} records."), into);
    into.push_str(END);
}
