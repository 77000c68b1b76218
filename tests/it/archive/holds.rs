//! Holds of every scope win over disposal: in the database, and looked at afterwards by verification.

use std::time::Duration;

use muniment::archive::{Append as _, AppendError, Appended, ArchiveError, Disposal, Finding};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Ids as _, RecordId, Timestamp};
use serde_json::{Value, json};

use crate::support::archive::TestArchive;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, detail, gap, outcome, post_of};

async fn archive() -> TestArchive {
    let test = TestArchive::new().await;
    test.database.tamper("update content.retention set minimum = '0'").await;
    test
}

/// A record of an advisor, and when it was appended.
async fn kept(test: &TestArchive, of: u128) -> (NewRecord, Timestamp) {
    let record = NewRecord::new(test);
    let appended = test.append(post_of(test, &record, &[advisor(of)], "kept")).await;
    (record, appended.at)
}

fn disposal(test: &TestArchive, record: RecordId) -> Disposal {
    Disposal {
        records: vec![record],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    }
}

async fn dispose(test: &TestArchive, record: &NewRecord) -> Result<Appended, ArchiveError> {
    test.archive.dispose(&disposal(test, record.id)).await
}

fn is_held(result: &Result<Appended, ArchiveError>) -> bool {
    match result {
        Ok(_) => false,
        Err(ArchiveError::Append(AppendError::Refused { source, .. })) => {
            assert!(source.to_string().contains("under a hold"), "{source}");
            true
        }
        other => panic!("{other:?}"),
    }
}

/// An entry of a hold: `facts` without the hold itself.
async fn hold(test: &TestArchive, hold: uuid::Uuid, facts: Value) -> u64 {
    let mut facts = detail(facts);
    facts.insert("hold".to_owned(), hold.to_string().into());
    order(test, EntryType::Hold, Value::Object(facts)).await
}

async fn release(test: &TestArchive, hold: uuid::Uuid) -> u64 {
    order(test, EntryType::Release, json!({ "hold": hold.to_string() })).await
}

async fn order(test: &TestArchive, entry_type: EntryType, facts: Value) -> u64 {
    let mut order = gap(test, "unused");
    order.draft.entry_type = entry_type;
    order.draft.detail = detail(facts);
    test.append(order).await.index
}

/// A microsecond earlier, or later.
fn beside(at: Timestamp, micros: i64) -> String {
    Timestamp::from_unix_micros(at.unix_micros() + micros).unwrap().to_string()
}

/// What covers a record of advisor 1 that was appended `at`, and what is like it and does not; the largest index there will be is `later`.
fn orders(record: &NewRecord, at: Timestamp, later: u64) -> Vec<(&'static str, Value, Option<Value>)> {
    let (here, after) = (at.to_string(), beside(at, 1));
    let (one, two) = ([advisor(1).to_string()], [advisor(2).to_string()]);
    let (this, other) = ([record.id.to_string()], ["0198c0de-0000-7000-8000-0000000000aa"]);
    vec![
        ("record", json!({"scope": "record", "targets": this}), Some(json!({"scope": "record", "targets": other}))),
        ("stream", json!({"scope": "stream", "targets": one}), Some(json!({"scope": "stream", "targets": two}))),
        // A record is no advisor, and the other way round.
        ("kinds", json!({"scope": "record", "targets": this}), Some(json!({"scope": "stream", "targets": this}))),
        (
            "stream with dates",
            json!({"scope": "stream", "targets": one, "from": here, "until": after}),
            Some(json!({"scope": "stream", "targets": one, "from": after})),
        ),
        (
            "stream until",
            json!({"scope": "stream", "targets": one, "until": after}),
            Some(json!({"scope": "stream", "targets": one, "until": here})),
        ),
        ("all", json!({"scope": "all", "targets": []}), None),
        (
            "all with dates",
            json!({"scope": "all", "targets": [], "from": here, "until": after}),
            Some(json!({"scope": "all", "targets": [], "from": "1999-01-01T00:00:00.000000Z", "until": here})),
        ),
        ("selecting", json!({"scope": "record", "targets": [], "evaluated": 0}), None),
        (
            "selecting and named",
            json!({"scope": "record", "targets": this, "evaluated": later}),
            Some(json!({"scope": "record", "targets": other, "evaluated": later})),
        ),
        ("of the matter", json!({"scope": "record", "targets": [], "matter": record.id.to_string()}), None),
    ]
}

#[tokio::test]
async fn p6_a_hold_of_each_scope_blocks_disposal_and_its_release_frees() {
    let test = archive().await;
    let mut first = test.archive.head_size().await.unwrap();
    for case in 0..10 {
        let (record, at) = kept(&test, 1).await;
        let orders = orders(&record, at, first + 1);
        let (name, covers, is_like_it) = orders.into_iter().nth(case).unwrap();
        if let Some(is_like_it) = is_like_it {
            let (decoy, id) = (kept(&test, 1).await.0, test.ids.fresh());
            hold(&test, id, is_like_it).await;
            let is_decoy_too = name == "stream with dates" || name == "selecting and named";
            assert!(is_held(&dispose(&test, &decoy).await) == is_decoy_too, "{name}: the other one");
            let id = test.ids.fresh();
            hold(&test, id, covers).await;
            assert!(is_held(&dispose(&test, &record).await), "{name}");
            release(&test, id).await;
        } else {
            let id = test.ids.fresh();
            hold(&test, id, covers).await;
            assert!(is_held(&dispose(&test, &record).await), "{name}");
            release(&test, id).await;
        }
        let disposed = dispose(&test, &record).await;
        assert!(disposed.is_ok(), "{name}: {disposed:?}");
        // What is still in force is not in the way of the next case.
        let mut connection = test.database.superuser().await;
        let open: Vec<uuid::Uuid> = sqlx::query_scalar(
            "select distinct hold from ledger.hold_terms where hold not in (select hold from ledger.releases)",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        for id in open {
            release(&test, id).await;
        }
        first = test.archive.head_size().await.unwrap();
    }
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_hold_that_selects_blocks_everything_it_has_not_looked_at() {
    let test = archive().await;
    let (selected, _) = kept(&test, 1).await;
    let (free, _) = kept(&test, 1).await;
    let (late, _) = kept(&test, 1).await;
    let id = test.ids.fresh();
    hold(&test, id, json!({"scope": "record", "targets": [], "evaluated": 0})).await;
    for record in [&selected, &free, &late] {
        assert!(is_held(&dispose(&test, record).await));
    }
    // What it claims to have looked at cannot lie beyond the entry that says so.
    let capture = muniment::record::EntryId::new(test.ids.fresh());
    let size = test.archive.head_size().await.unwrap();
    hold(&test, id, json!({"scope": "record", "targets": [selected.id.to_string()], "evaluated": size + 1000})).await;
    test.append(outcome(&test, &late, capture, &[advisor(1)])).await;
    assert!(is_held(&dispose(&test, &selected).await), "named");
    assert!(is_held(&dispose(&test, &late).await), "what came since may have made it one that is selected");
    dispose(&test, &free).await.unwrap();
    // A smaller count later takes nothing back.
    let size = test.archive.head_size().await.unwrap();
    hold(&test, id, json!({"scope": "record", "targets": [], "evaluated": size})).await;
    hold(&test, id, json!({"scope": "record", "targets": [], "evaluated": 1})).await;
    dispose(&test, &late).await.unwrap();
    assert!(is_held(&dispose(&test, &selected).await), "once named, for good");
    release(&test, id).await;
    dispose(&test, &selected).await.unwrap();
    assert_sound(&test).await;
}

#[tokio::test]
async fn p6_a_hold_keeps_its_own_record_and_says_why_it_covers_each() {
    let test = archive().await;
    let (record, at) = kept(&test, 1).await;
    let (own, _) = kept(&test, 9).await;
    let ids: Vec<_> = (0..5).map(|_| test.ids.fresh()).collect();
    let mut after = at.to_string();
    hold(&test, own.id.uuid(), json!({"scope": "record", "targets": [record.id.to_string()]})).await;
    hold(&test, ids[0], json!({"scope": "stream", "targets": [advisor(1).to_string()], "from": after})).await;
    after = beside(at, 1);
    hold(&test, ids[1], json!({"scope": "stream", "targets": [advisor(1).to_string()], "from": after})).await;
    hold(&test, ids[2], json!({"scope": "all", "targets": [], "until": after})).await;
    hold(&test, ids[3], json!({"scope": "record", "targets": [], "evaluated": 1})).await;
    assert!(is_held(&dispose(&test, &own).await), "its own record");
    let mut connection = test.database.superuser().await;
    let mut found: Vec<(uuid::Uuid, String)> = sqlx::query_as("select hold, why from ledger.holds_on($1)")
        .bind([record.id.uuid()])
        .fetch_all(&mut connection)
        .await
        .unwrap();
    found.sort();
    let mut wanted =
        [(own.id.uuid(), "named"), (ids[0], "custodian"), (ids[2], "everything"), (ids[3], "not_evaluated")]
            .map(|(hold, why)| (hold, why.to_owned()));
    wanted.sort();
    assert_eq!(found, wanted);
    assert_sound(&test).await;
}

fn names(found: &[Finding], check: &str, index: u64, words: &str) -> bool {
    found.iter().any(|f| f.check == check && f.from == index && f.problem.contains(words))
}

#[tokio::test]
async fn p6_a_disposal_that_a_hold_of_any_scope_forbade_is_named_and_so_is_the_hold_that_was_taken_away() {
    let test = archive().await;
    for case in 0..10 {
        let (record, at) = kept(&test, 1).await;
        let size = test.archive.head_size().await.unwrap();
        let (name, covers, is_like_it) = orders(&record, at, size).into_iter().nth(case).unwrap();
        let id = test.ids.fresh();
        let placed = hold(&test, id, covers).await;
        // Somebody who owns the database takes the hold away, without a word in the ledger.
        for table in ["holds", "hold_terms"] {
            test.database.tamper(&format!("delete from ledger.{table} where hold = '{id}'")).await;
        }
        let index = dispose(&test, &record).await.unwrap().index;
        release(&test, id).await;
        let (found, _verification) = verify(&test).await;
        assert!(names(&found, "disposals", index, "under a hold"), "{name}: {found:#?}");
        assert!(names(&found, "tables", placed, "ledger.hold_terms"), "{name}: {found:#?}");
        if let Some(is_like_it) = is_like_it.filter(|_| name != "selecting and named") {
            let (record, _at) = kept(&test, 3).await;
            let id = test.ids.fresh();
            hold(&test, id, is_like_it).await;
            let index = dispose(&test, &record).await.unwrap().index;
            let (found, _verification) = verify(&test).await;
            assert!(!names(&found, "disposals", index, ""), "{name}: {found:#?}");
            release(&test, id).await;
        }
    }
}

#[tokio::test]
async fn p6_what_the_tables_say_of_terms_is_held_against_the_entries() {
    let test = archive().await;
    let (_record, at) = kept(&test, 1).await;
    let id = test.ids.fresh();
    let facts = json!({"scope": "all", "targets": [], "from": at.to_string(), "until": beside(at, 5), "evaluated": 1,
                       "matter": test.ids.fresh().to_string()});
    let placed = hold(&test, id, facts).await;
    test.archive.publish(false).await.unwrap();
    assert_sound(&test).await;
    test.archive.close().await;
    for (statement, index) in [
        ("delete from ledger.hold_terms", placed),
        ("update ledger.hold_terms set scope = 'record'", placed),
        ("update ledger.hold_terms set since = null", placed),
        ("update ledger.hold_terms set until = since", placed),
        ("update ledger.hold_terms set evaluated = 2", placed),
        ("update ledger.hold_terms set evaluated = null", placed),
        ("update ledger.hold_terms set matter = null", placed),
        ("update ledger.hold_terms set hold = gen_random_uuid()", placed),
        ("update ledger.hold_terms set entry_index = 1", 1),
        ("insert into ledger.hold_terms values (77, gen_random_uuid(), null, 'all')", 77),
    ] {
        let copy = test.copy().await;
        copy.database.tamper(statement).await;
        let (found, _verification) = verify(&copy).await;
        assert!(names(&found, "tables", index, "ledger.hold_terms"), "{statement}: {found:#?}");
    }
}

#[tokio::test]
async fn holds_are_append_only_whoever_asks() {
    let test = archive().await;
    let (record, _) = kept(&test, 1).await;
    hold(&test, test.ids.fresh(), json!({"scope": "record", "targets": [record.id.to_string()]})).await;
    let mut connection = test.database.superuser().await;
    for statement in [
        "delete from ledger.holds",
        "delete from ledger.hold_terms",
        "update ledger.hold_terms set evaluated = 1",
        "update ledger.holds set target = hold",
        "truncate ledger.holds",
        "truncate ledger.hold_terms",
    ] {
        let error = sqlx::raw_sql(statement).execute(&mut connection).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    assert!(is_held(&dispose(&test, &record).await));
    assert_sound(&test).await;
}

/// How often they are raced: `./dev holds` asks for 10,000.
fn trials() -> usize {
    std::env::var("MUNIMENT_HOLD_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Never "the hold was durable before the disposal's commit, and the record is destroyed": what is durable first has the smaller index,
/// since both take their place under the head's lock, which they hold until they commit.
#[tokio::test]
async fn p6_holds_beat_disposals_in_raced_trials() {
    let test = archive().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = test.open_again(elsewhere.path()).await.unwrap();
    let (mut held_first, mut disposed_first) = (0, 0);
    for trial in 0..trials() {
        let of = 1000 + trial as u128;
        let (record, at) = kept(&test, of).await;
        let facts = match trial % 5 {
            0 => json!({"scope": "record", "targets": [record.id.to_string()]}),
            1 => json!({"scope": "stream", "targets": [advisor(of).to_string()]}),
            2 => json!({"scope": "stream", "targets": [advisor(of).to_string()], "from": at.to_string()}),
            3 => json!({"scope": "all", "targets": [], "until": beside(at, 1)}),
            _ => json!({"scope": "record", "targets": [], "evaluated": 0}),
        };
        let id = test.ids.fresh();
        let mut placing = gap(&test, "unused");
        placing.draft.entry_type = EntryType::Hold;
        placing.draft.detail = detail(facts);
        placing.draft.detail.insert("hold".to_owned(), id.to_string().into());
        // Now one of them sets out first and now the other, by up to two milliseconds.
        let stagger = Duration::from_micros((trial as u64).wrapping_mul(7919) % 2000);
        let (hold_waits, disposal_waits) =
            if trial / 5 % 2 == 0 { (stagger, Duration::ZERO) } else { (Duration::ZERO, stagger) };
        let disposal = disposal(&test, record.id);
        let (disposed, held) = tokio::join!(
            async {
                tokio::time::sleep(disposal_waits).await;
                test.archive.dispose(&disposal).await
            },
            async {
                tokio::time::sleep(hold_waits).await;
                other.append(placing).await
            }
        );
        let held = held.unwrap();
        let has_key = test.archive.record_key(record.id).await.unwrap().is_some();
        if let Ok(disposed) = &disposed {
            assert!(
                disposed.index < held.index && !has_key,
                "trial {trial}: a hold was durable, and the record is destroyed"
            );
            disposed_first += 1;
        } else {
            assert!(is_held(&disposed) && has_key, "trial {trial}");
            held_first += 1;
        }
        release(&test, id).await;
    }
    println!("{held_first} holds and {disposed_first} disposals came first, of {}", trials());
    let (found, verification) = verify(&test).await;
    assert!(verification.sound, "{found:#?}");
    assert_eq!(held_first + disposed_first, trials());
    other.close().await;
}
