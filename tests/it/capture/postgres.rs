//! Capture on the real archive: a network that is cut again and again under load, a real spool directory, a real ledger.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Version};
use muniment::archive::Append;
use muniment::capture::spool::{Bounds, Directory, Journal, Spool, SpoolKey, SpoolParts};
use muniment::capture::{
    Answer, Capture, CaptureParts, InlineRecognizer, KnownAccount, KnownItem, NoAnswer, Pace, Place, Recall,
    RecallError, Recorder, Repeatable, SystemEntropy, Unfinished,
};
use muniment::exchange::{
    Authority, Body, Connection, Exchange, Limits, Protocol, Request, RequestHead, Scheme, ScrubKey,
};
use muniment::ledger::{Entry, EntryType};
use muniment::recognize::{ListedHosts, RuleSet};
use muniment::record::{AdvisorId, Clock as _, DeviceId, Digest, EntryId, ExchangeId, Ids as _, RecordId, Timestamp};
use muniment::settings::WhenUnavailable;
use muniment::telemetry::Metrics;
use uuid::Uuid;

use super::world::{said, sources};
use crate::support::archive::{TestArchive, master};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::sound::assert_sound;

/// Nothing is on record yet.
struct Nothing;

impl Recall for Nothing {
    fn unfinished(&self, _before: Timestamp, _limit: u32) -> BoxFuture<'_, Result<Vec<Unfinished>, RecallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn on_record<'a>(&'a self, _entries: &'a [EntryId]) -> BoxFuture<'a, Result<HashSet<EntryId>, RecallError>> {
        Box::pin(async { Ok(HashSet::new()) })
    }

    fn repeatable(&self, _since: Timestamp, _limit: u32) -> BoxFuture<'_, Result<Vec<Repeatable>, RecallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn accounts(&self) -> BoxFuture<'_, Result<Vec<KnownAccount>, RecallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn same_account<'a>(
        &'a self,
        _account: &'a KnownAccount,
    ) -> BoxFuture<'a, Result<Option<KnownAccount>, RecallError>> {
        Box::pin(async { Ok(None) })
    }

    fn written_by<'a>(
        &'a self,
        _account: &'a KnownAccount,
        _after: Option<u64>,
        _limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Place>, RecallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn item<'a>(
        &'a self,
        _network: &'a str,
        _item: &'a str,
        _version: &'a Digest,
    ) -> BoxFuture<'a, Result<KnownItem, RecallError>> {
        Box::pin(async { Ok(KnownItem::default()) })
    }
}

async fn behind_a_relay() -> (TestArchive, Relay) {
    let database = Database::fresh().await;
    let relay = Relay::before(&database).await;
    let service = relay.through(database.service());
    let append_timeout = Duration::from_millis(800);
    let change = |options| muniment::archive::Options { service, append_timeout, ..options };
    (TestArchive::on(database, change).await, relay)
}

async fn start(test: &TestArchive, spool: &Path) -> (Capture, Arc<Spool>) {
    let (clock, ids, metrics) = (Arc::clone(&test.clock), Arc::clone(&test.ids), Arc::new(Metrics::new()));
    let disk = Arc::new(Directory::open(spool).unwrap());
    let key = SpoolKey::derive(&master().as_bytes());
    let journal = Journal::open(disk, key, Bounds::default(), Arc::clone(&clock) as Arc<_>, Arc::new(SystemEntropy));
    let spool = Arc::new(Spool::new(SpoolParts {
        archive: Arc::new(test.archive.clone()) as Arc<dyn Append>,
        journal: journal.unwrap(),
        when_unavailable: WhenUnavailable::Spool,
        append_timeout: Duration::from_secs(1),
        clock: Arc::clone(&clock) as Arc<_>,
        ids: Arc::clone(&ids) as Arc<_>,
        metrics: Arc::clone(&metrics),
    }));
    let rules = || RuleSet::load(&sources()).unwrap();
    let capture = Capture::start(CaptureParts {
        rules: rules(),
        listed: ListedHosts::default(),
        recognizer: Arc::new(InlineRecognizer::start(rules()).unwrap()),
        spool: Arc::clone(&spool),
        recall: Arc::new(Nothing),
        blobs: Arc::new(test.archive.blobs().clone()),
        master: master(),
        scrub_key: ScrubKey::new([8; 32]),
        limits: Limits::default(),
        pace: Pace::default(),
        clock,
        ids,
        entropy: Arc::new(SystemEntropy),
        metrics,
    })
    .await;
    (capture, spool)
}

/// Waits for it, but not for ever.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..3000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

fn post(test: &TestArchive, device: u128, text: &str) -> Exchange {
    let authority = Authority::new("net.example", 443).unwrap();
    Exchange {
        id: ExchangeId::new(test.ids.fresh()),
        seen_at: test.clock.now(),
        connection: Arc::new(Connection {
            device: DeviceId::new(Uuid::from_u128(device)),
            advisor: AdvisorId::new(Uuid::from_u128(device + 100)),
            device_address: "127.0.0.1:50000".parse().unwrap(),
            authority: authority.clone(),
            protocol: Protocol::Http2,
            upstream: None,
        }),
        request: Request {
            head: RequestHead {
                method: Method::POST,
                scheme: Scheme::Https,
                authority,
                target: "/posts".to_owned(),
                version: Version::HTTP_2,
                headers: HeaderMap::new(),
            },
            body: Body::from(Bytes::from(format!("{{\"text\":\"{text}\"}}"))),
            trailers: None,
        },
        response: None,
    }
}

fn of_type(entries: &[Entry], entry_type: EntryType) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.entry_type() == entry_type).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_network_cut_again_and_again_loses_no_released_write_and_doubles_none() {
    let (test, relay) = behind_a_relay().await;
    let test = Arc::new(test);
    let directory = tempfile::tempdir().unwrap();
    let (capture, spool) = start(&test, directory.path()).await;
    let (capture, enough) = (Arc::new(capture), Arc::new(AtomicBool::new(false)));
    let devices: Vec<_> = (0..6_u128)
        .map(|device| {
            let (test, capture, enough) = (Arc::clone(&test), Arc::clone(&capture), Arc::clone(&enough));
            tokio::spawn(async move {
                let mut released = Vec::new();
                for number in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let exchange = post(&test, device, &format!("words {number} of {device}"));
                    if let Ok(receipt) = capture.write(exchange).await {
                        released.extend(receipt.record());
                        capture.outcome(receipt, Answer::None(NoAnswer::TimedOut));
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                released
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        relay.close();
        until(|| spool.backlog().frames > 5).await;
        relay.open();
        until(|| !spool.is_away()).await;
    }
    // The last outage is not over when the service stops: what is in the spool goes in with the next start.
    relay.close();
    until(|| spool.backlog().frames > 5).await;
    enough.store(true, Ordering::Relaxed);
    let mut released: Vec<RecordId> = Vec::new();
    for device in devices {
        released.extend(device.await.unwrap());
    }
    drop(spool);
    Arc::into_inner(capture).unwrap().shut_down(Duration::from_secs(20)).await;
    relay.open();
    let (capture, spool) = start(&test, directory.path()).await;
    until(|| !spool.is_away()).await;
    drop(spool);
    capture.shut_down(Duration::from_secs(20)).await;
    let entries = assert_sound(&test).await;

    assert!(released.len() > 50, "{} writes were released", released.len());
    let captures = of_type(&entries, EntryType::Capture);
    let records: BTreeSet<RecordId> = captures.iter().filter_map(|entry| entry.record()).collect();
    assert_eq!(records.len(), captures.len(), "one capture each");
    assert!(released.iter().all(|record| records.contains(record)), "everything that was released is on record");
    let mut place: BTreeMap<String, u64> = captures.iter().map(|one| (one.id().to_string(), one.index())).collect();
    for outcome in of_type(&entries, EntryType::Outcome) {
        let capture = place.remove(&said(outcome, "capture")).expect("one outcome for each capture");
        assert!(capture < outcome.index(), "an outcome never stands before its capture");
    }
    assert!(of_type(&entries, EntryType::Outcome).len() >= released.len(), "what was answered is closed");
    let outages = of_type(&entries, EntryType::Gap);
    assert!(outages.iter().any(|gap| said(gap, "cause") == "archive_unavailable" && gap.detail()["count"] != 0));
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "the spool is empty");
}
