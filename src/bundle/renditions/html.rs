//! The records as one page that a judge can read: no script, nothing loaded from elsewhere.
//!
//! Invariant: whatever a record says is shown as text and is never markup; characters that turn the direction of writing or cannot be seen
//! are spelled out.

use std::fmt::Write as _;

use crate::bundle::query::BundleQuery;
use crate::bundle::shown::{ShownEntry, ShownRecord, readable};
use crate::ledger::Entry;

const STYLE: &str = "body{font:16px/1.5 Georgia,serif;max-width:50em;margin:2em auto;padding:0 1em;color:#111;background:#fff}\
h1{font-size:1.5em}h2{font-size:1em;margin:2em 0 .3em;border-top:1px solid #999;padding-top:.6em;overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:11em 1fr;gap:.15em 1em;margin:.3em 0 1em}dt{color:#555}\
dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}.withheld{background:#111;color:#fff;padding:0 .4em}\
.note{color:#555;font-size:.9em}@media print{body{max-width:none;margin:0}h2{break-after:avoid}}";

/// Text, and nothing else.
fn text(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            '\n' | '\t' => into.push(c),
            // What a reader does not see, and what makes the rest be read in another order.
            '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                let _written = write!(into, "[U+{:04X}]", u32::from(c));
            }
            c if c.is_control() => {
                let _written = write!(into, "[U+{:04X}]", u32::from(c));
            }
            c => into.push(c),
        }
    }
}

fn row(name: &str, value: &str, into: &mut String) {
    into.push_str("<dt>");
    text(name, into);
    into.push_str("</dt><dd>");
    text(value, into);
    into.push_str("</dd>\n");
}

pub(super) fn header(query: &BundleQuery, export: &Entry, into: &mut String) {
    into.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bundle ");
    into.push_str(&query.bundle.to_string());
    into.push_str("</title>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<style>");
    into.push_str(STYLE);
    into.push_str("</style></head><body>\n<h1>Records of bundle ");
    into.push_str(&query.bundle.to_string());
    into.push_str("</h1>\n<p class=\"note\">Made from the records in this bundle for reading. The records themselves, with their proofs, are the evidence; README.txt says how to check them.</p>\n<dl>\n");
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
    let _written = writeln!(into, "<p class=\"note\">{records} records.</p>\n</body></html>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_says_is_never_markup_and_never_turns_the_line() {
        let mut html = String::new();
        text("<script>\"'&\u{202e}gpj\u{200b}\u{7}", &mut html);
        assert_eq!(html, "&lt;script&gt;&quot;&#39;&amp;[U+202E]gpj[U+200B][U+0007]");
    }
}
