//! What waits to be put on record while neither archive nor spool takes anything is bounded, and nothing of it is lost for good:
//! accounts that were learned, and changes of the rules.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use muniment::capture::{InlineRecognizer, Question, Recognized, Recognizer, ReloadError};
use muniment::ledger::EntryType;
use muniment::recognize::{RuleSet, Source};
use serde_json::json;

use super::support::assert_sound;
use super::world::{DEVICE, Ground, World, said, sources, world};

/// Recognises, and counts.
struct Counting {
    inner: InlineRecognizer,
    answered: AtomicU64,
}

impl Recognizer for Counting {
    fn recognize(&self, question: Question) -> BoxFuture<'_, Recognized> {
        Box::pin(async move {
            let answer = self.inner.recognize(question).await;
            self.answered.fetch_add(1, Ordering::SeqCst);
            answer
        })
    }

    fn reload<'a>(&'a self, sources: &'a [Source]) -> BoxFuture<'a, Result<(), ReloadError>> {
        self.inner.reload(sources)
    }
}

/// Devices show so many accounts as their own, each of another advisor, and each exchange is looked at.
async fn show(world: &World, recognizer: &Counting, accounts: u64) {
    let before = recognizer.answered.load(Ordering::SeqCst);
    for number in 0..accounts {
        let account = json!({"id": format!("did:{number}"), "handle": format!("@adv-{number}")});
        world.read_of(DEVICE, number.into(), "/me", &account);
    }
    world.until(|_| recognizer.answered.load(Ordering::SeqCst) == before + accounts).await;
}

fn set_away(world: &World, away: bool) {
    world.ground.disk.set_full(away);
    world.ground.archive.set_away(away);
}

#[tokio::test]
async fn p4_accounts_beyond_the_room_to_wait_are_gaps_and_are_learned_again_when_archive_and_spool_are_back() {
    const SHOWN: u64 = 1500;
    let inner = InlineRecognizer::start(RuleSet::load(&sources()).unwrap()).unwrap();
    let recognizer = Arc::new(Counting { inner, answered: AtomicU64::new(0) });
    let world = Ground::new().start_with(Arc::clone(&recognizer) as Arc<dyn Recognizer>).await;
    set_away(&world, true);
    world.post(json!({"text": "not now"})).await.unwrap_err();
    show(&world, &recognizer, SHOWN).await;
    assert!(world.entries(EntryType::Identity).is_empty());
    set_away(&world, false);
    // Each waited, or is counted as one that did not.
    let waited = |world: &World| world.entries(EntryType::Identity).len() as u64;
    let dropped = |world: &World| -> u64 {
        let gaps = world.entries(EntryType::Gap);
        let dropped = gaps.iter().filter(|gap| said(gap, "cause") == "account_dropped");
        dropped.map(|gap| gap.detail()["count"].as_u64().unwrap()).sum()
    };
    world.until(|world| waited(world) + dropped(world) == SHOWN).await;
    assert!((1..=1100).contains(&waited(&world)), "{} waited: the room is bounded", waited(&world));
    // Nobody but the devices can say which they were, and they do.
    show(&world, &recognizer, SHOWN).await;
    world.until(|world| waited(world) == SHOWN).await;
    let ground = world.end().await;
    let identities = ground.ledger.entries_of(EntryType::Identity);
    let ids: BTreeSet<String> = identities.iter().map(|entry| ground.ledger.text(entry, "id").unwrap()).collect();
    assert_eq!((identities.len() as u64, ids.len() as u64), (SHOWN, SHOWN), "each is on record once");
    assert_sound(&ground.ledger);
}

#[tokio::test]
async fn p5_rules_do_not_change_while_too_many_changes_wait_to_be_put_on_record() {
    let world = world().await;
    set_away(&world, true);
    world.post(json!({"text": "not now"})).await.unwrap_err();
    let mut taken = 0;
    let refused = loop {
        match world.capture.reload(&sources()).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "there is a bound");
    };
    assert!(matches!(refused, ReloadError::NotOnRecord) && taken > 0);
    assert!(world.entries(EntryType::Settings).is_empty());
    set_away(&world, false);
    world.until_count(EntryType::Settings, taken).await;
    // Room again, as soon as whoever waited has left.
    let again = async {
        while world.capture.reload(&sources()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    world.until_count(EntryType::Settings, taken + 1).await;
    let ground = world.end().await;
    assert_eq!(ground.ledger.entries_of(EntryType::Settings).len(), taken + 1);
    assert_sound(&ground.ledger);
}

#[tokio::test]
async fn an_account_that_the_last_answer_before_a_stop_shows_is_on_record() {
    let world = world().await;
    for number in 0..20 {
        let post = world.post(json!({"text": "words", "as": format!("did:{number}")})).await.unwrap();
        world.answer(post, 200, &json!({"ok": true, "id": format!("p-{number}")}));
    }
    let ground = world.end().await;
    assert_eq!(ground.ledger.entries_of(EntryType::Identity).len(), 20);
    assert!(ground.ledger.entries_of(EntryType::Gap).is_empty());
}
