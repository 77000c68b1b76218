//! Reads and messages: what concerns the firm is kept once a version, own items without a capture are flagged, and what cannot
//! be looked at is a gap.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use muniment::capture::Recorder;
use muniment::exchange::{Message, MessageData, Opcode};
use muniment::ledger::EntryType;
use muniment::record::{AdvisorId, Direction};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::assert_sound;
use super::world::{ADVISOR, DEVICE, PACE, World, header, said, world};

const OTHER_DEVICE: u128 = 0xd2;
const OTHER_ADVISOR: u128 = 0xa2;

fn advisor(id: u128) -> AdvisorId {
    AdvisorId::new(Uuid::from_u128(id))
}

/// The device learns that it acts as this account.
async fn acts_as(world: &World, device: u128, of: u128, account: &str, count: usize) {
    world.read_of(device, of, "/me", &json!({"id": account, "handle": format!("@{account}")}));
    world.until_count(EntryType::Identity, count).await;
}

fn feed(items: &[Value]) -> Value {
    json!({ "items": items })
}

#[tokio::test]
async fn an_account_learned_from_a_read_goes_on_record_once() {
    let world = world().await;
    acts_as(&world, DEVICE, ADVISOR, "did:adv", 1).await;
    world.read("/me", &json!({"id": "did:adv", "handle": "@renamed"}));
    acts_as(&world, OTHER_DEVICE, OTHER_ADVISOR, "did:other", 2).await;
    let identities = world.entries(EntryType::Identity);
    assert_eq!(identities.len(), 2);
    let (subject, change) = (said(&identities[0], "subject"), said(&identities[0], "change"));
    assert_eq!((subject.as_str(), change.as_str()), ("account", "added"));
    assert_eq!(said(&identities[0], "advisor"), advisor(ADVISOR).to_string());
    assert_eq!(
        (world.text(&identities[0], "id"), world.text(&identities[0], "handle")),
        ("did:adv".into(), "@did:adv".into())
    );
    // After a restart it is known without being learned again.
    let ground = world.end().await;
    let world = ground.start().await;
    acts_as(&world, DEVICE, ADVISOR, "did:adv", 2).await;
    world.read("/feed", &feed(&[json!({"id": "i-1", "author": "did:x", "text": "to you", "concerns_us": true})]));
    world.until_count(EntryType::Observation, 1).await;
    assert_eq!(world.entries(EntryType::Identity).len(), 2);
    world.end().await;
}

#[tokio::test]
async fn what_concerns_the_firm_is_kept_once_a_version_and_the_rest_of_a_feed_is_not() {
    let world = world().await;
    let reply = json!({"id": "i-1", "author": "did:x", "text": "a reply", "concerns_us": true});
    let stranger = json!({"id": "i-2", "author": "did:y", "text": "none of our business"});
    for _ in 0..4 {
        world.read("/feed", &feed(&[reply.clone(), stranger.clone()]));
    }
    world.until_count(EntryType::Observation, 1).await;
    let edited = json!({"id": "i-1", "author": "did:x", "text": "an edited reply", "concerns_us": true});
    world.read("/feed", &feed(&[edited, stranger]));
    world.until_count(EntryType::Observation, 2).await;
    let ground = world.end().await;
    // Nor after a restart.
    let world = ground.start().await;
    world.read("/feed", &feed(&[reply]));
    world.read("/feed", &feed(&[json!({"id": "i-3", "author": "did:x", "text": "another", "concerns_us": true})]));
    world.until_count(EntryType::Observation, 3).await;
    let seen = world.entries(EntryType::Observation);
    let texts: Vec<_> = seen.iter().map(|entry| world.text(entry, "0.text")).collect();
    assert_eq!(texts, ["a reply", "an edited reply", "another"]);
    assert_eq!(said(&seen[1], "previous_version"), seen[0].id().to_string());
    assert!(world.text(&seen[0], "0.raw").contains("\"text\":\"a reply\""), "its own fragment as received");
    assert!(world.text(&seen[0], "request.head").starts_with("GET /feed"));
    assert_eq!((said(&seen[0], "direction"), said(&seen[0], "flags")), ("inbound".to_owned(), String::new()));
    let all = String::from_utf8_lossy(&world.everything()).into_owned();
    assert!(!all.contains("none of our business"));
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn an_own_item_without_a_capture_is_off_channel_and_one_with_a_capture_is_not() {
    let world = world().await;
    acts_as(&world, DEVICE, ADVISOR, "did:adv", 1).await;
    let receipt = world.post(json!({"text": "through the proxy", "as": "did:adv"})).await.unwrap();
    // The device reads its post back before the answer is worked on.
    let own = [
        json!({"id": "p-1", "author": "did:adv", "text": "through the proxy"}),
        json!({"id": "p-2", "author": "did:adv", "text": "from a phone at home"}),
    ];
    world.read("/feed", &feed(&own));
    tokio::time::sleep(PACE.own_item_grace / 2).await;
    world.answer(receipt, 200, &json!({"ok": true, "id": "p-1"}));
    world.until_count(EntryType::Observation, 2).await;
    let flags: Vec<_> = world
        .entries(EntryType::Observation)
        .iter()
        .map(|entry| (world.text(entry, "0.item"), said(entry, "flags"), said(entry, "direction")))
        .collect();
    let outbound = || "outbound".to_owned();
    assert_eq!(
        flags,
        [("p-1".to_owned(), String::new(), outbound()), ("p-2".to_owned(), "[\"off_channel\"]".to_owned(), outbound()),]
    );
    world.end().await;
}

#[tokio::test]
async fn a_read_that_asked_to_become_a_websocket_is_looked_at_like_any_other() {
    let world = world().await;
    let mut exchange = world.exchange(Method::GET, "/me", "");
    header(&mut exchange, "upgrade", "websocket");
    exchange.response = Some(world.response(200, &json!({"id": "did:adv", "handle": "@adv"})));
    world.capture.observe(exchange);
    world.until_count(EntryType::Identity, 1).await;
    world.end().await;
}

#[tokio::test]
async fn two_advisors_on_one_message_both_have_it_in_their_streams() {
    let world = world().await;
    acts_as(&world, DEVICE, ADVISOR, "did:adv", 1).await;
    acts_as(&world, OTHER_DEVICE, OTHER_ADVISOR, "did:other", 2).await;
    let body = json!({"text": "between us", "conversation": "c-1", "to": ["did:other"]}).to_string();
    let taken = world.capture.write(world.exchange(Method::POST, "/messages", &body)).await.unwrap();
    world.answer(taken, 200, &json!({}));
    world.until_count(EntryType::Outcome, 1).await;
    // The recipient is not named any more, but the conversation is known.
    let body = json!({"text": "and again", "conversation": "c-1"}).to_string();
    drop(world.capture.write(world.exchange(http::Method::POST, "/messages", &body)).await.unwrap());
    for capture in world.entries(EntryType::Capture) {
        let streams: Vec<_> = capture.streams().iter().map(|stream| stream.id).collect();
        assert_eq!(streams, [advisor(ADVISOR), advisor(OTHER_ADVISOR)]);
    }
    assert_sound(&world.ground.ledger);
    world.end().await;
}

#[tokio::test]
async fn who_is_in_a_conversation_is_learned_from_what_the_origin_took_and_from_nothing_else() {
    let world = world().await;
    acts_as(&world, DEVICE, ADVISOR, "did:adv", 1).await;
    acts_as(&world, OTHER_DEVICE, OTHER_ADVISOR, "did:other", 2).await;
    let said_by = async |device: u128, of: u128, body: Value| {
        let exchange = world.exchange_of(device, of, Method::POST, "/messages", &body.to_string());
        let receipt = world.capture.write(exchange).await.unwrap();
        let record = receipt.record();
        let capture = world.entries(EntryType::Capture).into_iter().find(|capture| capture.record() == record).unwrap();
        let streams: Vec<_> = capture.streams().iter().map(|stream| stream.id).collect();
        (receipt, streams)
    };
    // One who is not in it says so, and names one who is not either: refused by the origin, and then left without an answer.
    let claim = json!({"text": "let me in", "conversation": "c-1", "to": ["did:adv"]});
    let (refused, _) = said_by(OTHER_DEVICE, OTHER_ADVISOR, claim.clone()).await;
    world.answer(refused, 403, &json!({}));
    drop(said_by(OTHER_DEVICE, OTHER_ADVISOR, claim.clone()).await);
    world.until_count(EntryType::Outcome, 2).await;
    let words = json!({"text": "among ourselves", "conversation": "c-1"});
    let (receipt, streams) = said_by(DEVICE, ADVISOR, words.clone()).await;
    assert_eq!(streams, [advisor(ADVISOR)]);
    drop(receipt);
    let (taken, _) = said_by(OTHER_DEVICE, OTHER_ADVISOR, claim).await;
    world.answer(taken, 200, &json!({}));
    world.until_count(EntryType::Outcome, 4).await;
    let (_receipt, streams) = said_by(DEVICE, ADVISOR, words).await;
    assert_eq!(streams, [advisor(ADVISOR), advisor(OTHER_ADVISOR)]);
    world.end().await;
}

#[tokio::test]
async fn an_item_seen_again_by_another_advisor_is_attributed_and_not_kept_twice() {
    let world = world().await;
    let item = json!({"id": "i-1", "author": "did:x", "text": "to both", "concerns_us": true});
    world.read("/feed", &feed(std::slice::from_ref(&item)));
    world.until_count(EntryType::Observation, 1).await;
    world.read_of(OTHER_DEVICE, OTHER_ADVISOR, "/feed", &feed(std::slice::from_ref(&item)));
    world.until_count(EntryType::Attribution, 1).await;
    world.read_of(OTHER_DEVICE, OTHER_ADVISOR, "/feed", &feed(&[item]));
    let ground = world.end().await;
    let observation = &ground.ledger.entries_of(EntryType::Observation)[0];
    let attributions = ground.ledger.entries_of(EntryType::Attribution);
    assert_eq!(attributions.len(), 1);
    assert_eq!(said(&attributions[0], "entry"), observation.id().to_string());
    assert_eq!(said(&attributions[0], "index"), observation.index().to_string());
    assert_eq!(attributions[0].record(), observation.record());
    assert_eq!(attributions[0].streams()[0].id, advisor(OTHER_ADVISOR));
    assert_eq!(ground.ledger.entries_of(EntryType::Observation).len(), 1);
    assert_sound(&ground.ledger);
}

#[tokio::test]
async fn two_advisors_who_see_an_item_at_once_both_have_it_and_it_is_kept_once() {
    let world = world().await;
    world.ground.archive.set_delay(Duration::from_millis(30));
    let item = json!({"id": "i-1", "author": "did:x", "text": "to both", "concerns_us": true});
    for _ in 0..3 {
        world.read("/feed", &feed(std::slice::from_ref(&item)));
        world.read_of(OTHER_DEVICE, OTHER_ADVISOR, "/feed", &feed(std::slice::from_ref(&item)));
    }
    let ground = world.end().await;
    assert_eq!(ground.ledger.entries_of(EntryType::Observation).len(), 1);
    let mut streams: Vec<_> =
        ground.ledger.entries().iter().flat_map(|entry| entry.streams().to_vec()).map(|stream| stream.id).collect();
    streams.sort();
    assert_eq!(streams, [advisor(ADVISOR), advisor(OTHER_ADVISOR)]);
}

#[tokio::test]
async fn a_read_that_was_cut_off_is_looked_at_as_far_as_it_came_and_says_that_it_is_not_whole() {
    let world = world().await;
    let mut exchange = world.exchange(http::Method::GET, "/feed", "");
    let item = json!({"id": "i-1", "author": "did:x", "text": "to you", "concerns_us": true});
    let mut response = world.response(200, &feed(&[item]));
    response.complete = false;
    exchange.response = Some(response);
    world.capture.observe(exchange);
    world.until_count(EntryType::Observation, 1).await;
    assert_eq!(said(&world.entries(EntryType::Observation)[0], "flags"), "[\"incomplete\"]");
    // Whether something is missing the proxy says, who knows whose end it was.
    let ground = world.end().await;
    assert!(ground.ledger.entries_of(EntryType::Gap).is_empty());
}

#[tokio::test]
async fn reads_that_come_too_fast_become_counted_gaps_and_are_never_silent() {
    let world = world().await;
    world.ground.archive.set_delay(Duration::from_millis(5));
    let offered = 6000_u64;
    for number in 0..offered {
        let item = json!({"id": format!("i-{number}"), "author": "did:x", "text": "words", "concerns_us": true});
        world.read("/feed", &feed(&[item]));
    }
    let World { ground, capture } = world;
    capture.shut_down(Duration::from_secs(1)).await;
    let kept = ground.ledger.entries_of(EntryType::Observation).len() as u64;
    let gaps = ground.ledger.entries_of(EntryType::Gap);
    let dropped = gaps.iter().filter(|gap| said(gap, "cause") == "read_dropped");
    let dropped: u64 = dropped.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum();
    assert!(dropped > 0, "the lane is bounded");
    assert_eq!(kept + dropped, offered);
    assert!(gaps.len() < 20, "repeats are counted, not repeated: {}", gaps.len());
}

#[tokio::test]
async fn p1_an_outbound_message_is_relayed_only_once_it_is_in_the_ledger() {
    let world = world().await;
    world.message(Direction::Outbound, "{\"say\":\"hello\",\"room\":\"r-1\"}").await.unwrap();
    let capture = &world.entries(EntryType::Capture)[0];
    assert_eq!(
        (said(capture, "transport"), said(capture, "kinds")),
        ("websocket".to_owned(), "[\"message\"]".to_owned())
    );
    assert_eq!(world.text(capture, "0.text"), "hello");
    assert_eq!(world.text(capture, "message"), "{\"say\":\"hello\",\"room\":\"r-1\"}");
    // Control messages hold nothing to keep.
    world.message(Direction::Outbound, "{\"ping\":1}").await.unwrap();
    assert_eq!(world.entries(EntryType::Capture).len(), 1);
    world.until_count(EntryType::Outcome, 1).await;
    assert_eq!(said(&world.entries(EntryType::Outcome)[0], "cause"), "message");
    world.end().await;
}

#[tokio::test]
async fn p1_a_message_that_repeats_a_credential_is_kept_though_no_rule_can_read_it_without() {
    let world = world().await;
    let mut exchange = world.exchange(Method::GET, "/channel", "");
    header(&mut exchange, "cookie", "x=say\":\"hello to a client");
    for (number, text) in ["{\"say\":\"hello to a client\"}", "{\"ping\":1}"].into_iter().enumerate() {
        let message = Message {
            exchange: exchange.id,
            number: number as u64,
            direction: Direction::Outbound,
            opcode: Opcode::Text,
            event: None,
            data: MessageData(Bytes::from_static(text.as_bytes())),
            seen_at: exchange.seen_at,
        };
        world.capture.message(&exchange.connection, &exchange.request.head, message).await.unwrap();
    }
    let captures = world.entries(EntryType::Capture);
    assert_eq!(captures.len(), 1, "a control message is none the less");
    assert_eq!(said(&captures[0], "kinds"), "[\"unclassified\"]");
    assert!(world.text(&captures[0], "message").starts_with("{\"redacted.hmac-sha256."));
    world.end().await;
}

#[tokio::test]
async fn p1_an_outbound_message_that_cannot_be_kept_is_refused_and_that_is_a_gap() {
    let ground = super::world::Ground {
        when_unavailable: muniment::settings::WhenUnavailable::Refuse,
        ..super::world::Ground::new()
    };
    let world = ground.start().await;
    world.ground.archive.set_away(true);
    assert!(world.message(Direction::Outbound, "{\"say\":\"hello\"}").await.is_err());
    world.ground.archive.set_away(false);
    world.until(|world| world.entries(EntryType::Gap).iter().any(|gap| said(gap, "cause") == "write_refused")).await;
    assert!(world.entries(EntryType::Capture).is_empty());
    world.end().await;
}

#[tokio::test]
async fn inbound_messages_are_kept_like_reads() {
    let world = world().await;
    for _ in 0..3 {
        world.message(Direction::Inbound, "{\"say\":\"hi there\",\"id\":\"m-1\",\"room\":\"r-1\"}").await.unwrap();
    }
    world.message(Direction::Inbound, "{\"presence\":\"on\"}").await.unwrap();
    let ground = world.end().await;
    let seen = ground.ledger.entries_of(EntryType::Observation);
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (said(&seen[0], "transport"), said(&seen[0], "direction")),
        ("websocket".to_owned(), "inbound".to_owned())
    );
    assert_eq!(ground.ledger.text(&seen[0], "0.text").unwrap(), "hi there");
}

#[tokio::test]
async fn what_an_account_wrote_before_it_was_known_whose_it_is_is_attributed_once() {
    let world = world().await;
    let item = |id: &str| json!({"id": id, "author": "did:later", "text": format!("{id} to you"), "concerns_us": true});
    let stranger = json!({"id": "i-9", "author": "did:stranger", "text": "to you as well", "concerns_us": true});
    let items = [item("i-1"), stranger, item("i-2")];
    world.read("/feed", &feed(&items));
    world.until_count(EntryType::Observation, 3).await;
    acts_as(&world, OTHER_DEVICE, OTHER_ADVISOR, "did:later", 1).await;
    world.until_count(EntryType::Attribution, 2).await;
    // Seen again by the advisor whose they are now.
    world.read_of(OTHER_DEVICE, OTHER_ADVISOR, "/feed", &feed(&items[..1]));
    let account = said(&world.entries(EntryType::Identity)[0], "id");
    let ground = world.end().await;
    let observations = ground.ledger.entries_of(EntryType::Observation);
    let attributions = ground.ledger.entries_of(EntryType::Attribution);
    assert_eq!(attributions.len(), 2);
    for (attribution, earlier) in attributions.iter().zip([&observations[0], &observations[2]]) {
        assert_eq!(said(attribution, "cause"), "account_learned");
        assert_eq!(said(attribution, "account"), account);
        assert_eq!(said(attribution, "entry"), earlier.id().to_string());
        assert_eq!(said(attribution, "index"), earlier.index().to_string());
        assert_eq!(attribution.record(), earlier.record());
        let streams: Vec<_> = attribution.streams().iter().map(|stream| stream.id).collect();
        assert_eq!(streams, [advisor(OTHER_ADVISOR)], "the new stream, and not the old one again");
    }
    assert_sound(&ground.ledger);
}
