//! The records as JSON Lines: one record a line, with what is shown, and what is withheld with its reason.

use serde_json::{Map, Value, json};

use crate::bundle::paths;
use crate::bundle::shown::{ShownEntry, ShownRecord};
use crate::record::{FieldName, RecordId, canonical};

pub(super) fn record(record: &ShownRecord, into: &mut String) {
    let entries: Vec<_> = record.entries.iter().map(|shown| entry(record.id, shown)).collect();
    let line = json!({"entries": entries, "record": record.id});
    into.push_str(&String::from_utf8_lossy(&canonical(&line).unwrap_or_default()));
    into.push('\n');
}

fn entry(record: RecordId, shown: &ShownEntry) -> Value {
    let index = shown.entry.index();
    let fields = shown.shown.iter().map(|(name, value)| (name.to_string(), field(record, index, name, value)));
    let streams: Vec<_> = shown.entry.streams().iter().map(|stream| stream.id).collect();
    json!({
        "actor": shown.entry.actor().to_string(), "at": shown.entry.at(), "captured_at": shown.entry.captured_at(),
        "detail": shown.entry.detail(), "id": shown.entry.id(), "index": index, "leaf": shown.entry.leaf(),
        "shown": fields.collect::<Map<_, _>>(), "streams": streams, "type": shown.entry.entry_type(),
        "withheld": shown.withheld.iter().map(|(name, reason)| (name.to_string(), json!(reason))).collect::<Map<_, _>>(),
    })
}

fn field(record: RecordId, index: u64, name: &FieldName, value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        _ if paths::is_native(name) => json!({"bytes": value.len(), "file": paths::native(record, index, name)}),
        Ok(text) => json!(text),
        // In the record's own file.
        Err(_) => json!({"bytes": value.len()}),
    }
}
