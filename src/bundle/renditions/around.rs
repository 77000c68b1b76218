//! What stands around the records, as a page: who is who, what could not be kept, who looked, the matter, and how the archive was checked.

use super::coverage::Coverage;
use super::page::{END, begin, note, row};
use crate::bundle::circumstance::{Circumstance, Told};
use crate::bundle::query::BundleQuery;
use crate::bundle::shown::detail_of;

/// Its beginning.
pub(super) fn header(query: &BundleQuery, into: &mut String) {
    begin(&format!("What stands around the records of bundle {}", query.bundle), into);
    note(
        "Made for reading from the entries in data/circumstances, each of which is proved to be in the ledger. That they are all is not proved, but for the ranges in data/ranges.",
        into,
    );
}

/// The heading of a kind.
const fn title(of: Circumstance) -> &'static str {
    match of {
        Circumstance::Identity => "Who is who",
        Circumstance::Gaps => "What could not be kept or read",
        Circumstance::Access => "Looks that name one of the records",
        Circumstance::Matter => "The matter and its holds",
        Circumstance::Integrity => "How the archive was checked",
    }
}

/// One entry; the first of its kind with the heading.
pub(super) fn entry(of: Circumstance, is_first: bool, told: &Told, names: &Coverage, into: &mut String) {
    if is_first {
        into.push_str("<h2>");
        into.push_str(title(of));
        into.push_str("</h2>\n");
    }
    into.push_str("<dl>\n");
    row("Entry", &format!("{}, {}", told.entry.index(), told.entry.at()), into);
    row("By", &told.entry.actor().to_string(), into);
    for (key, value) in told.entry.detail() {
        // A list of records may be long, and those of others are nobody's business.
        if value.is_array() {
            continue;
        }
        let said = detail_of(&told.entry, key);
        let name = names.name(&said);
        if name == said { row(key, &said, into) } else { row(key, &format!("{said} ({name})"), into) }
    }
    for field in &told.shown {
        row(field.name.as_str(), told.text(field.name.as_str()).unwrap_or_default(), into);
    }
    into.push_str("</dl>\n");
}

/// Its end.
pub(super) fn footer(into: &mut String) {
    into.push_str(END);
}
