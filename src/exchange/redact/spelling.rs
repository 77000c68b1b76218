//! How a text may be written inside another: percent-encoded in a form, escaped in a JSON string, between the words of prose.
//!
//! Invariant: an edit found in the text as it is meant goes back to the place where it is written.

use std::ops::Range;

use crate::exchange::edit::Edit;
use crate::exchange::json;

/// Whether a string, escaped or not, may hold JSON, a form or a URL with a query.
pub(super) fn may_hold_fields(raw: &[u8]) -> bool {
    json::may_be_json(raw)
        || memchr::memchr(b'=', raw).is_some()
        || is_escaped(raw)
        || memchr::memmem::find(raw, b"://").is_some()
        || is_percent_coded(raw)
}

/// Whether the signs that fields are told by stand there percent-encoded: `=`, `"`, `{`.
pub(super) fn is_percent_coded(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'%', raw).any(|at| {
        matches!(raw.get(at + 1..at + 3), Some([b'3', b'd' | b'D'] | [b'2', b'2' | b'5'] | [b'7', b'b' | b'B']))
    })
}

/// Whether a sign is written as JSON may write any.
pub(super) fn is_escaped(raw: &[u8]) -> bool {
    memchr::memmem::find(raw, b"\\u00").is_some()
}

/// What stands between blanks, quotes and angle brackets.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split(|byte| *byte <= b' ' || matches!(byte, b'"' | b'\'' | b'<' | b'>')).map(move |word| {
        let begin = at;
        at += word.len() + 1;
        begin..begin + word.len()
    })
}

/// A value as it may be written elsewhere: as it is, percent-encoded, as a JSON string.
pub(super) fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let percent = |upper: bool| -> Vec<u8> {
        value
            .iter()
            .flat_map(|byte| match byte {
                b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') => vec![*b],
                b if upper => format!("%{b:02X}").into_bytes(),
                b => format!("%{b:02x}").into_bytes(),
            })
            .collect()
    };
    let slashes = value.iter().flat_map(|byte| if *byte == b'/' { vec![b'\\', b'/'] } else { vec![*byte] }).collect();
    let mut all = vec![value.to_vec(), percent(true), percent(false), slashes, escape_json(value)];
    all.dedup();
    all
}

pub(super) fn escape_json(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            _ => vec![*byte],
        })
        .collect()
}

pub(super) fn escape_form(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            b'"' | b'\\' => format!("%{byte:02X}").into_bytes(),
            _ => vec![*byte],
        })
        .collect()
}

/// Edits of an unescaped text as edits of the text around it.
pub(super) fn outward(edits: Vec<Edit>, origins: &[u32], start: u64, escape: fn(&[u8]) -> Vec<u8>) -> Vec<Edit> {
    let origin = |at: u64| usize::try_from(at).ok().and_then(|at| origins.get(at)).map(|at| start + u64::from(*at));
    edits
        .into_iter()
        .filter_map(|edit| {
            Some(Edit { range: origin(edit.range.start)?..origin(edit.range.end)?, with: escape(&edit.with) })
        })
        .collect()
}
