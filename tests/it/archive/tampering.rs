//! P2: whatever a database administrator changes is found, and the entry is named.

use std::io::Write as _;

use muniment::archive::{Append as _, Finding, SealedField, Stored, Verification};
use muniment::ledger::{Entry, leaf_hash};
use muniment::record::{Commitment, Digest, FieldName, seal};
use sqlx::{AssertSqlSafe, Row as _};

use crate::support::archive::TestArchive;
use crate::support::sound::{assert_sound, verify};
use crate::support::submissions::{NewRecord, advisor, gap, outcome, post, post_of};

/// The query of docs/FORMAT.md section 16: what an auditor runs with nothing but `psql`.
const PSQL: &str = r#"
select index
  from (select index, leaf, body, encode(body, 'escape') as text,
               lag(index) over (order by index) as index_before, lag(leaf) over (order by index) as leaf_before
          from ledger.entries) as entry
 where index <> coalesce(index_before + 1, 0)
    or leaf <> sha256('\x00'::bytea || body)
    or substring(text from '"index":([0-9]+),"previous":') is distinct from index::text
    or substring(text from '"previous":"([0-9a-f]{64})"') is distinct from encode(coalesce(leaf_before, decode(repeat('00', 32), 'hex')), 'hex')
 order by index"#;

/// Forty entries (0 is the source's own), the first thirty published, a third of them with outcomes.
async fn archive() -> TestArchive {
    let test = TestArchive::new().await;
    for number in 0..13_u128 {
        let record = NewRecord::new(&test);
        let capture = post_of(&test, &record, &[advisor(number % 3)], &format!("post {number}"));
        let id = capture.draft.id;
        test.archive.append(capture).await.unwrap();
        test.archive.append(outcome(&test, &record, id, &[advisor(number % 3)])).await.unwrap();
        test.archive.append(gap(&test, "outage")).await.unwrap();
        if number == 4 || number == 9 {
            test.archive.publish(false).await.unwrap();
        }
    }
    let size = test.archive.head_size().await.unwrap();
    assert_eq!(size, 40);
    test.archive.project(size).await.unwrap();
    assert_sound(&test).await;
    test
}

fn names(found: &[Finding], check: &str, index: u64) -> bool {
    found.iter().any(|finding| finding.check == check && (finding.from..=finding.to).contains(&index))
}

async fn psql(test: &TestArchive) -> Vec<i64> {
    let mut connection = test.database.superuser().await;
    sqlx::query_scalar(PSQL).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn p2_every_kind_of_tampering_is_found_and_names_the_entry() {
    let swap = "update content.sealed a set ciphertexts = b.ciphertexts from content.sealed b
                 where a.entry_index = 7 and b.entry_index = 10";
    // What is done; which check names which index.
    let table: &[(&str, &str, u64)] = &[
        ("update ledger.entries set body = set_byte(body, 40, get_byte(body, 40) # 1) where index = 7", "leaves", 7),
        ("update ledger.entries set leaf = sha256(leaf) where index = 7", "leaves", 7),
        ("update ledger.entries set id = gen_random_uuid() where index = 7", "entries", 7),
        ("delete from ledger.entries where index = 7", "rows", 7),
        ("delete from ledger.entries where index between 5 and 9", "rows", 8),
        (
            "insert into ledger.entries select 40, gen_random_uuid(), sha256(body), body from ledger.entries where index = 7",
            "chain",
            40,
        ),
        (
            "update ledger.entries set index = 99 where index = 7; update ledger.entries set index = 7 where index = 8;
          update ledger.entries set index = 8 where index = 99",
            "entries",
            7,
        ),
        ("delete from ledger.entries where index >= 25", "checkpoints", 29),
        ("update ledger.head set size = 39", "head", 39),
        ("update ledger.head set leaf = sha256(leaf)", "head", 39),
        ("delete from ledger.head", "head", 0),
        ("delete from ledger.stream_entries where entry_index = 7", "tables", 7),
        ("update ledger.stream_entries set stream_index = 77 where entry_index = 7", "tables", 7),
        ("insert into ledger.stream_entries select gen_random_uuid(), 0, 1000", "tables", 1000),
        ("update ledger.sources set next_index = next_index + 1000 where entry_index = 7", "tables", 7),
        (swap, "content", 7),
        ("update content.sealed set ciphertexts[1] = sha256('x') where entry_index = 7", "content", 7),
        (
            "update content.sealed set names = names[1:1], ciphertexts = ciphertexts[1:1] where entry_index = 7",
            "content",
            7,
        ),
        ("update content.sealed set entry_index = 1000 where entry_index = 7", "content", 1000),
        ("update content.sealed set entry_index = 9 where entry_index = 7", "content", 9),
        ("delete from content.sealed where entry_index = 7", "content", 7),
        ("delete from content.keys where entry_index = 7", "content", 7),
        (
            "update content.keys set wrapped = (select wrapped from content.keys where entry_index = 10) where entry_index = 7",
            "content",
            7,
        ),
        ("update content.sealed set record = gen_random_uuid() where entry_index = 7", "content", 7),
        ("insert into content.disposals select record, 3 from content.keys where entry_index = 7", "tables", 3),
        ("insert into content.disposals select record, 3 from content.keys where entry_index = 7", "content", 7),
        ("update ledger.checkpoints set note = replace(note, E'\\n16\\n', E'\\n15\\n')", "checkpoints", 15),
        ("update ledger.checkpoints set size = 17 where size = 16", "checkpoints", 16),
        ("update projection.communications set text = 'never said' where entry_index = 7", "projections", 7),
        ("delete from projection.records where entry_index = 7", "projections", 7),
        ("insert into projection.record_entries select gen_random_uuid(), 7, 'capture'", "projections", 7),
    ];
    let original = archive().await;
    original.archive.close().await;
    for (statement, check, index) in table {
        let test = original.copy().await;
        test.database.tamper(statement).await;
        let (found, verification) = verify(&test).await;
        assert!(names(&found, check, *index), "{statement}: wanted {check} at {index}, found {found:#?}");
        assert!(!verification.sound);
        let ledger = statement.contains("ledger.entries");
        assert_eq!(
            !psql(&test).await.is_empty() || statement.contains(">= 25") || statement.contains("set id"),
            ledger,
            "psql alone: {statement}"
        );
    }
}

#[tokio::test]
async fn p2_every_bad_index_is_named_and_no_other() {
    let test = archive().await;
    test.database
        .tamper("update content.sealed set ciphertexts[1] = sha256('x') where entry_index in (1, 4, 16, 37)")
        .await;
    let (found, verification) = verify(&test).await;
    let mut bad: Vec<u64> = found.iter().filter(|f| f.check == "content").map(|f| f.from).collect();
    bad.sort_unstable();
    assert_eq!(bad, [1, 4, 16, 37]);
    assert_eq!((verification.failed["content"], verification.first), (4, Some(1)));
    // What cannot be opened cannot be projected either, so the readable copies of the same entries stand alone now.
    assert!(found.iter().all(|f| ["content", "projections"].contains(&f.check) && bad.contains(&f.from)), "{found:#?}");
}

/// Rewrites entry 7 and everything after it, so that hashes and links fit again: what somebody could do who owns the database
/// and knows the format.
async fn rewrite_history(test: &TestArchive) {
    let mut connection = test.database.superuser().await;
    let rows = sqlx::query("select index, body from ledger.entries where index >= 7 order by index")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let before: Vec<u8> =
        sqlx::query_scalar("select leaf from ledger.entries where index = 6").fetch_one(&mut connection).await.unwrap();
    let mut previous = Digest::try_from(before.as_slice()).unwrap();
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut connection).await.unwrap();
    for row in rows {
        let index: i64 = row.get("index");
        let entry = Entry::parse(row.get("body")).unwrap();
        let mut text = String::from_utf8(entry.bytes().to_vec()).unwrap();
        text = text.replace(&entry.previous().to_string(), &previous.to_string());
        if index == 7 {
            text = text.replace("\"size\":42", "\"size\":43");
        }
        let leaf = leaf_hash(text.as_bytes());
        Entry::parse(text.as_bytes()).unwrap();
        sqlx::query("update ledger.entries set body = $2, leaf = $3 where index = $1")
            .bind(index)
            .bind(text.as_bytes())
            .bind(leaf.as_bytes().as_slice())
            .execute(&mut connection)
            .await
            .unwrap();
        previous = leaf;
    }
    let head = "update ledger.head set leaf = (select leaf from ledger.entries order by index desc limit 1)";
    sqlx::raw_sql(AssertSqlSafe(head)).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn p2_a_history_rewritten_with_recomputed_hashes_is_bounded_by_checkpoints() {
    let test = archive().await;
    rewrite_history(&test).await;
    assert!(psql(&test).await.is_empty(), "the chain alone cannot tell");
    let (found, verification) = verify(&test).await;
    assert!(names(&found, "checkpoints", 7), "{found:#?}");
    let interval = |changed: Option<muniment::bundle::Interval>| changed.map(|changed| (changed.after, changed.before));
    assert_eq!(
        interval(verification.history.changed),
        Some((0, 16)),
        "the first change is before the checkpoint at 16"
    );
    assert_eq!(interval(verification.history.changed_outside), Some((0, 31)), "the file outside says so too");

    // Somebody takes the checkpoints away as well: the one outside still stands.
    test.database.tamper("delete from ledger.checkpoints; delete from ledger.tiles").await;
    let (found, verification) = verify(&test).await;
    assert!(names(&found, "outside", 7), "{found:#?}");
    assert!(!verification.sound);
}

#[tokio::test]
async fn p2_a_shortened_history_is_found_by_the_checkpoint_outside() {
    let test = archive().await;
    test.database
        .tamper(
            "delete from ledger.entries where index >= 20; delete from ledger.stream_entries where entry_index >= 20;
             delete from ledger.sources where entry_index >= 20; delete from content.keys where entry_index >= 20;
             delete from content.sealed where entry_index >= 20; delete from ledger.checkpoints where size > 20;
             update ledger.head set size = 20, leaf = (select leaf from ledger.entries where index = 19)",
        )
        .await;
    assert!(psql(&test).await.is_empty());
    let (found, _verification) = verify(&test).await;
    assert!(names(&found, "outside", 20), "{found:#?}");
}

#[tokio::test]
async fn p2_tiles_that_lie_are_named_with_the_entries_they_cover() {
    let test = TestArchive::new().await;
    for _batch in 0..6 {
        futures_util::future::join_all((0..100).map(|_| test.archive.append(gap(&test, "outage")))).await;
    }
    test.archive.publish(false).await.unwrap();
    let changed = "update ledger.tiles set hashes = set_byte(hashes, 100, get_byte(hashes, 100) # 1) where index = 1";
    for (statement, from) in [(changed, 256), ("delete from ledger.tiles where index = 0", 0)] {
        test.database.tamper(statement).await;
        let (found, _verification) = verify(&test).await;
        let tiles: Vec<_> = found.iter().filter(|finding| finding.check == "tiles").collect();
        assert!(tiles.iter().any(|f| (f.from, f.to) == (from, from + 255)), "{found:#?}");
    }
}

#[tokio::test]
async fn p2_files_of_the_blob_store_are_held_against_their_commitments() {
    let test = TestArchive::new().await;
    let record = NewRecord::new(&test);
    let mut submission = post_of(&test, &record, &[advisor(1)], "with a film");
    let (id, field) = (submission.draft.id, FieldName::attachment(0, 0));
    let film = vec![7; 2 << 20];
    submission.draft.commitments.insert(field.clone(), Commitment::to(&record.key.salt(id, &field), &film));
    let mut writer = test.archive.blobs().writer().unwrap();
    writer.write_all(&seal(&record.key.sealing_key(id, &field), &film).unwrap()).unwrap();
    let (digest, size) = writer.finish().unwrap();
    submission.sealed.push(SealedField { name: field, ciphertext: Stored::Blob { digest, size } });
    test.archive.append(submission).await.unwrap();
    assert_sound(&test).await;

    let name = digest.0.to_string();
    let path = test.dir.path().join("blobs").join(&name[..2]).join(&name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(names(&verify(&test).await.0, "content", 1));
    std::fs::remove_file(&path).unwrap();
    assert!(names(&verify(&test).await.0, "content", 1));
}

#[tokio::test]
async fn a_fresh_archive_and_one_of_several_runs_verify_with_progress() {
    let test = TestArchive::new().await;
    assert_sound(&test).await;
    for _batch in 0..36 {
        let batch = (0..500).map(|_| test.archive.append(gap(&test, "outage")));
        futures_util::future::join_all(batch).await;
    }
    test.archive.append(post(&test, advisor(1), "the last")).await.unwrap();
    let mut steps = Vec::new();
    let scope = muniment::archive::Scope { content: true, projections: false };
    let verifier = test.archive.verifier().scope(scope);
    let verification: Verification =
        verifier.run(|finding| panic!("{finding:?}"), |step| steps.push(step)).await.unwrap();
    assert_eq!((verification.history.entries, verification.fields), (18_002, 4));
    assert_eq!(steps.iter().map(|step| (step.done, step.of)).collect::<Vec<_>>(), [(16_384, 18_002), (18_002, 18_002)]);
}
