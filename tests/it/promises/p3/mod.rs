//! P3 on the whole product: secrets are planted in everything a device may send and an origin may answer, and searched for in
//! everything that `muniment serve` leaves behind, with logs at `trace`.

pub(crate) mod network;
mod places;
mod secrets;

use std::io::Write as _;

use serde_json::json;

use self::network::{Answers, Network, OTHER, SOCIAL, UNLISTED};
use self::secrets::Wanted;
use super::power::{Freezer, psql};
use crate::proxy::support::origin::OriginRoot;
use crate::service::{Firm, Phone, eventually};

/// Words that are content and no secret: whoever does not find these is blind.
const MARKER: &str = "the planted words of ada";

const MORE: &str = "[log]\nfilter = \"trace\"\n[archive]\nappend_timeout = \"1s\"\n[proxy.limits]\nbody = \"1 MiB\"\nbody_memory = \"16 KiB\"";

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish()
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Everything an app may do with its credentials. What is refused, and what is not, is asserted beside it.
async fn drive(phone: &Phone, wanted: &mut Wanted) {
    let bearer = wanted.plant_token("bearer");
    let authorization = format!("Bearer {bearer}");
    let session = wanted.plant_token("cookie");
    let cookie = format!("_session_id={session}; theme=dark");
    let auth = ("Authorization", authorization.as_str());
    let cookies = ("Cookie", cookie.as_str());

    // Logins: forms, JSON, over both protocols, on hosts with rules and without.
    let (password, secret, csrf) = (wanted.plant("password"), wanted.plant("client_secret"), wanted.plant("csrf"));
    let code = wanted.plant_token("authorization_code");
    let login =
        form(&[("grant_type", "password"), ("username", "ada"), ("password", &password), ("client_secret", &secret)]);
    assert_eq!(phone.send(SOCIAL, "POST /oauth/token", &[FORM], &login).await, 200);
    let code_form = form(&[("grant_type", "authorization_code"), ("code", &code), ("client_secret", &secret)]);
    assert_eq!(phone.send(SOCIAL, "POST /oauth/token", &[FORM], &code_form).await, 200);
    let sign_in = form(&[("user[email]", "ada@x"), ("user[password]", &password), ("authenticity_token", &csrf)]);
    assert_eq!(phone.send(SOCIAL, "POST /auth/sign_in", &[FORM, cookies], &sign_in).await, 200);
    let app_password = wanted.plant("app_password");
    let create = json!({"identifier": "ada.test", "password": app_password}).to_string();
    let path = "/xrpc/com.atproto.server.createSession";
    for host in [SOCIAL, OTHER] {
        assert_eq!(phone.send(host, &format!("POST {path}"), &[JSON], &create).await, 200);
        assert_eq!(phone.send2(host, "POST", path, &[("content-type", "application/json")], &create).await, 200);
    }
    assert_eq!(phone.send(SOCIAL, "POST /xrpc/com.atproto.server.refreshSession", &[auth], "").await, 200);
    let other_login = json!({"user": "ada", "password": password, "totp": "123456"}).to_string();
    assert_eq!(phone.send(OTHER, "POST /account/login", &[JSON, cookies], &other_login).await, 200);

    // Writes: JSON, form, gzip, multipart, opaque; the login repeated where it does not belong.
    let said =
        json!({"status": MARKER, "access_token": bearer, "meta": json!({"token": secret}).to_string()}).to_string();
    for _twice in 0..2 {
        assert_eq!(phone.send(SOCIAL, "POST /api/v1/statuses", &[JSON, auth, cookies], &said).await, 200);
    }
    let headers = [("content-type", "application/json"), ("authorization", &*authorization), ("cookie", &*cookie)];
    assert_eq!(phone.send2(SOCIAL, "POST", "/api/v1/statuses", &headers, &said).await, 200);
    let as_form = form(&[("status", MARKER), ("access_token", &bearer), ("csrf_token", &csrf)]);
    assert_eq!(phone.send(SOCIAL, "POST /api/v1/statuses", &[FORM, cookies], &as_form).await, 200);
    let coded = [JSON, auth, ("Content-Encoding", "gzip")];
    assert_eq!(phone.send(SOCIAL, "POST /api/v1/statuses", &coded, gzip(&said)).await, 200);
    let basic_password = wanted.plant("basic_password");
    let basic = crate::proxy::support::device::basic("ada", &basic_password);
    assert_eq!(phone.send(OTHER, "PUT /notes/1", &[JSON, ("Authorization", &basic)], &said).await, 200);
    let multipart = |filler: usize| {
        let mut body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\n{MARKER}\r\n--XX\r\nContent-Disposition: \
             form-data; name=\"access_token\"\r\n\r\n{bearer}\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend((0..filler).map(|n| u8::try_from(n % 251).unwrap() | 0x80));
        // An opaque file that holds the login it is sent with.
        body.extend_from_slice(format!("{bearer} {session}\r\n--XX--\r\n").as_bytes());
        body
    };
    let parts = ("Content-Type", "multipart/form-data; boundary=XX");
    for filler in [100, 400_000] {
        for line in ["POST /api/v2/media", "POST /files"] {
            let host = if line.ends_with("media") { SOCIAL } else { OTHER };
            let status = phone.send(host, line, &[parts, auth, cookies], multipart(filler)).await;
            assert_eq!(status, 200, "{line} {filler}");
        }
        let mut opaque = vec![0xfe_u8; filler];
        opaque.extend_from_slice(format!("\u{1}{bearer}\u{2}").as_bytes());
        opaque.extend_from_slice(&[0xff; 40]);
        let octets = ("Content-Type", "application/octet-stream");
        assert_eq!(phone.send(OTHER, "PUT /blob", &[octets, auth], opaque).await, 200);
    }

    // Keys in headers, queries and paths.
    let (key, query) = (wanted.plant_token("api_key"), wanted.plant("query_token"));
    assert_eq!(phone.send(OTHER, "POST /act", &[JSON, ("X-Api-Key", &key)], r#"{"a":1}"#).await, 200);
    let asked = form(&[("access_token", &query), ("limit", "20")]);
    let referer = format!("https://{SOCIAL}/web?{asked}");
    for line in ["GET /api/v1/timelines/home", "POST /api/v1/statuses", "GET /api/v1/accounts/verify_credentials"] {
        let line = format!("{line}?{asked}");
        let body = if line.starts_with("POST") { &*said } else { "" };
        assert_eq!(phone.send(SOCIAL, &line, &[JSON, ("Referer", &referer)], body).await, 200, "{line}");
    }
    let (hook, reset) = (wanted.plant_token("hook"), wanted.plant_token("reset"));
    let jwt = "eyJhbGciOiJFUzI1NksifQ.eyJzdWIiOiJkaWQ6cGxjOmFkYSJ9.cGxhbnRlZC1zaWduYXR1cmUtb2YtYS1qd3Q";
    wanted.add("jwt", jwt);
    for path in [format!("/webhooks/12/{hook}"), format!("/password/reset/{reset}"), format!("/v/{jwt}/posts")] {
        assert_eq!(phone.send(OTHER, &format!("POST {path}"), &[JSON], r#"{"content":"hello"}"#).await, 200);
    }
    assert_eq!(phone.send(OTHER, "DELETE /notes/2", &[("Authorization", &format!("Bearer {jwt}"))], "").await, 200);

    // Where a name stands behind something else: a comma, a URL inside a URL or a text, a file in a coded body, the thousandth pair.
    let hidden = wanted.plant("hidden_token");
    let query = form(&[("access_token", &hidden)]);
    let nested = form(&[("to", &format!("https://{SOCIAL}/cb?a=1,2&{query}"))]);
    for line in [format!("POST /act?fields=id,name&{query}"), format!("POST /act?{nested}")] {
        assert_eq!(phone.send(OTHER, &line, &[JSON, ("Referer", &nested)], r#"{"a":1}"#).await, 200, "{line}");
    }
    let texts =
        json!({"next": format!("https://{SOCIAL}/?a=1,2&{query}"), "body": format!("x=1&{query}"), "n": nested});
    assert_eq!(phone.send(OTHER, "POST /act", &[JSON], texts.to_string()).await, 200);
    let long = format!("{}{query}", "a=1&".repeat(5000));
    assert_eq!(phone.send(OTHER, "POST /act", &[FORM], &long).await, 200);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&multipart(100)).unwrap();
    let coded = [parts, auth, cookies, ("Content-Encoding", "gzip")];
    assert_eq!(phone.send(OTHER, "POST /files", &coded, encoder.finish().unwrap()).await, 200);

    // Channels.
    let (subscription, streamed) = (wanted.plant_token("subscription"), wanted.plant_token("stream_token"));
    let text = json!({"type": "subscribe", "stream": "user", "access_token": subscription}).to_string();
    phone.talk(SOCIAL, &format!("/api/v1/streaming?access_token={streamed}"), &bearer, &text).await;
    phone.talk(OTHER, &format!("/gateway?token={streamed}"), &bearer, &text).await;
    let line = format!("GET /api/v1/streaming/user?access_token={streamed}");
    assert_eq!(phone.send(SOCIAL, &line, &[("Accept", "text/event-stream"), ("Connection", "close")], "").await, 200);

    // Refused: too large to hold. Nothing of it may stay, secrets or not.
    let refused = wanted.plant_token("refused_write");
    let large = json!({"status": refused.repeat(40_000)}).to_string();
    assert_eq!(phone.send(SOCIAL, "POST /api/v1/statuses", &[JSON, auth], &large).await, 413);

    // Not listed: tunnelled unread, whatever it is.
    let unread = wanted.plant("tunnelled");
    assert_eq!(phone.send(UNLISTED, "POST /private", &[JSON, auth], json!({"text": unread}).to_string()).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn p3_planted_secrets_are_nowhere_after_a_full_run_of_serve() {
    let mut wanted = Wanted::default();
    let answers = Answers {
        access: wanted.plant_token("access_token"),
        refresh: wanted.plant_token("refresh_token"),
        cookie: wanted.plant_token("set_cookie"),
        unlisted: wanted.plant("tunnelled_answer"),
    };
    let root = OriginRoot::new();
    let network = Network::start(&root, answers).await;
    let at = network.address.to_string();
    let listed = [(SOCIAL.to_owned(), at.clone()), (OTHER.to_owned(), at.clone())];
    let firm = Firm::beside_unlisted(&listed, &[(UNLISTED.to_owned(), at)], &root.pem, MORE);
    let mut service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "phone");
    wanted.add("device secret", &device.secret);
    let officer = firm.add_officer("Olga", "compliance");
    wanted.add("officer token", &officer);
    let phone = Phone::new(&firm, &device, &[&root.pem]);

    drive(&phone, &mut wanted).await;
    // The same once more into the spool: Postgres stands still.
    let freezer = Freezer::freeze(&firm.data());
    let spooled = wanted.plant_token("spooled_bearer");
    let authorization = format!("Bearer {spooled}");
    let said = json!({"status": MARKER, "access_token": spooled}).to_string();
    let kept = phone.send(SOCIAL, "POST /api/v1/statuses", &[JSON, ("Authorization", &authorization)], &said).await;
    assert_eq!(kept, 200, "the spool takes it");
    let spool = tempfile::tempdir().unwrap();
    places::copy(&firm.data().join("spool"), spool.path());
    let frames = places::frames(&firm.data(), spool.path()).await;
    assert!(!frames.is_empty(), "it was spooled");
    drop(freezer);
    // Everything sent was taken, but for what was refused.
    let seen = network.seen();
    assert_eq!(seen.iter().filter(|line| *line == "POST /api/v1/statuses").count(), 7, "{seen:#?}");

    let mut found = frames;
    found.push(("standard error".to_owned(), Vec::new()));
    let records = "select count(*) from projection.communications where text like '%planted words%'";
    eventually(|| (psql(&firm.data(), records).trim().parse::<u64>().unwrap() >= 7).then_some(()));
    found.extend(answers_of_the_api(&firm, &officer));
    for command in [&["device", "list"][..], &["officer", "list"], &["account", "list"], &["check-config"], &["verify"]]
    {
        found.push((command.join(" "), firm.ask(command).to_string().into_bytes()));
    }
    // Everything in memory of the server goes to its files.
    psql(&firm.data(), "checkpoint");
    let opened = places::opened(&firm.data());
    assert!(opened.iter().any(|(_place, bytes)| memchr::memmem::find(bytes, MARKER.as_bytes()).is_some()), "not blind");
    assert!(opened.iter().any(|(place, _bytes)| place.starts_with("blob")), "something was large");
    found.extend(opened);
    found.push(("pg_dump".to_owned(), places::dump(&firm.data())));
    found.extend(places::files(firm.dir()));
    service.signal("TERM");
    assert_eq!(service.wait(), 0);
    let log = service.lines().join("\n");
    assert!(log.contains("\"level\":\"TRACE\"") || log.contains("\"level\":\"DEBUG\""), "the log is detailed");
    found.push(("the log".to_owned(), log.into_bytes()));
    found.extend(places::files(firm.dir()));

    let search = wanted.search();
    let leaks: Vec<String> = found
        .iter()
        .flat_map(|(place, bytes)| search.found(bytes).into_iter().map(move |leak| format!("{place}: {leak}")))
        .collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    assert!(wanted.values().len() > 20 && found.len() > 200, "{} places", found.len());
}

/// Metrics, health, every list, every record with everything that belongs to it.
fn answers_of_the_api(firm: &Firm, token: &str) -> Vec<(String, Vec<u8>)> {
    let officer = firm.officer(token).header("muniment-purpose", "search for planted secrets");
    let mut found = Vec::new();
    let mut ask = |path: &str| {
        let answer = officer.get(&firm.api(path)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        let headers = format!("{:?}", answer.headers).into_bytes();
        found.push((path.to_owned(), [headers, answer.body.clone()].concat()));
        answer.body
    };
    for path in
        ["/metrics", "/health", "/ready", "/openapi.json", "/v1/advisors", "/v1/devices", "/v1/accounts", "/v1/gaps"]
    {
        ask(path);
    }
    for path in ["/v1/integrity", "/v1/checkpoints"] {
        ask(path);
    }
    let list: serde_json::Value = serde_json::from_slice(&ask("/v1/records?limit=100")).unwrap();
    let records = list["records"].as_array().unwrap().clone();
    assert!(records.len() > 15, "{list}");
    for record in &records {
        let id = record["id"].as_str().unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&ask(&format!("/v1/records/{id}?proof=1"))).unwrap();
        for field in whole["fields"].as_array().into_iter().flatten() {
            let (index, name) = (field["index"].as_u64().unwrap(), field["name"].as_str().unwrap());
            ask(&format!("/v1/records/{id}/fields/{index}/{name}"));
        }
    }
    found
}
