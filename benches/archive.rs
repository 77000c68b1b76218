//! The archive against bare Postgres: durable captures against a batched insert under a locked head, and verification against
//! `copy` of the same columns. Interleaved rounds on one private Postgres with durability on; only the ratios mean something.
//!
//! ```text
//! cargo bench --bench archive
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that cannot be made stops")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use muniment::archive::embedded::Embedded;
use muniment::archive::{Append as _, Archive, Options, Scope, SealedField, Stored, Submission, migrate};
use muniment::ledger::{Actor, Commitments, Draft, EntryType, SigningKey};
use muniment::record::{
    AdvisorId, Clock, Commitment, DeviceId, Digest, EntryId, FieldName, Ids, MasterKey, RecordId, RecordKey, Timestamp,
    seal,
};
use muniment::telemetry::Metrics;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use uuid::Uuid;

const WAITERS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// The goals of the first version.
const APPEND_GOAL: f64 = 0.4;
const VERIFY_GOAL: f64 = 0.5;

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the bench's clock is the system's")]
    fn now(&self) -> Timestamp {
        Timestamp::new(time::OffsetDateTime::now_utc())
    }
}

struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn fresh(&self) -> Uuid {
        let millis = u64::try_from(SystemClock.now().unix_micros() / 1_000).unwrap();
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// A captured post with five sealed fields, about what a client of Bluesky sends.
fn capture(ids: &CountedIds, master: &MasterKey, number: u64) -> Submission {
    let (id, record) = (EntryId::new(ids.fresh()), RecordId::new(ids.fresh()));
    let (mut secret, mut nonce) = ([0; 32], [0; 12]);
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    aws_lc_rs::rand::fill(&mut nonce).unwrap();
    let key = RecordKey::new(secret);
    let fields =
        [("0.text", 200), ("0.account", 120), ("connection", 200), ("request.body", 400), ("request.head", 700)];
    let (mut commitments, mut sealed) = (Commitments::new(), Vec::new());
    for (name, size) in fields {
        let (name, value): (FieldName, _) = (name.parse().unwrap(), vec![b'x'; size]);
        commitments.insert(name.clone(), Commitment::to(&key.salt(id, &name), &value));
        let ciphertext = Bytes::from(seal(&key.sealing_key(id, &name), &value).unwrap());
        sealed.push(SealedField { name, ciphertext: Stored::Inline(ciphertext) });
    }
    let serde_json::Value::Object(detail) = serde_json::json!({
        "attachments": 0, "direction": "outbound", "exchange": ids.fresh().to_string(), "kinds": ["post"], "method": "post",
        "network": "bluesky", "rule": "create_post", "rules": Digest::ZERO.to_string(), "size": 400, "transport": "http",
    }) else {
        panic!("an object")
    };
    let draft = Draft {
        id,
        entry_type: EntryType::Capture,
        actor: Actor::Device(DeviceId::new(Uuid::from_u128(7))),
        captured_at: SystemClock.now(),
        record: Some(record),
        streams: vec![AdvisorId::new(Uuid::from_u128(u128::from(number % 50)))],
        commitments,
        detail,
    };
    Submission { draft, key: Some((record, master.wrap_key(record, &key, nonce).unwrap())), sealed }
}

/// Captures made durable per second, with this many waiting at a time. Sealing is capture's work and made beforehand.
async fn appends(archive: &Archive, ids: &CountedIds, waiters: usize, each: usize) -> f64 {
    let master = MasterKey::new([7; 32]);
    let mut prepared: Vec<Vec<Submission>> =
        (0..waiters).map(|_| (0..each as u64).map(|number| capture(ids, &master, number)).collect()).collect();
    let started = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for submissions in prepared.drain(..) {
        let (archive, done) = (archive.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            for submission in submissions {
                if started.elapsed() > ROUND {
                    break;
                }
                archive.append(submission).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// Rows of the size of an entry per second: lock the head, insert 64 by `unnest`, move the head, commit.
async fn bare(connection: &mut PgConnection, ids: &CountedIds, from: &mut i64) -> f64 {
    let started = Instant::now();
    let first = *from;
    while started.elapsed() < ROUND {
        let rows: Vec<Uuid> = (0..WAITERS).map(|_| ids.fresh()).collect();
        let leaves: Vec<Vec<u8>> = rows.iter().map(|id| Digest::of(&[id.as_bytes()]).0.to_vec()).collect();
        let bodies: Vec<Vec<u8>> = rows.iter().map(|_| vec![b'x'; 1_100]).collect();
        sqlx::raw_sql("begin").execute(&mut *connection).await.unwrap();
        sqlx::query("select size from bench.head for update").fetch_one(&mut *connection).await.unwrap();
        sqlx::query(
            "insert into bench.entries select $1 + e.nth - 1, e.id, e.leaf, e.body
               from unnest($2::uuid[], $3::bytea[], $4::bytea[]) with ordinality e (id, leaf, body, nth)",
        )
        .bind(*from)
        .bind(rows)
        .bind(leaves)
        .bind(bodies)
        .execute(&mut *connection)
        .await
        .unwrap();
        *from += i64::try_from(WAITERS).unwrap();
        sqlx::query("update bench.head set size = $1").bind(*from).execute(&mut *connection).await.unwrap();
        sqlx::raw_sql("commit").execute(&mut *connection).await.unwrap();
    }
    (*from - first) as f64 / started.elapsed().as_secs_f64()
}

/// Rows per second of `copy` into nothing.
async fn copied(connection: &mut PgConnection, statement: &str, rows: u64) -> f64 {
    let started = Instant::now();
    let mut stream = connection.copy_out_raw(statement).await.unwrap();
    let mut bytes = 0;
    while let Some(message) = stream.try_next().await.unwrap() {
        bytes += message.len();
    }
    assert!(bytes > 0);
    rows as f64 / started.elapsed().as_secs_f64()
}

async fn verified(archive: &Archive, content: bool, rows: u64) -> f64 {
    let started = Instant::now();
    let verifier = archive.verifier().scope(Scope { content, projections: false });
    let verification = verifier.run(|finding| panic!("{finding:?}"), |_step| ()).await.unwrap();
    assert_eq!(verification.history.entries, rows);
    rows as f64 / started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn report(what: &str, ours: Vec<f64>, theirs: Vec<f64>, goal: f64) {
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect());
    let verdict = if ratio >= goal { "met" } else { "MISSED" };
    println!(
        "{what}: {:.0}/s against {:.0}/s, ratio {ratio:.2} (goal {goal:.2}: {verdict})",
        median(ours),
        median(theirs)
    );
}

async fn measure(service: &PgConnectOptions, owner: &PgConnectOptions, dir: &std::path::Path) {
    let ids = Arc::new(CountedIds(AtomicU64::new(0)));
    let archive = Archive::open(Options {
        service: service.clone(),
        data_dir: dir.to_owned(),
        blobs: dir.join("blobs"),
        master: MasterKey::new([7; 32]),
        signing: SigningKey::new("bench.example/ledger", &[9; 32]).unwrap(),
        clock: Arc::new(SystemClock),
        ids: Arc::<CountedIds>::clone(&ids),
        metrics: Arc::new(Metrics::new()),
        connections: 4,
        append_timeout: Duration::from_secs(30),
        durable: true,
    })
    .await
    .unwrap();
    let mut connection = owner.connect().await.unwrap();
    sqlx::raw_sql(
        "create schema bench;
         create table bench.entries (index bigint primary key, id uuid unique, leaf bytea unique, body bytea);
         create table bench.head (size bigint) with (fillfactor = 10); insert into bench.head values (0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();

    let (mut ours, mut theirs, mut from) = (Vec::new(), Vec::new(), 0);
    for _round in 0..ROUNDS {
        ours.push(appends(&archive, &ids, WAITERS, 600).await);
        theirs.push(bare(&mut connection, &ids, &mut from).await);
    }
    report("durable captures, 64 waiting, against a bare batched insert", ours, theirs, APPEND_GOAL);
    let alone = appends(&archive, &ids, 1, 2_000).await;
    println!("one capture waiting alone: {:.2} ms each", 1_000.0 / alone);

    archive.publish(false).await.unwrap();
    let rows = archive.head_size().await.unwrap();
    sqlx::raw_sql("vacuum analyze").execute(&mut connection).await.unwrap();
    let entries = "copy (select index, id, leaf, body from ledger.entries order by index) to stdout (format binary)";
    let content = "copy (select e.index, e.id, e.leaf, e.body, s.record, k.wrapped, s.names, s.ciphertexts
                           from ledger.entries e left join content.sealed s on s.entry_index = e.index
                           left join content.keys k on k.record = s.record order by e.index) to stdout (format binary)";
    for (what, statement, with_content) in [("entries, chain, tree", entries, false), ("with content", content, true)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _round in 0..ROUNDS {
            ours.push(verified(&archive, with_content, rows).await);
            theirs.push(copied(&mut connection, statement, rows).await);
        }
        report(&format!("verify {rows} entries ({what}) against copy"), ours, theirs, VERIFY_GOAL);
    }
    archive.close().await;
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let embedded = Embedded::start(&dir.path().join("data/postgres"), None).await.unwrap();
        migrate(embedded.owner(), embedded.service().get_username()).await.unwrap();
        measure(embedded.service(), embedded.owner(), dir.path()).await;
        embedded.stop().await;
    });
}
