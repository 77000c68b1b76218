//! Credentials in what is captured: in nothing that is stored, whatever form they have, and they hide no write.

use http::Method;
use muniment::capture::{Answer, Recorder};
use muniment::ledger::EntryType;
use muniment::record::Digest;
use serde_json::json;

use super::world::{Ground, header, said, world};

#[tokio::test]
async fn p3_planted_secrets_are_in_nothing_that_is_stored() {
    let secrets = [
        "s3cr3t-bearer-0123456789",
        "s3cr3t-cookie-0123456789",
        "s3cr3t-password-0123456",
        "s3cr3t-csrf-0123456789a",
        "s3cr3t-query-0123456789",
    ];
    let ground = Ground::new();
    // Through the archive, and through the spool.
    let world = ground.start().await;
    for away in [false, true] {
        world.ground.archive.set_away(away);
        let body = json!({"text": "fine words", "password": secrets[2], "nested": {"csrf_token": secrets[3]}, "again": secrets[0]});
        let mut exchange =
            world.exchange(Method::POST, &format!("/posts?access_token={}&away={away}", secrets[4]), &body.to_string());
        exchange.request.head.headers.insert("authorization", format!("Bearer {}", secrets[0]).parse().unwrap());
        header(&mut exchange, "cookie", &format!("session={}; uid=42", secrets[1]));
        let receipt = world.capture.write(exchange).await.unwrap();
        let answer = json!({"ok": true, "id": "p-1", "access_token": secrets[0]});
        let mut response = world.response(200, &answer);
        response.head.headers.insert("set-cookie", format!("session={}", secrets[1]).parse().unwrap());
        world.capture.outcome(receipt, Answer::Response(response));
    }
    let spooled = world.ground.disk.clone();
    let ground = world.end().await;
    assert!(spooled.all_bytes().len() > 2000, "the second write is in the spool");
    let raw = spooled.all_bytes();
    ground.archive.set_away(false);
    let world = ground.start().await;
    world.until_count(EntryType::Outcome, 2).await;
    let all = world.everything();
    assert!(contains(&all, "fine words"), "what was said is kept");
    assert!(!contains(&raw, "fine words"), "and sealed in the spool");
    for secret in secrets {
        for form in forms(secret) {
            assert!(!contains(&all, &form), "{secret} is stored, as {form}");
            assert!(!contains(&raw, &form), "{secret} is in the spool, as {form}");
        }
    }
    world.end().await;
}

fn contains(all: &[u8], what: &str) -> bool {
    all.windows(what.len()).any(|window| window == what.as_bytes())
}

/// In the clear and in encodings somebody might store it in.
fn forms(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    vec![
        secret.to_owned(),
        secret.to_uppercase(),
        STANDARD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex::encode(secret),
        Digest::of(&[secret.as_bytes()]).to_string(),
    ]
}

#[tokio::test]
async fn p3_what_looks_like_a_login_on_an_unknown_host_keeps_its_head_only() {
    let world = world().await;
    let mut exchange =
        world.exchange(Method::POST, "/oauth/token?code=s3cr3t-code-01234567", "grant=s3cr3t-grant-0123");
    exchange.request.head.authority = "other.example:443".parse().unwrap();
    let receipt = world.capture.write(exchange).await.unwrap();
    world.answer(receipt, 200, &json!({"granted": "s3cr3t-granted-0123456789"}));
    world.until_count(EntryType::Outcome, 1).await;
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(
        (said(capture, "network"), said(capture, "kinds")),
        ("unknown".to_owned(), "[\"unclassified\"]".to_owned())
    );
    assert!(said(capture, "flags").contains("head_only"));
    assert!(!contains(&world.everything(), "s3cr3t"));
    world.end().await;
}

#[tokio::test]
async fn p1_a_credential_that_is_repeated_in_a_write_hides_it_from_no_rule() {
    let world = world().await;
    let (words, named) = ("{\"text\":\"words\"}", "{\"text\":\"words\",\"name\":\"create_post_for_all\"}");
    let cases = [
        // The doubtful part is gone from what the rules see.
        ("/lists/xxxxxxxxxxxxxxxxx/../../posts", words, "x=xxxxxxxxxxxxxxxxx/../../posts"),
        // Two segments are one.
        ("/posts/abcdefghijklmnop/read", words, "x=posts/abcdefghijklmnop"),
        // A rule's own words are gone: from the path, the query, the body.
        ("/queries/create_post_for_all", words, "x=create_post_for_all"),
        ("/calls?name=create_post_for_all", words, "x=create_post_for_all"),
        ("/calls", named, "x=create_post_for_all"),
    ];
    for (number, (target, body, cookie)) in cases.into_iter().enumerate() {
        let mut exchange = world.exchange(Method::POST, target, body);
        header(&mut exchange, "cookie", cookie);
        let written = world.capture.write(exchange).await.unwrap();
        assert!(written.record().is_some(), "{target}");
        let capture = &world.entries(EntryType::Capture)[number];
        assert!(said(capture, "flags").contains("redacted"), "{target}");
        assert_eq!(
            (said(capture, "kinds"), world.text(capture, "0.text")),
            ("[\"unclassified\"]".into(), "words".into())
        );
    }
    for target in ["/lists/1", "/posts/read", "/queries/of_nothing", "/calls?name=none"] {
        let mut exchange = world.exchange(Method::POST, target, words);
        header(&mut exchange, "cookie", "x=create_post_for_all");
        let ignored = world.capture.write(exchange).await.unwrap();
        assert_eq!(ignored.record(), None, "{target}: what hides nothing is ignored as before");
    }
    assert!(!String::from_utf8_lossy(&world.everything()).contains("create_post_for_all"));
    world.end().await;
}
