//! Instructions of the hot paths, counted by callgrind: what a busy machine does not move.
//!
//! `cargo bench --bench instructions`, with valgrind on the machine. Each path is run so many times in a process of its own under callgrind, and then
//! three times as often: the difference is what the path costs, and starting and ending the process fall out of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot be made stops")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use muniment::archive::BlobStore;
use muniment::capture::spool::{Bounds, Directory, Disk, Journal, Spool, SpoolKey, SpoolParts};
use muniment::capture::{
    Answer, Capture, CaptureParts, Entropy, EntropyError, InlineRecognizer, MemoryJournal, Pace, Recorder as _,
};
use muniment::exchange::{
    Authority, Body, Connection, Exchange, Limits, Protocol, Request, RequestHead, Response, ResponseHead, Scheme,
    ScrubKey,
};
use muniment::ledger::{Actor, Commitments, Draft, EntryType, Place, Prepared, SourceId};
use muniment::recognize::{HostPattern, ListedHosts, RuleSet};
use muniment::record::{
    AdvisorId, Clock, Commitment, DeviceId, Digest, EntryId, ExchangeId, FieldName, Ids, MasterKey, RecordId,
    RecordKey, Timestamp,
};
use muniment::settings::WhenUnavailable;
use muniment::telemetry::Metrics;
use uuid::Uuid;

/// What it does, how often it is run the first time, and how.
type Named = (&'static str, u64, fn(u64));

const PATHS: [Named; 4] = [
    ("head of a read matched with all rules", 2_000, match_reads),
    ("head of a post matched with all rules", 2_000, match_posts),
    ("exchange with a post of 1 KiB: redacted, recognised, sealed, kept in memory, with its outcome", 100, exchange),
    ("entry of 5 fields: spelled out, put in its place, hashed", 500, append),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, path, times] = arguments.as_slice()
        && what == "run"
    {
        PATHS[path.parse::<usize>().unwrap()].2(times.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: apt-get install valgrind");
        return ExitCode::FAILURE;
    }
    println!("{:<96} {:>14}", "path", "instructions");
    for (number, (name, times, _)) in PATHS.iter().enumerate() {
        let [few, many] = [*times, 3 * times].map(|times| counted(number, times));
        println!("{name:<96} {:>14}", (many - few) / (2 * times));
    }
    ExitCode::SUCCESS
}

/// All instructions of a process that runs a path so often.
fn counted(path: usize, times: u64) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())]);
    command.arg(std::env::current_exe().unwrap()).args(["run", &path.to_string(), &times.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out).unwrap();
    let counts = text.lines().filter_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    counts.map(|count| count.trim().parse::<u64>().unwrap()).max().unwrap()
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(1_795_291_200_000_000).unwrap()
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Ids for Counted {
    fn fresh(&self) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(self.0.fetch_add(1, Ordering::Relaxed), &[0; 10]).into_uuid()
    }
}

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0]);
        Ok(())
    }
}

const HOST: &str = "social.example";

fn listed() -> ListedHosts {
    [HOST.parse::<HostPattern>().unwrap()].into_iter().collect()
}

/// As a browser sends it.
fn head(method: Method, target: &str) -> RequestHead {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", HOST),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "en-GB,en;q=0.7,cs;q=0.3"),
        ("accept-encoding", "gzip, deflate, br"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("content-type", "application/json"),
        ("origin", "https://social.example"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    RequestHead {
        method,
        scheme: Scheme::Https,
        authority: Authority::new(HOST, 443).unwrap(),
        target: target.to_owned(),
        version: Version::HTTP_11,
        headers,
    }
}

fn match_heads(method: Method, target: &str, times: u64) {
    let (rules, listed, head) = (RuleSet::embedded().unwrap(), listed(), head(method, target));
    for _ in 0..times {
        std::hint::black_box(rules.plan(std::hint::black_box(&head), &listed));
    }
}

fn match_reads(times: u64) {
    match_heads(Method::GET, "/api/v1/timelines/home?limit=40", times);
}

fn match_posts(times: u64) {
    match_heads(Method::POST, "/api/v1/statuses", times);
}

fn exchange(times: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let capture = capture(directory.path()).await;
        let connection = Arc::new(Connection {
            device: DeviceId::new(Uuid::from_u128(1)),
            advisor: AdvisorId::new(Uuid::from_u128(2)),
            device_address: "127.0.0.1:50000".parse().unwrap(),
            authority: Authority::new(HOST, 443).unwrap(),
            protocol: Protocol::Http1,
            upstream: None,
        });
        let said = "what an advisor says ".repeat(45);
        for number in 0..times {
            let body = format!(r#"{{"visibility":"public","language":"en","status":"{number:06} {said}"}}"#);
            let exchange = Exchange {
                id: ExchangeId::new(Uuid::from_u128(u128::from(number) + 1)),
                seen_at: Still.now(),
                connection: Arc::clone(&connection),
                request: Request {
                    head: head(Method::POST, "/api/v1/statuses"),
                    body: Body::from(Bytes::from(body)),
                    trailers: None,
                },
                response: None,
            };
            let receipt = capture.write(exchange).await.unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
            let answer = format!(
                r#"{{"id":"{number}","uri":"https://{HOST}/users/ada/statuses/{number}","url":"https://{HOST}/@ada/{number}",
                "visibility":"public","account":{{"id":"1","acct":"ada","url":"https://{HOST}/@ada"}}}}"#
            );
            let head = ResponseHead { status: StatusCode::OK, version: Version::HTTP_11, headers };
            let body = Body::from(Bytes::from(answer));
            capture.outcome(receipt, Answer::Response(Response { head, body, complete: true, ended_at: Still.now() }));
        }
        capture.shut_down(Duration::from_secs(1)).await;
    });
}

async fn capture(directory: &Path) -> Capture {
    let (clock, master): (Arc<dyn Clock>, _) = (Arc::new(Still), || MasterKey::new([7; 32]));
    let ledger = Arc::new(MemoryJournal::new(Arc::clone(&clock), master()));
    let (ids, entropy, metrics) =
        (Arc::new(Counted::default()), Arc::new(Counted::default()), Arc::new(Metrics::new()));
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(&directory.join("spool")).unwrap());
    let key = SpoolKey::derive(&[1; 32]);
    let journal =
        Journal::open(disk, key, Bounds::default(), Arc::clone(&clock), Arc::clone(&entropy) as Arc<_>).unwrap();
    let spool = Arc::new(Spool::new(SpoolParts {
        archive: Arc::clone(&ledger) as Arc<_>,
        journal,
        when_unavailable: WhenUnavailable::Refuse,
        append_timeout: Duration::from_secs(60),
        clock: Arc::clone(&clock),
        ids: Arc::clone(&ids) as Arc<_>,
        metrics: Arc::clone(&metrics),
    }));
    Capture::start(CaptureParts {
        rules: RuleSet::embedded().unwrap(),
        listed: listed(),
        recognizer: Arc::new(InlineRecognizer::start(RuleSet::embedded().unwrap()).unwrap()),
        spool,
        recall: ledger,
        blobs: Arc::new(BlobStore::open(directory).unwrap()),
        master: master(),
        scrub_key: ScrubKey::new([8; 32]),
        limits: Limits::default(),
        pace: Pace::default(),
        clock,
        ids,
        entropy,
        metrics,
    })
    .await
}

fn append(times: u64) {
    let ids = Counted::default();
    let source = SourceId::new(ids.fresh());
    let mut previous = Digest::ZERO;
    let mut bytes = Vec::new();
    let detail = serde_json::json!({
        "attachments": 0, "direction": "outbound", "exchange": ids.fresh().to_string(), "kinds": ["post"], "method": "post",
        "network": "mastodon", "rule": "post", "rules": Digest::ZERO.to_string(), "size": 1_000, "transport": "http",
    });
    for index in 0..times {
        let (id, record) = (EntryId::new(ids.fresh()), RecordId::new(ids.fresh()));
        let key = RecordKey::new([5; 32]);
        let mut commitments = Commitments::new();
        for name in ["0.text", "0.account", "connection", "request.body", "request.head"] {
            let name: FieldName = name.parse().unwrap();
            commitments.insert(name.clone(), Commitment::to(&key.salt(id, &name), &[b'x'; 300]));
        }
        let draft = Draft {
            id,
            entry_type: EntryType::Capture,
            actor: Actor::Device(DeviceId::new(Uuid::from_u128(1))),
            captured_at: Still.now(),
            record: Some(record),
            streams: vec![AdvisorId::new(Uuid::from_u128(2))],
            commitments,
            detail: detail.as_object().unwrap().clone(),
        };
        let prepared = Prepared::new(&draft, source).unwrap();
        let place = Place { index, previous, at: Still.now(), source_index: index };
        bytes.clear();
        prepared.write(&mut bytes, &place, std::iter::once(index));
        previous = Digest::of(&[&bytes]);
    }
    std::hint::black_box(previous);
}
