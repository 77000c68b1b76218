//! Taking credentials out of heads and bodies, value by value, so that everything else stays as it was sent.
//!
//! Four nets, each for what slips through the one before: fields by their name in every structure that we can read (also
//! JSON inside strings and form values); the same names by their look in text that we cannot; segments of a path that stand
//! where tokens stand ([`super::path`]); and the credentials of the head wherever they are repeated, in opaque bytes as well.
//!
//! What this cannot find: a token that no name, place or form gives away and that the head does not carry (`docs/TRUST.md`).

use std::io;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use http::{HeaderMap, HeaderName, header};
use regex::bytes::Regex;
use serde::Serialize;

use super::content::{Content, ReadBody};
use super::credential::{ScrubKey, Sort, cookies, field_sort, header_sort};
use super::edit::{Edit, apply, in_order};
use super::json::{self, Token, Tokens};
use super::{Body, Limits, form, path};

/// JSON inside strings inside JSON…
const MAX_NESTING: usize = 4;
/// More are made, but not stated one by one.
const MAX_STATED: usize = 256;
/// Shorter credentials are looked for at their own place only: anywhere else they could be chance.
const MIN_REPEATED: usize = 16;

/// What was redacted, for the record's provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// `request.header`, `request.query`, `request.body`, `response.header`, `response.body`, `message`.
    pub place: &'static str,
    /// Name of the header, cookie or field.
    pub name: String,
    /// The value is gone without a trace; otherwise its keyed digest stands in its place.
    pub dropped: bool,
}

/// Redacts one exchange.
pub(crate) struct Redactor<'a> {
    key: &'a ScrubKey,
    login: bool,
    /// Credentials of the request's head, in every spelling, with what replaces them.
    repeated: Vec<(Vec<u8>, String)>,
    pub(crate) stated: Vec<Redaction>,
    place: &'static str,
}

impl<'a> Redactor<'a> {
    /// `login`: the path looks like a login, so names with two meanings count as credentials.
    pub(crate) const fn new(key: &'a ScrubKey, login: bool) -> Self {
        Self { key, login, repeated: Vec::new(), stated: Vec::new(), place: "request.header" }
    }

    pub(crate) const fn at(&mut self, place: &'static str) {
        self.place = place;
    }

    fn state(&mut self, sort: Sort, name: &str) {
        let redaction =
            Redaction { place: self.place, name: name.chars().take(64).collect(), dropped: sort == Sort::Password };
        if self.stated.len() < MAX_STATED && !self.stated.contains(&redaction) {
            self.stated.push(redaction);
        }
    }

    fn replace(&mut self, sort: Sort, name: &str, value: &[u8]) -> String {
        self.state(sort, name);
        self.key.replacement(sort, value)
    }

    /// Remembers the request's credentials, to find where else they stand. Account cookies are no secret and stay.
    pub(crate) fn remember(&mut self, headers: &HeaderMap, account_cookies: &[&str]) {
        let mut values: Vec<Vec<u8>> = cookies(headers)
            .filter(|(name, _value)| !account_cookies.contains(name))
            .map(|(_name, value)| value.as_bytes().to_vec())
            .collect();
        for (name, value) in headers {
            if header_sort(name).is_some() && *name != header::COOKIE {
                let value = value.as_bytes();
                let token = value.iter().position(|byte| *byte == b' ').and_then(|space| value.get(space + 1..));
                values.push(token.unwrap_or(value).to_vec());
            }
        }
        for value in values.into_iter().filter(|value| value.len() >= MIN_REPEATED) {
            let replacement = self.key.replacement(Sort::Token, &value);
            for spelling in spellings(&value) {
                if !self.repeated.iter().any(|(known, _replacement)| *known == spelling) {
                    self.repeated.push((spelling, replacement.clone()));
                }
            }
        }
    }

    /// A header's value without its credentials; none when there is nothing to redact.
    pub(crate) fn header(&mut self, name: &HeaderName, value: &[u8], account_cookies: &[&str]) -> Option<Vec<u8>> {
        if *name == header::COOKIE {
            return Some(self.cookie_line(value, account_cookies));
        }
        if *name == header::SET_COOKIE {
            let (pair, attributes) = split_at(value, b';');
            let mut line = self.cookie_line(pair, account_cookies);
            line.extend_from_slice(attributes);
            return Some(line);
        }
        if *name == header::AUTHORIZATION || *name == header::PROXY_AUTHORIZATION {
            let (scheme, token) = split_at(value, b' ');
            let sort = if scheme.eq_ignore_ascii_case(b"basic") { Sort::Password } else { Sort::Token };
            // Without a scheme the whole value is the credential.
            let (scheme, token) = if token.is_empty() { (&b""[..], value) } else { (scheme, token) };
            let replaced = self.replace(sort, name.as_str(), token.trim_ascii());
            let space: &[u8] = if scheme.is_empty() { b"" } else { b" " };
            return Some([scheme, space, replaced.as_bytes()].concat());
        }
        if let Some(sort) = header_sort(name) {
            return Some(self.replace(sort, name.as_str(), value).into_bytes());
        }
        // Referer, Location, Link and the like carry URLs.
        let mut edits = self.url(value);
        if value.starts_with(b"http") || value.starts_with(b"/") {
            edits = in_order([edits, self.path(value)].concat());
        }
        let edits = self.with_repeated(value, edits);
        (!edits.is_empty()).then(|| apply(value, &edits))
    }

    fn cookie_line(&mut self, line: &[u8], account_cookies: &[&str]) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.len());
        for (number, pair) in line.split(|byte| *byte == b';').enumerate() {
            if number > 0 {
                out.push(b';');
            }
            let (name, value) = split_at(pair, b'=');
            let text = String::from_utf8_lossy(name.trim_ascii()).into_owned();
            if value.is_empty() {
                // A cookie without `=` is all value.
                let replaced = if pair.trim_ascii().is_empty() {
                    String::new()
                } else {
                    self.replace(Sort::Token, "cookie", pair)
                };
                out.extend_from_slice(replaced.as_bytes());
            } else if account_cookies.contains(&text.as_str()) {
                out.extend_from_slice(pair);
            } else {
                let replaced = self.replace(Sort::Token, &text, value.get(1..).unwrap_or_default());
                out.extend_from_slice(name);
                out.push(b'=');
                out.extend_from_slice(replaced.as_bytes());
            }
        }
        out
    }

    /// A request target without the credentials in its query.
    pub(crate) fn target(&mut self, target: &str) -> String {
        let edits = self.url(target.as_bytes());
        let edits = in_order([edits, self.path(target.as_bytes())].concat());
        let edits = self.with_repeated(target.as_bytes(), edits);
        String::from_utf8_lossy(&apply(target.as_bytes(), &edits)).into_owned()
    }

    /// Tokens among the segments of a path, or of a URL's.
    fn path(&mut self, url: &[u8]) -> Vec<Edit> {
        let found = path::tokens(url);
        found
            .into_iter()
            .map(|range| {
                let with = self.replace(Sort::Token, "path segment", url.get(range.clone()).unwrap_or_default());
                Edit { range: range.start as u64..range.end as u64, with: with.into_bytes() }
            })
            .collect()
    }

    /// The query of every URL in a header value.
    fn url(&mut self, value: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut at = 0;
        while let Some(mark) = value.get(at..).and_then(|rest| rest.iter().position(|b| matches!(b, b'?' | b'#'))) {
            let begin = at + mark + 1;
            let rest = value.get(begin..).unwrap_or_default();
            let length = rest.iter().position(|b| matches!(b, b'#' | b'>' | b' ' | b'"' | b',')).unwrap_or(rest.len());
            edits.extend(shifted(self.form(rest.get(..length).unwrap_or_default(), 1024), begin as u64));
            at = begin + length;
        }
        edits
    }

    /// Edits for a body, in the order of their places: in `read.bytes`, or in the body as sent where no coding was undone.
    pub(crate) fn body(&mut self, read: &ReadBody, limits: &Limits) -> Vec<Edit> {
        let edits = match &read.content {
            Content::Empty => Vec::new(),
            Content::Json => self.json(&read.bytes, 0),
            Content::Form => self.form(&read.bytes, limits.pairs),
            Content::Multipart(parts) => {
                let mut edits = Vec::new();
                for part in &parts.parts {
                    let name = part.name.as_deref().unwrap_or("");
                    let value = part.field.as_deref();
                    if let Some(sort) =
                        field_sort(name, value.unwrap_or(b"?"), self.login).filter(|_sort| part.filename.is_none())
                    {
                        let with = self.replace(sort, name, value.unwrap_or_default()).into_bytes();
                        edits.push(Edit { range: part.span.clone(), with });
                    } else if let Some(value) = value {
                        let inside = self.text(value);
                        let inside = self.with_repeated(value, inside);
                        edits.extend(shifted(inside, part.span.start));
                    }
                }
                return in_order(edits);
            }
            Content::Text | Content::Unread(_) => self.text(&read.bytes),
            Content::Binary => Vec::new(),
        };
        self.with_repeated(&read.bytes, edits)
    }

    /// Text of any kind: JSON if it is, and what looks like it if it is not.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Vec<Edit> {
        if json::may_be_json(bytes) && json::check(bytes, usize::MAX).is_ok() {
            return self.json(bytes, 0);
        }
        self.look_alikes(bytes)
    }

    /// Fields of a JSON text, at any depth and inside its strings.
    fn json(&mut self, bytes: &[u8], nesting: usize) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut tokens = Tokens::new(bytes, usize::MAX);
        // Per open container: the credential that it is, if its own key says so.
        let mut open: Vec<Option<(Sort, String)>> = Vec::new();
        let mut key: Option<String> = None;
        while let Ok(Some((token, span))) = tokens.next() {
            match token {
                Token::Key => key = Some(json::text_of(bytes.get(span).unwrap_or_default()).into_owned()),
                Token::Begin(_) => {
                    let inherited = open.last().cloned().flatten();
                    let named =
                        key.take().and_then(|name| field_sort(&name, b"?", self.login).map(|sort| (sort, name)));
                    open.push(inherited.or(named));
                }
                Token::End(_) => {
                    open.pop();
                }
                Token::String => {
                    let raw = bytes.get(span.clone()).unwrap_or_default();
                    let named = key.take().and_then(|name| field_sort(&name, raw, self.login).map(|sort| (sort, name)));
                    if let Some((sort, name)) = named.or_else(|| open.last().cloned().flatten()) {
                        let (value, _origins) = json::unescape(raw);
                        let with = self.replace(sort, &name, &value).into_bytes();
                        edits.push(Edit { range: span.start as u64..span.end as u64, with });
                    } else if nesting < MAX_NESTING && json::may_be_json(raw) {
                        let (inner, origins) = json::unescape(raw);
                        if json::check(&inner, usize::MAX).is_ok() {
                            let inside = self.json(&inner, nesting + 1);
                            edits.extend(outward(inside, &origins, span.start as u64, escape_json));
                        }
                    }
                }
                Token::Number => {
                    let raw = bytes.get(span.clone()).unwrap_or_default();
                    let named = key.take().and_then(|name| field_sort(&name, raw, self.login).map(|sort| (sort, name)));
                    let found = named.or_else(|| open.last().cloned().flatten());
                    // A number under a token's name is a count or a time; under a password's it is the password.
                    if let Some((Sort::Password, name)) = found {
                        let with = format!("\"{}\"", self.replace(Sort::Password, &name, raw)).into_bytes();
                        edits.push(Edit { range: span.start as u64..span.end as u64, with });
                    }
                }
                Token::Word => key = None,
            }
        }
        edits
    }

    /// Values of a form or query, by name, and JSON in them.
    fn form(&mut self, raw: &[u8], limit: usize) -> Vec<Edit> {
        let mut edits = Vec::new();
        for pair in form::pairs(raw, limit) {
            let span = pair.span.start as u64..pair.span.end as u64;
            if let Some(sort) = field_sort(&pair.name, &pair.value, self.login) {
                let with = self.replace(sort, &pair.name, &pair.value).into_bytes();
                edits.push(Edit { range: span, with });
            } else if json::may_be_json(&pair.value) {
                let (inner, origins) = form::decode(raw.get(pair.span.clone()).unwrap_or_default());
                let inside = self.text(&inner);
                edits.extend(outward(inside, &origins, span.start, escape_form));
            }
        }
        edits
    }

    /// `"name": "value"` and `name=value` in text whose structure we cannot read.
    fn look_alikes(&mut self, bytes: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        for pattern in &*LOOK_ALIKES {
            for found in pattern.captures_iter(bytes) {
                let (Some(name), Some(value)) = (found.name("name"), found.name("value")) else { continue };
                let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
                if let Some(sort) = field_sort(&name, value.as_bytes(), self.login) {
                    let with = self.replace(sort, &name, value.as_bytes()).into_bytes();
                    edits.push(Edit { range: value.start() as u64..value.end() as u64, with });
                }
            }
        }
        in_order(edits)
    }

    /// The head's credentials where they are repeated.
    pub(crate) fn with_repeated(&mut self, bytes: &[u8], mut edits: Vec<Edit>) -> Vec<Edit> {
        let mut found = false;
        for (value, replacement) in &self.repeated {
            for at in memchr::memmem::find_iter(bytes, value) {
                let range = at as u64..(at + value.len()) as u64;
                if !edits.iter().any(|edit| edit.range.start < range.end && range.start < edit.range.end) {
                    edits.push(Edit { range, with: replacement.clone().into_bytes() });
                    found = true;
                }
            }
        }
        if found {
            self.state(Sort::Token, "credential of the head");
        }
        in_order(edits)
    }

    /// The same for a body that stays where it is, an upload for instance: read once, from start to end.
    pub(crate) fn with_repeated_in(&mut self, body: &Body, mut edits: Vec<Edit>) -> io::Result<Vec<Edit>> {
        if self.repeated.is_empty() || body.size() < MIN_REPEATED as u64 {
            return Ok(edits);
        }
        let searched = AhoCorasick::new(self.repeated.iter().map(|(value, _replacement)| value));
        // Patterns are a few hundred bytes of a head whose size is bounded: none is too many.
        let searched = searched.map_err(io::Error::other)?;
        let before = edits.len();
        for found in searched.stream_find_iter(body.reader()?) {
            let found = found?;
            let Some((_value, with)) = self.repeated.get(found.pattern().as_usize()) else { continue };
            let range = found.start() as u64..found.end() as u64;
            let is_within = |edit: &Edit| edit.range.start < range.end && range.start < edit.range.end;
            if !edits.iter().take(before).any(is_within) {
                edits.push(Edit { range, with: with.clone().into_bytes() });
            }
        }
        if edits.len() > before {
            self.state(Sort::Token, "credential of the head");
        }
        Ok(in_order(edits))
    }
}

#[expect(clippy::unwrap_used, reason = "constant patterns, compiled by every test that redacts text")]
static LOOK_ALIKES: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        r#"(?-u)"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})"[ \t\r\n]*:[ \t\r\n]*"(?P<value>(?:[^"\\]|\\.)*)"#,
        // The same inside another string.
        r#"(?-u)\\+"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})\\+"[ \t\r\n]*:[ \t\r\n]*\\+"(?P<value>(?:\\\\\\"|[^"\\]|\\[^"])*)"#,
        r#"(?-u)\\*"(?P<name>[A-Za-z0-9_.\[\]$-]{1,64})\\*"[ \t\r\n]*:[ \t\r\n]*(?P<value>[0-9]{4,})"#,
        r#"(?-u)(?:^|[?&;\s"'])(?P<name>[A-Za-z0-9_.\[\]-]{1,64})=(?P<value>[^&\s"'<>;]+)"#,
    ]
    .map(|pattern| Regex::new(pattern).unwrap())
});

/// A value as it may be written elsewhere: as it is, percent-encoded, as a JSON string.
fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
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

fn escape_json(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            _ => vec![*byte],
        })
        .collect()
}

fn escape_form(text: &[u8]) -> Vec<u8> {
    text.iter()
        .flat_map(|byte| match byte {
            b'"' | b'\\' => format!("%{byte:02X}").into_bytes(),
            _ => vec![*byte],
        })
        .collect()
}

/// Edits of an unescaped text as edits of the text around it.
fn outward(edits: Vec<Edit>, origins: &[u32], start: u64, escape: fn(&[u8]) -> Vec<u8>) -> Vec<Edit> {
    let origin = |at: u64| usize::try_from(at).ok().and_then(|at| origins.get(at)).map(|at| start + u64::from(*at));
    edits
        .into_iter()
        .filter_map(|edit| {
            Some(Edit { range: origin(edit.range.start)?..origin(edit.range.end)?, with: escape(&edit.with) })
        })
        .collect()
}

fn shifted(edits: Vec<Edit>, by: u64) -> impl Iterator<Item = Edit> {
    edits.into_iter().map(move |edit| Edit { range: edit.range.start + by..edit.range.end + by, with: edit.with })
}

/// What stands before the separator, and the rest with it.
fn split_at(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == separator).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}
