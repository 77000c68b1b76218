//! Publishing: what is signed continues what was signed before, whatever happens to the database.

use muniment::archive::{Append as _, Archive, ArchiveError, Guard, Inconsistency, Slice};
use muniment::ledger::{Checkpoint, EntryType, Frontier, Tile, verify_consistency, verify_inclusion};
use muniment::record::Digest;
use serde_json::json;

use crate::support::archive::{TestArchive, options, signing};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, detail, gap, post};

async fn grow(test: &TestArchive, by: usize) {
    let appends = (0..by).map(|_| test.archive.append(gap(test, "outage")));
    let done = futures_util::future::join_all(appends).await;
    assert!(done.iter().all(Result::is_ok));
}

fn keys() -> [muniment::ledger::VerifyingKey; 1] {
    [signing().verifying_key().clone()]
}

#[tokio::test]
async fn a_checkpoint_is_signed_over_everything_there_is_and_only_when_something_is_new() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "one")).await.unwrap();
    let first = test.archive.publish(false).await.unwrap().unwrap();
    assert_eq!(first.checkpoint.size, 2);
    let (opened, _vouched) = Checkpoint::open(first.note.as_bytes(), &keys()).unwrap();
    let entries = assert_sound(&test).await;
    let mut frontier = Frontier::new();
    entries.iter().for_each(|entry| frontier.push(entry.leaf()));
    assert_eq!(opened.root, frontier.root());
    assert_eq!(test.archive.publish(false).await.unwrap().unwrap(), first, "nothing new, the same again");

    // An anchor alone is nothing new; with anything else it is.
    let facts = json!({ "by": "file", "evidence": Digest::ZERO.to_string(), "root": first.checkpoint.root.to_string(), "size": 2 });
    let mut anchor = gap(&test, "outage");
    anchor.draft.entry_type = EntryType::Anchor;
    anchor.draft.detail = detail(facts);
    test.archive.append(anchor).await.unwrap();
    assert_eq!(test.archive.publish(false).await.unwrap().unwrap(), first);
    assert_eq!(test.archive.publish(true).await.unwrap().unwrap().checkpoint.size, 3, "on demand it is signed");
}

#[tokio::test]
async fn inclusion_and_consistency_are_proved_at_every_size() {
    let test = TestArchive::new().await;
    let mut sizes = Vec::new();
    for by in [1, 254, 1, 255, 3, 300, 700] {
        grow(&test, by).await;
        sizes.push(test.archive.publish(false).await.unwrap().unwrap().checkpoint);
    }
    let entries = assert_sound(&test).await;
    for index in [0, 1, 200, 255, 256, 257, 511, 512, 700, 1_000, 1_500] {
        let inclusion = test.archive.inclusion(index, None).await.unwrap().unwrap();
        let leaf = entries[usize::try_from(index).unwrap()].leaf();
        assert_eq!(inclusion.leaf, leaf);
        inclusion.proof.verify(&leaf, &keys()).unwrap();
        let latest = sizes.last().unwrap();
        let inclusion = test.archive.inclusion(index, Some(latest.size)).await.unwrap().unwrap();
        verify_inclusion(&leaf, index, latest.size, &latest.root, &inclusion.proof.hashes).unwrap();
    }
    assert!(test.archive.inclusion(9_999, None).await.unwrap().is_none());
    for (at, old) in sizes.iter().enumerate() {
        for new in &sizes[at..] {
            let proof = test.archive.consistency(old.size, new.size).await.unwrap().unwrap();
            verify_consistency((old.size, &old.root), (new.size, &new.root), &proof.hashes).unwrap();
        }
    }
    let full = test.archive.tile(Tile { level: 0, index: 2, width: 256 }).await.unwrap().unwrap();
    assert_eq!(full[1], entries[513].leaf());
    assert!(test.archive.tile(Tile { level: 1, index: 0, width: 200 }).await.unwrap().is_none());
    let slice = Slice { after: None, newest_first: false, limit: 100 };
    assert_eq!(test.archive.checkpoints(slice).await.unwrap().len(), sizes.len());
}

#[tokio::test]
async fn of_several_publishers_each_checkpoint_is_published_once_and_all_agree() {
    let test = TestArchive::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = test.open_again(elsewhere.path()).await.unwrap();
    for _round in 0..15 {
        grow(&test, 7).await;
        let (a, b) = tokio::join!(test.archive.publish(false), other.publish(false));
        assert!(a.unwrap().is_some() && b.unwrap().is_some());
    }
    let slice = Slice { after: None, newest_first: false, limit: 100 };
    let all = test.archive.checkpoints(slice).await.unwrap();
    for pair in all.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let proof = test.archive.consistency(old.checkpoint.size, new.checkpoint.size).await.unwrap().unwrap();
        verify_consistency(
            (old.checkpoint.size, &old.checkpoint.root),
            (new.checkpoint.size, &new.checkpoint.root),
            &proof.hashes,
        )
        .unwrap();
    }
}

#[tokio::test]
async fn p2_a_restored_old_database_is_neither_signed_nor_opened() {
    let test = TestArchive::new().await;
    grow(&test, 10).await;
    test.archive.publish(false).await.unwrap();
    test.archive.close().await;
    // A backup of this moment.
    let backup = Database::copy_of(test.database.name()).await;
    let again = test.open_again(test.dir.path()).await.unwrap();
    again.append(gap(&test, "outage")).await.unwrap();
    again.publish(false).await.unwrap();
    again.close().await;

    let opened = Archive::open(options(backup.service(), test.dir.path(), &test.clock, &test.ids)).await;
    let Err(ArchiveError::Inconsistent(Inconsistency::Shorter { found, had })) = opened else { panic!("{opened:?}") };
    assert_eq!((found, had), (11, 12));
}

#[tokio::test]
async fn p2_a_restored_database_that_grew_another_way_is_not_signed() {
    let test = TestArchive::new().await;
    grow(&test, 10).await;
    test.archive.publish(false).await.unwrap();
    test.archive.close().await;
    let backup = Database::copy_of(test.database.name()).await;
    let again = test.open_again(test.dir.path()).await.unwrap();
    again.append(gap(&test, "outage")).await.unwrap();
    again.publish(false).await.unwrap();
    again.close().await;

    // Somebody lets the old copy grow past what was signed, without our file.
    let elsewhere = tempfile::tempdir().unwrap();
    let fork = Archive::open(options(backup.service(), elsewhere.path(), &test.clock, &test.ids)).await.unwrap();
    for _entry in 0..5 {
        fork.append(gap(&test, "another_history")).await.unwrap();
    }
    fork.close().await;
    let opened = Archive::open(options(backup.service(), test.dir.path(), &test.clock, &test.ids)).await;
    assert!(matches!(opened, Err(ArchiveError::Inconsistent(Inconsistency::Forked { size: 12 }))), "{opened:?}");
}

#[tokio::test]
async fn p2_a_database_swapped_under_a_running_publisher_is_not_signed() {
    let test = TestArchive::new().await;
    grow(&test, 10).await;
    test.archive.publish(false).await.unwrap();
    test.database
        .tamper(
            "delete from ledger.checkpoints; delete from ledger.tiles;
             update ledger.entries set leaf = sha256(leaf) where index = 4",
        )
        .await;
    grow(&test, 1).await;
    let refused = test.archive.publish(false).await;
    assert!(matches!(refused, Err(ArchiveError::Inconsistent(Inconsistency::Forked { size: 11 }))), "{refused:?}");
    assert!(test.archive.checkpoint(None).await.unwrap().is_none(), "nothing was signed");
}

#[tokio::test]
async fn a_guard_that_was_tampered_with_is_an_error_and_not_an_empty_guard() {
    let test = TestArchive::new().await;
    grow(&test, 1).await;
    test.archive.publish(false).await.unwrap();
    let guard = Guard::new(test.dir.path(), signing().verifying_key().clone());
    assert_eq!(guard.load().unwrap().unwrap().size, 2);
    let path = test.dir.path().join("checkpoint");
    let text = std::fs::read_to_string(&path).unwrap().replace("\n2\n", "\n1\n");
    std::fs::write(&path, text).unwrap();
    assert!(matches!(test.archive.publish(false).await, Err(ArchiveError::Guard { .. })));
    assert!(matches!(test.open_again(test.dir.path()).await, Err(ArchiveError::Guard { .. })));
}

#[tokio::test]
async fn a_checkpoint_that_was_lost_on_the_way_is_continued_and_never_contradicted() {
    // Not persisted, and persisted but reported as failed: the file is ahead of the database, or the database says more than
    // the publisher knows.
    for persisted in [false, true] {
        let database = Database::fresh().await;
        let relay = Relay::before(&database).await;
        let through = relay.through(database.service());
        let test =
            TestArchive::on(database, |options| muniment::archive::Options { service: through, ..options }).await;
        grow(&test, 3).await;
        let marker = b"insert into ledger.checkpoints";
        if persisted {
            relay.cut_answer(marker)
        } else {
            relay.cut_request(marker)
        }
        let lost = test.archive.publish(false).await;
        assert!(lost.is_err(), "{lost:?}");
        assert_eq!(relay.cuts(), 1);

        let guard = Guard::new(test.dir.path(), signing().verifying_key().clone());
        let kept = guard.load().unwrap().unwrap();
        grow(&test, 3).await;
        let next = test.archive.publish(false).await.unwrap().unwrap().checkpoint;
        let proof = test.archive.consistency(kept.size, next.size).await.unwrap().unwrap();
        verify_consistency((kept.size, &kept.root), (next.size, &next.root), &proof.hashes).unwrap();
        assert_sound(&test).await;
    }
}
