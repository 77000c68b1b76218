//! Fixtures as tests: `<directory>/<network>/<case>/`, run by `muniment rules test` and by this crate's own tests.
//!
//! A case has `request.http` (an HTTP/1.1 request as sent), for reads and outcomes `response.http`, for channels
//! `message.json` (`{"direction", "event", "data"}`), where it matters `accounts.json` (the advisor's known accounts), and
//! `expected.json`: the plan and everything that is recognised. A rule without a case fails the run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::communication::Recognition;
use super::engine::{Ask, Engine, Task};
use super::host::ListedHosts;
use super::plan::{Keep, Plan, Release};
use super::set::RuleSet;
use crate::exchange::{
    Authority, Body, Connection, Exchange, Limits, Message, MessageData, Opcode, Protocol, Request, RequestHead,
    Response, ResponseHead, Scheme, Scrub, ScrubKey,
};
use crate::record::{AdvisorId, DeviceId, Direction, ExchangeId, Timestamp};

/// How a run over a fixture directory went.
#[derive(Debug, Default)]
pub struct FixtureReport {
    /// Cases that gave what they expect.
    pub passed: usize,
    /// Cases that did not, and why.
    pub failed: Vec<FixtureFailure>,
    /// Rules that no case is about, as `network/rule`.
    pub without_fixture: Vec<String>,
}

/// A case that did not give what it expects.
#[derive(Debug)]
pub struct FixtureFailure {
    /// The case's directory.
    pub case: PathBuf,
    /// What is wrong.
    pub what: String,
}

impl FixtureReport {
    /// Whether everything passed and every rule has a case.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.failed.is_empty() && self.without_fixture.is_empty()
    }
}

/// Runs every case. With `update`, what is recognised becomes what is expected: read the difference before committing it.
///
/// # Errors
/// When the directory cannot be read, or with `update` not be written.
pub fn test(set: &RuleSet, directory: &Path, update: bool) -> io::Result<FixtureReport> {
    let engine = Engine::new(set).map_err(io::Error::other)?;
    let mut report = FixtureReport::default();
    let mut seen = BTreeSet::new();
    for network in subdirectories(directory)? {
        for case in subdirectories(&network)? {
            match run(set, &engine, &case) {
                Err(what) => report.failed.push(FixtureFailure { case, what }),
                Ok((rule, found)) => {
                    seen.extend(rule);
                    let expected = fs::read_to_string(case.join("expected.json"))
                        .map_err(|error| error.to_string())
                        .and_then(|text| serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()));
                    if expected.as_ref() == Ok(&found) {
                        report.passed += 1;
                    } else if update {
                        fs::write(case.join("expected.json"), format!("{found:#}\n"))?;
                        report.passed += 1;
                    } else {
                        let expected = expected.map_or_else(|error| error, |value| format!("{value:#}"));
                        let what = format!("expected:\n{expected}\nfound:\n{found:#}");
                        report.failed.push(FixtureFailure { case, what });
                    }
                }
            }
        }
    }
    let rules = set.networks.iter().flat_map(|network| network.rules.iter().map(|rule| rule.id.to_string()));
    report.without_fixture = rules.filter(|rule| !seen.contains(rule)).collect();
    Ok(report)
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs one case: the rule that its head goes to, and everything recognised.
fn run(set: &RuleSet, engine: &Engine<'_>, case: &Path) -> Result<(Option<String>, Value), String> {
    let read = |name: &str| match fs::read(case.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    };
    let request = read("request.http")?.ok_or("there is no request.http")?;
    let accounts: Value = match read("accounts.json")? {
        Some(text) => serde_json::from_slice(&text).map_err(|error| format!("accounts.json: {error}"))?,
        None => json!([]),
    };
    let mut exchange = exchange(&request)?;
    let head = exchange.request.head.clone();
    // A host that no network claims by name stands for one that settings list.
    let named = set.claims(head.authority.host(), &ListedHosts::default());
    let listed: ListedHosts =
        if named { ListedHosts::default() } else { head.authority.host().parse().into_iter().collect() };
    let plan = set.plan(&head, &listed);
    let rule = set.first_rule(&head, &listed).map(|(_network, rule)| rule.id.to_string());
    let ask =
        |task| Ask { rule_set: set.digest(), task, listed: !named, doubtful: false, skip: Vec::new(), naming: false };
    let key = ScrubKey::new([0; 32]);
    let limits = Limits::default();
    let scrub = Scrub { key: &key, account_cookies: &[], limits: &limits };
    let recognize = |exchange: &Exchange, task| -> Result<Value, String> {
        let scrubbed = scrub.exchange(exchange).map_err(|error| error.to_string())?;
        shown(engine.recognize(&ask(task), &scrubbed.json(&accounts, &limits)))
    };
    let response = read("response.http")?.map(|bytes| self::response(&bytes)).transpose()?;
    let mut found = Map::new();
    found.insert("plan".to_owned(), plan_word(&plan).into());
    let mut spoke = rule.clone();
    match &plan {
        Plan::Forward | Plan::Credential => {
            found.insert("rule".to_owned(), rule.clone().into());
        }
        Plan::Hold(hold) => {
            if hold.keep == Keep::Head {
                exchange.request.body = Body::Empty;
            }
            let write = recognize(&exchange, Task::Write)?;
            // Conditions on the body may have chosen another rule than the head alone.
            spoke = write.get("rule").and_then(Value::as_str).map(str::to_owned);
            found.insert("write".to_owned(), write);
            if response.is_some() {
                exchange.response = response;
                found.insert("outcome".to_owned(), recognize(&exchange, Task::Outcome)?);
            }
        }
        Plan::Tee(_) => {
            exchange.response = Some(response.ok_or("a read needs response.http")?);
            found.insert("read".to_owned(), recognize(&exchange, Task::Read)?);
        }
        Plan::Messages(_) => {
            let text = read("message.json")?.ok_or("a channel needs message.json")?;
            let message = message(&text).map_err(|error| format!("message.json: {error}"))?;
            let view = scrub.message(&head, &message).json(&accounts, &limits);
            found.insert("message".to_owned(), shown(engine.recognize(&ask(Task::Message), &view))?);
        }
    }
    Ok((spoke, Value::Object(found)))
}

/// Everything but the digest of the rule set, which every change to any rule changes.
fn shown(mut recognition: Recognition) -> Result<Value, String> {
    recognition.rule_set = None;
    serde_json::to_value(recognition).map_err(|error| error.to_string())
}

const fn plan_word(plan: &Plan) -> &'static str {
    match plan {
        Plan::Forward => "forward",
        Plan::Credential => "credential",
        Plan::Hold(hold) => match (hold.keep, hold.release) {
            (Keep::Head, _) => "hold, keep head",
            (Keep::Whole, Release::Tail) => "hold tail",
            (Keep::Whole, Release::Whole) => "hold",
        },
        Plan::Tee(_) => "tee",
        Plan::Messages(_) => "messages",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageFile {
    direction: Direction,
    #[serde(default)]
    event: Option<String>,
    data: Value,
}

fn message(text: &[u8]) -> Result<Message, serde_json::Error> {
    let file: MessageFile = serde_json::from_slice(text)?;
    let data = match file.data {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(Message {
        exchange: ExchangeId::new(Uuid::nil()),
        number: 0,
        direction: file.direction,
        opcode: if file.event.is_some() { Opcode::Event } else { Opcode::Text },
        event: file.event,
        data: MessageData(Bytes::from(data)),
        seen_at: Timestamp::EPOCH,
    })
}

/// Head and body of a file: the head ends at the first empty line; one line end after a body without a length is the file's.
fn split(file: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut at = 0;
    let mut head = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        head.extend_from_slice(text);
        head.extend_from_slice(b"\r\n");
        if text.is_empty() {
            break;
        }
    }
    if !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(b"\r\n");
    }
    Ok((head, file.get(at..).unwrap_or_default()))
}

fn body(headers: &HeaderMap, bytes: &[u8]) -> Body {
    let length = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let bytes = match length {
        Some(length) => bytes.get(..length).unwrap_or(bytes),
        None => bytes.strip_suffix(b"\n").unwrap_or(bytes),
    };
    Body::from(Bytes::copy_from_slice(bytes))
}

fn headers(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|error| error.to_string())?;
        headers.append(name, HeaderValue::from_bytes(header.value).map_err(|error| error.to_string())?);
    }
    Ok(headers)
}

const MAX_HEADERS: usize = 64;

pub(super) fn exchange(file: &[u8]) -> Result<Exchange, String> {
    let (head, rest) = split(file)?;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    parsed.parse(&head).map_err(|error| format!("request.http: {error}"))?;
    let headers = headers(parsed.headers)?;
    let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("host.example");
    let authority: Authority = host.parse().map_err(|error| format!("request.http: {error}"))?;
    let method = Method::from_bytes(parsed.method.unwrap_or("").as_bytes()).map_err(|error| error.to_string())?;
    let head = RequestHead {
        method,
        scheme: Scheme::Https,
        authority: authority.clone(),
        target: parsed.path.unwrap_or("/").to_owned(),
        version: Version::HTTP_11,
        headers,
    };
    let connection = Connection {
        device: DeviceId::new(Uuid::nil()),
        advisor: AdvisorId::new(Uuid::nil()),
        device_address: ([127, 0, 0, 1], 0).into(),
        authority,
        protocol: Protocol::Http1,
        upstream: None,
    };
    Ok(Exchange {
        id: ExchangeId::new(Uuid::nil()),
        seen_at: Timestamp::EPOCH,
        connection: Arc::new(connection),
        request: Request { body: body(&head.headers, rest), head, trailers: None },
        response: None,
    })
}

fn response(file: &[u8]) -> Result<Response, String> {
    let (head, rest) = split(file)?;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut slots);
    parsed.parse(&head).map_err(|error| format!("response.http: {error}"))?;
    let headers = headers(parsed.headers)?;
    let status = StatusCode::from_u16(parsed.code.unwrap_or(0)).map_err(|error| error.to_string())?;
    Ok(Response {
        body: body(&headers, rest),
        head: ResponseHead { status, version: Version::HTTP_11, headers },
        complete: true,
        ended_at: Timestamp::EPOCH,
    })
}

#[cfg(test)]
mod tests;
