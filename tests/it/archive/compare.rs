//! Comparing the projections with the ledger: silent on a sound archive, and it names whatever was changed.

use std::ops::ControlFlow;
use std::time::Duration;

use muniment::archive::{Append as _, Comparison, Disposal, Follower, Password, rebuild};
use muniment::ledger::{Actor, EntryType};
use muniment::record::{Clock as _, Digest, Ids as _};
use serde_json::json;

use crate::support::archive::{TestArchive, master};
use crate::support::sound::assert_sound;
use crate::support::submissions::{NewRecord, advisor, detail, gap, outcome, post, post_of, sealed};

fn by() -> Actor {
    Actor::Service("cli".try_into().unwrap())
}

async fn project(test: &TestArchive) {
    let size = test.archive.head_size().await.unwrap();
    test.archive.project(size).await.unwrap();
}

async fn compare(test: &TestArchive) -> Comparison {
    test.archive.compare_projections(|_, _| ControlFlow::Continue(())).await.unwrap().unwrap()
}

fn named(compared: &Comparison) -> Vec<(u64, &str)> {
    compared.differences.iter().map(|one| (one.index, one.table.as_str())).collect()
}

/// An archive with something in every table. The index of each thing is fixed: the tests below name them.
async fn furnished() -> TestArchive {
    let test = TestArchive::new().await;
    test.count_runs_of(4).await;
    let ada = test.archive.add_advisor(by(), "Ada").await.unwrap().id; // 1
    test.archive.add_device(by(), ada, "laptop", Password::fresh().unwrap()).await.unwrap(); // 2
    test.archive.add_officer(by(), "Olga", &["legal", "auditor"], Digest::of(&[b"t"])).await.unwrap(); // 3, 4
    let account = NewRecord::new(&test);
    let facts = json!({ "subject": "account", "change": "added", "id": test.ids.fresh().to_string(),
                        "advisor": ada.to_string(), "network": "bluesky" });
    let fields: &[(&str, &[u8])] = &[("id", b"did:plc:someone"), ("handle", b"adv.example"), ("name", b"Adv")];
    let submission = sealed(&test, &account, EntryType::Identity, detail(facts), &[ada], fields);
    test.archive.append(muniment::archive::Submission { key: Some(account.wrapped()), ..submission }).await.unwrap(); // 5
    let record = NewRecord::new(&test);
    let capture = post_of(&test, &record, &[ada], "hello");
    let (capture_id, list) = (capture.draft.id, br#"[{"name":"chart.png","source":"body"}]"#);
    test.archive.append(capture).await.unwrap(); // 6
    test.archive.append(outcome(&test, &record, capture_id, &[ada])).await.unwrap(); // 7
    test.archive.append(gap(&test, "leaf_refused")).await.unwrap(); // 8
    let facts = json!({ "cause": "account", "entry": capture_id.to_string(), "index": 6 });
    let attribution = sealed(&test, &record, EntryType::Attribution, detail(facts), &[advisor(9)], &[]);
    test.archive.append(attribution).await.unwrap(); // 9
    let look = NewRecord::new(&test);
    let facts = json!({ "allowed": true, "count": 1, "operation": "records.get", "records": [record.id.to_string()] });
    let submission = sealed(&test, &look, EntryType::Access, detail(facts), &[], &[("purpose", b"review")]);
    test.archive.append(muniment::archive::Submission { key: Some(look.wrapped()), ..submission }).await.unwrap(); // 10
    let facts = json!({ "failures": 0, "from": 0, "until": 9, "result": "verified", "scope": "all" });
    let mut checked = gap(&test, "unused");
    checked.draft.entry_type = EntryType::Verification;
    checked.draft.detail = detail(facts);
    test.archive.append(checked).await.unwrap(); // 11
    let media = NewRecord::new(&test);
    let facts = crate::support::submissions::capture_detail(test.ids.fresh());
    let submission = sealed(&test, &media, EntryType::Capture, facts, &[ada], &[("0.attachments", list)]);
    test.archive.append(muniment::archive::Submission { key: Some(media.wrapped()), ..submission }).await.unwrap(); // 12
    test
}

async fn dispose(test: &TestArchive, record: &NewRecord) {
    test.database.tamper("update content.retention set minimum = '0'").await;
    let disposal = Disposal {
        records: vec![record.id],
        rule: "six_years".parse().unwrap(),
        backups_expire_at: test.clock.now(),
        by: by(),
    };
    test.archive.dispose(&disposal).await.unwrap();
}

#[tokio::test]
async fn the_projections_of_a_sound_archive_are_what_the_ledger_says() {
    let test = furnished().await;
    project(&test).await;
    let mut told = Vec::new();
    let compared = test.archive.compare_projections(|at, of| {
        told.push((at, of));
        ControlFlow::Continue(())
    });
    let compared = compared.await.unwrap().unwrap();
    assert!(compared.is_sound(), "{compared:?}");
    assert_eq!(compared.entries, 13);
    assert_eq!(told.last(), Some(&(13, 13)));
    // It leaves nothing behind.
    let mut connection = test.database.superuser().await;
    let left: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'projection_check'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert_sound(&test).await;
}

#[tokio::test]
async fn whatever_is_changed_in_a_projection_is_named_by_table_and_entry() {
    let test = furnished().await;
    project(&test).await;
    let cases: &[(&str, &[(u64, &str)])] = &[
        ("update projection.communications set text = 'never said' where entry_index = 6", &[(6, "communications")]),
        ("delete from projection.communications where entry_index = 6", &[(6, "communications")]),
        ("update projection.records set state = 'refused' where entry_index = 6", &[(6, "records")]),
        ("update projection.records set advisors = '{}' where entry_index = 6", &[(6, "records")]),
        ("update projection.records set flags = '{off_channel}' where entry_index = 12", &[(12, "records")]),
        ("delete from projection.records where entry_index = 12", &[(12, "records")]),
        ("update projection.attachments set name = 'other.png'", &[(12, "attachments")]),
        ("update projection.outcomes set status = 500", &[(7, "outcomes")]),
        ("update projection.gaps set cause = 'read_cut'", &[(8, "gaps")]),
        ("update projection.advisors set name = 'Eve'", &[(1, "advisors")]),
        ("update projection.devices set revoked_index = 4", &[(2, "devices")]),
        ("update projection.officers set roles = '{admin}'", &[(3, "officers")]),
        ("update projection.accounts set handle = 'eve.example'", &[(5, "accounts")]),
        ("delete from projection.looks", &[(10, "looks")]),
        ("update projection.verifications set failures = 1", &[(11, "verifications")]),
        ("delete from projection.record_entries where entry_index = 9", &[(9, "record_entries")]),
        ("update projection.counts set n = n + 1 where of_run = 1 and facet = 'network'", &[(4, "counts")]),
        ("delete from projection.counts where of_run = 1 and by_run = 2", &[(4, "counts")]),
        ("insert into projection.counts values (2, 2, 'network', 'nowhere', 1)", &[(8, "counts")]),
        ("insert into projection.faults values (6, 'key_missing')", &[(6, "faults")]),
        ("insert into projection.faults values (4711, 'key_missing')", &[(4711, "faults")]),
        (
            "insert into projection.disposals select record, 7, at, 'x', at from projection.records where entry_index = 6",
            &[(7, "disposals")],
        ),
        (
            "update projection.communications set text = 'a' where entry_index = 6; update projection.gaps set count = 9",
            &[(6, "communications"), (8, "gaps")],
        ),
    ];
    for (statement, expected) in cases {
        test.database.tamper(statement).await;
        let compared = compare(&test).await;
        assert_eq!(named(&compared), *expected, "{statement}");
        assert!(!compared.is_sound());
        emptied(&test).await;
        project(&test).await;
    }
    assert!(compare(&test).await.is_sound());
}

#[tokio::test]
async fn a_disposed_text_is_in_no_projection_and_a_rebuild_comes_to_the_same() {
    let test = furnished().await;
    let doomed = NewRecord::new(&test);
    let list = br#"[{"name":"xyzzy.png","description":"xyzzy","source":"body"}]"#;
    let party = br#"{"id":"xyzzy","handle":"xyzzy","name":"xyzzy"}"#;
    let fields: Vec<(&str, &[u8])> = vec![
        ("0.text", b"xyzzy"),
        ("0.author", party),
        ("0.account", party),
        ("0.recipients", b"[{\"id\":\"xyzzy\"}]"),
        ("0.conversation", b"xyzzy"),
        ("0.item", b"xyzzy"),
        ("0.parent", b"xyzzy"),
        ("0.root", b"xyzzy"),
        ("0.permalink", b"xyzzy"),
        ("0.occurred_at", b"xyzzy"),
        ("0.edited_from", b"xyzzy"),
        ("0.visibility", b"xyzzy"),
        ("0.followers", b"5"),
        ("0.detail", b"{\"xyzzy\":\"xyzzy\"}"),
        ("0.version", b"xyzzy"),
        ("0.attachments", list),
    ];
    let facts = crate::support::submissions::capture_detail(test.ids.fresh());
    let submission = sealed(&test, &doomed, EntryType::Capture, facts, &[advisor(1)], &fields);
    let capture = submission.draft.id;
    test.archive.append(muniment::archive::Submission { key: Some(doomed.wrapped()), ..submission }).await.unwrap();
    let facts = json!({ "capture": capture.to_string(), "state": "refused", "status": 403 });
    let answers: &[(&str, &[u8])] =
        &[("reason", b"xyzzy"), ("0.item", b"xyzzy"), ("0.permalink", b"xyzzy"), ("0.occurred_at", b"xyzzy")];
    test.archive
        .append(sealed(&test, &doomed, EntryType::Outcome, detail(facts), &[advisor(1)], answers))
        .await
        .unwrap();
    let facts = json!({ "cause": "write_refused", "count": 1, "from": test.clock.now().to_string(), "until": test.clock.now().to_string() });
    test.archive
        .append(sealed(&test, &doomed, EntryType::Gap, detail(facts), &[], &[("host", b"xyzzy")]))
        .await
        .unwrap();
    project(&test).await;
    assert!(tables_with(&test, "xyzzy").await.len() >= 4);

    dispose(&test, &doomed).await;
    // The content is gone and the disposal not projected yet: that is no difference.
    assert!(compare(&test).await.is_sound());
    project(&test).await;
    assert_eq!(tables_with(&test, "xyzzy").await, Vec::<String>::new());
    let row = test.archive.record(doomed.id).await.unwrap().unwrap();
    assert_eq!(
        (row.content.as_str(), row.state.as_deref(), row.disposed.is_some()),
        ("disposed", Some("refused"), true)
    );
    assert!(compare(&test).await.is_sound(), "{:?}", compare(&test).await);
    let blobs = test.archive.blobs().clone();
    rebuild(&test.database.owner(), master(), blobs, |_, _| ()).await.unwrap();
    assert!(compare(&test).await.is_sound());
    assert_sound(&test).await;
}

/// Projected tables in which a text stands.
async fn tables_with(test: &TestArchive, text: &str) -> Vec<String> {
    let mut connection = test.database.superuser().await;
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'projection' order by 1")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let query =
            format!("select exists (select from projection.\"{table}\" t where position($1 in to_jsonb(t)::text) > 0)");
        let holds: bool =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(text).fetch_one(&mut connection).await.unwrap();
        if holds {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn comparing_beside_a_busy_service_finds_nothing_and_holds_nobody_up() {
    let test = furnished().await;
    let follower = Follower::start(&test.archive);
    let archive = test.archive.clone();
    let posts: Vec<_> = (0..300).map(|number| post(&test, advisor(1), &format!("busy{number}"))).collect();
    let busy = tokio::spawn(async move {
        for post in posts {
            archive.append(post).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    for _round in 0..3 {
        let compared = compare(&test).await;
        assert!(compared.is_sound(), "{compared:?}");
    }
    busy.await.unwrap();
    let size = test.archive.head_size().await.unwrap();
    let mut followed = follower.followed();
    let reached = tokio::time::timeout(Duration::from_secs(20), followed.wait_for(|far| far.projected >= size)).await;
    reached.unwrap().unwrap();
    assert_eq!(compare(&test).await.entries, size);
    follower.stop().await;
}

#[tokio::test]
async fn a_comparison_can_be_ended_and_a_cursor_ahead_of_the_ledger_is_named() {
    let test = furnished().await;
    project(&test).await;
    let ended = test.archive.compare_projections(|_, _| ControlFlow::Break(())).await.unwrap();
    assert_eq!(ended, None);
    test.database.tamper("update projection.progress set next_index = 4711").await;
    assert_eq!(named(&compare(&test).await), [(13, "progress")]);
}

/// As after a restore of a backup without the rows of the projections.
async fn emptied(test: &TestArchive) {
    let mut connection = test.database.superuser().await;
    let tables: Vec<String> =
        sqlx::query_scalar("select format('projection.%I', tablename) from pg_tables where schemaname = 'projection'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    test.database.tamper(&format!("truncate {}", tables.join(", "))).await;
}

#[tokio::test]
async fn projections_that_were_left_out_of_a_backup_come_back_by_themselves() {
    let test = furnished().await;
    project(&test).await;
    emptied(&test).await;
    project(&test).await;
    assert!(compare(&test).await.is_sound());
    assert_eq!(test.archive.projected().await.unwrap(), 13);
}
