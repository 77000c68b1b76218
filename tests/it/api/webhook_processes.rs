//! Several processes on one archive, and processes that are killed: one delivers a webhook at a time, and whoever comes next goes on where it was.

use std::time::Duration;

use muniment::archive::Outcome;
use muniment::record::{Ids as _, WebhookId};
use muniment::settings;
use serde_json::json;

use super::receiver::{Act, Receiver, indices};
use super::webhooks::{delivering, looks, lose, path_of, send, set_up};
use super::world::{Setting, World, webhooks};
use crate::support::sound::assert_sound;

async fn holder(connection: &mut sqlx::PgConnection) -> Option<uuid::Uuid> {
    sqlx::query_scalar("select holder from delivery.positions").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn of_two_processes_one_delivers_and_each_event_comes_once() {
    let world = World::with(delivering()).await;
    let dir = tempfile::tempdir().unwrap();
    let second = world.second_with(dir.path(), &delivering()).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let mut lost = Vec::new();
    for _ in 0..30 {
        lost.push(lose(&world).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(receiver.wait_for(&lost).await, lost);
    let got = receiver.got();
    let ids: std::collections::BTreeSet<String> = got.iter().map(super::receiver::Got::id).collect();
    assert_eq!(ids.len(), got.len(), "nothing came twice");
    // The one that delivers ends in order: the other goes on at once.
    let mut connection = world.test.database.superuser().await;
    let before = holder(&mut connection).await;
    world.instance.stop.cancel();
    let last = lose(&world).await;
    receiver.wait_for(&[last]).await;
    let after = holder(&mut connection).await;
    assert!(before.is_some() && after.is_some());
    let entries = assert_sound(&world.test).await;
    assert_eq!(looks(&entries).len(), receiver.got().len());
    drop(second);
}

#[tokio::test]
async fn whoever_has_lost_its_place_moves_and_settles_nothing() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let (test, fresh) = (&world.test, || world.test.ids.fresh());
    let (webhook, first, second) = (WebhookId::new(fresh()), fresh(), fresh());
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(60));
    let archive = &test.archive;
    assert_eq!(archive.hold_webhook(webhook, first, 7, short).await.unwrap(), Some(7));
    assert_eq!(archive.hold_webhook(webhook, second, 9, long).await.unwrap(), None, "held");
    let message = muniment::archive::NewMessage { message: fresh(), range: (7, 8), events: 2, body: b"{}".to_vec() };
    assert!(archive.advance_webhook(webhook, first, 7, 9, Some(&message)).await.unwrap());
    assert!(!archive.advance_webhook(webhook, first, 7, 9, Some(&message)).await.unwrap(), "moved already");
    tokio::time::sleep(short * 3).await;
    assert_eq!(archive.hold_webhook(webhook, second, 0, long).await.unwrap(), Some(9), "taken over where it was");
    assert!(!archive.advance_webhook(webhook, first, 9, 12, None).await.unwrap());
    let taken = Outcome::Taken { status: 200 };
    assert_eq!(archive.settle_delivery(webhook, first, message.message, taken).await.unwrap(), None);
    let waiting = archive.next_delivery(webhook).await.unwrap().unwrap();
    assert_eq!((waiting.message, waiting.attempts), (message.message, 0));
    assert!(archive.settle_delivery(webhook, second, message.message, taken).await.unwrap().is_some());
    assert!(archive.next_delivery(webhook).await.unwrap().is_none());
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_delivery_loses_nothing() {
    let quick = settings::Webhooks { timeout: Duration::from_secs(1), ..webhooks() };
    let world = World::with(Setting { webhooks: quick.clone(), ..delivering() }).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    let webhook = set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let first = lose(&world).await;
    receiver.wait_for(&[first]).await;
    receiver.next([Act::Silent]);
    let second = lose(&world).await;
    receiver.wait(2).await;
    // Killed: it gives nothing back. What it holds runs out by itself; here it is made to.
    world.instance.delivering.as_ref().unwrap().abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let third = lose(&world).await;
    world.test.database.tamper("update delivery.positions set held_until = now()").await;
    let dir = tempfile::tempdir().unwrap();
    let next = world.second_with(dir.path(), &Setting { webhooks: quick, ..delivering() }).await;
    assert_eq!(receiver.wait_for(&[first, second, third]).await, [first, second, third]);
    let got = receiver.got();
    assert_eq!(got[1].id(), got[2].id(), "what may have arrived comes again under the same id");
    assert_eq!(got[1].body, got[2].body);
    send(&world, &officer, "POST", &format!("{}/ping", path_of(&webhook)), &json!({})).await.json(202);
    receiver.wait(5).await;
    assert_eq!(indices(&receiver.got()), [first, second, third]);
    drop(next);
}

#[tokio::test]
async fn killed_at_any_moment_each_event_comes_at_least_once_in_order_and_every_look_is_on_record() {
    let world = World::with(Setting { follow: true, ..Setting::default() }).await;
    let (officer, receiver) = (world.officer(&["compliance"]).await, Receiver::new().await);
    set_up(&world, &officer, json!({ "url": receiver.url() })).await;
    let dir = tempfile::tempdir().unwrap();
    let mut lost = Vec::new();
    for round in 0_u64..12 {
        lost.push(lose(&world).await);
        let instance = world.second_with(dir.path(), &delivering()).await;
        lost.push(lose(&world).await);
        tokio::time::sleep(Duration::from_millis(7 * round * round)).await;
        instance.delivering.as_ref().unwrap().abort();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(instance);
        world.test.database.tamper("update delivery.positions set held_until = now()").await;
    }
    let instance = world.second_with(dir.path(), &delivering()).await;
    assert_eq!(receiver.wait_for(&lost).await, lost, "all, in order, told apart by their ids");
    let entries = assert_sound(&world.test).await;
    for got in receiver.got() {
        let mut said = Vec::new();
        for look in looks(&entries) {
            let content = world.test.archive.content(look).await.unwrap().unwrap();
            said.push(content.text("query").unwrap().to_owned());
        }
        assert!(said.iter().any(|said| said.contains(&got.id())), "{} left without a look on record", got.id());
    }
    drop(instance);
}
