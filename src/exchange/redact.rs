//! Taking credentials out of heads and bodies, value by value, so that everything else stays as it was sent.
//!
//! Four nets, each for what slips through the one before: fields by their name in every structure that we can read (also
//! JSON, URLs and forms inside strings and form values); the same names by their look in text that we cannot
//! ([`super::look_alikes`]); segments of a path that stand where tokens stand ([`super::path`]); and the credentials of the
//! head wherever they are repeated, in opaque bytes as well.
//!
//! What this cannot find: a token that no name, place or form gives away and that the head does not carry (`docs/TRUST.md`).

mod repeated;
mod spelling;

use http::{HeaderMap, HeaderName, header};
use serde::Serialize;

use self::spelling::{
    escape_form, escape_json, is_escaped, is_percent_coded, may_hold_fields, outward, spellings, words,
};
use super::content::{Content, ReadBody};
use super::credential::{ScrubKey, Sort, cookies, field_sort, header_sort};
use super::edit::{Edit, apply, in_order};
use super::json::{self, Token, Tokens};
use super::multipart::Parts;
use super::{form, look_alikes, path};

/// JSON inside strings inside JSON, a URL inside the query of a URL… What is deeper is searched by its look.
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
    /// In this place stood a credential of the head that nothing else gave away: without it, the place may mean something else.
    pub(crate) repeats: bool,
    place: &'static str,
}

impl<'a> Redactor<'a> {
    /// `login`: the path looks like a login, so names with two meanings count as credentials.
    pub(crate) const fn new(key: &'a ScrubKey, login: bool) -> Self {
        Self { key, login, repeated: Vec::new(), stated: Vec::new(), repeats: false, place: "request.header" }
    }

    pub(crate) const fn at(&mut self, place: &'static str) {
        self.place = place;
        self.repeats = false;
    }

    fn state(&mut self, sort: Sort, name: &str) {
        let name = self.named(name).chars().take(64).collect();
        let redaction = Redaction { place: self.place, name, dropped: sort == Sort::Password };
        if self.stated.len() < MAX_STATED && !self.stated.contains(&redaction) {
            self.stated.push(redaction);
        }
    }

    /// A name that a field or a part has, without the credentials of the request's head.
    pub(crate) fn named(&self, name: &str) -> String {
        self.repeated.iter().fold(name.to_owned(), |name, (value, with)| {
            std::str::from_utf8(value).map_or_else(|_binary| name.clone(), |value| name.replace(value, with))
        })
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
        edits.extend(self.look_alikes(value));
        if value.starts_with(b"http") || value.starts_with(b"/") {
            edits.extend(self.path(value));
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

    /// A request target without the credentials in its path and query.
    pub(crate) fn target(&mut self, target: &str) -> String {
        let bytes = target.as_bytes();
        let mut edits = self.path(bytes);
        // RFC 3986 §3.4: nothing but a `#` ends a query; whatever else a client leaves as it is belongs to it.
        let hash = bytes.iter().position(|byte| *byte == b'#').unwrap_or(bytes.len());
        let mark = bytes.iter().take(hash).position(|byte| *byte == b'?').unwrap_or(hash);
        for part in [mark + 1..hash, hash + 1..bytes.len()] {
            let begin = part.start as u64;
            edits.extend(shifted(self.form(bytes.get(part).unwrap_or_default(), 0), begin));
        }
        edits.extend(self.look_alikes(bytes));
        let edits = self.with_repeated(bytes, edits);
        String::from_utf8_lossy(&apply(bytes, &edits)).into_owned()
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

    /// The query of every URL in a header value. A comma ends none: it may stand in a query, and what follows is searched too.
    fn url(&mut self, value: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut at = 0;
        while let Some(mark) = value.get(at..).and_then(|rest| rest.iter().position(|b| matches!(b, b'?' | b'#'))) {
            let begin = at + mark + 1;
            let rest = value.get(begin..).unwrap_or_default();
            let length = rest.iter().position(|b| matches!(b, b'#' | b'>' | b' ' | b'"')).unwrap_or(rest.len());
            edits.extend(shifted(self.form(rest.get(..length).unwrap_or_default(), 0), begin as u64));
            at = begin + length;
        }
        edits
    }

    /// Edits for a body, in the order of their places: in `read.bytes`, or in the body as sent where no coding was undone.
    pub(crate) fn body(&mut self, read: &ReadBody) -> Vec<Edit> {
        let edits = match &read.content {
            Content::Json => self.json(&read.bytes, 0),
            Content::Form => self.form(&read.bytes, 0),
            Content::Multipart(parts) => self.parts(parts),
            Content::Text | Content::Unread(_) => self.text(&read.bytes),
            Content::Empty | Content::Binary => Vec::new(),
        };
        self.with_repeated(&read.bytes, edits)
    }

    fn parts(&mut self, parts: &Parts) -> Vec<Edit> {
        let mut edits = Vec::new();
        for part in &parts.parts {
            let name = part.name.as_deref().unwrap_or("");
            let value = part.field.as_deref();
            let named = field_sort(name, value.unwrap_or(b"?"), self.login);
            if let Some(sort) = named.filter(|_sort| part.filename.is_none()) {
                let with = self.replace(sort, name, value.unwrap_or_default()).into_bytes();
                edits.push(Edit { range: part.span.clone(), with });
            } else if let Some(value) = value {
                let inside = self.text(value);
                let inside = self.with_repeated(value, inside);
                edits.extend(shifted(inside, part.span.start));
            }
        }
        for (begin, text) in &parts.outside {
            let inside = self.text(text);
            edits.extend(shifted(inside, *begin));
        }
        edits
    }

    /// Text of any kind: JSON if it is, and what looks like it if it is not.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Vec<Edit> {
        self.inside(bytes, 0)
    }

    /// The same for a text that stands, decoded, inside another: it may hold a further one.
    fn inside(&mut self, bytes: &[u8], nesting: usize) -> Vec<Edit> {
        if nesting <= MAX_NESTING && json::may_be_json(bytes) && json::check(bytes, usize::MAX).is_ok() {
            return self.json(bytes, nesting);
        }
        let mut edits = self.look_alikes(bytes);
        if nesting <= MAX_NESTING {
            for word in words(bytes) {
                let (begin, text) = (word.start as u64, bytes.get(word).unwrap_or_default());
                if is_percent_coded(text) {
                    let (inner, origins) = form::decode(text);
                    let deeper = self.inside(&inner, nesting + 1);
                    edits.extend(outward(deeper, &origins, begin, escape_form));
                }
                if is_escaped(text) {
                    let (inner, origins) = json::unescape(text);
                    let deeper = self.inside(&inner, nesting + 1);
                    edits.extend(outward(deeper, &origins, begin, escape_json));
                }
            }
        }
        in_order(edits)
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
                    } else if may_hold_fields(raw) {
                        let (inner, origins) = json::unescape(raw);
                        let inside = self.inside(&inner, nesting + 1);
                        edits.extend(outward(inside, &origins, span.start as u64, escape_json));
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

    /// Values of a form or query, by name, and what is in them.
    fn form(&mut self, raw: &[u8], nesting: usize) -> Vec<Edit> {
        let mut edits = Vec::new();
        for pair in form::each(raw) {
            let begin = pair.span.start as u64;
            if let Some(sort) = field_sort(&pair.name, &pair.value, self.login) {
                let with = self.replace(sort, &pair.name, &pair.value).into_bytes();
                edits.push(Edit { range: begin..pair.span.end as u64, with });
            } else if may_hold_fields(&pair.value) || is_percent_coded(&pair.value) {
                let (inner, origins) = form::decode(raw.get(pair.span).unwrap_or_default());
                let inside = self.inside(&inner, nesting + 1);
                edits.extend(outward(inside, &origins, begin, escape_form));
            }
        }
        edits
    }

    /// What looks like a field in text whose structure we cannot read.
    fn look_alikes(&mut self, bytes: &[u8]) -> Vec<Edit> {
        let login = self.login;
        let found = look_alikes::find(bytes, |name, value| field_sort(name, value, login));
        let edits = found.into_iter().map(|look_alikes::Found { value, sort, name }| {
            let with = self.replace(sort, &name, bytes.get(value.clone()).unwrap_or_default()).into_bytes();
            Edit { range: value.start as u64..value.end as u64, with }
        });
        in_order(edits.collect())
    }
}

fn shifted(edits: Vec<Edit>, by: u64) -> impl Iterator<Item = Edit> {
    edits.into_iter().map(move |edit| Edit { range: edit.range.start + by..edit.range.end + by, with: edit.with })
}

/// What stands before the separator, and the rest with it.
fn split_at(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == separator).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}
