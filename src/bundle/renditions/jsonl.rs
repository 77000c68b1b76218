//! The records as JSON Lines: one record a line, with what is shown, and what is withheld with its reason.
//!
//! Invariant: each line is in RFC 8785 form. It is spelled directly, in the order that this form asks for: a tree of values made first takes most of
//! the time of a whole verification.

use std::fmt::Write as _;

use crate::bundle::paths;
use crate::bundle::shown::{ShownEntry, ShownRecord};
use crate::record::{FieldName, RecordId};

pub(super) fn record(record: &ShownRecord, into: &mut String) {
    into.push_str(r#"{"entries":["#);
    for (number, shown) in record.entries.iter().enumerate() {
        comma(number, into);
        entry(record.id, shown, into);
    }
    let _written = writeln!(into, r#"],"record":"{}"}}"#, record.id);
}

fn comma(number: usize, into: &mut String) {
    if number > 0 {
        into.push(',');
    }
}

/// A string as JSON: serde_json escapes what RFC 8785 section 3.2.2.2 escapes, and nothing else.
fn string(text: &str, into: &mut String) {
    into.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn entry(record: RecordId, shown: &ShownEntry, into: &mut String) {
    let entry = &shown.entry;
    let index = entry.index();
    // Nothing in an entry needs an escape, and its details stand in their order.
    let detail = serde_json::to_string(entry.detail()).unwrap_or_default();
    let _written = write!(
        into,
        r#"{{"actor":"{}","at":"{}","captured_at":"{}","detail":{detail},"id":"{}","index":{index},"leaf":"{}","shown":{{"#,
        entry.actor(),
        entry.at(),
        entry.captured_at(),
        entry.id(),
        entry.leaf(),
    );
    for (number, (name, value)) in shown.shown.iter().enumerate() {
        comma(number, into);
        let _written = write!(into, r#""{name}":"#);
        field(record, index, name, value, into);
    }
    into.push_str(r#"},"streams":["#);
    for (number, stream) in entry.streams().iter().enumerate() {
        comma(number, into);
        let _written = write!(into, r#""{}""#, stream.id);
    }
    let _written = write!(into, r#"],"type":"{}","withheld":{{"#, entry.entry_type());
    for (number, (name, reason)) in shown.withheld.iter().enumerate() {
        comma(number, into);
        let _written = write!(into, r#""{name}":"#);
        string(reason, into);
    }
    into.push_str("}}");
}

fn field(record: RecordId, index: u64, name: &FieldName, value: &[u8], into: &mut String) {
    let bytes = value.len();
    match std::str::from_utf8(value) {
        _ if paths::is_native(name) => {
            let _written = write!(into, r#"{{"bytes":{bytes},"file":"{}"}}"#, paths::native(record, index, name));
        }
        Ok(text) => string(text, into),
        // In the record's own file.
        Err(_) => {
            let _written = write!(into, r#"{{"bytes":{bytes}}}"#);
        }
    }
}
