//! Who held what when: each entry of the records, and last the export itself. One line of JSON each.

use std::fmt::Write as _;

use crate::ledger::Entry;

pub(super) fn entry(entry: &Entry, into: &mut String) {
    // Nothing in an entry needs an escape, and the keys stand in their order. Writing to a string cannot fail.
    let _written = write!(
        into,
        r#"{{"actor":"{}","at":"{}","captured_at":"{}","entry":{},"id":"{}","leaf":"{}""#,
        entry.actor(),
        entry.at(),
        entry.captured_at(),
        entry.index(),
        entry.id(),
        entry.leaf(),
    );
    if let Some(record) = entry.record() {
        let _written = write!(into, r#","record":"{record}""#);
    }
    let _written = writeln!(into, r#","type":"{}"}}"#, entry.entry_type());
}
