//! What the running service's roles may not do, and what nobody may do by mistake.

use muniment::archive::{Append as _, Archive, ArchiveError, migrate};
use sqlx::AssertSqlSafe;

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
    "ledger.releases",
    "ledger.attributions",
    "content.keys",
    "content.sealed",
    "content.blobs",
    "content.disposals",
];

async fn fails(connection: &mut sqlx::PgConnection, statement: String) -> String {
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
async fn p2_the_append_role_can_only_continue_the_chain() {
    let test = TestArchive::new().await;
    let appended = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let insert = |body: &str| {
        format!(
            "insert into ledger.entries (index, id, leaf, body)
             select 2, '0198c0de-0000-7000-8000-000000000001', sha256('\\x00'::bytea || convert_to(b, 'UTF8')), convert_to(b, 'UTF8')
               from (values ('{body}')) v (b)"
        )
    };
    let body = |index: u64, previous: &str, sort: &str| {
        format!(
            r#"{{"detail":{{"phase":"destroyed"}},"id":"0198c0de-0000-7000-8000-000000000001","index":{index},"previous":"{previous}","type":"{sort}"}}"#
        )
    };
    let leaf = appended.leaf.to_string();
    for (why, body) in [
        ("another link", body(2, &"0".repeat(64), "gap")),
        ("another place", body(3, &leaf, "gap")),
        ("no entry at all", "{}".to_owned()),
    ] {
        assert!(fails(&mut append, insert(&body)).await.contains("does not continue the chain"), "{why}");
    }
    let disposal = insert(&body(2, &leaf, "disposal"));
    assert!(fails(&mut append, disposal).await.contains("ledger.dispose only"));
    let leaf_of_nothing = "insert into ledger.entries select 2, gen_random_uuid(), sha256('x'), '{}'".to_owned();
    assert!(fails(&mut append, leaf_of_nothing).await.contains("does not continue the chain"));
    for head in ["size = 7", "size = 3, leaf = sha256('x')"] {
        assert!(fails(&mut append, format!("update ledger.head set {head}")).await.contains("must be the last entry"));
    }
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
