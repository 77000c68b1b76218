//! A scrubbed exchange as JSON: what rule programs see.
//!
//! `{request:{method,scheme,host,port,path,query,headers,content,size,json,form,parts,text}, response:{status,headers,…}|null,
//! message:{…}, session:{accounts,hints}}`. Names in `query` and `form` have lists of values. JSON bodies are put in byte
//! for byte, so a path into this text finds the bytes that were received.

use serde::Serialize;

use super::content::{Content, classify};
use super::credential::Hints;
use super::form;
use super::multipart::Parts;
use super::scrub::{Scrubbed, ScrubbedBody, ScrubbedMessage};
use super::{Limits, Opcode, RequestHead};

impl Scrubbed {
    /// The exchange as JSON. `accounts`: what is known of the advisor's accounts there, as rules expect it in `.session.accounts`.
    #[must_use]
    pub fn json(&self, accounts: &impl Serialize, limits: &Limits) -> Vec<u8> {
        let mut out = Json::default();
        out.raw(b"{\"request\":{");
        out.head(&self.request.head);
        out.body(&self.request.body, limits);
        out.raw(b"},\"response\":");
        match &self.response {
            None => out.raw(b"null"),
            Some(response) => {
                out.raw(b"{\"status\":");
                out.value(&response.head.status.as_u16());
                out.headers(&response.head.headers);
                out.name("complete");
                out.value(&response.complete);
                out.body(&response.body, limits);
                out.raw(b"}");
            }
        }
        out.session(accounts, &self.hints);
        out.raw(b"}");
        out.0
    }
}

impl ScrubbedMessage {
    /// The message as JSON, with the head of the request that opened its channel.
    #[must_use]
    pub fn json(&self, accounts: &impl Serialize, limits: &Limits) -> Vec<u8> {
        let mut out = Json::default();
        out.raw(b"{\"request\":{");
        out.head(&self.head);
        out.raw(b"},\"response\":null,\"message\":{\"direction\":");
        out.value(&self.direction);
        out.name("opcode");
        out.value(match self.opcode {
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Event => "event",
        });
        out.name("number");
        out.value(&self.number);
        out.name("event");
        out.value(&self.event);
        match classify(&http::HeaderMap::new(), &self.data, limits) {
            Content::Json => {
                out.name("json");
                out.json_text(&self.data);
            }
            _ if std::str::from_utf8(&self.data).is_ok() => {
                out.name("text");
                out.value(&String::from_utf8_lossy(&self.data));
            }
            _ => {}
        }
        out.raw(b"}");
        out.session(accounts, &self.hints);
        out.raw(b"}");
        out.0
    }
}

#[derive(Default)]
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Strings, numbers, options and lists of them: they always serialise, and a failure leaves `null`.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        let at = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.truncate(at);
            self.raw(b"null");
        }
    }

    fn name(&mut self, name: &str) {
        self.raw(b",");
        self.value(name);
        self.raw(b":");
    }

    /// A checked JSON text as it is, without a byte-order mark, which may stand at the beginning of a body only.
    fn json_text(&mut self, text: &[u8]) {
        self.raw(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    }

    fn session(&mut self, accounts: &impl Serialize, hints: &Hints) {
        self.raw(b",\"session\":{\"accounts\":");
        self.value(accounts);
        self.name("hints");
        self.value(hints);
        self.raw(b"}");
    }

    fn head(&mut self, head: &RequestHead) {
        self.raw(b"\"method\":");
        self.value(head.method.as_str());
        self.name("scheme");
        self.value(head.scheme.as_str());
        self.name("host");
        self.value(head.authority.host());
        self.name("port");
        self.value(&head.authority.port());
        self.name("path");
        self.value(head.path());
        self.name("query");
        self.pairs(head.query().unwrap_or("").as_bytes(), 4096);
        self.headers(&head.headers);
    }

    fn headers(&mut self, headers: &http::HeaderMap) {
        self.name("headers");
        self.raw(b"{");
        for (number, name) in headers.keys().enumerate() {
            if number > 0 {
                self.raw(b",");
            }
            let values: Vec<_> =
                headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            self.value(name.as_str());
            self.raw(b":");
            self.value(&values.join(", "));
        }
        self.raw(b"}");
    }

    fn pairs(&mut self, raw: &[u8], limit: usize) {
        self.lists(
            form::pairs(raw, limit)
                .iter()
                .map(|pair| (pair.name.as_str(), String::from_utf8_lossy(&pair.value).into_owned())),
        );
    }

    /// `{"name": ["value", …], …}`, names in the order of their first value.
    fn lists<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, String)>) {
        let mut lists: Vec<(&str, Vec<String>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (name, value) in pairs {
            let place = *places.entry(name).or_insert_with(|| {
                lists.push((name, Vec::new()));
                lists.len() - 1
            });
            if let Some((_name, values)) = lists.get_mut(place) {
                values.push(value);
            }
        }
        self.raw(b"{");
        for (number, (name, values)) in lists.iter().enumerate() {
            if number > 0 {
                self.raw(b",");
            }
            self.value(name);
            self.raw(b":");
            self.value(values);
        }
        self.raw(b"}");
    }

    fn body(&mut self, body: &ScrubbedBody, limits: &Limits) {
        self.name("size");
        self.value(&body.size);
        self.name("content");
        match &body.read.content {
            Content::Empty => self.value("empty"),
            Content::Json => {
                self.value("json");
                self.name("json");
                self.json_text(&body.read.bytes);
            }
            Content::Form => {
                self.value("form");
                self.name("form");
                self.pairs(&body.read.bytes, limits.pairs);
            }
            Content::Multipart(parts) => {
                self.value("multipart");
                self.parts(parts);
            }
            Content::Text => {
                self.value("text");
                self.name("text");
                self.value(&String::from_utf8_lossy(&body.read.bytes));
            }
            Content::Binary => self.value("binary"),
            Content::Unread(_) => self.value("unread"),
        }
    }

    fn parts(&mut self, parts: &Parts) {
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        self.name("form");
        let fields = parts.parts.iter().filter_map(|part| Some((part.name.as_deref()?, text(part.field.as_deref()?))));
        self.lists(fields);
        self.name("parts");
        self.raw(b"[");
        for (number, part) in parts.parts.iter().enumerate() {
            self.raw(if number > 0 { b",{\"number\":" } else { b"{\"number\":" });
            self.value(&number);
            for (name, value) in [("name", &part.name), ("filename", &part.filename), ("media_type", &part.media_type)]
            {
                self.name(name);
                self.value(value);
            }
            self.name("size");
            self.value(&part.span.end.saturating_sub(part.span.start));
            self.raw(b"}");
        }
        self.raw(b"]");
    }
}
