//! Who held what when: each entry of the records, and last the export itself. One line of JSON each.

use serde_json::json;

use crate::ledger::Entry;
use crate::record::canonical;

pub(super) fn entry(entry: &Entry, into: &mut String) {
    let mut line = json!({
        "actor": entry.actor().to_string(), "at": entry.at(), "captured_at": entry.captured_at(), "entry": entry.index(),
        "id": entry.id(), "leaf": entry.leaf(), "type": entry.entry_type(),
    });
    if let (Some(object), Some(record)) = (line.as_object_mut(), entry.record()) {
        object.insert("record".to_owned(), json!(record));
    }
    into.push_str(&String::from_utf8_lossy(&canonical(&line).unwrap_or_default()));
    into.push('\n');
}
