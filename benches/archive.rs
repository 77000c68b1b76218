//! The archive against bare Postgres: durable captures against a batched insert under a locked head, and verification against
//! `copy` of the same columns. Interleaved rounds on one private Postgres with durability on; only the ratios mean something.
//! Two of them: of speed by the clock, which is what the goals are about and needs a quiet machine, and of processor time (ours
//! and the server's together), which other people's work disturbs least.
//!
//! **What the bare insert writes**: the same rows with the same number of bytes into tables with the same columns, constraints,
//! indexes and storage (made `like` ours): an entry, its place in a stream, its record's key and its five sealed fields, for 64
//! captures in one statement that locks the head, moves it and commits, with the same durability. What it leaves out is what
//! makes an archive of it: canonical bytes, hashes, links, the triggers that check them, and somebody who waits for each
//! capture. A second yardstick writes the entries alone, about a third of the bytes: what a log without content would cost.
//!
//! **What `copy` reads**: the same columns as the verifier, in the same order, by one statement, thrown away as they come.
//!
//! ```text
//! cargo bench --bench archive
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use muniment::archive::embedded::Embedded;
use muniment::archive::{Append as _, Archive, Options, Scope, SealedField, Stored, Submission, migrate};
use muniment::ledger::{Actor, Commitments, Draft, EntryType, SigningKey};
use muniment::record::{
    AdvisorId, Clock, Commitment, DeviceId, Digest, EntryId, FieldName, Ids, MasterKey, RecordId, RecordKey,
    WrappedKey, seal,
};
use muniment::telemetry::Metrics;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use support::{CountedIds, SystemClock};
use uuid::Uuid;

const WAITERS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// The goals of the first version.
const APPEND_GOAL: f64 = 0.4;
const VERIFY_GOAL: f64 = 0.5;

/// What a round came to.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    /// Processor time of this process and of the server for one, in microseconds.
    processor: f64,
}

/// Begins when it is made.
struct Stopwatch {
    started: Instant,
    processor: u64,
}

impl Stopwatch {
    fn start() -> Self {
        Self { started: Instant::now(), processor: processor_ticks() }
    }

    fn stop(self, done: u64) -> Round {
        let elapsed = self.started.elapsed().as_secs_f64();
        let ticks = processor_ticks().saturating_sub(self.processor);
        Round { per_second: done as f64 / elapsed, processor: ticks as f64 * 1e4 / done as f64 }
    }
}

/// Hundredths of a second that this process and all its descendants have had of the processor (Linux).
fn processor_ticks() -> u64 {
    let mut known: std::collections::BTreeMap<u32, (u32, u64)> = std::collections::BTreeMap::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        let Some((_name, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        // Parent; user and system time of its own and of the children that have ended.
        known.insert(id, (u32::try_from(fields[1]).unwrap(), fields[11..15].iter().sum()));
    }
    let us = std::process::id();
    let is_ours = |mut id: u32| {
        while id > 1 && id != us {
            id = known.get(&id).map_or(0, |(parent, _)| *parent);
        }
        id == us
    };
    known.iter().filter(|(id, _)| is_ours(**id)).map(|(_, (_, ticks))| ticks).sum()
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
async fn appends(archive: &Archive, ids: &CountedIds, waiters: usize, each: usize) -> Round {
    let master = MasterKey::new([7; 32]);
    let mut prepared: Vec<Vec<Submission>> =
        (0..waiters).map(|_| (0..each as u64).map(|number| capture(ids, &master, number)).collect()).collect();
    let (watch, started) = (Stopwatch::start(), Instant::now());
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for submissions in prepared.drain(..) {
        let (archive, done) = (archive.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let mut submissions = submissions.into_iter();
            while started.elapsed() < ROUND
                && let Some(submission) = submissions.next()
            {
                archive.append(submission).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
            submissions
        });
    }
    // What was prepared and not used is given back only after the watch was stopped.
    let _rest = tasks.join_all().await;
    watch.stop(done.load(Ordering::Relaxed))
}

/// Sizes of the sealed fields, tags included, in the order of their names.
const SEALED: [usize; 5] = [136, 216, 216, 416, 716];
/// Bytes of an entry, about.
const BODY: usize = 1_150;

const TABLES: &str = "
create schema bench;
create table bench.head (like ledger.head including all) with (fillfactor = 10);
insert into bench.head (size, leaf, at) values (0, decode(repeat('00', 32), 'hex'), 'epoch');
create table bench.entries (like ledger.entries including all);
create table bench.sources (like ledger.sources including all);
create table bench.stream_entries (like ledger.stream_entries including all);
create table bench.keys (like content.keys including all);
create table bench.sealed (like content.sealed including all) with (toast_tuple_target = 8160)";

const ENTRIES: &str = "
with locked as (select size from bench.head for update),
moved as (update bench.head h set size = h.size + $1, leaf = $2, at = clock_timestamp() from locked returning h.size - $1 as from),
appended as (
    insert into bench.entries select m.from + e.nth - 1, e.id, e.leaf, e.body
      from moved m, unnest($3::uuid[], $4::bytea[], $5::bytea[]) with ordinality e (id, leaf, body, nth)
)";

const CONTENT: &str = ", counted as (insert into bench.sources select $6, m.from + $1, m.from from moved m),
streamed as (
    insert into bench.stream_entries select s.stream, m.from + s.nth, m.from + s.nth - 1
      from moved m, unnest($7::uuid[]) with ordinality s (stream, nth)
), keyed as (
    insert into bench.keys select k.record, m.from + k.nth - 1, k.wrapped
      from moved m, unnest($3::uuid[], $8::bytea[]) with ordinality k (record, wrapped, nth)
), sealed as (
    insert into bench.sealed
    select m.from + f.nth - 1, f.record, array['0.account', '0.text', 'connection', 'request.body', 'request.head'],
           array[f.a, f.b, f.c, f.d, f.e]
      from moved m, unnest($3::uuid[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])
                    with ordinality f (record, a, b, c, d, e, nth)
)";

/// Captures per second that nobody hashes, links, checks or waits for.
async fn bare(connection: &mut PgConnection, ids: &CountedIds, with_content: bool) -> Round {
    let statement = format!("{ENTRIES}{} select 1 from moved", if with_content { CONTENT } else { "" });
    let bodies = vec![vec![b'x'; BODY]; WAITERS];
    let wrapped = vec![vec![b'x'; WrappedKey::SIZE]; WAITERS];
    let sealed = SEALED.map(|size| vec![vec![b'x'; size]; WAITERS]);
    let source = ids.fresh();
    let streams: Vec<Uuid> = (0..WAITERS as u128).map(|number| Uuid::from_u128(number % 50)).collect();
    let (watch, started, mut written) = (Stopwatch::start(), Instant::now(), 0);
    while started.elapsed() < ROUND {
        let rows: Vec<Uuid> = (0..WAITERS).map(|_| ids.fresh()).collect();
        // As random as a hash, for the index of nothing.
        let leaves: Vec<[u8; 32]> = rows.iter().map(|id| std::array::from_fn(|at| id.as_bytes()[at % 16])).collect();
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.as_str()))
            .bind(i64::try_from(WAITERS).unwrap())
            .bind(leaves[WAITERS - 1])
            .bind(rows)
            .bind(&leaves)
            .bind(&bodies);
        let query = if with_content {
            let query = query.bind(source).bind(&streams).bind(&wrapped);
            sealed.iter().fold(query, |query, field| query.bind(field))
        } else {
            query
        };
        query.execute(&mut *connection).await.unwrap();
        written += WAITERS as u64;
    }
    watch.stop(written)
}

/// Rows per second of `copy` into nothing.
async fn copied(connection: &mut PgConnection, statement: &str, rows: u64) -> Round {
    let watch = Stopwatch::start();
    let mut stream = connection.copy_out_raw(statement).await.unwrap();
    let mut bytes = 0;
    while let Some(message) = stream.try_next().await.unwrap() {
        bytes += message.len();
    }
    assert!(bytes > 0);
    watch.stop(rows)
}

async fn verified(archive: &Archive, content: bool, rows: u64) -> Round {
    let watch = Stopwatch::start();
    let verifier = archive.verifier().scope(Scope { content, projections: false });
    let verification = verifier.run(|finding| panic!("{finding:?}"), |_step| ()).await.unwrap();
    assert_eq!(verification.history.entries, rows);
    watch.stop(rows)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A ratio is the median of the rounds' ratios: what disturbs a round disturbs both.
fn report(what: &str, ours: &[Round], theirs: &[Round], goal: Option<f64>) {
    let ratio = |of: fn(&Round, &Round) -> f64| median(ours.iter().zip(theirs).map(|(a, b)| of(a, b)).collect());
    let middle = |rounds: &[Round], of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let speed = ratio(|ours, theirs| ours.per_second / theirs.per_second);
    let verdict = match goal {
        Some(goal) if speed >= goal => format!(" (goal {goal:.2}: met)"),
        Some(goal) => format!(" (goal {goal:.2}: MISSED)"),
        None => String::new(),
    };
    let (per_second, processor) = (|round: &Round| round.per_second, |round: &Round| round.processor);
    println!(
        "{what}: {:.0}/s against {:.0}/s, ratio {speed:.2}{verdict}; processor {:.1} us each against {:.1} us, ratio {:.2}",
        middle(ours, per_second),
        middle(theirs, per_second),
        middle(ours, processor),
        middle(theirs, processor),
        ratio(|ours, theirs| theirs.processor / ours.processor)
    );
}

async fn measure(service: &PgConnectOptions, owner: &PgConnectOptions, dir: &std::path::Path) {
    let ids = Arc::new(CountedIds::default());
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
    sqlx::raw_sql(TABLES).execute(&mut connection).await.unwrap();
    // As the archive's own connection has it.
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan; set jit = off").execute(&mut connection).await.unwrap();

    let (mut ours, mut whole, mut entries_only) = (Vec::new(), Vec::new(), Vec::new());
    for _round in 0..ROUNDS {
        ours.push(appends(&archive, &ids, WAITERS, 1_000).await);
        whole.push(bare(&mut connection, &ids, true).await);
        entries_only.push(bare(&mut connection, &ids, false).await);
    }
    report("durable captures, 64 waiting, against a bare batched insert", &ours, &whole, Some(APPEND_GOAL));
    report("... against one of the entries alone", &ours, &entries_only, None);
    let alone = appends(&archive, &ids, 1, 2_000).await;
    println!(
        "one capture waiting alone: {:.2} ms each, of which {:.2} ms of the processor",
        1_000.0 / alone.per_second,
        alone.processor / 1_000.0
    );

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
        report(&format!("verify {rows} entries ({what}) against copy"), &ours, &theirs, Some(VERIFY_GOAL));
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
