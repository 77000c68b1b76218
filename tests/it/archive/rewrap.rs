//! Rotation of the master key: every record's key is wrapped again, nothing else changes, and only the owner can do it.

use std::sync::Arc;
use std::time::Instant;

use muniment::archive::{Append as _, rewrap};
use muniment::record::{MasterKey, MasterSecrets};
use zeroize::Zeroizing;

use crate::support::archive::{TestArchive, master, options};
use crate::support::large::{Firm, fill};
use crate::support::postgres::Database;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, post_of};

/// The new one, and the one of test archives as a former one.
fn rotated() -> MasterKey {
    let former = vec![Zeroizing::new([7; 32])];
    MasterKey::of(&MasterSecrets { current: Zeroizing::new([8; 32]), former })
}

async fn reopened(test: &TestArchive, master: MasterKey) -> muniment::archive::Archive {
    let elsewhere = tempfile::tempdir().unwrap();
    let options = options(test.database.service(), elsewhere.path(), &test.clock, &test.ids);
    muniment::archive::Archive::open(muniment::archive::Options {
        master,
        blobs: test.dir.path().join("blobs"),
        ..options
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn every_key_is_wrapped_again_and_what_it_opens_is_the_same() {
    let test = TestArchive::new().await;
    let mut records = Vec::new();
    for number in 0..30 {
        let record = NewRecord::new(&test);
        test.append(post_of(&test, &record, &[advisor(number % 3)], &format!("words {number}"))).await;
        records.push(record);
    }
    let mut connection = test.database.superuser().await;
    let sealed = "select md5(string_agg(ciphertexts::text, '' order by entry_index)) from content.sealed";
    let before: String = sqlx::query_scalar(sealed).fetch_one(&mut connection).await.unwrap();

    // Both keys are known: what is read meanwhile opens, whichever form it has.
    let both = reopened(&test, rotated()).await;
    let entries = test.archive.head_size().await.unwrap();
    let done = rewrap(&test.database.owner(), &rotated(), |_done| ()).await.unwrap();
    assert_eq!((done.records, done.unopened, done.left), (records.len() as u64, 0, 0));
    assert_eq!(rewrap(&test.database.owner(), &rotated(), |_done| ()).await.unwrap().records, 0, "once is enough");
    let under = both.wrapped_under().await.unwrap();
    assert_eq!((under.len(), &under[0].master), (1, &rotated().id().to_string()));
    assert_eq!(test.archive.head_size().await.unwrap(), entries, "no entry is written by it");
    let after: String = sqlx::query_scalar(sealed).fetch_one(&mut connection).await.unwrap();
    assert_eq!(before, after, "no content is written again");

    let alone = reopened(&test, MasterKey::new([8; 32])).await;
    for record in &records {
        assert_eq!(alone.record_key(record.id).await.unwrap().unwrap().as_bytes(), record.key.as_bytes());
    }
    // Whoever has the old key alone has nothing.
    assert!(test.archive.record_key(records[0].id).await.is_err());
    let late = NewRecord::new(&test);
    both.append(post_of(&test, &late, &[advisor(1)], "under the old key")).await.unwrap();
    assert_eq!(
        rewrap(&test.database.owner(), &rotated(), |_done| ()).await.unwrap().records,
        1,
        "and so is what came late"
    );
    for archive in [both, alone] {
        archive.close().await;
    }
}

#[tokio::test]
async fn keys_that_nobody_can_open_are_left_and_counted() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    test.append(post_of(&test, &record, &[advisor(1)], "words")).await;
    let others =
        MasterKey::of(&MasterSecrets { current: Zeroizing::new([8; 32]), former: vec![Zeroizing::new([9; 32])] });
    let done = rewrap(&test.database.owner(), &others, |_done| ()).await.unwrap();
    assert_eq!((done.records, done.unopened, done.left), (0, 1, 1));
    assert_eq!(test.archive.record_key(record.id).await.unwrap().unwrap().as_bytes(), record.key.as_bytes());
    assert_sound(&test).await;
}

#[tokio::test]
async fn the_service_can_change_no_key_and_the_owner_nothing_but_the_wrapping() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    test.append(post_of(&test, &record, &[advisor(1)], "words")).await;
    let (_id, was) = record.wrapped();
    let id = record.id.uuid();
    let kept: Vec<u8> = {
        let mut owner = test.database.superuser().await;
        sqlx::query_scalar("select wrapped from content.keys where record = $1")
            .bind(id)
            .fetch_one(&mut owner)
            .await
            .unwrap()
    };
    let fresh = MasterKey::new([8; 32]).wrap_key(record.id, &record.key, [1; 12]).unwrap();
    for role in ["muniment_append", "muniment_project", "muniment_publish"] {
        let mut service = test.database.as_role(role).await;
        let asked = sqlx::query("select content.rewrap(array[$1], array[$2], array[$3])");
        let refused = asked.bind(id).bind(&kept).bind(fresh.as_bytes()).execute(&mut service).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{role}: {refused}");
        let direct = sqlx::query("update content.keys set wrapped = $2 where record = $1");
        assert!(direct.bind(id).bind(fresh.as_bytes()).execute(&mut service).await.is_err(), "{role}");
    }
    let mut owner = test.database.superuser().await;
    let direct = sqlx::query("update content.keys set wrapped = $2 where record = $1");
    let refused = direct.bind(id).bind(fresh.as_bytes()).execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
    for (was, becomes, why) in [
        (kept.clone(), vec![1; 68], "not a record key"),
        (kept.clone(), kept.clone(), "under another master key"),
        (kept.clone(), vec![2; 69], "not a record key"),
    ] {
        let asked = sqlx::query("select content.rewrap(array[$1], array[$2], array[$3])");
        let refused = asked.bind(id).bind(was).bind(becomes).execute(&mut owner).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    // What is there no more is not replaced.
    let changed: i64 = sqlx::query_scalar("select content.rewrap(array[$1], array[$2], array[$3])")
        .bind(id)
        .bind(was.as_bytes())
        .bind(fresh.as_bytes())
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(changed, 0);
    assert_sound(&test).await;
}

/// `MUNIMENT_REWRAP_RECORDS` takes another number; figures are printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_keys_are_wrapped_again_while_captures_go_on() {
    let records = std::env::var("MUNIMENT_REWRAP_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    let database = Database::fresh().await;
    fill(&database.owner(), &master(), Firm { advisors: 3, ..Firm::large(records) }).await;
    let test = Arc::new(
        TestArchive::on(database, |options| muniment::archive::Options { master: rotated(), ..options }).await,
    );
    let beside = Arc::clone(&test);
    let capturing = tokio::spawn(async move {
        for number in 0..40 {
            let record = NewRecord::new(&beside);
            beside.append(post_of(&beside, &record, &[advisor(9)], &format!("meanwhile {number}"))).await;
        }
    });
    let begun = Instant::now();
    let done = rewrap(&test.database.owner(), &rotated(), |_done| ()).await.unwrap();
    let taken = begun.elapsed();
    println!("{} keys wrapped again in {taken:?} ({:.0}/s)", done.records, done.records as f64 / taken.as_secs_f64());
    capturing.await.unwrap();
    let rest = rewrap(&test.database.owner(), &rotated(), |_done| ()).await.unwrap();
    assert!(done.records + rest.records >= records + 40 && rest.left == 0, "{done:?} {rest:?}");
    test.archive.catch_up().await.unwrap();
    let (found, verification) = verify(&test).await;
    assert!(verification.sound && found.is_empty(), "{found:#?}");
}
