//! A page that anybody can read and print: no script, nothing loaded from elsewhere.
//!
//! Invariant: what is put into it is shown as text and is never markup; characters that turn the direction of writing or cannot be seen are
//! spelled out.

use std::fmt::Write as _;

const STYLE: &str = "body{font:16px/1.5 Georgia,serif;max-width:50em;margin:2em auto;padding:0 1em;color:#111;background:#fff}\
h1{font-size:1.5em}h2{font-size:1em;margin:2em 0 .3em;border-top:1px solid #999;padding-top:.6em;overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:11em 1fr;gap:.15em 1em;margin:.3em 0 1em}dt{color:#555}\
dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}.withheld{background:#111;color:#fff;padding:0 .4em}\
.note{color:#555;font-size:.9em}@media print{body{max-width:none;margin:0}h2{break-after:avoid}}";

/// Text, and nothing else.
pub(super) fn text(value: &str, into: &mut String) {
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

pub(super) fn row(name: &str, value: &str, into: &mut String) {
    into.push_str("<dt>");
    text(name, into);
    into.push_str("</dt><dd>");
    text(value, into);
    into.push_str("</dd>\n");
}

/// Its beginning.
pub(super) fn begin(title: &str, into: &mut String) {
    into.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    text(title, into);
    into.push_str("</title>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<style>");
    into.push_str(STYLE);
    into.push_str("</style></head><body>\n<h1>");
    text(title, into);
    into.push_str("</h1>\n");
}

/// A paragraph.
pub(super) fn paragraph(said: &str, into: &mut String) {
    into.push_str("<p>");
    text(said, into);
    into.push_str("</p>\n");
}

/// A smaller one.
pub(super) fn note(said: &str, into: &mut String) {
    into.push_str("<p class=\"note\">");
    text(said, into);
    into.push_str("</p>\n");
}

/// Its end.
pub(super) const END: &str = "</body></html>\n";

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
