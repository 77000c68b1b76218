//! Pages: every record once, however the pages are cut and however much is appended meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use muniment::archive::Append as _;
use muniment::record::RecordId;

use super::world::{Officer, World};
use crate::support::archive::TestArchive;
use crate::support::submissions::{NewRecord, advisor, post_of};

const THOUSANDS: usize = 2_000;

async fn append(test: &TestArchive, count: usize) -> BTreeSet<RecordId> {
    let appending = futures_util::stream::iter(0..count).map(|number| async move {
        let record = NewRecord::new(test);
        test.archive.append(post_of(test, &record, &[advisor(1)], &format!("number {number}"))).await.unwrap();
        record.id
    });
    appending.buffer_unordered(256).collect().await
}

/// Every record of a list, page after page.
async fn walk(world: &World, officer: &Officer, query: &str) -> Vec<RecordId> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/records?{query}{after}")).officer(officer).send().await.json(200);
        let records = page["records"].as_array().unwrap();
        all.extend(records.iter().map(|record| record["id"].as_str().unwrap().parse::<RecordId>().unwrap()));
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_repeat_nor_skip_while_records_are_appended() {
    let world = Arc::new(World::new().await);
    let officer = world.officer(&["compliance"]).await;
    let before = append(&world.test, THOUSANDS).await;
    world.project().await;
    let done = Arc::new(AtomicBool::new(false));
    let meanwhile = tokio::spawn({
        let (world, done) = (Arc::clone(&world), Arc::clone(&done));
        async move {
            let mut added = BTreeSet::new();
            while !done.load(Ordering::Relaxed) && added.len() < 2_000 {
                added.extend(append(&world.test, 10).await);
                world.project().await;
            }
            added
        }
    });
    for query in ["limit=500", "limit=137", "limit=500&order=oldest", "limit=211&order=oldest", "limit=499&kind=post"] {
        let walked = walk(&world, &officer, query).await;
        let once: BTreeSet<RecordId> = walked.iter().copied().collect();
        assert_eq!(once.len(), walked.len(), "{query}: each once");
        assert!(before.is_subset(&once), "{query}: no hole");
    }
    done.store(true, Ordering::Relaxed);
    let added = meanwhile.await.unwrap();
    assert!(!added.is_empty(), "something was appended meanwhile");
    let all: BTreeSet<RecordId> = walk(&world, &officer, "limit=500").await.into_iter().collect();
    assert_eq!(all.len(), before.len() + added.len());
    // Both ways round are the same list.
    let mut oldest = walk(&world, &officer, "limit=333&order=oldest").await;
    oldest.reverse();
    assert_eq!(oldest, walk(&world, &officer, "limit=333&order=newest").await);
}

#[tokio::test]
async fn a_cursor_is_a_place_and_any_place_will_do() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    append(&world.test, 3).await;
    world.project().await;
    let count = async |query: &str| {
        let page = world.get(&format!("/v1/records?{query}")).officer(&officer).send().await.json(200);
        (page["records"].as_array().unwrap().len(), page["next"].is_null())
    };
    assert_eq!(count("limit=2").await, (2, false));
    assert_eq!(count("limit=3").await, (3, false));
    assert_eq!(count("after=0").await, (0, true), "before the first there is nothing");
    assert_eq!(count("after=0&order=oldest").await, (3, true));
    // Beyond the end, where nothing is yet.
    assert_eq!(count("after=9223372036854775807").await, (3, true));
    assert_eq!(count("after=9223372036854775807&order=oldest").await, (0, true));
    assert_eq!(count("after=1000000&order=oldest").await, (0, true));
}

#[tokio::test]
async fn every_list_is_paged_the_same_way() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    for name in ["Ada", "Bea", "Cleo"] {
        let advisor = world.test.archive.add_advisor(super::world::by(), name).await.unwrap().id;
        let password = muniment::archive::Password::fresh().unwrap();
        world.test.archive.add_device(super::world::by(), advisor, "laptop", password).await.unwrap();
        world.test.archive.append(crate::support::submissions::gap(&world.test, "outage")).await.unwrap();
        world.test.archive.publish(true).await.unwrap();
    }
    world.project().await;
    for (list, key) in [("advisors", "index"), ("devices", "index"), ("gaps", "index"), ("checkpoints", "size")] {
        for order in ["oldest", "newest"] {
            let (mut places, mut after) = (Vec::new(), String::new());
            loop {
                let path = format!("/v1/{list}?limit=1&order={order}{after}");
                let page = world.get(&path).officer(&officer).send().await.json(200);
                places.extend(page[list].as_array().unwrap().iter().map(|item| item[key].as_u64().unwrap()));
                let Some(next) = page["next"].as_u64() else { break };
                after = format!("&after={next}");
            }
            let mut sorted = places.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if order == "newest" {
                sorted.reverse();
            }
            assert_eq!(places, sorted, "{list} {order}");
            assert!(places.len() >= 3, "{list}: {places:?}");
        }
    }
}
