//! Searching an archive of a firm's size: each sort of question over archives of several sizes, made by `tests/it/support/large`, and
//! the rate of appends while somebody searches.
//!
//! A question is one call of the read layer, as the API makes it (authentication and the entry about the look are not in it). It
//! is asked again and again with other values, on a private Postgres as the program starts it. What is compared is the 95th percentile at
//! each size with that at the first. What a question finds is planted so that it is the same number at any size; only the frequent
//! words are in half and in a third of all texts.
//!
//! ```text
//! cargo bench --bench search                    # 10,000 and 1,000,000 records
//! cargo bench --bench search -- 10000 5000000   # needs about 7 GB for each million
//! cargo bench --bench search -- --keep /srv/b   # keeps the archives there; where they are already, asks them and appends nothing
//! cargo bench --bench search -- --only word     # only questions with this in their name
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops"
)]

#[path = "../tests/it/support/large/mod.rs"]
#[expect(dead_code, unused_imports, reason = "tests use more of it")]
mod large;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use large::Firm;
use muniment::archive::embedded::Embedded;
use muniment::archive::{
    Append as _, Archive, BlobStore, Follower, Options, RecordFilter, SealedField, Slice, Stored, Submission,
    WordQuery, migrate, rebuild,
};
use muniment::ledger::{Actor, Commitments, Draft, EntryType, SigningKey};
use muniment::record::{
    Clock, Commitment, DeviceId, Digest, EntryId, FieldName, Ids, MasterKey, RecordId, RecordKey, Timestamp, seal,
};
use muniment::telemetry::Metrics;
use support::{CountedIds, SystemClock};
use uuid::Uuid;

/// Times each question is asked, with other values each time.
const TIMES: u64 = 60;
/// The goal: p95 at the last size over that at the first.
const GOAL: f64 = 3.0;
const PAGE: u32 = 50;
const WAITERS: usize = 16;
const APPENDING: Duration = Duration::from_secs(8);

fn master() -> MasterKey {
    MasterKey::new([7; 32])
}

/// One way to ask: a filter and a slice, by the number of the asking; or counts.
struct Question {
    name: &'static str,
    counts: bool,
    ask: fn(&Firm, u64, u64) -> (RecordFilter, Slice),
    /// Its time may grow with the archive.
    grows: bool,
}

fn newest(after: Option<u64>) -> Slice {
    Slice { after, newest_first: true, limit: PAGE }
}

fn words(typed: &str) -> RecordFilter {
    RecordFilter { words: Some(WordQuery::parse(typed, false).unwrap()), ..RecordFilter::default() }
}

/// A month of the archive's years.
fn month(firm: &Firm, nth: u64) -> (Option<Timestamp>, Option<Timestamp>) {
    const MONTH: i64 = 30 * 86_400 * 1_000_000;
    let months = u64::try_from((firm.until - firm.from) / MONTH).unwrap();
    let from = firm.from + i64::try_from(nth * 7 % months).unwrap() * MONTH;
    (Timestamp::from_unix_micros(from).ok(), Timestamp::from_unix_micros(from + MONTH).ok())
}

const QUESTIONS: &[Question] = &[
    Question {
        name: "rare word",
        counts: false,
        ask: |_, _, nth| (words(["zanzibar", "zx81", "Zanzibar"][(nth % 3) as usize]), newest(None)),
        grows: false,
    },
    Question {
        name: "two frequent words",
        counts: false,
        ask: |_, _, nth| (words(["market fund", "client return", "trh rynek"][(nth % 3) as usize]), newest(None)),
        grows: false,
    },
    Question {
        name: "frequent word",
        counts: false,
        ask: |_, _, nth| (words(["market", "returns", "funds"][(nth % 3) as usize]), newest(None)),
        grows: true,
    },
    Question {
        name: "frequent word, best matches",
        counts: false,
        ask: |_, _, nth| {
            let filter = words(["market", "returns", "funds"][(nth % 3) as usize]);
            (RecordFilter { by_relevance: true, ..filter }, newest(None))
        },
        grows: true,
    },
    Question { name: "phrase", counts: false, ask: |_, _, _| (words("\"quiet harbour\""), newest(None)), grows: false },
    Question {
        name: "substring",
        counts: false,
        ask: |_, _, nth| {
            let text = ["zx81-44", "X81-4471", "anzib"][(nth % 3) as usize].to_owned();
            (RecordFilter { text: Some(text), ..RecordFilter::default() }, newest(None))
        },
        grows: false,
    },
    Question {
        name: "filter: advisor, kind, month",
        counts: false,
        ask: |firm, _, nth| {
            let (since, until) = month(firm, nth);
            let advisor = Some(firm.advisor(nth * 13 % firm.advisors));
            (
                RecordFilter { advisor, kind: Some("message".to_owned()), since, until, ..RecordFilter::default() },
                newest(None),
            )
        },
        grows: false,
    },
    Question {
        name: "filter: network, refused",
        counts: false,
        ask: |_, _, nth| {
            let network = Some(large::NETWORKS[(nth % 4) as usize].to_owned());
            (RecordFilter { network, state: Some("refused".to_owned()), ..RecordFilter::default() }, newest(None))
        },
        grows: false,
    },
    Question {
        name: "filter: account, recipient",
        counts: false,
        ask: |firm, _, nth| {
            let spec =
                (0..).map(|number| firm.spec(nth * 131 + number)).find(|spec| spec.outbound && spec.client.is_some());
            let spec = spec.unwrap();
            let recipient = spec.client.map(|client| format!("client{client}.example"));
            let account = Some(firm.account(spec.advisor, spec.network));
            (RecordFilter { account, recipient, ..RecordFilter::default() }, newest(None))
        },
        grows: false,
    },
    Question {
        name: "filter: flag",
        counts: false,
        ask: |_, _, _| (RecordFilter { flag: Some("redacted".to_owned()), ..RecordFilter::default() }, newest(None)),
        grows: false,
    },
    Question {
        name: "deep page",
        counts: false,
        ask: |_, size, nth| (RecordFilter::default(), newest(Some(size * (nth * 37 % 97 + 1) / 99))),
        grows: false,
    },
    Question {
        name: "deep page of an advisor",
        counts: false,
        ask: |firm, size, nth| {
            let advisor = Some(firm.advisor(nth * 13 % firm.advisors));
            (RecordFilter { advisor, ..RecordFilter::default() }, newest(Some(size * (nth * 37 % 97 + 1) / 99)))
        },
        grows: false,
    },
    Question {
        name: "rare word, as of a size",
        counts: false,
        ask: |_, size, nth| {
            (RecordFilter { as_of: Some(size * (nth % 50 + 50) / 100), ..words("zanzibar") }, newest(None))
        },
        grows: false,
    },
    Question {
        name: "counts: all",
        counts: true,
        ask: |_, _, _| (RecordFilter::default(), newest(None)),
        grows: false,
    },
    Question {
        name: "counts: a month, as of a size",
        counts: true,
        ask: |firm, size, nth| {
            let (since, until) = month(firm, nth);
            (
                RecordFilter { since, until, as_of: Some(size * (nth % 50 + 50) / 100), ..RecordFilter::default() },
                newest(None),
            )
        },
        grows: false,
    },
    Question {
        name: "counts: rare word",
        counts: true,
        ask: |_, _, _| (words("zanzibar"), newest(None)),
        grows: false,
    },
    Question {
        name: "counts: an advisor",
        counts: true,
        ask: |firm, _, nth| {
            let advisor = Some(firm.advisor(nth * 13 % firm.advisors));
            (RecordFilter { advisor, ..RecordFilter::default() }, newest(None))
        },
        grows: true,
    },
    Question {
        name: "counts: frequent word",
        counts: true,
        ask: |_, _, _| (words("market"), newest(None)),
        grows: true,
    },
];

async fn ask(archive: &Archive, firm: &Firm, size: u64, question: &Question, nth: u64) -> u64 {
    let (filter, slice) = (question.ask)(firm, size, nth);
    if question.counts {
        return archive.facets(&filter).await.unwrap().total;
    }
    archive.records(&filter, slice).await.unwrap().len() as u64
}

/// Median and 95th percentile of one question in milliseconds, and how much it finds.
struct Measured {
    median: f64,
    p95: f64,
    found: u64,
}

impl Measured {
    fn new(mut times: Vec<f64>, found: u64) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        Self { median: at(50), p95: at(95), found }
    }
}

/// Asks each archive in turn, so that what disturbs one disturbs all.
async fn measure(laid: &[Laid], question: &Question) -> Vec<Measured> {
    let mut all = vec![(Vec::new(), 0); laid.len()];
    let begun = Instant::now();
    for nth in 0..TIMES {
        for (of, (times, found)) in laid.iter().zip(&mut all) {
            let started = Instant::now();
            *found = ask(&of.archive, &of.firm, of.size, question, nth).await.max(*found);
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        // A slow one is not asked for minutes.
        if nth >= 20 && begun.elapsed() > Duration::from_secs(20) {
            break;
        }
    }
    all.into_iter().map(|(times, found)| Measured::new(times, found)).collect()
}

/// A post as a device sends it, with two sealed fields.
fn capture(ids: &CountedIds, firm: &Firm, nth: u64) -> Submission {
    let (id, record) = (EntryId::new(ids.fresh()), RecordId::new(ids.fresh()));
    let (mut secret, mut nonce) = ([0; 32], [0; 12]);
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    aws_lc_rs::rand::fill(&mut nonce).unwrap();
    let key = RecordKey::new(secret);
    let (mut commitments, mut sealed) = (Commitments::new(), Vec::new());
    let text = firm.text(nth % firm.records);
    for (name, value) in [("0.account", "{\"id\":\"did:plc:advisor1\"}"), ("0.text", text.as_str())] {
        let name: FieldName = name.parse().unwrap();
        commitments.insert(name.clone(), Commitment::to(&key.salt(id, &name), value.as_bytes()));
        let ciphertext = Bytes::from(seal(&key.sealing_key(id, &name), value.as_bytes()).unwrap());
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
        streams: vec![firm.advisor(nth % firm.advisors)],
        commitments,
        detail,
    };
    Submission { draft, key: Some((record, master().wrap_key(record, &key, nonce).unwrap())), sealed }
}

/// Appends a second, while this many search.
async fn appends(archive: &Archive, ids: &Arc<CountedIds>, firm: Firm, size: u64, searching: usize) -> f64 {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = tokio::task::JoinSet::new();
    for _waiter in 0..WAITERS {
        let (archive, ids, done, stop) = (archive.clone(), Arc::clone(ids), Arc::clone(&done), Arc::clone(&stop));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                archive.append(capture(&ids, &firm, done.load(Ordering::Relaxed))).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
                // A busy day of a large firm, and not all that the machine can do.
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
        });
    }
    for searcher in 0..searching {
        let (archive, stop) = (archive.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut nth = searcher as u64;
            while !stop.load(Ordering::Relaxed) {
                let questions = QUESTIONS.iter().filter(|question| !question.grows);
                for question in questions {
                    ask(&archive, &firm, size, question, nth).await;
                }
                nth += 1;
            }
        });
    }
    let started = Instant::now();
    tokio::time::sleep(APPENDING).await;
    stop.store(true, Ordering::Relaxed);
    let (done, elapsed) = (done.load(Ordering::Relaxed), started.elapsed());
    tasks.join_all().await;
    done as f64 / elapsed.as_secs_f64()
}

/// Lays an archive down and projects it, if it is not there yet; answers with its entries.
async fn make(embedded: &Embedded, firm: Firm, dir: &Path) -> u64 {
    // Written when it is whole.
    let mark = dir.join("entries");
    if let Ok(entries) = std::fs::read_to_string(&mark) {
        return entries.trim().parse().unwrap();
    }
    migrate(embedded.owner(), embedded.service().get_username()).await.unwrap();
    let started = Instant::now();
    let size = large::fill(embedded.owner(), &master(), firm).await;
    println!("{} records in {size} entries, laid down in {:.0} s", firm.records, started.elapsed().as_secs_f64());
    let started = Instant::now();
    let blobs = BlobStore::open(&dir.join("blobs")).unwrap();
    rebuild(embedded.owner(), master(), blobs, |_, _| ()).await.unwrap();
    let elapsed = started.elapsed().as_secs_f64();
    println!("rebuilding the projections: {elapsed:.1} s, {:.0} us an entry", elapsed * 1e6 / size as f64);
    std::fs::write(mark, size.to_string()).unwrap();
    size
}

/// An archive of one size, open.
struct Laid {
    firm: Firm,
    size: u64,
    embedded: Embedded,
    archive: Archive,
    ids: Arc<CountedIds>,
}

impl Laid {
    async fn open(records: u64, dir: &Path) -> Self {
        let firm = Firm::large(records);
        let embedded = Embedded::start(&dir.join("data/postgres"), None).await.unwrap();
        let size = make(&embedded, firm, dir).await;
        let ids = Arc::new(CountedIds::default());
        let archive = Archive::open(Options {
            service: embedded.service().clone(),
            data_dir: dir.to_owned(),
            blobs: dir.join("blobs"),
            master: master(),
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
        archive.catch_up().await.unwrap();
        Self { firm, size, embedded, archive, ids }
    }

    async fn append(&self) {
        let Self { archive, ids, firm, size, .. } = self;
        let follower = Follower::start(archive);
        let alone = appends(archive, ids, *firm, *size, 0).await;
        let beside = appends(archive, ids, *firm, *size, 2).await;
        println!(
            "{} records: appends of {WAITERS} devices: {alone:.0}/s alone, {beside:.0}/s while two search, ratio {:.2}",
            firm.records,
            beside / alone
        );
        follower.stop().await;
    }
}

/// The questions with this in their name.
fn asked(only: &str) -> impl Iterator<Item = &'static Question> {
    QUESTIONS.iter().filter(move |question| question.name.contains(only))
}

fn main() {
    let (mut sizes, mut keep, mut only) = (Vec::new(), None, String::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keep" => keep = arguments.next().map(PathBuf::from),
            "--only" => only = arguments.next().unwrap_or_default(),
            size => sizes.extend(size.parse::<u64>().ok()),
        }
    }
    if sizes.is_empty() {
        sizes = vec![10_000, 1_000_000];
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = keep.as_deref().unwrap_or(scratch.path());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut laid = Vec::new();
        for records in sizes {
            let dir = dir.join(records.to_string());
            std::fs::create_dir_all(&dir).unwrap();
            laid.push(Laid::open(records, &dir).await);
        }
        for question in asked(&only) {
            report(&laid, question, &measure(&laid, question).await);
        }
        for of in laid {
            // What is kept stays as it is.
            if keep.is_none() {
                of.append().await;
            }
            of.archive.close().await;
            of.embedded.stop().await;
        }
    });
}

fn report(laid: &[Laid], question: &Question, measured: &[Measured]) {
    println!("{}", question.name);
    for (of, now) in laid.iter().zip(measured) {
        let ratio = now.p95 / measured[0].p95;
        let verdict = match question.grows {
            true => "",
            false if ratio <= GOAL => " (goal 3: met)",
            false => " (goal 3: MISSED)",
        };
        println!(
            "  {:>9} records {:9.2} ms, p95 {:9.2} ms, {ratio:6.2} times that of the first, finds {}{verdict}",
            of.firm.records, now.median, now.p95, now.found
        );
    }
}
