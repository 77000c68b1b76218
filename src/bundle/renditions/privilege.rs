//! The privilege log: each field that is withheld, and why. One line of JSON each, in one spelling.

use serde::{Deserialize, Serialize};

use crate::bundle::shown::ShownRecord;
use crate::record::{FieldName, RecordId, canonical};

/// One field that is withheld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bundle) struct Withholding {
    /// Index of the entry that commits to it.
    pub(in crate::bundle) entry: u64,
    pub(in crate::bundle) field: FieldName,
    pub(in crate::bundle) reason: String,
    pub(in crate::bundle) record: RecordId,
}

/// Its line.
pub(in crate::bundle) fn line(withholding: &Withholding) -> Vec<u8> {
    let mut line = canonical(withholding).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The lines of a record.
pub(super) fn record(record: &ShownRecord, into: &mut String) {
    for shown in &record.entries {
        for (field, reason) in &shown.withheld {
            let (entry, field, reason) = (shown.entry.index(), field.clone(), reason.clone());
            into.push_str(&String::from_utf8_lossy(&line(&Withholding { entry, field, reason, record: record.id })));
        }
    }
}
