//! What the running service's roles may not do, and what nobody may do by mistake.

use muniment::archive::{Append as _, Appended, Archive, ArchiveError, migrate};
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

/// An entry of our own making for place 2, and the statement that inserts it.
pub(super) struct Forged {
    pub(super) index: u64,
    pub(super) id: &'static str,
    pub(super) at: String,
    pub(super) previous: String,
    pub(super) detail: &'static str,
    pub(super) sort: &'static str,
}

impl Forged {
    const ID: &str = "0198c0de-0000-7000-8000-000000000001";
    const TAIL: &str = r#""source":"0198c0de-0000-7000-8000-000000000002","source_index":9,"streams":[{"id":"0198c0de-0000-7000-8000-000000000003","index":0},{"id":"0198c0de-0000-7000-8000-000000000004","index":0}]"#;

    pub(super) fn after(last: &Appended) -> Self {
        let (at, previous) = (last.at.to_string(), last.leaf.to_string());
        Self { index: 2, id: Self::ID, at, previous, detail: "{}", sort: "gap" }
    }

    fn place(&self) -> String {
        format!(r#""id":"{}","index":{},"previous":"{}""#, self.id, self.index, self.previous)
    }

    /// How an entry begins.
    fn front(&self) -> String {
        format!(r#""at":"{}","captured_at":"2026-01-01T00:00:00.000000Z""#, self.at)
    }

    pub(super) fn body(&self) -> String {
        let Self { detail, sort, .. } = self;
        format!(r#"{{{},"detail":{detail},{},{},"type":"{sort}","v":1}}"#, self.front(), self.place(), Self::TAIL)
    }
}

/// Inserts bodies from place 2 on, under leaves that are theirs, and moves the head to the last.
pub(super) fn insert(bodies: &[&str]) -> String {
    let rows = bodies.iter().enumerate().map(|(at, body)| format!("({at}, '{body}')")).collect::<Vec<_>>().join(", ");
    format!(
        "with forged as (
             select 2 + n as index, ('0198c0de-0000-7000-8000-00000000000' || n + 1)::uuid as id,
                    sha256('\\x00'::bytea || convert_to(b, 'UTF8')) as leaf, convert_to(b, 'UTF8') as body
               from (values {rows}) v (n, b)
         ), moved as (
             update ledger.head set size = (select max(index) + 1 from forged),
                                    leaf = (select leaf from forged order by index desc limit 1)
         )
         insert into ledger.entries (index, id, leaf, body) select * from forged"
    )
}

#[tokio::test]
async fn p2_the_append_role_can_only_continue_the_chain() {
    let test = TestArchive::new().await;
    let last = test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    let good = || Forged::after(&last);
    let front = good().front();
    let elsewhere = Forged { index: 9, ..good() };
    let place = good().place();
    let tail = Forged::TAIL;
    for (why, body) in [
        ("another link", Forged { previous: "0".repeat(64), ..good() }.body()),
        ("another place", Forged { index: 3, ..good() }.body()),
        ("another id", Forged { id: "0198c0de-0000-7000-8000-000000000009", ..good() }.body()),
        ("no entry at all", "{}".to_owned()),
        ("no place", good().body().replace(&place, r#""index":2"#)),
        (
            "its place inside of something else",
            format!(r#"{{{front},"detail":{{"x":1,{place},{tail}}},{},{tail},"type":"gap","v":1}}"#, elsewhere.place()),
        ),
        (
            "its place at the end, and inside",
            format!(r#"{{{front},{},"detail":{{"x":1,{place},{tail},"type":"gap","v":1}}}}"#, elsewhere.place()),
        ),
        (
            "braces in a string that make up for it",
            format!(r#"{{{front},{},"detail":{{"x":"{{",{place},{tail},"type":"{{{{","v":1}}}}"#, elsewhere.place()),
        ),
        ("another brace in a string", good().body().replace(r#""type":"gap""#, r#""type":"gap}""#)),
        ("an escape behind its place", good().body().replace(r#""type":"gap""#, r#""type":"\u0067ap""#)),
        ("a place in a string", format!(r#"{{"detail":"{}",{tail},"type":"gap","v":1}}"#, place.replace('"', r#"\""#))),
    ] {
        let refused = fails(&mut append, insert(&[&body])).await;
        assert!(refused.contains("does not continue the chain") || refused.contains("type json"), "{why}: {refused}");
    }
    let not_json = good().body().replace("{}", "{");
    assert!(fails(&mut append, insert(&[&not_json])).await.contains("type json"));
    let other_leaf = insert(&[&good().body()]).replace("sha256('\\x00'", "sha256('\\x01'");
    assert!(fails(&mut append, other_leaf).await.contains("entry 2 does not continue the chain"));
    // Of several, each is held against the one before, and the one that fails is named.
    let second = good()
        .body()
        .replace(Forged::ID, "0198c0de-0000-7000-8000-000000000002")
        .replace(r#""index":2"#, r#""index":3"#);
    assert!(
        fails(&mut append, insert(&[&good().body(), &second])).await.contains("entry 3 does not continue the chain")
    );
    for (sort, detail) in [("disposal", r#"{"phase":"destroyed"}"#), ("disposal", "{}")] {
        let disposal = Forged { sort, detail, ..good() }.body();
        assert!(fails(&mut append, insert(&[&disposal])).await.contains("ledger.dispose only"), "{detail}");
    }
    for at in ["2026-01-01T00:00:00.000000Z", "2126-01-01T00:00:00.000000Z"] {
        let untimely = Forged { at: at.to_owned(), ..good() }.body();
        assert!(fails(&mut append, insert(&[&untimely])).await.contains("does not bear the time of the head"), "{at}");
    }
    let far = "2126-01-01T00:00:00.000000Z";
    let future = insert(&[&Forged { at: far.to_owned(), ..good() }.body()])
        .replace("update ledger.head set", &format!("update ledger.head set at = '{far}',"));
    assert!(fails(&mut append, future).await.contains("from the future"));
    // The same rows, and a head that stays where it is.
    let alone = insert(&[&good().body()])
        .replace("update ledger.head", "update ledger.head h")
        .replace("limit 1)\n         )", "limit 1) where h.size = 0\n         )");
    assert!(fails(&mut append, alone).await.contains("together with the head"));
    for head in ["size = 7", "size = 3, leaf = sha256('x')"] {
        assert!(fails(&mut append, format!("update ledger.head set {head}")).await.contains("must be the last entry"));
    }
    assert!(fails(&mut append, "update ledger.head set size = 1".to_owned()).await.contains("forward only"));
    // What all of these were like, but for one thing, goes in: the refusals above are for what they say.
    let accepted = format!("begin; {}; rollback", insert(&[&good().body()]));
    sqlx::raw_sql(AssertSqlSafe(accepted)).execute(&mut append).await.unwrap();
}

#[tokio::test]
async fn p2_the_append_role_cannot_add_content_that_nobody_could_read() {
    let test = TestArchive::new().await;
    test.archive.append(post(&test, advisor(1), "kept")).await.unwrap();
    let mut append = test.database.as_role("muniment_append").await;
    for content in [
        "insert into content.sealed values (7, gen_random_uuid(), array['0.text'], array['x'::bytea])",
        "insert into content.blobs values (sha256('x'), 1, gen_random_uuid(), '0.text', 7)",
    ] {
        let refused = fails(&mut append, content.to_owned()).await;
        assert!(refused.contains("the record has no key"), "{content}: {refused}");
    }
    // Only `ledger.dispose` writes this table; here it stands for a disposal.
    let record = "0198c0de-0000-7000-8000-00000000000d";
    test.database.tamper(&format!("insert into content.disposals values ('{record}', 1)")).await;
    let key = format!("insert into content.keys values ('{record}', 1, decode(repeat('00', 69), 'hex'))");
    let refused = fails(&mut append, key).await;
    assert!(refused.contains("the record was disposed of"), "{refused}");
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
