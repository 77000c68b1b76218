//! What the running service's roles may not do, and what nobody may do by mistake.

use muniment::archive::{Append as _, Archive, ArchiveError, migrate};
use sqlx::AssertSqlSafe;

use super::forged::{Call, Forged, STREAM};
use crate::support::archive::{TestArchive, options};
use crate::support::postgres::Database;
use crate::support::submissions::{advisor, post};

const APPEND_ONLY: &[&str] = &[
    "ledger.entries",
    "ledger.stream_entries",
    "ledger.sources",
    "ledger.tiles",
    "ledger.checkpoints",
    "ledger.holds",
    "ledger.hold_terms",
    "ledger.releases",
    "ledger.attributions",
    "ledger.plain_entries",
    "content.keys",
    "content.sealed",
    "content.blobs",
    "content.disposals",
    "content.retention_changes",
];

pub(super) async fn fails(connection: &mut sqlx::PgConnection, statement: String) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection).await;
    error.err().unwrap_or_else(|| panic!("{statement} went through")).to_string()
}

#[tokio::test]
async fn p2_no_role_of_the_service_can_update_delete_or_truncate() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    for role in ["muniment_append", "muniment_publish", "muniment_project"] {
        let mut connection = test.database.as_role(role).await;
        for table in APPEND_ONLY.iter().chain(&["ledger.head", "content.retention"]) {
            for statement in [format!("delete from {table}"), format!("truncate {table}")] {
                assert!(fails(&mut connection, statement).await.contains("permission denied"), "{role} {table}");
            }
        }
        for (table, column) in [("ledger.entries", "body"), ("content.sealed", "names"), ("content.keys", "wrapped")] {
            let statement = format!("update {table} set {column} = {column}");
            assert!(fails(&mut connection, statement).await.contains("permission denied"), "{role} {table}");
        }
        // The login itself has no rights of its own, and no other role to take.
        assert!(fails(&mut connection, "set role postgres".to_owned()).await.contains("permission denied"));
    }
}

#[tokio::test]
async fn even_the_owner_is_stopped_by_a_trigger() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut owner = test.database.superuser().await;
    for table in ["ledger.entries", "ledger.stream_entries", "ledger.sources", "content.keys", "content.sealed"] {
        for statement in [format!("delete from {table}"), format!("truncate {table}")] {
            assert!(fails(&mut owner, statement).await.contains("append-only"), "{table}");
        }
    }
    assert!(fails(&mut owner, "update ledger.entries set id = id".to_owned()).await.contains("append-only"));
    assert!(fails(&mut owner, "update ledger.head set size = 0".to_owned()).await.contains("forward only"));
}

#[tokio::test]
async fn p2_no_role_of_the_service_can_insert_beside_the_function_that_appends() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let call = Call::of([Forged::after(&last)]);
    for role in ["muniment_append", "muniment_publish", "muniment_project"] {
        let mut connection = test.database.as_role(role).await;
        for table in APPEND_ONLY.iter().filter(|table| !["ledger.tiles", "ledger.checkpoints"].contains(table)) {
            let refused = fails(&mut connection, format!("insert into {table} default values")).await;
            assert!(refused.contains("permission denied"), "{role} {table}: {refused}");
        }
        for function in ["ledger.add", "ledger.note_orders", "ledger.note_hold", "ledger.entries_of"] {
            let rights = format!("select has_function_privilege('{role}', '{function}'::regproc, 'execute')");
            let may: bool = sqlx::query_scalar(AssertSqlSafe(rights)).fetch_one(&mut connection).await.unwrap();
            assert!(!may, "{role} {function}");
        }
        if role == "muniment_append" {
            assert!(call.moves(&mut connection).await);
        } else {
            assert!(call.refused(&mut connection).await.contains("permission denied"), "{role}");
        }
    }
}

#[tokio::test]
async fn p2_the_append_role_can_only_continue_the_chain() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let good = || Forged::after(&last);
    // What all of these are like, but for one thing, goes in: the refusals below are for what they say.
    assert!(Call::of([good()]).moves(&mut append).await);
    let (front, tail) = (good().front(), good().tail());
    let elsewhere = Forged { index: 9, ..good() }.tail();
    let with = |bytes: String| Forged { bytes: Some(bytes), ..good() };
    for (why, forged) in [
        ("another link", with(Forged { previous: "0".repeat(64), ..good() }.body())),
        ("another place", with(Forged { index: 3, ..good() }.body())),
        ("another id", with(Forged { id: "0198c0de-0000-7000-8000-000000000009".to_owned(), ..good() }.body())),
        ("another record", Forged { record: Some(STREAM.to_owned()), bytes: Some(good().body()), ..good() }),
        ("a record that is not told", with(Forged::of_record(&last, STREAM).body())),
        ("another source's count", with(Forged { source_index: 1, ..good() }.body())),
        ("another stream", with(good().body().replace(STREAM, "0198c0de-0000-7000-8000-0000000000b2"))),
        ("a stream that is not told", Forged { streams: Vec::new(), bytes: Some(good().body()), ..good() }),
        ("a stream that it does not say", with(Forged { streams: Vec::new(), ..good() }.body())),
        ("another type", with(Forged { sort: "hold".to_owned(), ..good() }.body())),
        ("another actor", with(Forged { actor: "service:other".to_owned(), ..good() }.body())),
        ("another time", with(Forged { at: "2026-01-01T00:00:00.000000Z".to_owned(), ..good() }.body())),
        ("no entry at all", with("{}".to_owned())),
        ("no place", with(good().body().replace(r#""index":2,"#, ""))),
        ("nothing about what it commits to", with(good().body().replace(r#","commitments":{}"#, ""))),
        ("its place inside of something else", with(format!(r#"{{{front},"detail":{{"x":1,{tail}}},{elsewhere}}}"#))),
        ("its place at the end, and inside", with(format!(r#"{{{front},{elsewhere},"detail":{{"x":1,{tail}}}}}"#))),
        (
            "its place in a string",
            with(format!(r#"{{{front},"detail":"{}"}}"#, format!(",{tail}}}").replace('"', "\\\""))),
        ),
        ("a string that its place ends", with(format!(r#"{{{front},"detail":{{}},"x":",{tail}}}"#))),
        ("an escape at its end", with(good().body().replace(r#""type":"gap""#, r#""type":"\u0067ap""#))),
        ("more behind its end", with(format!("{} ", good().body()))),
        ("a type that says more", Forged { sort: r#"gap","v":2,"x":"y"#.to_owned(), ..good() }),
        ("an actor that says more", Forged { actor: r#"a","at":"b"#.to_owned(), ..good() }),
        ("no json", with(good().body().replace(r#""detail":{}"#, r#""detail":{{"#))),
        ("an array around its end", with(good().body().replace(r#""detail":{}"#, r#""detail":[{}"#))),
    ] {
        let refused = Call::of([forged]).refused(&mut append).await;
        assert!(
            refused.contains("entry 2 does not continue the chain") || refused.contains("type json"),
            "{why}: {refused}"
        );
    }
    for streams in [vec![(STREAM.to_owned(), 0); 2], vec![(STREAM.to_owned(), 0), (last.entry.to_string(), 0)]] {
        let one_more = Forged { bytes: Some(good().body()), streams, ..good() };
        let refused = Call::of([one_more]).refused(&mut append).await;
        assert!(refused.contains("entry 2 does not continue the chain"), "{refused}");
    }
    let stray = Call { stray_streams: vec![(STREAM.to_owned(), 1, 1)], ..Call::of([good()]) };
    assert!(stray.refused(&mut append).await.contains("different lengths"));
    let other_leaf = Call::of([good()]).statement().replace("sha256('\\x00'", "sha256('\\x01'");
    assert!(fails(&mut append, other_leaf).await.contains("entry 2 does not continue the chain"));
    // Of several, each is held against the one before, and the one that fails is named.
    let id = "0198c0de-0000-7000-8000-000000000002".to_owned();
    let second = Forged { id, index: 3, source_index: 1, streams: Vec::new(), ..good() };
    let refused = Call::of([good(), second]).refused(&mut append).await;
    assert!(refused.contains("entry 3 does not continue the chain"), "{refused}");
    for (sort, detail) in [("disposal", r#"{"phase":"destroyed"}"#), ("disposal", "{}")] {
        let disposal = Forged { sort: sort.to_owned(), detail: detail.to_owned(), ..good() };
        assert!(Call::of([disposal]).refused(&mut append).await.contains("ledger.dispose only"), "{detail}");
    }
    let early = Forged { at: "2026-01-01T00:00:00.000000Z".to_owned(), ..good() };
    assert!(Call::of([early]).refused(&mut append).await.contains("forward only"));
    let late = Forged { at: "2126-01-01T00:00:00.000000Z".to_owned(), ..good() };
    assert!(Call::of([late]).refused(&mut append).await.contains("from the future"));
    // A head that is not there is nobody's fault: two may want to append at once.
    for elsewhere in [Forged { index: 3, ..good() }, Forged { previous: "0".repeat(64), ..good() }] {
        assert!(!Call::of([elsewhere]).moves(&mut append).await);
    }
    for head in ["size = 7", "leaf = sha256('x')", "at = now()"] {
        assert!(fails(&mut append, format!("update ledger.head set {head}")).await.contains("permission denied"));
    }
    assert!(fails(&mut append, "update ledger.head set only_row = true".to_owned()).await.contains("forward only"));
    let mut owner = test.database.superuser().await;
    assert!(fails(&mut owner, "update ledger.head set size = 7".to_owned()).await.contains("must be the last entry"));
}

#[tokio::test]
async fn p2_the_append_role_cannot_add_content_that_nobody_could_read() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let record = "0198c0de-0000-7000-8000-00000000000d";
    let field = |index: i64, record: &str| format!("{index}, '{record}'::uuid, array['0.text'], array['x'::bytea]");
    let entry = Call::of([Forged::of_record(&last, record)]);
    let with_key = Call { keyed: vec![1], ..entry.clone() };
    for accepted in
        [Call { fields: vec![field(2, record)], ..with_key.clone() }, Call { blobs: vec![1], ..with_key.clone() }]
    {
        assert!(accepted.moves(&mut append).await);
    }
    for (why, content) in [
        ("no key", Call { fields: vec![field(2, record)], ..entry.clone() }),
        ("no key for a file", Call { blobs: vec![1], ..entry.clone() }),
        ("another record", Call { fields: vec![field(2, STREAM)], ..with_key.clone() }),
        ("an entry that is there already", Call { fields: vec![field(1, record)], ..with_key.clone() }),
        ("an entry that is not there", Call { fields: vec![field(3, record)], ..with_key.clone() }),
        ("a file for an entry that is not there", Call { blobs: vec![2], ..with_key.clone() }),
    ] {
        let refused = content.refused(&mut append).await;
        assert!(refused.contains("whose record has no key, or is not that of its entry"), "{why}: {refused}");
    }
    let nobodys = Call { keyed: vec![1], ..Call::of([Forged::after(&last)]) };
    assert!(nobodys.refused(&mut append).await.contains("null value"), "a key of no record");
    // Only `ledger.dispose` writes this table; here it stands for a disposal.
    test.database.tamper(&format!("insert into content.disposals values ('{record}', 1)")).await;
    let refused = with_key.refused(&mut append).await;
    assert!(refused.contains("the record was disposed of"), "{refused}");
}

#[tokio::test]
async fn p6_the_append_role_cannot_hide_that_an_entry_commits_to_nothing() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let record = "0198c0de-0000-7000-8000-00000000000d";
    let plain = Forged { record: Some(record.to_owned()), ..Forged::after(&last) };
    assert!(Call::of([plain.clone()]).moves(&mut append).await);
    for (entry, places) in
        [(plain, Vec::new()), (Forged::of_record(&last, record), vec![1]), (Forged::after(&last), vec![1])]
    {
        let refused = Call { plain: Some(places), ..Call::of([entry]) }.refused(&mut append).await;
        assert!(refused.contains("does not continue the chain"), "{refused}");
    }
}

#[tokio::test]
async fn an_entry_costs_the_same_however_many_there_are() {
    let test = TestArchive::new().await;
    // A writer's plans are made on its first appends, when every table is empty; they must not read whole tables later.
    for number in 0..8 {
        test.archive.append(post(&test, advisor(1), &format!("post {number}"))).await.unwrap();
    }
    let mut reader = test.database.superuser().await;
    let scans = "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_user_tables
                  where schemaname || '.' || relname in ('ledger.entries', 'ledger.stream_entries', 'content.keys', 'content.disposals')";
    let read: i64 = sqlx::query_scalar(scans).fetch_one(&mut reader).await.unwrap();
    for number in 0..40 {
        test.archive.append(post(&test, advisor(1), &format!("later {number}"))).await.unwrap();
    }
    // A session tells its counts when it is idle for a second, or ends.
    test.archive.close().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let now: i64 = sqlx::query_scalar(scans).fetch_one(&mut reader).await.unwrap();
    assert!(now - read < 40, "{} rows were read one after the other", now - read);
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_named_as_that() {
    let database = Database::bare().await;
    let test = TestArchive::new().await;
    let error = Archive::open(options(database.service(), test.dir.path(), &test.clock, &test.ids)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::NotMigrated), "{error}");
    assert!(error.to_string().contains("muniment migrate"));
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_not_touched() {
    let test = TestArchive::new().await;
    test.database
        .tamper(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (99991231000000, 'from the future', true, '', 0)",
        )
        .await;
    let error = test.open_again(test.dir.path()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Newer), "{error}");
}

#[tokio::test]
async fn migrate_can_be_run_again_and_says_what_to_run_when_it_may_not() {
    let database = Database::bare().await;
    let first = migrate(&database.owner(), "muniment_service").await.unwrap();
    assert_eq!((first.before, first.after > 0), (0, true));
    let again = migrate(&database.owner(), "muniment_service").await.unwrap();
    assert_eq!(again.before, again.after);

    // An owner who may not grant roles, and a login that is no member of them.
    let bare = Database::bare().await;
    let name = format!("owner_of_{}", bare.name());
    let mut admin = bare.superuser().await;
    for statement in [
        format!("create role {name} login"),
        format!("create role {name}_service login"),
        format!("alter database {} owner to {name}", bare.name()),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
    }
    let owner = bare.server().options(&name, bare.name());
    let error = migrate(&owner, &format!("{name}_service")).await.unwrap_err();
    let ArchiveError::Grants { statements, .. } = &error else { panic!("{error}") };
    sqlx::raw_sql(AssertSqlSafe(statements.clone())).execute(&mut admin).await.unwrap();
    migrate(&owner, &format!("{name}_service")).await.unwrap();
}
