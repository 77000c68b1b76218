//! Fields in a text whose structure nobody can read: what looks like `"name": "value"`, `name=value` or `//name:password@`.
//!
//! In doubt it takes too much rather than too little: a value goes on to the next delimiter, a quoted one to its quote. One walk
//! over the text, whatever it holds.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::credential::Sort;
use super::form;

/// Longer ones are no names but data that happens to stand before a `=`.
const MAX_NAME: usize = 64;
const USER_INFO: &str = "password in a url";

/// A value to take out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) value: Range<usize>,
    pub(super) sort: Sort,
    pub(super) name: String,
}

const QUOTED: [&str; 3] = [
    r#"(?-u)"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})"[ \t\r\n]*:[ \t\r\n]*"(?P<value>(?:[^"\\]|\\.)*)"#,
    // The same inside another string.
    r#"(?-u)\\+"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})\\+"[ \t\r\n]*:[ \t\r\n]*\\+"(?P<value>(?:\\\\\\"|[^"\\]|\\[^"])*)"#,
    r#"(?-u)\\*"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})\\*"[ \t\r\n]*:[ \t\r\n]*(?P<value>[0-9]{4,})"#,
];
/// None would mean that one of them is no pattern, which a test rules out.
static PATTERNS: LazyLock<Option<Vec<Regex>>> =
    LazyLock::new(|| QUOTED.iter().map(|pattern| Regex::new(pattern).ok()).collect());

/// Everything for which `sort_of`, told name and value, says that it is a credential. In no order; places may overlap.
pub(super) fn find(text: &[u8], sort_of: impl Fn(&str, &[u8]) -> Option<Sort>) -> Vec<Found> {
    let mut found = Vec::new();
    if memchr::memchr(b'"', text).is_some() {
        let Some(patterns) = &*PATTERNS else {
            // Too much rather than too little.
            return vec![Found { value: 0..text.len(), sort: Sort::Password, name: "unsearched".to_owned() }];
        };
        for captures in patterns.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            let (Some(name), Some(value)) = (captures.name("name"), captures.name("value")) else { continue };
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            if let Some(sort) = sort_of(&name, value.as_bytes()) {
                found.push(Found { value: value.range(), sort, name });
            }
        }
    }
    assigned(text, sort_of, &mut found);
    user_info(text, &mut found);
    found
}

const fn of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']' | b'-' | b'$' | b'%')
}

const fn ends_value(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, b'&' | b'"' | b'\'' | b'<' | b'>' | b';')
}

fn end_from(text: &[u8], from: usize, ends: impl Fn(u8) -> bool) -> usize {
    text.get(from..).and_then(|rest| rest.iter().position(|byte| ends(*byte))).map_or(text.len(), |at| from + at)
}

/// `name=value`, as in queries, forms, cookies and attributes.
fn assigned(text: &[u8], sort_of: impl Fn(&str, &[u8]) -> Option<Sort>, found: &mut Vec<Found>) {
    // Up to here all is taken, and where the value that begins there ends: every byte is looked at once.
    let (mut taken, mut end) = (0, 0);
    for equals in memchr::memchr_iter(b'=', text) {
        if equals < taken {
            continue;
        }
        let from = equals.saturating_sub(3 * MAX_NAME + 1);
        let window = text.get(from..equals).unwrap_or_default();
        let length = window.iter().rev().take_while(|byte| of_name(**byte)).count();
        let raw = text.get(equals - length..equals).unwrap_or_default();
        // Percent-encoded, each of its letters may take three.
        let name = if length <= 3 * MAX_NAME && raw.contains(&b'%') { form::decode(raw).0 } else { raw.to_vec() };
        if !(1..=MAX_NAME).contains(&name.len()) {
            continue;
        }
        let name = String::from_utf8_lossy(&name);
        if sort_of(&name, b"0123456789abcdef").is_none() {
            continue;
        }
        let (begin, until) = match quote(text, equals + 1) {
            Some((begin, quote)) => {
                let until = end_from(text, begin, |byte| byte == quote || byte == b'\n');
                let inner = text.get(begin..until).unwrap_or_default();
                // The backslashes of an escaped quote belong to the quote.
                (begin, until - inner.iter().rev().take_while(|byte| **byte == b'\\').count())
            }
            None => {
                if end <= equals {
                    end = end_from(text, equals + 1, ends_value);
                }
                (equals + 1, end)
            }
        };
        let value = text.get(begin..until).unwrap_or_default();
        if value.iter().all(|byte| *byte == b'=') {
            continue;
        }
        if let Some(sort) = sort_of(&name, value) {
            found.push(Found { value: begin..until, sort, name: name.into_owned() });
            taken = until;
        }
    }
}

/// Where a quoted value begins, and its quote.
fn quote(text: &[u8], at: usize) -> Option<(usize, u8)> {
    let rest = text.get(at..)?;
    let escapes = rest.iter().take(16).take_while(|byte| **byte == b'\\').count();
    let quote = rest.get(escapes).copied().filter(|byte| matches!(byte, b'"' | b'\''))?;
    Some((at + escapes + 1, quote))
}

/// RFC 3986 §3.2.1: a password may stand before the host.
fn user_info(text: &[u8], found: &mut Vec<Found>) {
    for slashes in memchr::memmem::find_iter(text, b"://") {
        let begin = slashes + 3;
        let authority = text.get(begin..text.len().min(begin + 1024)).unwrap_or_default();
        let length = end_from(authority, 0, |byte| ends_value(byte) || matches!(byte, b'/' | b'?' | b'#'));
        let authority = authority.get(..length).unwrap_or_default();
        let Some(host) = authority.iter().rposition(|byte| *byte == b'@') else { continue };
        let Some(colon) = authority.iter().take(host).position(|byte| *byte == b':') else { continue };
        if colon + 1 < host {
            let value = begin + colon + 1..begin + host;
            found.push(Found { value, sort: Sort::Password, name: USER_INFO.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::credential::field_sort;
    use super::*;

    fn taken(text: &str) -> Vec<&str> {
        let found = find(text.as_bytes(), |name, value| field_sort(name, value, false));
        found.into_iter().map(|one| text.get(one.value).unwrap()).collect()
    }

    #[test]
    fn values_are_found_behind_names_of_credentials_however_they_are_written() {
        for (text, value) in [
            ("see https://a.example/x?y=1&access_token=s3cret/+ now", "s3cret/+"),
            ("a=b;refresh_token=s3cret", "s3cret"),
            ("a=b,refresh_token=s3cret,x", "s3cret,x"),
            ("user%5Bpassword%5D=s3cret&x=1", "s3cret"),
            ("?b=1&%70%61%73%73%77%6F%72%64=s3cret", "s3cret"),
            ("<a data-token='s3 cret'>", "s3 cret"),
            ("token=\\\"s3cret\\\" and", "s3cret"),
            ("token = 5; (api_key=s3cret)", "s3cret)"),
            ("?a=1&amp;jwt=s3cret&amp;b=2", "s3cret"),
            ("ftp://ada:s3cr:et@files.example/a@b", "s3cr:et"),
            ("sid=sid=sid=s3cret", "sid=sid=s3cret"),
            ("{\"a\": {\"access_token\" : \"s3\\\"cret\", ", "s3\\\"cret"),
        ] {
            assert_eq!(taken(text), [value], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_an_assignment_stays() {
        for text in [
            "1 + 1 = 2, a=b, limit=20&cursor=abc",
            "https://a.example:443/@ada?x=1",
            "token=",
            "token==",
            "sentence about a token: nothing",
            "mailto:ada@a.example",
        ] {
            assert_eq!(taken(text), [""; 0], "{text}");
        }
        let data = format!("{}jwtAAAA=", "A".repeat(80));
        assert_eq!(taken(&data), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_walked_and_places_are_inside(text in "(token|sid|i|pass|=|\"|'|\\\\|;|&| |://|@|:|a|\n){0,60}") {
            for one in find(text.as_bytes(), |name, value| field_sort(name, value, false)) {
                proptest::prop_assert!(one.value.start < one.value.end && one.value.end <= text.len());
            }
        }
    }
}
