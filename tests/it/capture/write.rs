//! Writes and their outcomes: one capture each, durable before the receipt, closed with what the origin said.

use std::time::Duration;

use http::Method;
use muniment::capture::{Answer, NoAnswer, Receipt, Recorder, RefusalReason};
use muniment::ledger::EntryType;
use muniment::record::Digest;
use muniment::settings::WhenUnavailable;
use serde_json::{Value, json};

use super::support::{ArchiveFault, assert_sound};
use super::world::{Ground, World, header, said, world};

#[tokio::test]
async fn p1_a_receipt_is_given_only_for_a_write_that_is_in_the_ledger() {
    let world = world().await;
    let receipt = world.post(json!({"text": "hello, world", "as": "did:adv"})).await.unwrap();
    let captures = world.entries(EntryType::Capture);
    assert_eq!(captures.len(), 1);
    let capture = &captures[0];
    assert_eq!(receipt.record(), capture.record());
    assert_eq!((said(capture, "network"), said(capture, "rule")), ("testnet".to_owned(), "post".to_owned()));
    assert_eq!((said(capture, "kinds"), said(capture, "direction")), ("[\"post\"]".to_owned(), "outbound".to_owned()));
    assert_eq!(world.text(capture, "0.text"), "hello, world");
    assert_eq!(world.text(capture, "0.account"), "{\"id\":\"did:adv\"}");
    assert!(said(capture, "flags").contains("account_claimed"), "only the request says so yet");
    assert_eq!(world.text(capture, "request.body"), "{\"as\":\"did:adv\",\"text\":\"hello, world\"}");
    assert!(world.text(capture, "request.head").starts_with("POST /posts HTTP/1.1\r\n"));
    assert_eq!(capture.streams().len(), 1);

    world.answer(receipt, 200, &json!({"ok": true, "id": "p-1"}));
    world.until_count(EntryType::Outcome, 1).await;
    let outcome = &world.entries(EntryType::Outcome)[0];
    assert_eq!((said(outcome, "state"), said(outcome, "items")), ("accepted".to_owned(), "1".to_owned()));
    assert_eq!(said(outcome, "capture"), capture.id().to_string());
    assert_eq!(outcome.record(), capture.record());
    assert_eq!(world.text(outcome, "0.item"), "p-1");
    assert_eq!(world.text(outcome, "0.permalink"), "https://net.example/p/p-1");
    assert_eq!(world.text(outcome, "response.body"), "{\"id\":\"p-1\",\"ok\":true}");
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn a_refusal_in_a_200_a_lost_answer_and_a_dropped_receipt_are_told_apart() {
    let world = world().await;
    let refused = world.post(json!({"text": "one"})).await.unwrap();
    world.answer(refused, 200, &json!({"ok": false, "error": "spam"}));
    let lost = world.post(json!({"text": "two"})).await.unwrap();
    world.capture.outcome(lost, Answer::None(NoAnswer::ConnectionLost));
    drop(world.post(json!({"text": "three"})).await.unwrap());
    let unsent = world.post(json!({"text": "four"})).await.unwrap();
    world.capture.outcome(unsent, Answer::None(NoAnswer::NotSent));
    world.until_count(EntryType::Outcome, 4).await;
    let outcomes = world.entries(EntryType::Outcome);
    let of = |text: &str| {
        let captures = world.entries(EntryType::Capture);
        let capture = captures.iter().find(|capture| world.text(capture, "0.text") == text).unwrap();
        outcomes.iter().find(|outcome| said(outcome, "capture") == capture.id().to_string()).unwrap()
    };
    let words = |text: &str| (said(of(text), "state"), said(of(text), "cause"));
    assert_eq!(words("one"), ("refused".to_owned(), String::new()));
    assert_eq!(world.text(of("one"), "reason"), "spam");
    assert_eq!(words("two"), ("unknown".to_owned(), "connection_lost".to_owned()));
    assert_eq!(words("three"), ("unknown".to_owned(), "dropped".to_owned()));
    assert_eq!(words("four"), ("refused".to_owned(), "not_sent".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn a_request_with_several_communications_is_one_capture() {
    let world = world().await;
    let body = json!({"posts": ["one", "two", "three"]}).to_string();
    let receipt = world.capture.write(world.exchange(Method::POST, "/batch", &body)).await.unwrap();
    let captures = world.entries(EntryType::Capture);
    assert_eq!(captures.len(), 1);
    assert_eq!(said(&captures[0], "kinds"), "[\"post\",\"post\",\"post\"]");
    assert_eq!(world.text(&captures[0], "2.text"), "three");
    drop(receipt);
    world.end().await;
}

#[tokio::test]
async fn p1_each_way_an_append_fails_ends_in_one_capture_or_in_a_refusal_on_record() {
    use ArchiveFault::{NotPersisted, PersistedAndHangs, PersistedButReportedFailed, Pushback, Refused};
    for fault in [NotPersisted, PersistedButReportedFailed, PersistedAndHangs, Pushback, Refused] {
        let world = world().await;
        world.ground.archive.fail_at(0, fault);
        let written = world.post(json!({"text": "hello"})).await;
        let (expected, gaps) = match fault {
            Pushback | Refused => (0, 1),
            _ => (1, 0),
        };
        assert_eq!(written.is_ok(), expected == 1, "{fault:?}");
        let reason = written.as_ref().err().map(muniment::capture::Refusal::reason);
        match fault {
            Pushback => assert_eq!(reason, Some(RefusalReason::Overloaded)),
            Refused => assert_eq!(reason, Some(RefusalReason::Rejected)),
            _ => {}
        }
        drop(written);
        let ground = world.end().await;
        let world = ground.start().await;
        world.until(|world| world.entries(EntryType::Outcome).len() == expected).await;
        assert_eq!(world.entries(EntryType::Capture).len(), expected, "{fault:?}");
        let refused = world.entries(EntryType::Gap).iter().filter(|gap| said(gap, "cause") == "write_refused").count();
        assert_eq!(refused, gaps, "{fault:?}");
        assert_sound(&world.ground.ledger);
        world.end().await;
    }
}

#[tokio::test]
async fn with_refuse_and_the_archive_away_a_write_is_refused_and_that_is_on_record_later() {
    let world = Ground { when_unavailable: WhenUnavailable::Refuse, ..Ground::new() }.start().await;
    world.ground.archive.set_away(true);
    for _ in 0..5 {
        let refusal = world.post(json!({"text": "hello"})).await.unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::ArchiveUnavailable);
        assert!(refusal.may_pass());
    }
    world.ground.archive.set_away(false);
    let ground = world.end().await;
    let world = ground.start().await;
    let refused = |world: &super::world::World| -> u64 {
        let gaps = world.entries(EntryType::Gap);
        let refused = gaps.iter().filter(|gap| said(gap, "cause") == "write_refused");
        refused.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum()
    };
    world.until(|world| refused(world) == 5).await;
    assert_eq!(world.entries(EntryType::Capture).len(), 0);
    let gap = &world.entries(EntryType::Gap).into_iter().find(|gap| said(gap, "cause") == "write_refused").unwrap();
    assert_eq!(world.text(gap, "host"), "net.example");
    assert!(!String::from_utf8_lossy(gap.bytes()).contains("net.example"), "a host is a commitment");
    world.end().await;
}

#[tokio::test]
async fn p1_a_write_whose_caller_leaves_is_closed_as_not_sent_if_it_was_kept() {
    let world = world().await;
    world.ground.archive.set_delay(Duration::from_millis(300));
    let exchange = world.exchange(Method::POST, "/posts", "{\"text\":\"never mind\"}");
    let before = world.ground.archive.appends();
    tokio::select! {
        _written = world.capture.write(exchange) => panic!("the device leaves while the append is under way"),
        () = async {
            while world.ground.archive.appends() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    world.until_count(EntryType::Outcome, 1).await;
    let outcome = &world.entries(EntryType::Outcome)[0];
    assert_eq!((said(outcome, "state"), said(outcome, "cause")), ("refused".to_owned(), "not_sent".to_owned()));
    assert_eq!(world.entries(EntryType::Capture).len(), 1);
    world.end().await;
}

#[tokio::test]
async fn retries_are_captured_each_and_name_the_first() {
    let world = world().await;
    let mut receipts = Vec::new();
    for _ in 0..3 {
        receipts.push(world.post(json!({"text": "same words"})).await.unwrap());
    }
    receipts.push(world.post(json!({"text": "other words"})).await.unwrap());
    let captures = world.entries(EntryType::Capture);
    let first = captures[0].id().to_string();
    let links: Vec<_> = captures.iter().map(|capture| said(capture, "retry_of")).collect();
    assert_eq!(links, [String::new(), first.clone(), first, String::new()]);
    drop(receipts);
    world.end().await;
}

#[tokio::test]
async fn a_retry_after_a_restart_is_linked_to_the_capture_before_it() {
    let world = world().await;
    let with_key = |world: &World, words: &str| {
        let mut exchange = world.exchange(Method::POST, "/posts?access_token=hunter2hunter2hunter2", words);
        header(&mut exchange, "idempotency-key", "5f0c-key");
        exchange
    };
    drop(world.post(json!({"text": "same words", "password": "hunter2"})).await.unwrap());
    drop(world.post(json!({"text": "same words", "password": "hunter2"})).await.unwrap());
    drop(world.capture.write(world.exchange(Method::DELETE, "/posts/1", "")).await.unwrap());
    drop(world.capture.write(with_key(&world, "{\"text\":\"boundary a\"}")).await.unwrap());
    // Too large to be read back at a start; its key is enough.
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(2 << 20));
    drop(world.capture.write(with_key(&world, &large)).await.unwrap());
    let before = world.entries(EntryType::Capture);
    let world = world.end().await.start().await;
    drop(world.post(json!({"text": "same words", "password": "hunter2"})).await.unwrap());
    drop(world.capture.write(world.exchange(Method::DELETE, "/posts/1", "")).await.unwrap());
    drop(world.capture.write(with_key(&world, "{\"text\":\"boundary b\"}")).await.unwrap());
    drop(world.post(json!({"text": "other words", "password": "hunter2"})).await.unwrap());
    drop(world.capture.write(world.exchange_of(9, 9, Method::DELETE, "/posts/1", "")).await.unwrap());
    let after = world.entries(EntryType::Capture).split_off(before.len());
    let links: Vec<_> = after.iter().map(|capture| said(capture, "retry_of")).collect();
    let id = |number: usize| before[number].id().to_string();
    assert_eq!(links, [id(0), id(2), id(3), String::new(), String::new()]);
    world.end().await;
}

#[tokio::test]
async fn p1_a_capture_left_open_by_a_stop_is_closed_as_unknown_by_the_next_start() {
    let world = world().await;
    let receipt = world.post(json!({"text": "hello"})).await.unwrap();
    // The process is gone before the answer: nobody closes the receipt.
    let _never_closed = std::mem::ManuallyDrop::new(receipt);
    let ground = world.end().await;
    let world = ground.start().await;
    world.until_count(EntryType::Outcome, 1).await;
    let outcome = &world.entries(EntryType::Outcome)[0];
    assert_eq!((said(outcome, "state"), said(outcome, "cause")), ("unknown".to_owned(), "restart".to_owned()));
    assert_eq!(outcome.record(), world.entries(EntryType::Capture)[0].record());
    assert_eq!(outcome.streams().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn p1_a_capture_left_open_in_the_spool_is_closed_once_it_is_replayed() {
    let world = world().await;
    world.ground.archive.set_away(true);
    let receipt = world.post(json!({"text": "hello"})).await.unwrap();
    let _never_closed = std::mem::ManuallyDrop::new(receipt);
    let ground = world.end().await;
    let world = ground.start().await;
    // It gets its place in the ledger after the start, and was captured before it.
    world.ground.clock.advance(Duration::from_secs(5));
    world.ground.archive.set_away(false);
    world.until_count(EntryType::Outcome, 1).await;
    assert_eq!(said(&world.entries(EntryType::Outcome)[0], "cause"), "restart");
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn an_outage_between_write_and_answer_changes_nothing() {
    let world = world().await;
    let before = world.post(json!({"text": "before"})).await.unwrap();
    world.ground.archive.set_away(true);
    let during = world.post(json!({"text": "during"})).await.unwrap();
    world.answer(before, 200, &json!({"ok": true, "id": "p-1"}));
    world.answer(during, 200, &json!({"ok": true, "id": "p-2"}));
    let ground = world.end().await;
    ground.archive.set_away(false);
    let world = ground.start().await;
    world.until_count(EntryType::Outcome, 2).await;
    let order: Vec<_> = world
        .ground
        .ledger
        .entries()
        .iter()
        .map(|entry| entry.entry_type())
        .filter(|entry_type| matches!(entry_type, EntryType::Capture | EntryType::Outcome))
        .collect();
    assert_eq!(order[..2], [EntryType::Capture, EntryType::Capture]);
    let states: Vec<_> = world.entries(EntryType::Outcome).iter().map(|outcome| said(outcome, "state")).collect();
    assert_eq!(states, ["accepted", "accepted"]);
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn what_no_rule_knows_is_kept_raw_and_what_an_ignore_rule_takes_is_not_kept() {
    let world = world().await;
    let unknown = world.capture.write(world.exchange(Method::PUT, "/new/feature", "{\"text\":\"words\"}")).await;
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!((said(capture, "kinds"), said(capture, "rule")), ("[\"unclassified\"]".to_owned(), "other".to_owned()));
    assert_eq!(world.text(capture, "request.body"), "{\"text\":\"words\"}");
    let typing = world.capture.write(world.exchange(Method::POST, "/signal", "{\"what\":\"typing\"}")).await;
    assert_eq!(typing.unwrap().record(), None);
    assert_eq!(world.entries(EntryType::Capture).len(), 1);
    drop(unknown);
    world.end().await;
}

#[tokio::test]
async fn a_rule_that_fails_leaves_the_write_unclassified_and_a_gap() {
    let world = world().await;
    let receipt = world.capture.write(world.exchange(Method::POST, "/fails", "{\"text\":\"words\"}")).await.unwrap();
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(said(capture, "kinds"), "[\"unclassified\"]");
    assert_eq!(said(capture, "flags"), "[\"redacted\",\"recognition_failed\"]");
    world
        .until(|world| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "recognition_failed"))
        .await;
    drop(receipt);
    world.end().await;
}

#[tokio::test]
async fn a_large_body_goes_to_the_blob_store_and_its_attachment_is_measured() {
    let world = world().await;
    let body: String = "0123456789abcdef".repeat(200_000);
    let mut exchange = world.exchange(Method::POST, "/media", &body);
    exchange.request.head.headers.insert("content-type", "application/octet-stream".parse().unwrap());
    let receipt = world.capture.write(exchange).await.unwrap();
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(said(capture, "size"), body.len().to_string());
    let attachments: Value = serde_json::from_str(&world.text(capture, "0.attachments")).unwrap();
    assert_eq!(attachments[0]["size"], body.len());
    assert_eq!(attachments[0]["digest"], Digest::of(&[body.as_bytes()]).to_string());
    let all = world.everything();
    assert!(all.windows(body.len()).any(|window| window == body.as_bytes()), "the blob opens to the body as sent");
    drop(receipt);
    world.end().await;
}

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
async fn receipts_for_nothing_need_no_answer() {
    let world = world().await;
    world.answer(Receipt::nothing(), 200, &json!({}));
    let ground = world.end().await;
    assert!(ground.ledger.entries().is_empty());
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
async fn an_account_that_the_origin_did_not_take_is_not_the_advisors() {
    let world = world().await;
    for (text, answer) in [("one", json!({"ok": false})), ("two", json!({"ok": true, "id": "p-1"}))] {
        let receipt = world.post(json!({"text": text, "as": format!("did:{text}")})).await.unwrap();
        world.answer(receipt, 200, &answer);
    }
    world.until_count(EntryType::Identity, 1).await;
    let ground = world.end().await;
    let identities = ground.ledger.entries_of(EntryType::Identity);
    assert_eq!(identities.len(), 1);
    assert_eq!(ground.ledger.text(&identities[0], "id").unwrap(), "did:two");
}

#[tokio::test]
async fn an_account_that_a_request_names_is_claimed_until_the_origin_took_it_and_moves_nothing_into_its_stream() {
    let world = world().await;
    // The account of somebody else, known from that advisor's own session.
    world.read_of(0xd2, 0xa2, "/me", &json!({"id": "did:chief", "handle": "@chief"}));
    world.until_count(EntryType::Identity, 1).await;
    let forged = world.post(json!({"text": "one", "as": "did:chief", "by": "did:chief"})).await.unwrap();
    world.answer(forged, 200, &json!({"ok": false, "error": "bad token"}));
    let own = world.post(json!({"text": "two", "as": "did:adv", "by": "did:adv"})).await.unwrap();
    world.answer(own, 200, &json!({"ok": true, "id": "p-2"}));
    world.until_count(EntryType::Identity, 2).await;
    drop(world.post(json!({"text": "three", "as": "did:adv", "by": "did:adv"})).await.unwrap());
    let captures = world.entries(EntryType::Capture);
    let claimed: Vec<_> = captures.iter().map(|entry| said(entry, "flags").contains("account_claimed")).collect();
    assert_eq!(claimed, [true, true, false]);
    for capture in &captures {
        let streams: Vec<_> = capture.streams().iter().map(|stream| stream.id.uuid().as_u128()).collect();
        assert_eq!(streams, [super::world::ADVISOR], "{}", world.text(capture, "0.text"));
    }
    let ground = world.end().await;
    let ids: Vec<_> = ground
        .ledger
        .entries_of(EntryType::Identity)
        .iter()
        .map(|one| ground.ledger.text(one, "id").unwrap())
        .collect();
    assert_eq!(ids, ["did:chief", "did:adv"]);
}

#[tokio::test]
async fn a_device_that_leaves_while_its_write_is_sealed_leaves_a_record_that_a_retry_may_name() {
    let world = world().await;
    let large = || world.exchange(Method::POST, "/posts", &json!({"text": "x".repeat(300 << 10)}).to_string());
    let asked = world.ground.entropy.asked();
    world.ground.entropy.set_held(true);
    let mut write = Box::pin(world.capture.write(large()));
    while world.ground.entropy.asked() == asked {
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut write).await.is_err());
    }
    drop(write);
    world.ground.entropy.set_held(false);
    world.until_count(EntryType::Outcome, 1).await;
    drop(world.capture.write(large()).await.unwrap());
    let captures = world.entries(EntryType::Capture);
    assert_eq!(captures.len(), 2);
    assert_eq!(said(&captures[1], "retry_of"), captures[0].id().to_string());
    let outcome = &world.entries(EntryType::Outcome)[0];
    assert_eq!(
        (said(outcome, "capture"), said(outcome, "cause")),
        (captures[0].id().to_string(), "not_sent".to_owned())
    );
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn p1_a_full_blob_store_refuses_what_needs_it_and_nothing_else() {
    let world = world().await;
    // A file where the store's directory should be: no blob can be begun, whoever runs this test.
    let unfinished = world.ground.blobs.path().join("unfinished");
    std::fs::remove_dir_all(&unfinished).unwrap();
    std::fs::write(&unfinished, b"").unwrap();
    let large = world.exchange(Method::POST, "/media", &"x".repeat(1 << 20));
    let refusal = world.capture.write(large).await.unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::StorageUnavailable);
    assert!(refusal.may_pass());
    drop(world.post(json!({"text": "small"})).await.unwrap());
    let ground = world.end().await;
    assert_eq!(ground.ledger.entries_of(EntryType::Capture).len(), 1);
    assert!(ground.ledger.entries_of(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "write_refused"));
}

#[tokio::test]
async fn p1_a_write_whose_body_cannot_be_kept_is_refused_and_the_gap_says_why() {
    use std::io::Write as _;
    let world = world().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(json!({"access_token": "a-token-that-shows", "text": "cut ".repeat(4000)}).to_string().as_bytes())
        .unwrap();
    let mut coded = gzip.finish().unwrap();
    coded.truncate(coded.len() - 20);
    let mut corrupt = world.exchange(Method::POST, "/posts", "");
    header(&mut corrupt, "content-encoding", "gzip");
    corrupt.request.body = bytes::Bytes::from(coded).into();
    let large = json!({"text": "x".repeat(33 << 20)}).to_string();
    let large = world.exchange(Method::POST, "/posts", &large);
    let login = {
        let mut login = world.exchange(Method::POST, "/oauth/token", &"x".repeat(33 << 20));
        login.request.head.authority = "other.example:443".parse().unwrap();
        login
    };
    let part = "--b\r\ncontent-disposition: form-data; name=access_token\r\n\r\na-token-that-shows\r\n";
    let mut parts = world.exchange(Method::POST, "/posts", &part.repeat(300));
    parts.request.head.headers.insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
    let refused = [
        (corrupt, RefusalReason::BodyUndecodable),
        (parts, RefusalReason::BodyUndecodable),
        (large, RefusalReason::BodyTooLarge),
    ];
    for (exchange, reason) in refused {
        let refusal = world.capture.write(exchange).await.unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert!(!refusal.may_pass(), "the same body again is refused again");
    }
    drop(world.capture.write(login).await.unwrap());
    world.until_count(EntryType::Gap, 2).await;
    let ground = world.end().await;
    let captures = ground.ledger.entries_of(EntryType::Capture);
    assert_eq!(captures.len(), 1, "of a login the head is all that is kept anyway");
    let gaps = ground.ledger.entries_of(EntryType::Gap);
    let causes: std::collections::BTreeSet<String> = gaps.iter().map(|gap| said(gap, "cause")).collect();
    assert_eq!(causes, ["unreadable_coding", "write_too_large"].map(str::to_owned).into());
}

#[tokio::test]
async fn p1_what_an_ignore_rule_would_take_is_kept_where_the_origin_may_read_another_path() {
    let world = world().await;
    for target in ["/posts/../login", "/login#/../posts", "/./login", "/login/%2e%2e/posts"] {
        let written = world.capture.write(world.exchange(Method::POST, target, "{\"text\":\"words\"}")).await.unwrap();
        assert!(written.record().is_some(), "{target}");
    }
    let captures = world.entries(EntryType::Capture);
    assert_eq!(captures.len(), 4);
    for capture in &captures {
        assert_eq!(world.text(capture, "request.body"), "{\"text\":\"words\"}");
        assert!(!said(capture, "flags").contains("head_only"));
    }
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

/// A held body whose file is gone.
struct Gone;

impl muniment::exchange::BodySource for Gone {
    fn size(&self) -> u64 {
        10
    }

    fn reader(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

#[tokio::test]
async fn p4_an_answer_that_cannot_be_read_back_is_a_gap() {
    let world = world().await;
    let receipt = world.post(json!({"text": "answered into nothing"})).await.unwrap();
    let mut response = world.response(200, &json!({}));
    response.body = muniment::exchange::Body::Held(std::sync::Arc::new(Gone));
    world.capture.outcome(receipt, muniment::capture::Answer::Response(response));
    world.until(|world| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "answer_dropped")).await;
    world.until_count(EntryType::Outcome, 1).await;
    assert_eq!(said(&world.entries(EntryType::Outcome)[0], "status"), "200", "what is known is kept");
    let ground = world.end().await;
    assert_sound(&ground.ledger);
}
