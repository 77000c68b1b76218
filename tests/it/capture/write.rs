//! Writes and their outcomes: one capture each, durable before the receipt, closed with what the origin said.

use std::time::Duration;

use http::Method;
use muniment::capture::{Answer, NoAnswer, Receipt, Recorder};
use muniment::ledger::EntryType;
use muniment::record::Digest;
use serde_json::{Value, json};

use super::support::assert_sound;
use super::world::{World, header, said, world};

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
async fn receipts_for_nothing_need_no_answer() {
    let world = world().await;
    world.answer(Receipt::nothing(), 200, &json!({}));
    let ground = world.end().await;
    assert!(ground.ledger.entries().is_empty());
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
