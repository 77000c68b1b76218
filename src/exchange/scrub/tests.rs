//! Planted secrets are gone from everything that leaves, and everything else is as it was sent.

mod planted;
mod searched;

use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::exchange::{Authority, Connection, MessageData, Protocol, Request, Response, Scheme};
use crate::record::{AdvisorId, DeviceId, ExchangeId, Timestamp};

const SECRET: &str = "hunter2/very+secret==";

struct Sent {
    exchange: Exchange,
}

impl Sent {
    fn new(target: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let connection = Connection {
            device: DeviceId::new(Uuid::nil()),
            advisor: AdvisorId::new(Uuid::nil()),
            device_address: ([127, 0, 0, 1], 1).into(),
            authority: Authority::new("social.example", 443).unwrap(),
            protocol: Protocol::Http1,
            upstream: None,
        };
        let head = RequestHead {
            method: http::Method::POST,
            scheme: Scheme::Https,
            authority: connection.authority.clone(),
            target: target.to_owned(),
            version: Version::HTTP_11,
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
                .collect(),
        };
        let request = Request { head, body: Body::from(Bytes::copy_from_slice(body)), trailers: None };
        let exchange = Exchange {
            id: ExchangeId::new(Uuid::nil()),
            seen_at: Timestamp::EPOCH,
            connection: Arc::new(connection),
            request,
            response: None,
        };
        Self { exchange }
    }

    fn answered(mut self, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let head = ResponseHead {
            status: http::StatusCode::OK,
            version: Version::HTTP_11,
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
                .collect(),
        };
        let body = Body::from(Bytes::copy_from_slice(body));
        self.exchange.response = Some(Response { head, body, complete: true, ended_at: Timestamp::EPOCH });
        self
    }

    fn scrub(&self) -> Scrubbed {
        let key = ScrubKey::new([7; 32]);
        Scrub { key: &key, account_cookies: &["c_user"], limits: &Limits::default() }.exchange(&self.exchange).unwrap()
    }
}

/// Everything that leaves, in one piece.
fn all(scrubbed: &Scrubbed) -> Vec<u8> {
    let mut all = scrubbed.request.head_bytes().to_vec();
    all.extend(scrubbed.request.body.kept.bytes(u64::MAX).unwrap());
    if let Some(response) = &scrubbed.response {
        all.extend(response.head_bytes());
        all.extend(response.body.kept.bytes(u64::MAX).unwrap());
    }
    all.extend(scrubbed.json(&serde_json::json!([]), &Limits::default()));
    all.extend(serde_json::to_vec(&scrubbed.redactions).unwrap());
    all.extend(format!("{scrubbed:?}").bytes());
    all
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn kept(scrubbed: &Scrubbed) -> String {
    String::from_utf8(scrubbed.request.body.kept.bytes(u64::MAX).unwrap().to_vec()).unwrap()
}

fn json(scrubbed: &Scrubbed) -> serde_json::Value {
    serde_json::from_slice(&scrubbed.json(&serde_json::json!([{"id": "a"}]), &Limits::default())).unwrap()
}

fn digest(value: &str) -> String {
    ScrubKey::new([7; 32]).replacement(crate::exchange::credential::Sort::Token, value.as_bytes())
}

#[test]
fn only_the_bytes_of_the_value_change() {
    let body = br#"{ "text" : "caf\u00e9" ,"n":1.50, "accessJwt":"hunter2/very+secret==" , "password": 12345678, "a":{"b":[]}}"#;
    let scrubbed = Sent::new("/x", &[("content-type", "text/plain")], body).scrub();
    let expected = format!(
        r#"{{ "text" : "caf\u00e9" ,"n":1.50, "accessJwt":"{}" , "password": "redacted.dropped", "a":{{"b":[]}}}}"#,
        digest(SECRET)
    );
    assert_eq!(kept(&scrubbed), expected);
    assert!(!scrubbed.request.body.decoded);
}

#[test]
fn a_clean_body_is_kept_byte_for_byte_in_its_coding() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(br#"{"status":"hello"}"#).unwrap();
    let body = gzip.finish().unwrap();
    let scrubbed = Sent::new("/x", &[("content-encoding", "gzip")], &body).scrub();
    assert_eq!(scrubbed.request.body.kept.bytes(1000).unwrap(), body);
    assert_eq!(json(&scrubbed)["request"]["json"]["status"], "hello");
    assert_eq!(scrubbed.redactions, []);
}

#[test]
fn heads_lose_their_credentials_and_keep_their_shape() {
    let scrubbed = Sent::new(
        "/api?access_token=hunter2%2Fvery%2Bsecret%3D%3D&x=1#f",
        &[
            ("authorization", "Bearer hunter2/very+secret=="),
            ("proxy-authorization", "Basic aHVudGVyMg=="),
            ("cookie", "a=hunter2/very+secret==; c_user=1000; bare"),
            ("referer", "https://social.example/cb?state=1&code_verifier=hunter2"),
            ("sec-websocket-protocol", "hunter2/very+secret=="),
            ("x-csrf-token", "hunter2/very+secret=="),
            ("accept", "*/*"),
        ],
        b"",
    )
    .answered(&[("set-cookie", "sid=hunter2; Path=/; HttpOnly")], b"")
    .scrub();
    let bytes = all(&scrubbed);
    assert!(!contains(&bytes, "hunter2"), "{}", String::from_utf8_lossy(&bytes));
    assert!(!contains(&bytes, "aHVudGVyMg"));
    let head = String::from_utf8(scrubbed.request.head_bytes().to_vec()).unwrap();
    assert!(head.starts_with(&format!("POST /api?access_token={}&x=1#f HTTP/1.1\r\n", digest(SECRET))), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {}\r\n", digest(SECRET))));
    assert!(head.contains("proxy-authorization: Basic redacted.dropped\r\n"));
    assert!(head.contains(&format!("cookie: a={}; c_user=1000;{}\r\n", digest(SECRET), digest(" bare"))), "{head}");
    assert!(head.contains("?state=1&code_verifier=redacted."));
    let answer = String::from_utf8(scrubbed.response.as_ref().unwrap().head_bytes().to_vec()).unwrap();
    assert!(answer.contains(&format!("set-cookie: sid={}; Path=/; HttpOnly\r\n", digest("hunter2"))));
    assert_eq!(scrubbed.hints.cookies["c_user"], "1000");
}

#[test]
fn a_credential_of_the_head_is_found_wherever_it_is_repeated() {
    let sent = Sent::new(
        "/x",
        &[("authorization", &format!("Bearer {SECRET}")), ("content-type", "application/json")],
        format!(r#"{{"url":"https://a.example/?q={SECRET}","nested":"{{\"k\":\"hunter2\/very+secret==\"}}","e":"hunter2%2Fvery%2Bsecret%3D%3D"}}"#).as_bytes(),
    );
    let bytes = all(&sent.scrub());
    assert!(!contains(&bytes, "hunter2"), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_body_that_breaks_off_and_shows_a_credential_is_not_kept() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(format!(r#"{{"password":"{SECRET}","text":"{}"}}"#, "x".repeat(100)).as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    let scrubbed = Sent::new("/x", &[("content-encoding", "gzip")], &whole[..whole.len() - 9]).scrub();
    assert_eq!(scrubbed.request.body.lost, Some(Unread::Corrupt));
    assert_eq!(scrubbed.request.body.kept.size(), 0);
    assert!(!contains(&all(&scrubbed), "hunter2"));
}

#[test]
fn large_text_is_not_read_and_therefore_not_kept() {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(5000));
    let sent = Sent::new("/x", &[], body.as_bytes());
    let key = ScrubKey::new([7; 32]);
    let limits = Limits { text: 4096, ..Limits::default() };
    let scrubbed = Scrub { key: &key, account_cookies: &[], limits: &limits }.exchange(&sent.exchange).unwrap();
    assert_eq!(scrubbed.request.body.lost, Some(Unread::TooLarge));
}

#[test]
fn deep_and_broken_json_is_scrubbed_all_the_same() {
    for body in [
        format!("{}{{\"password\":\"{SECRET}\"}}{}", "[".repeat(5000), "]".repeat(5000)),
        format!("for (;;);{{\"a\":1,\"refresh_token\":\"{SECRET}\"}}"),
        format!("{{\"a\":1,\"client_secret\":\"{SECRET}"),
        format!("{{\"a\":1}}\n{{\"token\" : \"{SECRET}\"}}\n"),
        format!("it\"s {{\"password\":\"{SECRET}\"}}"),
        format!("{{\"a\":\"{{\\\"password\\\":\\\"{SECRET}\\\"}}\", broken"),
        format!("{{\"tokens\":[\"{SECRET}\",{{\"x\":\"{SECRET}\"}}]}}"),
        format!("{{\"a\":\"\u{fffd}\", \"session_id\":\"{SECRET}\"}}").replace('\u{fffd}', "\u{1}"),
    ] {
        let scrubbed = Sent::new("/x", &[], body.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), "hunter2"), "{}", body.chars().take(200).collect::<String>());
        assert!(scrubbed.request.body.kept.size() > 0);
    }
}

#[test]
fn the_view_has_every_form_field_and_part_with_its_place() {
    let body = "--b\r\ncontent-disposition:form-data; name=status\r\n\r\nhello\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b\r\ncontent-disposition:form-data; name=access_token\r\n\r\nhunter2\r\n--b--\r\n";
    let scrubbed =
        Sent::new("/x/%41?a=1&a=2", &[("content-type", "multipart/form-data; boundary=b")], body.as_bytes()).scrub();
    let view = json(&scrubbed);
    assert_eq!(view["request"]["query"], serde_json::json!({"a": ["1", "2"]}));
    assert_eq!(view["request"]["form"], serde_json::json!({"status": ["hello"], "access_token": [digest("hunter2")]}));
    let file =
        serde_json::json!({"number": 1, "name": "file", "filename": "a.png", "media_type": "image/png", "size": 3});
    assert_eq!(view["request"]["parts"][1], file);
    assert_eq!(view["session"]["accounts"][0]["id"], "a");
    assert_eq!(kept(&scrubbed), body.replace("hunter2", &digest("hunter2")));
}

#[test]
fn a_jwt_says_who_acts_and_one_login_has_one_session_key() {
    let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let one = token(r#"{"sub":"did:plc:abc","iss":"did:web:x","exp":4000000000}"#);
    let a = Sent::new("/x", &[("authorization", &format!("Bearer {one}"))], b"").scrub();
    assert_eq!(a.hints.subject.as_deref(), Some("did:plc:abc"));
    assert_eq!(a.hints.issuer.as_deref(), Some("did:web:x"));
    let same = Sent::new(&format!("/y?access_token={one}"), &[], b"").scrub();
    assert_eq!(a.session, same.session);
    assert_eq!(same.hints, Hints::default(), "a token in a query claims nothing");
    let odd = Sent::new("/x", &[("authorization", &format!("Basic {one}"))], b"").scrub();
    assert_eq!(odd.hints, Hints::default(), "nor does one under a scheme that carries none");
    let other = Sent::new("/x", &[("authorization", "Bearer another-token")], b"").scrub();
    assert!(a.session.is_some() && other.session.is_some() && a.session != other.session);
    assert_eq!(Sent::new("/x", &[("cookie", "lang=de")], b"").scrub().session, None);
    let signed = |nonce: &str| {
        Sent::new("/x", &[("authorization", &format!("OAuth oauth_nonce=\"{nonce}\", oauth_token=\"1-c\""))], b"")
            .scrub()
            .session
    };
    assert_eq!(signed("1"), signed("2"), "oauth 1.0 signs each request anew");
}

#[test]
fn a_message_is_scrubbed_like_a_body() {
    let key = ScrubKey::new([7; 32]);
    let sent = Sent::new("/streaming?i=0123456789abcdef", &[], b"");
    let scrub = Scrub { key: &key, account_cookies: &[], limits: &Limits::default() };
    let message = Message {
        exchange: sent.exchange.id,
        number: 3,
        direction: Direction::Outbound,
        opcode: Opcode::Text,
        event: None,
        data: MessageData(Bytes::from_static(br#"{"op":2,"d":{"token":"hunter2"}}"#)),
        seen_at: Timestamp::EPOCH,
    };
    let scrubbed = scrub.message(&sent.exchange.request.head, &message);
    let view: serde_json::Value =
        serde_json::from_slice(&scrubbed.json(&serde_json::json!([]), &Limits::default())).unwrap();
    assert_eq!(view["message"]["json"]["d"]["token"], digest("hunter2"));
    assert_eq!(view["message"]["direction"], "outbound");
    assert_eq!(view["request"]["query"]["i"][0], digest("0123456789abcdef"));
    assert!(scrubbed.session.is_some());
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap()
}

fn escaped(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}
