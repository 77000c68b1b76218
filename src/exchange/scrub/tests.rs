//! Planted secrets are gone from everything that leaves, and everything else is as it was sent.

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

#[test]
fn a_query_is_searched_to_its_end_whatever_stands_in_it() {
    for target in [
        "/x?fields=id,name&access_token=hunter2",
        "/x?a=b;access_token=hunter2",
        "/x?a=<b>\"c d&access_token=hunter2",
        "/x?a=?b&access_token=hunter2",
        "/x?to=https%3A%2F%2Fy.example%2F%3Faccess_token%3Dhunter2",
        "/x?to=https%253A%252F%252Fy.example%252F%253Faccess_token%253Dhunter2",
        "/x?to=%7B%22url%22%3A%22%2F%3Faccess_token%3Dhunter2%22%7D",
        "/x#/cb?access_token=hunter2",
        "https://ada:hunter2@y.example/x?u=1",
    ] {
        let referer = format!("https://social.example{target}, and more");
        let scrubbed = Sent::new(target, &[("referer", &referer), ("link", &format!("<{target}>; rel=\"a,b\""))], b"");
        let bytes = all(&scrubbed.scrub());
        assert!(!contains(&bytes, "hunter2"), "{target}: {}", String::from_utf8_lossy(&bytes));
    }
    let many = format!("/x?{}access_token=hunter2", "a=1&".repeat(5000));
    assert!(!contains(&all(&Sent::new(&many, &[], b"").scrub()), "hunter2"));
    let scrubbed = Sent::new("/x?fields=id,name&limit=20&q=a%3Db;c=d&text=1+1=2", &[], b"").scrub();
    assert_eq!(scrubbed.request.head.target, "/x?fields=id,name&limit=20&q=a%3Db;c=d&text=1+1=2");
    assert_eq!(scrubbed.redactions, []);
}

#[test]
fn urls_and_forms_inside_strings_are_searched() {
    for body in [
        r#"{"next":"https:\/\/y.example\/?a=1,2&access_token=hunter2"}"#,
        r#"{"body":"grant_type=x\u0026refresh_token\u003dhunter2"}"#,
        r#"{"a":"{\"b\":\"x=1&refresh_token=hunter2\"}"}"#,
        r#"{"clone":"https://ada:hunter2@y.example/a.git"}"#,
        r#"{"a":"to=https%3A%2F%2Fy%2F%3Faccess_token%3Dhunter2"}"#,
        r#"a=1&to=https%3A%2F%2Fy%2F%3Faccess_token%3Dhunter2&b=2"#,
        r#"see https://y.example/?to=%2F%3Ftoken%3Dhunter2 there"#,
    ] {
        let scrubbed = Sent::new("/x", &[], body.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), "hunter2"), "{body}: {}", kept(&scrubbed));
        assert!(scrubbed.request.body.kept.size() > 0);
        let as_part = format!("--b\r\ncontent-disposition:form-data; name=x\r\n\r\n{body}\r\n--b--\r\n{body}");
        let headers = [("content-type", "multipart/form-data; boundary=b")];
        let scrubbed = Sent::new("/x", &headers, as_part.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), "hunter2"), "{}", kept(&scrubbed));
    }
    let deep = (0..9).fold("a=1&password=hunter2".to_owned(), |text, _| format!("{{\"a\":{}}}", escaped(&text)));
    assert!(!contains(&all(&Sent::new("/x", &[], deep.as_bytes()).scrub()), "hunter2"));
}

#[test]
fn a_form_is_searched_beyond_what_rules_see_of_it() {
    let body = format!("{}access_token=hunter2", "a=1&".repeat(Limits::default().pairs + 10));
    let scrubbed = Sent::new("/x", &[("content-type", "application/x-www-form-urlencoded")], body.as_bytes()).scrub();
    assert!(!contains(&all(&scrubbed), "hunter2"));
    assert_eq!(scrubbed.request.body.lost, None);
    assert!(kept(&scrubbed).starts_with("a=1&a=1"));
}

#[test]
fn a_multipart_body_that_passes_a_limit_is_lost_rather_than_kept_unsearched() {
    let part = |head: &str, value: &str| format!("--b\r\n{head}\r\n\r\n{value}\r\n");
    let named = |name: &str, value: &str| part(&format!("content-disposition: form-data; name={name}"), value);
    let secret = named("access_token", "hunter2");
    let many: String = (0..300).map(|number| named(&format!("n{number}"), "v")).collect();
    let typed = "multipart/form-data; boundary=b";
    for (content_type, body) in [
        (typed, format!("{many}{secret}--b--\r\n")),
        (typed, format!("{}{secret}--b--\r\n", part(&"x: y\r\n".repeat(2000), "v"))),
        (typed, format!("{}--b{}\r\n{secret}--b--\r\n", named("a", "v"), " ".repeat(600))),
        (typed, format!("{}--b--\r\n", named("a", &format!("access_token=hunter2 {}", "x".repeat(2 << 20))))),
        ("multipart/form-data; boundary=other", format!("{secret}--b--\r\n").replace("--b", "..b")),
        ("multipart/form-data", format!(" {secret}--b--\r\n")),
    ] {
        for coding in ["identity", "gzip"] {
            let sent = if coding == "gzip" { gzip(body.as_bytes()) } else { body.clone().into_bytes() };
            let headers = [("content-type", content_type), ("content-encoding", coding)];
            let scrubbed = Sent::new("/x", &headers, &sent).scrub();
            let start: String = body.chars().take(120).collect();
            // What is large and dull is a bomb when it is coded.
            let lost = scrubbed.request.body.lost;
            assert!(matches!(lost, Some(Unread::Parts | Unread::Bomb)), "{lost:?} {coding} {start}");
            assert_eq!(scrubbed.request.body.kept.size(), 0);
            assert!(!contains(&all(&scrubbed), "hunter2"), "{coding} {start}");
        }
    }
    let upload = part("content-type: video/mp4", &"x".repeat(2 << 20));
    let scrubbed = Sent::new("/x", &[("content-type", typed)], format!("{upload}--b--\r\n").as_bytes()).scrub();
    assert_eq!(scrubbed.request.body.lost, None, "an upload without a file name is as large as it likes");
}

#[test]
fn a_file_in_a_coded_multipart_body_is_searched_for_the_credentials_of_the_head() {
    let longer = format!("{SECRET}and-more-of-it");
    let body = format!(
        "--b\r\ncontent-disposition:form-data; name=f; filename=a.bin\r\n\r\n\u{1}{SECRET}\u{2}{longer}\r\n--b--\r\n"
    );
    for coding in ["identity", "gzip"] {
        let sent = if coding == "gzip" { gzip(body.as_bytes()) } else { body.clone().into_bytes() };
        let headers = [
            ("content-type", "multipart/form-data; boundary=b"),
            ("content-encoding", coding),
            ("cookie", &format!("s={longer}")),
            ("authorization", &format!("Bearer {SECRET}")),
        ];
        let scrubbed = Sent::new("/x", &headers, &sent).scrub();
        let bytes = all(&scrubbed);
        assert!(!contains(&bytes, "hunter2") && !contains(&bytes, "and-more-of-it"), "{coding}: {}", kept(&scrubbed));
        assert_eq!(scrubbed.request.body.lost, None);
    }
}

#[test]
fn a_body_that_is_far_larger_than_its_coding_is_lost_whole() {
    let body = gzip(format!("{}access_token=hunter2", "a".repeat(40 << 20)).as_bytes());
    let scrubbed = Sent::new("/x", &[("content-encoding", "gzip")], &body).scrub();
    assert_eq!(scrubbed.request.body.lost, Some(Unread::Bomb));
    assert_eq!(scrubbed.request.body.kept.size(), 0);
}

/// A place where a client could put a secret.
#[derive(Debug, Clone, Copy)]
enum Place {
    JsonField,
    JsonInJson,
    JsonInForm,
    FormField,
    MultipartField,
    MultipartJson,
    UrlInJson,
    UrlInForm,
    Query,
    QueryAfterComma,
    Bearer,
    Cookie,
    ResponseField,
}

fn escaped(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn planted(place: Place, name: &str, secret: &str, around: &str, coding: &str) -> Sent {
    let object = format!("{{\"text\":{},{}:{},\"end\":[1]}}", escaped(around), escaped(name), escaped(secret));
    let body = match place {
        Place::JsonField => object,
        Place::JsonInJson => format!("{{\"a\":{}}}", escaped(&format!("[{},{}]", escaped(&object), object))),
        Place::JsonInForm => format!("x=1&variables={}&y=2", percent(&object)),
        Place::FormField => format!("text={}&{}={}&z=1", percent(around), percent(name), percent(secret)),
        Place::MultipartField => {
            format!("--b\r\ncontent-disposition:form-data; name={name}\r\n\r\n{secret}\r\n--b--\r\n")
        }
        Place::MultipartJson => {
            format!("--b\r\ncontent-disposition:form-data; name=payload_json\r\n\r\n{object}\r\n--b--\r\n")
        }
        Place::UrlInJson => {
            let url = format!("https://a.example/?b=1,2&{}={}", percent(name), percent(secret));
            format!("{{\"text\":{},\"url\":{}}}", escaped(around), escaped(&url))
        }
        Place::UrlInForm => {
            let url = format!("https://a.example/?b=1,2&{}={}", percent(name), percent(secret));
            format!("text={}&url={}&z=1", percent(around), percent(&url))
        }
        Place::Query | Place::QueryAfterComma | Place::Bearer | Place::Cookie | Place::ResponseField => String::new(),
    };
    let body = match coding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(body.as_bytes()).unwrap();
            gzip.finish().unwrap()
        }
        "zstd" => zstd::stream::encode_all(body.as_bytes(), 1).unwrap(),
        _ => body.into_bytes(),
    };
    let authorization = format!("Bearer {}", percent(secret));
    let cookie = format!("a=1; s={}", percent(secret));
    let mut headers = vec![(CONTENT_ENCODING.as_str(), coding)];
    match place {
        Place::MultipartField | Place::MultipartJson => {
            headers.push((CONTENT_TYPE.as_str(), "multipart/form-data; boundary=b"))
        }
        Place::Bearer => headers.push(("authorization", &authorization)),
        Place::Cookie => headers.push(("cookie", &cookie)),
        _ => {}
    }
    let target = match place {
        Place::Query => format!("/x?{}={}", percent(name), percent(secret)),
        Place::QueryAfterComma => format!("/x?fields=a,b&{}={}", percent(name), percent(secret)),
        _ => "/x".to_owned(),
    };
    let sent = Sent::new(&target, &headers, &body);
    if matches!(place, Place::ResponseField) {
        let object = format!("{{\"text\":{},{}:{}}}", escaped(around), escaped(name), escaped(secret));
        return sent.answered(&[], object.as_bytes());
    }
    sent
}

proptest! {
    #[test]
    fn a_planted_secret_is_gone_from_everything_that_leaves(
        place in prop::sample::select(vec![
            Place::JsonField, Place::JsonInJson, Place::JsonInForm, Place::FormField, Place::MultipartField,
            Place::MultipartJson, Place::UrlInJson, Place::UrlInForm, Place::Query, Place::QueryAfterComma, Place::Bearer, Place::Cookie, Place::ResponseField,
        ]),
        name in prop::sample::select(vec!["password", "access_token", "accessJwt", "client_secret", "refresh_token", "otp", "csrf_token", "X-Api-Key"]),
        secret in "S3CR[ -~]{0,6}3T[A-Za-z0-9/+=\"\\\\&é ]{0,12}",
        around in ".{0,20}",
        coding in prop::sample::select(vec!["identity", "gzip", "zstd"]),
    ) {
        let scrubbed = planted(place, name, &secret, &around, coding).scrub();
        let bytes = all(&scrubbed);
        prop_assert!(!contains(&bytes, "S3CR"), "{}", String::from_utf8_lossy(&bytes));
        prop_assert!(!contains(&bytes, &percent("S3CR")));
        let view = serde_json::from_slice::<serde_json::Value>(&scrubbed.json(&serde_json::json!([]), &Limits::default()));
        prop_assert!(view.is_ok(), "{view:?}");
    }

    #[test]
    fn no_bytes_make_it_panic_and_the_view_is_always_json(
        body in prop::collection::vec(prop::num::u8::ANY, 0..120),
        text in "[{}\\[\\]\":,a-d=&%\\\\0-9-]{0,60}",
        content_type in prop::sample::select(vec!["application/json", "text/plain", "multipart/form-data; boundary=d", "application/x-www-form-urlencoded", "*/*"]),
        coding in prop::sample::select(vec!["identity", "gzip", "deflate", "br", "zstd", "gzip, br", "odd"]),
    ) {
        for body in [body, text.into_bytes()] {
            let headers = [("content-type", content_type), ("content-encoding", coding)];
            let scrubbed = Sent::new("/x?%zz=%&&=&a", &headers, &body).answered(&headers, &body).scrub();
            let view = scrubbed.json(&serde_json::json!([]), &Limits::default());
            prop_assert!(crate::exchange::check_json(&view, 200).is_ok(), "{}", String::from_utf8_lossy(&view));
        }
    }
}

#[test]
fn p3_a_login_is_taken_out_of_every_place_of_a_multipart_body() {
    let login = ("authorization", "Bearer hunter2/very+secret==");
    let content = ("content-type", "multipart/form-data; boundary=b");
    let long = "x".repeat(1 << 20);
    for body in [
        // A part's head, what stands before and after the parts, a file, a field that is too large to be read.
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{SECRET}\"; filename=\"{SECRET}\"\r\n\r\nx\r\n--b--\r\n"
        ),
        format!("{SECRET}\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n{SECRET}"),
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n{long}{SECRET}{long}\r\n--b--\r\n"
        ),
        format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{long}{SECRET}\r\n--b--\r\n"),
        // No parts at all, whatever the content type says.
        format!("{{\"password\": \"{SECRET}\", \"a\": \"b\"}}"),
    ] {
        let scrubbed = Sent::new("/x", &[login, content], body.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), SECRET), "{:.200}", kept(&scrubbed));
        // What has no parts that can be told apart, or one that is too large to be searched, is not kept at all.
        let replaced = kept(&scrubbed).matches(&digest(SECRET)).count();
        assert!(
            scrubbed.request.body.lost.is_some() || replaced == body.matches(SECRET).count(),
            "{:.200}",
            kept(&scrubbed)
        );
    }
}

#[test]
fn a_credential_that_is_repeated_without_end_costs_no_more_than_its_length() {
    let login = ("authorization", "Bearer hunter2/very+secret==");
    let body = format!("{SECRET} ").repeat(200_000);
    let scrubbed = Sent::new("/x", &[login, ("content-type", "text/plain")], body.as_bytes()).scrub();
    assert_eq!(kept(&scrubbed).matches(&digest(SECRET)).count(), 200_000);
}
