//! The backup drill: what a backup still holds of a record that was disposed of, until when, and what a rotation of the master key does to that.

use std::path::Path;

use muniment::archive::{Archive, ArchiveError, Options, rewrap};
use muniment::ledger::EntryType;
use muniment::record::{MasterKey, MasterSecrets, RecordId, Timestamp};
use zeroize::Zeroizing;

use super::dispose::{YEAR, order, post};
use super::{Arc, Retain};
use crate::support::archive::{TestArchive, master, options};
use crate::support::postgres::Database;
use crate::support::sound::assert_sound;

/// The archive in a database that was restored, read with these keys.
async fn restored(test: &TestArchive, backup: &Path, master: MasterKey) -> (Archive, Database, tempfile::TempDir) {
    let (database, dir) = (test.database.restored(backup).await, tempfile::tempdir().unwrap());
    let options = options(database.service(), dir.path(), &test.clock, &test.ids);
    let blobs = test.dir.path().join("blobs");
    let archive = Archive::open(Options { master, blobs, ..options }).await.unwrap();
    (archive, database, dir)
}

/// What the record said, as far as it can be read there.
async fn said(archive: &Archive, record: RecordId) -> Result<Option<String>, ArchiveError> {
    let place = {
        archive.catch_up().await?;
        archive.record_entries(record).await?.first().copied().unwrap()
    };
    let entry = archive.entry(place).await?.unwrap();
    let content = archive.content(&entry).await?;
    Ok(content.and_then(|content| content.text("0.text").map(str::to_owned)))
}

fn contains(file: &Path, what: &[u8]) -> bool {
    memchr::memmem::find(&std::fs::read(file).unwrap(), what).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_backup_made_after_a_disposal_has_nothing_of_it_and_one_from_before_only_with_the_old_master_key() {
    let test = TestArchive::ago(7 * YEAR).await;
    let gone = post(&test, 1, "xyzzy must go").await;
    test.clock.step_forward(7 * YEAR);
    let stays = post(&test, 1, "plugh must stay").await;
    test.archive.catch_up().await.unwrap();
    let wrapped: Vec<u8> = {
        let mut owner = test.database.superuser().await;
        let wrapped = sqlx::query_scalar("select wrapped from content.keys where record = $1").bind(gone.id.uuid());
        wrapped.fetch_one(&mut owner).await.unwrap()
    };

    // As the operator's guide says, and once more with everything in it, readable text too.
    let dir = test.database.server().scratch("drill");
    let (before, after, all) = (dir.join("before.dump"), dir.join("after.dump"), dir.join("all.sql"));
    test.database.dump(&["--format=custom", "--exclude-table-data=projection.*"], &before);
    test.database.dump(&["--format=plain"], &all);
    let key = hex::encode(&wrapped);
    assert!(contains(&all, b"xyzzy") && contains(&all, key.as_bytes()), "the drill finds what is there");
    let (archive, _database, _dir) = restored(&test, &before, master()).await;
    assert_eq!(said(&archive, gone.id).await.unwrap().as_deref(), Some("xyzzy must go"));
    archive.close().await;

    let schedule = Arc::new(muniment::retain::schedule::Schedule::built_in().unwrap());
    let retain = Retain::new(test.archive.clone(), Arc::clone(&test.ids) as Arc<_>).with_schedule(schedule);
    let backed_up_at = muniment::record::Clock::now(&*test.clock);
    assert_eq!(retain.dispose(&*test.clock, Some(&order()), |_survey| {}).await.unwrap().disposed, 1);
    test.archive.catch_up().await.unwrap();
    let entries = assert_sound(&test).await;
    let disposal = entries.iter().find(|entry| entry.entry_type() == EntryType::Disposal).unwrap();
    let expires: Timestamp = disposal.detail()["backups_expire_at"].as_str().unwrap().parse().unwrap();
    assert!(expires.unix_micros() - backed_up_at.unix_micros() >= 35 * 86_400_000_000, "no backup outlives it");

    test.database.dump(&["--format=custom", "--exclude-table-data=projection.*"], &after);
    let whole = dir.join("whole.sql");
    test.database.dump(&["--format=plain"], &whole);
    assert!(!contains(&whole, b"xyzzy") && !contains(&whole, key.as_bytes()), "in no table, projections included");
    assert!(contains(&whole, b"plugh"));
    let (archive, _database, _dir) = restored(&test, &after, master()).await;
    assert_eq!(said(&archive, gone.id).await.unwrap(), None);
    assert_eq!(said(&archive, stays.id).await.unwrap().as_deref(), Some("plugh must stay"));
    archive.close().await;

    // The master key is rotated, and a backup made.
    let secret = |byte| Zeroizing::new([byte; 32]);
    let both = MasterKey::of(&MasterSecrets { current: secret(8), former: vec![secret(7)] });
    assert_eq!(rewrap(&test.database.owner(), &both, |_done| ()).await.unwrap().left, 0);
    let rotated = dir.join("rotated.dump");
    test.database.dump(&["--format=custom", "--exclude-table-data=projection.*"], &rotated);

    // Who has destroyed the old key reads nothing in any backup from before, of the living neither …
    let (archive, _database, _dir) = restored(&test, &before, MasterKey::new([8; 32])).await;
    for record in [gone.id, stays.id] {
        assert!(matches!(said(&archive, record).await, Err(ArchiveError::Key { .. })), "{record}");
    }
    archive.close().await;
    // … and who has not, does: the disposal is final with the key's end or the backup's, whichever comes first.
    let (archive, _database, _dir) = restored(&test, &before, both).await;
    assert_eq!(said(&archive, gone.id).await.unwrap().as_deref(), Some("xyzzy must go"));
    archive.close().await;
    // The living are in each backup since.
    let (archive, _database, _dir) = restored(&test, &rotated, MasterKey::new([8; 32])).await;
    assert_eq!(said(&archive, gone.id).await.unwrap(), None);
    assert_eq!(said(&archive, stays.id).await.unwrap().as_deref(), Some("plugh must stay"));
    archive.close().await;
}
