//! What must hold of bodies and heads whatever bytes they are made of. For `crate::fuzzing` only.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue, Method, Version};
use serde_json::Value;
use uuid::Uuid;

use super::json::{Step, Token, Tokens, check, locate, text_of};
use super::{Authority, Body, Connection, Exchange, Limits, Message, MessageData, Opcode, Protocol, Request};
use super::{RequestHead, Scheme, Scrub, ScrubKey, form as pairs, multipart as parts};
use crate::record::{AdvisorId, DeviceId, Direction, ExchangeId, Timestamp};

/// Our reader and serde's agree on what JSON is, on every string, and on where each value stands.
pub(crate) fn json(data: &[u8]) {
    const DEPTH: usize = 100;
    let ours = check(data, DEPTH);
    let marked = data.starts_with(b"\xef\xbb\xbf");
    let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(data);
    let nests = matches!(ours, Err(super::JsonError::Depth(_)));
    if std::str::from_utf8(data).is_ok() && !marked && !nests {
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}");
    }
    let mut tokens = Tokens::new(data, DEPTH);
    let mut at = 0;
    while let Ok(Some((token, span))) = tokens.next() {
        assert!(at <= span.start && span.start <= span.end && span.end <= data.len());
        at = span.end;
        if matches!(token, Token::Key | Token::String)
            && let Some(quoted) = data.get(span.start - 1..span.end + 1)
            && let Ok(theirs) = serde_json::from_slice::<String>(quoted)
        {
            assert_eq!(text_of(data.get(span).unwrap_or_default()), theirs);
        }
    }
    if ours.is_ok()
        && let Ok(value) = serde_json::from_slice::<Value>(data)
    {
        let places = paths(&value);
        let wanted: Vec<_> = places.iter().map(|(path, _value)| path.clone()).collect();
        let spans = locate(data, &wanted, DEPTH).unwrap_or_default();
        assert_eq!(spans.len(), places.len());
        for ((path, value), span) in places.into_iter().zip(spans) {
            let there = span.and_then(|span| serde_json::from_slice::<Value>(data.get(span)?).ok());
            assert_eq!(there.as_ref(), Some(value), "{path:?}");
        }
    }
}

/// The first values of a text, each with its path.
fn paths(value: &Value) -> Vec<(Vec<Step>, &Value)> {
    const MOST: usize = 64;
    let mut found: Vec<(Vec<Step>, &Value)> = Vec::new();
    let mut waiting = VecDeque::from([(Vec::new(), value)]);
    while let Some((path, value)) = waiting.pop_front().filter(|_| found.len() < MOST) {
        let below = |step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
        match value {
            Value::Array(list) => {
                waiting.extend(list.iter().enumerate().map(|(at, v)| (below(Step::Index(at as u64)), v)))
            }
            Value::Object(map) => waiting.extend(map.iter().map(|(key, v)| (below(Step::Key(key.clone())), v))),
            _ => {}
        }
        found.push((path, value));
    }
    found
}

/// Pairs are what the URL standard says, and each value stands where we say.
pub(crate) fn form(data: &[u8]) {
    let found = pairs::pairs(data, usize::MAX);
    let theirs: Vec<_> =
        form_urlencoded::parse(data).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert_eq!(found.len(), theirs.len());
    for (pair, (name, value)) in found.iter().zip(theirs) {
        assert_eq!((&pair.name, String::from_utf8_lossy(&pair.value).as_ref()), (&name, value.as_str()));
        let raw = data.get(pair.span.clone());
        assert_eq!(raw.map(|raw| pairs::decode(raw).0), Some(pair.value.clone()));
    }
    assert!(pairs::pairs(data, 3).len() <= 3);
}

/// One byte at a time.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = out.len().min(1);
        self.0.read(out.get_mut(..length).unwrap_or_default())
    }
}

/// Parts lie in the body one after the other, fields are their bytes, and the rhythm of arrival does not matter. The first byte
/// says how long the boundary is that follows.
pub(crate) fn multipart(data: &[u8]) {
    let limits = Limits { parts: 8, field: 64, ..Limits::default() };
    let Some((length, rest)) = data.split_first() else { return };
    let (named, body) = rest.split_at_checked(usize::from(*length % 16)).unwrap_or((b"", rest));
    let shown = parts::boundary(&HeaderMap::new(), body);
    let Some(boundary) = shown.or_else(|| (!named.is_empty()).then(|| named.to_vec())) else { return };
    let Ok(found) = parts::read(body, &boundary, &limits) else { return };
    let mut at = 0;
    assert!(found.parts.len() <= limits.parts);
    for part in &found.parts {
        assert!(at <= part.span.start && part.span.start <= part.span.end && part.span.end <= body.len() as u64);
        at = part.span.end;
        let span = part.span.start as usize..part.span.end as usize;
        if let Some(field) = &part.field {
            assert_eq!(Some(field.as_slice()), body.get(span));
            assert!(field.len() <= limits.field);
        }
    }
    assert_eq!(parts::read(Dripping(body), &boundary, &limits).ok(), Some(found));
}

/// What is decoded is no larger than its bounds, whatever codings lie over each other. The first byte chooses them.
pub(crate) fn content_coding(data: &[u8]) {
    const NAMES: [&str; 5] = ["gzip", "deflate", "br", "zstd", "x-gzip"];
    let limits = Limits { text: 1 << 16, ratio: 16, ratio_floor: 1 << 12, ..Limits::default() };
    let Some((choice, body)) = data.split_first() else { return };
    let mut headers = HeaderMap::new();
    let choice = usize::from(*choice);
    let count = 1 + choice % 3;
    for name in NAMES.iter().cycle().skip(choice % NAMES.len()).take(count) {
        headers.append(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let decoded = super::decode(&headers, body, &limits);
    assert!(decoded.bytes.len() as u64 <= limits.text.max(body.len() as u64));
    if count == 1 {
        assert!(decoded.bytes.len() as u64 <= limits.ratio_floor.max(body.len() as u64 * limits.ratio));
    }
}

/// Never looks like part of anything else.
const SECRET: &str = "QzWxEc9RvTbYnUmI7oPl";
/// Stands for the secret in a body that the fuzzer writes.
const HERE: u8 = 0x01;

fn connection() -> Option<Connection> {
    Some(Connection {
        device: DeviceId::new(Uuid::nil()),
        advisor: AdvisorId::new(Uuid::nil()),
        device_address: ([127, 0, 0, 1], 1).into(),
        authority: Authority::new("social.example", 443).ok()?,
        protocol: Protocol::Http1,
        upstream: None,
    })
}

fn head(choice: u8, authority: Authority, target: &[u8]) -> RequestHead {
    const TYPES: [&str; 5] =
        ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain", ""];
    let mut headers = HeaderMap::new();
    let kind = TYPES.get(usize::from(choice) % TYPES.len()).copied().unwrap_or_default();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let login = HeaderValue::try_from(format!("Bearer {SECRET}")).ok();
    headers.extend(login.map(|login| (AUTHORIZATION, login)));
    if choice & 0x80 != 0 {
        let cookie = HeaderValue::try_from(format!("_session={SECRET}; lang=de")).ok();
        headers.extend(cookie.map(|cookie| (COOKIE, cookie)));
    }
    let path = if choice & 0x40 != 0 { "/oauth/token" } else { "/api/v1/statuses" };
    let query = String::from_utf8_lossy(target);
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority,
        target: format!("{path}?{query}").replace(char::from(HERE), SECRET),
        version: Version::HTTP_11,
        headers,
    }
}

fn planted(data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len());
    for byte in data {
        if *byte == HERE { body.extend_from_slice(SECRET.as_bytes()) } else { body.push(*byte) }
    }
    body
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let found = memchr::memmem::find(bytes, SECRET.as_bytes());
    assert!(found.is_none(), "the secret is in {what}: {:?}", String::from_utf8_lossy(bytes));
}

/// A login that a head shows is nowhere in what leaves the scrubber, wherever it is repeated; what nothing was taken out of is as it
/// was sent; and the view for recognition is JSON.
pub(crate) fn scrub(data: &[u8]) {
    let ([choice, split, rest @ ..], Some(connection)) = (data, connection()) else { return };
    let (target, body) = rest.split_at_checked(usize::from(*split) % 32).unwrap_or((b"", rest));
    let head = head(*choice, connection.authority.clone(), target);
    let sent = Bytes::from(planted(body));
    let exchange = Exchange {
        id: ExchangeId::new(Uuid::nil()),
        seen_at: Timestamp::EPOCH,
        connection: Arc::new(connection),
        request: Request { head, body: Body::from(sent.clone()), trailers: None },
        response: None,
    };
    let key = ScrubKey::new([7; 32]);
    let limits = Limits::default();
    let scrubbed = Scrub { key: &key, account_cookies: &[], limits: &limits }.exchange(&exchange);
    assert!(scrubbed.is_ok());
    let Ok(scrubbed) = scrubbed else { return };
    let kept = scrubbed.request.body.kept.bytes(u64::MAX).unwrap_or_default();
    let view = scrubbed.json(&Value::Array(Vec::new()), &limits);
    assert_clean("the head", &scrubbed.request.head_bytes());
    assert_clean("the body", &kept);
    assert_clean("the view", &view);
    assert_clean("the statement", format!("{scrubbed:?}").as_bytes());
    assert!(check(&view, limits.depth + 16).is_ok(), "{}", String::from_utf8_lossy(&view));
    if scrubbed.request.body.lost.is_none() && scrubbed.redactions.iter().all(|taken| taken.place != "request.body") {
        assert!(scrubbed.request.body.decoded || kept == sent, "{:?}", scrubbed.redactions);
    }
}

/// The same of one message of a channel.
pub(crate) fn scrub_message(data: &[u8]) {
    let ([choice, rest @ ..], Some(connection)) = (data, connection()) else { return };
    let head = head(*choice, connection.authority, b"");
    let message = Message {
        exchange: ExchangeId::new(Uuid::nil()),
        number: 0,
        direction: if choice & 1 == 0 { Direction::Outbound } else { Direction::Inbound },
        opcode: if choice & 2 == 0 { Opcode::Text } else { Opcode::Binary },
        event: None,
        data: MessageData(planted(rest).into()),
        seen_at: Timestamp::EPOCH,
    };
    let key = ScrubKey::new([7; 32]);
    let limits = Limits::default();
    let scrubbed = Scrub { key: &key, account_cookies: &[], limits: &limits }.message(&head, &message);
    let view = scrubbed.json(&Value::Array(Vec::new()), &limits);
    assert_clean("the message", &scrubbed.data);
    assert_clean("the view", &view);
    assert!(check(&view, limits.depth + 16).is_ok(), "{}", String::from_utf8_lossy(&view));
}
