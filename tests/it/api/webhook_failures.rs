//! Receivers that fail, stall, lie or lead astray; owners who may not look any more; processes that are killed: nothing is lost, nothing goes
//! where it must not, and it ends with a word.

use std::time::{Duration, Instant};

use muniment::archive::Limits;
use muniment::record::{Clock as _, Timestamp};
use muniment::settings;
use serde_json::json;

use super::receiver::{Act, Receiver, indices};
use super::webhooks::{deliveries, delivering, disabled, looks, lose, path_of, send, set_up, state};
use super::world::{Setting, World, by, webhooks};
use crate::support::sound::assert_sound;

fn with(webhooks: settings::Webhooks) -> Setting {
    Setting { webhooks, ..delivering() }
}

#[tokio::test]
async fn a_message_that_is_not_taken_is_tried_again_and_those_after_it_wait_their_turn() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    receiver.next([Act::Status(500), Act::Status(429), Act::Raw(b"nonsense\r\n\r\n".to_vec())]);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let first = lose(&world).await;
    receiver.wait(1).await;
    let second = lose(&world).await;
    assert_eq!(receiver.wait_for(&[first, second]).await, [first, second]);
    let got = receiver.got();
    let ids: Vec<String> = got.iter().map(super::receiver::Got::id).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
    for one in &got {
        assert_eq!(one.signatures(), [one.signature(webhook["secret"].as_str().unwrap())], "signed anew each time");
    }
    let done = deliveries(&world, &officer, &webhook, "delivered").await;
    assert_eq!((&done[0]["attempts"], &done[0]["cause"]), (&json!(4), &json!(null)));
}

#[tokio::test]
async fn what_is_never_taken_becomes_a_dead_letter_and_can_be_replayed() {
    let world = World::with(delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    receiver.next(std::iter::repeat_n(Act::Status(422), 4));
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let (first, path) = (lose(&world).await, path_of(&webhook));
    receiver.wait(4).await;
    let second = lose(&world).await;
    receiver.wait(5).await;
    assert_eq!(indices(&receiver.got()[4..]), [second], "it holds up nothing for ever");
    let dead = deliveries(&world, &officer, &webhook, "dead").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&dead[0]["attempts"], &dead[0]["status"], &dead[0]["cause"]),
        (&json!(4), &json!(422), &json!("receiver_refused"))
    );
    assert_eq!((&dead[0]["first"], &dead[0]["last"]), (&json!(first), &json!(first)));
    // One that is none is left out; one that is no id is named.
    let none = json!({ "deliveries": ["msg_0198c0de000070008000000000000000"] });
    let replayed = send(&world, &officer, "POST", &format!("{path}/replay"), &none).await.json(202);
    assert_eq!(replayed["deliveries"], json!([]));
    for wrong in [json!({ "deliveries": ["x"] }), json!({ "deliveries": [] })] {
        send(&world, &officer, "POST", &format!("{path}/replay"), &wrong).await.wrong("deliveries");
    }
    let replayed = send(&world, &officer, "POST", &format!("{path}/replay"), &json!({})).await.json(202);
    assert_eq!(replayed["deliveries"], json!([dead[0]["id"]]));
    let got = receiver.wait(6).await;
    assert_eq!((got[5].id(), &got[5].body), (got[0].id(), &got[0].body), "the same message under the same id");
    assert!(deliveries(&world, &officer, &webhook, "dead").await.is_empty());
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_huge_or_endless_answer_is_not_read() {
    let world = World::with(delivering()).await;
    let (officer, receiver, elsewhere) =
        (world.officer(&["compliance"]).await, Receiver::new().await, Receiver::new().await);
    let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{}", "x".repeat(1 << 20));
    let large = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-header: of no use to anybody\r\n".repeat(90_000));
    receiver.next([Act::Raw(moved.into_bytes()), Act::Raw(large.into_bytes()), Act::Raw(endless.into_bytes())]);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let lost = lose(&world).await;
    receiver.wait(3).await;
    let done = super::limits::until;
    let mut delivered = Vec::new();
    for _ in 0..200 {
        delivered = deliveries(&world, &officer, &webhook, "delivered").await;
        if !delivered.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done("the third is enough", || !delivered.is_empty()).await;
    assert_eq!((&delivered[0]["attempts"], &delivered[0]["status"]), (&json!(3), &json!(200)));
    assert_eq!(indices(&receiver.got()), [lost]);
    assert_eq!(elsewhere.connections(), 0, "it leads nowhere");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up_in_time_and_says_so_in_the_list() {
    let quick = settings::Webhooks { timeout: Duration::from_millis(300), attempts: 2, ..webhooks() };
    let world = World::with(with(quick)).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    receiver.next([Act::Silent, Act::Silent]);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let (begun, _lost) = (Instant::now(), lose(&world).await);
    let mut dead = Vec::new();
    while dead.is_empty() && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        dead = deliveries(&world, &officer, &webhook, "dead").await;
    }
    assert_eq!(
        (&dead[0]["cause"], &dead[0]["status"], &dead[0]["attempts"]),
        (&json!("timed_out"), &json!(null), &json!(2))
    );
    // A receiver that is not there at all is another word.
    let address = receiver.address;
    drop(receiver);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_ne!(free, address);
    let patch = json!({ "url": format!("http://{free}/") });
    send(&world, &officer, "PATCH", &path_of(&webhook), &patch).await.json(200);
    let ping = send(&world, &officer, "POST", &format!("{}/ping", path_of(&webhook)), &json!({})).await.json(202);
    let mut cause = json!(null);
    for _ in 0..200 {
        let all = deliveries(&world, &officer, &webhook, "dead").await;
        if let Some(one) = all.iter().find(|one| one["id"] == ping["delivery"]) {
            cause = one["cause"].clone();
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cause, "upstream_unreachable", "a test is tried once");
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_fails_for_too_long_ends_its_webhook_with_a_word() {
    let short = settings::Webhooks { disable_after: Duration::from_millis(300), attempts: 30, ..webhooks() };
    let world = World::with(with(short)).await;
    let officer = world.officer(&["compliance"]).await;
    let (gone, failing) = (Receiver::new().await, Receiver::new().await);
    gone.usually(Act::Status(410));
    failing.usually(Act::Status(503));
    let first = set_up(&world, &officer, json!({ "url": gone.url() })).await;
    let second = set_up(&world, &officer, json!({ "url": failing.url() })).await;
    let lost = lose(&world).await;
    assert_eq!(disabled(&world, &officer, &first).await, "gone");
    assert_eq!(disabled(&world, &officer, &second).await, "failing");
    assert_eq!(gone.got().len(), 1);
    let metrics = world.get("/metrics").send().await.text();
    for line in ["webhooks_disabled_total{cause=\"gone\"} 1", "webhooks_disabled_total{cause=\"failing\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(metrics.contains("webhook_deliveries_total{reason=\"failed\"}"), "{metrics}");
    let entries = assert_sound(&world.test).await;
    let by_itself: Vec<_> = entries.iter().filter(|entry| entry.actor().to_string() == "service:webhooks").collect();
    assert_eq!(by_itself.iter().map(|entry| &entry.detail()["change"]).collect::<Vec<_>>(), ["webhook_stopped"; 2]);
    // Whoever follows alarms is told.
    let stream = world.get("/v1/events?events=alarm&after=0&wait=false").officer(&officer).send().await.text();
    for webhook in [&first, &second] {
        let id = webhook["id"].as_str().unwrap();
        assert!(stream.lines().any(|line| line.contains("\"webhook_disabled\"") && line.contains(id)), "{stream}");
    }
    // Enabled again, it goes on where it was.
    failing.usually(Act::Status(200));
    let came = failing.got().len();
    send(&world, &officer, "PATCH", &path_of(&second), &json!({ "state": "enabled" })).await.json(200);
    failing.wait(came + 1).await;
    // The alarms about both may have come by now as well.
    let meant: Vec<u64> = std::iter::once(lost).chain(by_itself.iter().map(|entry| entry.index())).collect();
    let told = indices(&failing.got());
    assert!(!told.is_empty() && meant.starts_with(&told), "{told:?} of {meant:?}");
}

#[tokio::test]
async fn p5_once_its_owner_may_not_look_any_more_nothing_leaves_until_somebody_else_vouches() {
    let world = World::with(delivering()).await;
    let end = Timestamp::from_unix_micros(world.test.clock.now().unix_micros() + 1_500_000).unwrap();
    let limits = Limits { expires_at: Some(end), ..Limits::default() };
    let (revoked, expired) =
        (world.officer(&["compliance"]).await, world.officer_within(&["compliance"], &limits).await);
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let mut set = Vec::new();
    for (owner, cause) in [(&revoked, "owner_revoked"), (&expired, "owner_expired")] {
        set.push((set_up(&world, owner, json!({ "url": receiver.url(), "events": ["gap"] })).await, cause));
    }
    lose(&world).await;
    receiver.wait(2).await;
    world.test.archive.revoke_officer(by(), revoked.id).await.unwrap();
    while world.test.clock.now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let came = receiver.got().len();
    let lost = lose(&world).await;
    for (webhook, cause) in &set {
        assert_eq!(disabled(&world, &officer, webhook).await, *cause);
    }
    assert_eq!(receiver.got().len(), came, "what happened since has not left");
    let enabled = json!({ "state": "enabled" });
    send(&world, &officer, "PATCH", &path_of(&set[0].0), &enabled).await.json(200);
    receiver.wait_for(&[lost]).await;
    let known: Vec<String> = receiver.got()[..came].iter().map(super::receiver::Got::id).collect();
    let new: Vec<_> = receiver.got().into_iter().skip(came).filter(|got| !known.contains(&got.id())).collect();
    assert_eq!(indices(&new), [lost]);
    let entries = assert_sound(&world.test).await;
    assert_eq!(looks(&entries).last().unwrap().actor().to_string(), format!("officer:{}", officer.id));
}

#[tokio::test]
async fn a_private_address_is_not_reached_whatever_name_leads_to_it() {
    let nowhere = settings::Webhooks { allow_networks: Vec::new(), attempts: 1, ..webhooks() };
    let world = World::with(with(nowhere)).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let port = receiver.address.port();
    let webhook = set_up(&world, &officer, json!({ "url": format!("https://localhost:{port}/") })).await;
    lose(&world).await;
    let mut dead = Vec::new();
    for _ in 0..200 {
        dead = deliveries(&world, &officer, &webhook, "dead").await;
        if !dead.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dead[0]["cause"], "forbidden_address");
    assert_eq!(receiver.connections(), 0);
    assert_eq!(state(&world, &officer, &webhook).await["state"], "enabled");
    for address in ["127.0.0.1", "[::1]", "0.0.0.0"] {
        let body = json!({ "url": format!("https://{address}:{port}/") });
        send(&world, &officer, "POST", "/v1/webhooks", &body).await.wrong("url");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
        (std::sync::Arc::new(config), own.pem())
    };
    let (config, root) = make("localhost");
    let trusted = dir.path().join("root.pem");
    std::fs::write(&trusted, root).unwrap();
    for (extra_roots, name, cause) in [
        (vec![trusted.clone()], "localhost", None),
        (vec![trusted.clone()], "127.0.0.1", Some("upstream_certificate")),
        (Vec::new(), "localhost", Some("upstream_certificate")),
    ] {
        let once = settings::Webhooks { attempts: 1, ..webhooks() };
        let world = World::with(Setting { extra_roots, ..with(once) }).await;
        let (officer, receiver) =
            (world.officer(&["compliance"]).await, Receiver::with(Some(std::sync::Arc::clone(&config))).await);
        let url = format!("https://{name}:{}/", receiver.address.port());
        let webhook = set_up(&world, &officer, json!({ "url": url })).await;
        let lost = lose(&world).await;
        let mut found = Vec::new();
        for _ in 0..200 {
            found = deliveries(&world, &officer, &webhook, if cause.is_some() { "dead" } else { "delivered" }).await;
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(found[0]["cause"], json!(cause), "{url}");
        assert_eq!(indices(&receiver.got()), if cause.is_none() { vec![lost] } else { vec![] }, "{url}");
    }
}
