//! What somebody gains who holds one of the service's roles: nothing that would go unseen, nothing that stays broken.

use std::time::Duration;

use muniment::archive::{Append as _, Appended, ArchiveError, Disposal, Guard, Inconsistency, Submission, migrate};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Ids as _, RecordId};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::forged::{Call, Forged, SOURCE, STREAM};
use super::roles::fails;
use crate::support::archive::{TestArchive, signing};
use crate::support::postgres::Database;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, detail, gap, post, post_of, sealed};

async fn dispose(test: &TestArchive, record: RecordId) -> Result<Appended, ArchiveError> {
    let disposal = Disposal {
        records: vec![record],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: Actor::Service("test".try_into().unwrap()),
    };
    test.archive.dispose(&disposal).await
}

/// Why it was refused, in the database's words.
async fn refusal(test: &TestArchive, record: RecordId) -> String {
    let mut error: &dyn std::error::Error = &dispose(test, record).await.unwrap_err();
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An outcome that commits to nothing.
fn plain_outcome(test: &TestArchive, record: &NewRecord, stream: u128) -> Submission {
    let capture = test.ids.fresh().to_string();
    let facts = detail(json!({ "capture": capture, "cause": "restarted", "state": "unknown" }));
    sealed(test, record, EntryType::Outcome, facts, &[advisor(stream)], &[])
}

#[tokio::test]
async fn p6_a_row_laid_under_an_index_without_an_entry_ends_no_retention() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let last = test.archive.append(post_of(&test, &record, &[advisor(1)], "young")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let id = record.id;
    let own = Call { keyed: vec![1], ..Call::of([Forged::of_record(&last, STREAM)]) };
    assert!(own.moves(&mut append).await);
    for index in [9_000_000_000_000_000_000_i64, 4_000_000_000, 2, 1, 0, -1] {
        let row = format!("{index}, '{id}'::uuid, array['9.text'], array['x'::bytea]");
        let refused = Call { fields: vec![row], ..own.clone() }.refused(&mut append).await;
        assert!(refused.contains("is not that of its entry") || refused.contains("out of range"), "{index}: {refused}");
    }
    for place in [i32::MAX, 2, 0, -1, i32::MIN] {
        assert!(
            Call { blobs: vec![place], ..own.clone() }.refused(&mut append).await.contains("is not that of its entry")
        );
    }
    // Even a row that came there by a stronger hand keeps the record, and is named.
    let stray =
        format!("insert into content.sealed values (9000000000000000000, '{id}', array['9.text'], array['x'::bytea])");
    test.database.tamper(&stray).await;
    assert!(refusal(&test, id).await.contains("within its retention"));
    let (found, _verification) = verify(&test).await;
    assert!(found.iter().any(|f| f.check == "content" && f.from == 9_000_000_000_000_000_000), "{found:#?}");
}

#[tokio::test]
async fn p6_an_entry_without_content_keeps_its_record_and_brings_it_under_its_streams_holds() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    test.archive.append(post_of(&test, &record, &[advisor(1)], "old")).await.unwrap();
    let mut owner = test.database.superuser().await;
    sqlx::raw_sql("update content.retention set minimum = '3 seconds'").execute(&mut owner).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    test.archive.append(plain_outcome(&test, &record, 2)).await.unwrap();
    assert!(refusal(&test, record.id).await.contains("within its retention"));
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let mut hold = gap(&test, "unused");
    hold.draft.entry_type = EntryType::Hold;
    let target = advisor(2).to_string();
    hold.draft.detail = detail(json!({ "hold": test.ids.fresh().to_string(), "scope": "stream", "targets": [target] }));
    let id = hold.draft.detail["hold"].clone();
    test.archive.append(hold).await.unwrap();
    assert!(refusal(&test, record.id).await.contains("under a hold"));
    let mut release = gap(&test, "unused");
    release.draft.entry_type = EntryType::Release;
    release.draft.detail = detail(json!({ "hold": id }));
    test.archive.append(release).await.unwrap();
    dispose(&test, record.id).await.unwrap();
    // The rule becomes longer again: what was disposed of before stays allowed.
    sqlx::raw_sql("update content.retention set minimum = '6 years'").execute(&mut owner).await.unwrap();
    assert_sound(&test).await;
}

#[tokio::test]
async fn p2_a_tile_that_somebody_else_put_there_first_is_an_alarm_and_never_signed() {
    let test = TestArchive::new().await;
    let appends = (0..300).map(|_| test.archive.append(gap(&test, "outage")));
    assert!(futures_util::future::join_all(appends).await.iter().all(Result::is_ok));
    let mut publish = test.database.as_role("muniment_publish").await;
    let tile = |level: u8, index: u64| {
        format!("insert into ledger.tiles values ({level}, {index}, decode(repeat('ab', 8192), 'hex'))")
    };
    for (level, index) in [(0, 1), (1, 0), (7, i64::MAX as u64)] {
        assert!(fails(&mut publish, tile(level, index)).await.contains("not there"), "{level} {index}");
    }
    sqlx::raw_sql(AssertSqlSafe(tile(0, 0))).execute(&mut publish).await.unwrap();
    for _again in 0..2 {
        let refused = test.archive.publish(false).await;
        let Err(ArchiveError::Inconsistent(Inconsistency::Tile { level: 0, index: 0 })) = refused else {
            panic!("{refused:?}")
        };
    }
    assert!(test.archive.checkpoint(None).await.unwrap().is_none());
    let guard = Guard::new(test.dir.path(), signing().verifying_key().clone());
    assert!(guard.load().unwrap().is_none(), "nothing was signed");
    assert!(verify(&test).await.0.iter().any(|f| f.check == "tiles" && (f.from, f.to) == (0, 255)));
}

#[tokio::test]
async fn p2_a_checkpoint_row_that_we_did_not_sign_is_named_and_not_believed() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "one")).await.unwrap();
    let real = test.archive.publish(false).await.unwrap().unwrap();
    test.archive.append(post(&test, advisor(1), "two")).await.unwrap();
    let mut publish = test.database.as_role("muniment_publish").await;
    let row = |number: u32, size: i64, note: &str| {
        let root = real.checkpoint.root;
        format!("insert into ledger.checkpoints values ({number}, {size}, decode('{root}', 'hex'), '{note}', now())")
    };
    for (number, size) in [(1, 4), (1, i64::MAX), (1, 1), (2, 3)] {
        assert!(fails(&mut publish, row(number, size, "x")).await.contains("not there"), "{number} {size}");
    }
    for note in [real.note.as_str(), "garbage"] {
        sqlx::raw_sql(AssertSqlSafe(row(1, 3, note))).execute(&mut publish).await.unwrap();
        let refused = test.archive.publish(false).await;
        assert!(
            matches!(refused, Err(ArchiveError::Inconsistent(Inconsistency::Checkpoint { size: 3 }))),
            "{refused:?}"
        );
        let shown = test.archive.checkpoint(None).await;
        assert!(matches!(shown, Err(ArchiveError::Inconsistent(Inconsistency::Checkpoint { size: 3 }))), "{shown:?}");
        assert!(verify(&test).await.0.iter().any(|f| f.check == "checkpoints"));
        test.database.tamper("delete from ledger.checkpoints where number = 1").await;
    }
    assert_eq!(test.archive.publish(false).await.unwrap().unwrap().checkpoint.size, 3);
    assert_sound(&test).await;
}

#[tokio::test]
async fn p2_a_temporary_table_in_the_place_of_a_catalogue_changes_no_check() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    // This database was not migrated itself but copied, so it still lets everybody make such tables.
    let lie = "create temporary table pg_class as
                   select 'ledger.entries'::regclass::oid as oid, 'muniment_append'::regrole::oid as relowner";
    sqlx::raw_sql(lie).execute(&mut append).await.unwrap();
    let (sort, detail) = ("disposal".to_owned(), r#"{"phase":"destroyed"}"#.to_owned());
    let disposal = Forged { sort, detail, ..Forged::after(&last) };
    assert!(Call::of([disposal]).refused(&mut append).await.contains("ledger.dispose only"));

    let mut superuser = test.database.superuser().await;
    let open: Vec<String> = sqlx::query_scalar(
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where n.nspname in ('ledger', 'content', 'people', 'projection', 'projection_check', 'delivery')
            -- What is written as an expression was bound to its names when it was made.
            and p.prosqlbody is null
            and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(open, [""; 0], "functions that look where the caller says");

    let mut project = test.database.as_role("muniment_project").await;
    for schema in ["projection_check", "projection", "ledger", "content", "public"] {
        let refused = fails(&mut project, format!("create table {schema}.mine ()")).await;
        assert!(refused.contains("permission denied"), "{schema}: {refused}");
    }
    let bare = Database::bare().await;
    migrate(&bare.owner(), "muniment_service").await.unwrap();
    let mut service = bare.service().connect().await.unwrap();
    assert!(fails(&mut service, "create temporary table mine ()".to_owned()).await.contains("permission denied"));
}

#[tokio::test]
async fn p2_json_that_is_no_entry_is_named_and_stops_nobody() {
    let test = TestArchive::new().await;
    let mut append = test.database.as_role("muniment_append").await;
    let mut last = test.archive.append(post(&test, advisor(1), "before")).await.unwrap();
    let spellings = ["{ }", "{\"cause\":1e0}", "{\"cause\":\"\\u0061\"}", "{\"b\":1,\"a\":1}"];
    for (number, spelling) in (0_u64..).zip(spellings) {
        let id = format!("0198c0de-0000-7000-8000-00000000f00{number}");
        let streams = vec![(STREAM.to_owned(), number)];
        let detail = spelling.to_owned();
        let forged = Forged { id, detail, streams, source_index: number, ..Forged::after(&last) };
        let index = forged.index;
        let statement = Call::of([forged]).statement();
        let moved: bool = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut append).await.unwrap();
        assert!(moved, "{spelling}");
        // One who has the head locked already, and one who looks at it for the first time.
        let dir = tempfile::tempdir().unwrap();
        let other = match number % 2 {
            0 => None,
            _ => Some(test.open_again(dir.path()).await.unwrap()),
        };
        let next = other.as_ref().unwrap_or(&test.archive).append(post(&test, advisor(1), "after")).await;
        last = next.unwrap_or_else(|error| panic!("{spelling}: {error}"));
        assert!(last.index > index, "{spelling}: {index}, then {}", last.index);
        test.archive.publish(false).await.unwrap().unwrap();
        test.archive.catch_up().await.unwrap();
        let (found, _verification) = verify(&test).await;
        assert!(found.iter().any(|f| f.check == "entries" && (f.from, f.to) == (index, index)), "{found:#?}");
    }
    assert!(test.archive.stopped().is_none());
}

#[tokio::test]
async fn p2_a_stolen_append_role_cannot_run_the_counts_ahead() {
    let test = TestArchive::new().await;
    let kept = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let good = || Forged::after(&kept);
    let stream = advisor(1).to_string();
    for index in [1_000_000_000_000_000, 2] {
        let ahead = Forged { streams: vec![(stream.clone(), index)], ..good() };
        let refused = Call::of([ahead]).refused(&mut append).await;
        assert!(refused.contains("does not go on where its stream stopped"), "{index}: {refused}");
    }
    assert!(Call::of([Forged { streams: vec![(stream.clone(), 1)], ..good() }]).moves(&mut append).await);
    for source_index in [1_000_000_000_000_000, 1] {
        let refused = Call::of([Forged { source_index, ..good() }]).refused(&mut append).await;
        assert!(refused.contains("does not go on where its source stopped"), "{source_index}: {refused}");
    }
    // Nor for the source of somebody else.
    let source = test.archive.source().to_string();
    let others = Call::of([good()]).statement().replace(SOURCE, &source);
    assert!(fails(&mut append, others).await.contains("does not go on where its source stopped"));
    // One entry, however much it says, is cited for one place of a stream.
    let twice = Forged { streams: vec![(STREAM.to_owned(), 0), (STREAM.to_owned(), 1)], ..good() };
    let refused = Call::of([twice]).refused(&mut append).await;
    assert!(refused.contains("does not go on where its stream stopped"), "{refused}");
    let next = test.archive.append(post(&test, advisor(1), "goes on")).await.unwrap();
    assert_eq!(next.index, 2);
    assert_sound(&test).await;
}
