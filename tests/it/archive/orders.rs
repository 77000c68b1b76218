//! P6, looked at afterwards: verification reads holds and disposals off the entries, whatever the tables say.

use std::time::{Duration, SystemTime};

use muniment::archive::{Disposal, Finding};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Digest, Ids as _};
use serde_json::json;

use crate::support::archive::TestArchive;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, detail, gap, post_of};

async fn kept(test: &TestArchive) -> NewRecord {
    let record = NewRecord::new(test);
    test.append(post_of(test, &record, &[advisor(1)], "kept")).await;
    record
}

async fn dispose(test: &TestArchive, record: &NewRecord) -> u64 {
    let disposal = Disposal {
        records: vec![record.id],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await.unwrap().index
}

async fn order(test: &TestArchive, entry_type: EntryType, facts: serde_json::Value) -> u64 {
    let mut order = gap(test, "unused");
    order.draft.entry_type = entry_type;
    order.draft.detail = detail(facts);
    test.append(order).await.index
}

fn names(found: &[Finding], check: &str, index: u64, words: &str) -> bool {
    found.iter().any(|f| f.check == check && f.from == index && f.problem.contains(words))
}

#[tokio::test]
async fn p6_a_disposal_that_was_not_allowed_is_reported_by_its_entry() {
    let test = TestArchive::new().await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    for (scope, target) in [("record", None), ("stream", Some(advisor(1).to_string()))] {
        let record = kept(&test).await;
        let hold = test.ids.fresh().to_string();
        let target = target.unwrap_or_else(|| record.id.to_string());
        let facts = json!({ "hold": hold, "scope": scope, "targets": [target] });
        let placed = order(&test, EntryType::Hold, facts).await;
        // Somebody who owns the database takes the hold away, without a word in the ledger.
        test.database.tamper(&format!("delete from ledger.holds where hold = '{hold}'")).await;
        let index = dispose(&test, &record).await;
        let (found, _verification) = verify(&test).await;
        assert!(names(&found, "disposals", index, "under a hold"), "{scope}: {found:#?}");
        assert!(names(&found, "tables", placed, "ledger.holds"), "{scope}: {found:#?}");
        order(&test, EntryType::Release, json!({ "hold": hold })).await;
    }
    let record = kept(&test).await;
    let index = dispose(&test, &record).await;
    assert!(!verify(&test).await.0.iter().any(|f| f.from == index), "the holds were released");
    test.database.tamper("update content.retention set minimum = '6 years'").await;
    let (found, _verification) = verify(&test).await;
    assert!(names(&found, "disposals", index, "within its retention"), "{found:#?}");
}

#[tokio::test]
async fn p6_what_the_tables_say_of_holds_is_held_against_the_entries() {
    let test = TestArchive::new().await;
    let record = kept(&test).await;
    let hold = test.ids.fresh().to_string();
    let targets = [record.id.to_string()];
    let facts = json!({ "hold": hold, "scope": "record", "targets": targets });
    assert_eq!(order(&test, EntryType::Hold, facts.clone()).await, 2);
    assert_eq!(order(&test, EntryType::Hold, facts).await, 3, "the same again changes nothing");
    assert_eq!(order(&test, EntryType::Release, json!({ "hold": hold })).await, 4);
    let mut attribution = gap(&test, "unused");
    attribution.draft.entry_type = EntryType::Attribution;
    attribution.draft.record = Some(record.id);
    attribution.draft.streams = vec![advisor(2)];
    attribution.draft.detail =
        detail(json!({ "cause": "account_linked", "entry": test.ids.fresh().to_string(), "index": 1 }));
    let attributed = test.append(attribution).await;
    assert_eq!(attributed.index, 5);
    test.archive.publish(false).await.unwrap();
    assert_sound(&test).await;
    test.archive.close().await;
    for (statement, check, index) in [
        ("delete from ledger.holds", "tables", 2),
        ("update ledger.holds set target = gen_random_uuid()", "tables", 2),
        ("update ledger.holds set scope = 'stream'", "tables", 2),
        ("insert into ledger.holds values (gen_random_uuid(), 'stream', gen_random_uuid(), 1)", "tables", 1),
        ("insert into ledger.holds values (gen_random_uuid(), 'stream', gen_random_uuid(), 77)", "tables", 77),
        ("delete from ledger.releases", "tables", 4),
        ("insert into ledger.releases values (gen_random_uuid(), 1)", "tables", 1),
        ("insert into ledger.releases values (gen_random_uuid(), 77)", "tables", 77),
        ("delete from ledger.attributions", "tables", 5),
        ("insert into ledger.attributions values (gen_random_uuid(), gen_random_uuid(), 1)", "tables", 1),
        ("delete from ledger.plain_entries", "tables", 5),
        ("insert into ledger.plain_entries values (gen_random_uuid(), 1)", "tables", 1),
        ("insert into content.keys values (gen_random_uuid(), 1, decode(repeat('00', 69), 'hex'))", "content", 1),
        ("insert into content.keys values (gen_random_uuid(), 77, decode(repeat('00', 69), 'hex'))", "content", 77),
    ] {
        let copy = test.copy().await;
        copy.database.tamper(statement).await;
        let (found, _verification) = verify(&copy).await;
        assert!(names(&found, check, index, ""), "{statement}: {found:#?}");
    }
}

#[tokio::test]
async fn a_file_that_belongs_to_no_entry_is_named_once_it_is_a_day_old() {
    let test = TestArchive::new().await;
    let digest = Digest::of(&[b"left behind"]);
    let name = digest.to_string();
    let path = test.dir.path().join("blobs").join(&name[..2]).join(&name);
    std::fs::write(&path, b"left behind").unwrap();
    assert_sound(&test).await;
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    let (found, verification) = verify(&test).await;
    assert_eq!(verification.left_behind, [name]);
    // A crash is no tampering: nothing is wrong with the archive.
    assert!(verification.sound && found.is_empty(), "{found:#?}");
}
