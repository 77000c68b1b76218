//! A whole capture on a ledger in memory: what the proxy calls on one side, what is on record on the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use muniment::archive::{BlobStore, Stored};
use muniment::capture::spool::{Bounds, Disk, Journal, Spool, SpoolKey, SpoolParts};
use muniment::capture::{
    Answer, Capture, CaptureParts, InlineRecognizer, MemoryJournal, Pace, Receipt, Recognizer, Recorder, Refusal,
};
use muniment::exchange::{
    Authority, Body, Connection, Exchange, Limits, Message, MessageData, Opcode, Protocol, Request, RequestHead,
    Response, ResponseHead, Scheme, ScrubKey,
};
use muniment::ledger::{Entry, EntryType};
use muniment::recognize::{ListedHosts, RuleSet, Source};
use muniment::record::{AdvisorId, Clock, DeviceId, Direction, ExchangeId, Ids, MasterKey, unseal_stream};
use muniment::settings::WhenUnavailable;
use muniment::telemetry::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::disk::FaultDisk;
use super::support::{CountedEntropy, CountedIds, FlakyArchive, ManualClock};

/// The device and advisor that most tests are about.
pub(crate) const DEVICE: u128 = 0xd1;
pub(crate) const ADVISOR: u128 = 0xa1;

/// A minute in a blink.
pub(crate) const PACE: Pace =
    Pace { gap_window: Duration::from_millis(300), own_item_grace: Duration::from_millis(400) };

pub(crate) fn sources() -> Vec<Source> {
    vec![Source { file: "testnet/rules.toml".to_owned(), text: include_str!("testnet.toml").to_owned() }]
}

/// What outlives a restart.
pub(crate) struct Ground {
    pub(crate) disk: FaultDisk,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Arc<CountedIds>,
    pub(crate) entropy: Arc<CountedEntropy>,
    pub(crate) archive: Arc<FlakyArchive>,
    pub(crate) ledger: Arc<MemoryJournal>,
    pub(crate) blobs: TempDir,
    pub(crate) when_unavailable: WhenUnavailable,
}

/// A running capture on it.
pub(crate) struct World {
    pub(crate) ground: Ground,
    pub(crate) capture: Capture,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let clock = Arc::<ManualClock>::default();
        let ledger = Arc::new(MemoryJournal::new(Arc::clone(&clock) as Arc<dyn Clock>, MasterKey::new([7; 32])));
        Self {
            disk: FaultDisk::default(),
            clock,
            ids: Arc::default(),
            entropy: Arc::default(),
            archive: Arc::new(FlakyArchive::new(Arc::clone(&ledger))),
            ledger,
            blobs: tempfile::tempdir().unwrap(),
            when_unavailable: WhenUnavailable::Spool,
        }
    }

    pub(crate) async fn start(self) -> World {
        let recognizer = Arc::new(InlineRecognizer::start(RuleSet::load(&sources()).unwrap()).unwrap());
        self.start_with(recognizer).await
    }

    pub(crate) async fn start_with(self, recognizer: Arc<dyn Recognizer>) -> World {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let metrics = Arc::new(Metrics::new());
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let key = SpoolKey::derive(&[1; 32]);
        let entropy = Arc::clone(&self.entropy);
        let journal = Journal::open(disk, key, Bounds::default(), Arc::clone(&clock), entropy).unwrap();
        let spool = Arc::new(Spool::new(SpoolParts {
            archive: Arc::clone(&self.archive) as Arc<_>,
            journal,
            when_unavailable: self.when_unavailable,
            append_timeout: Duration::from_millis(300),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&self.ids) as Arc<_>,
            metrics: Arc::clone(&metrics),
        }));
        let capture = Capture::start(CaptureParts {
            rules: RuleSet::load(&sources()).unwrap(),
            listed: ListedHosts::default(),
            recognizer,
            spool,
            recall: Arc::clone(&self.ledger) as Arc<_>,
            blobs: Arc::new(BlobStore::open(self.blobs.path()).unwrap()),
            master: MasterKey::new([7; 32]),
            scrub_key: ScrubKey::new([8; 32]),
            limits: Limits::default(),
            pace: PACE,
            clock,
            ids: Arc::clone(&self.ids) as Arc<_>,
            entropy: Arc::clone(&self.entropy) as Arc<_>,
            metrics,
        })
        .await;
        World { ground: self, capture }
    }
}

pub(crate) async fn world() -> World {
    Ground::new().start().await
}

impl World {
    /// An exchange of the usual device, not sent yet.
    pub(crate) fn exchange(&self, method: Method, target: &str, body: &str) -> Exchange {
        self.exchange_of(DEVICE, ADVISOR, method, target, body)
    }

    pub(crate) fn exchange_of(
        &self,
        device: u128,
        advisor: u128,
        method: Method,
        target: &str,
        body: &str,
    ) -> Exchange {
        let authority = Authority::new("net.example", 443).unwrap();
        let connection = Arc::new(Connection {
            device: DeviceId::new(Uuid::from_u128(device)),
            advisor: AdvisorId::new(Uuid::from_u128(advisor)),
            device_address: "127.0.0.1:50000".parse().unwrap(),
            authority: authority.clone(),
            protocol: Protocol::Http1,
            upstream: None,
        });
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("authorization", format!("Bearer token-of-device-{device}").parse().unwrap());
        Exchange {
            id: ExchangeId::new(self.ground.ids.fresh()),
            seen_at: self.ground.clock.now(),
            connection,
            request: Request {
                head: RequestHead {
                    method,
                    scheme: Scheme::Https,
                    authority,
                    target: target.to_owned(),
                    version: Version::HTTP_11,
                    headers,
                },
                body: Body::from(Bytes::from(body.to_owned())),
                trailers: None,
            },
            response: None,
        }
    }

    pub(crate) async fn post(&self, json: Value) -> Result<Receipt, Refusal> {
        self.capture.write(self.exchange(Method::POST, "/posts", &json.to_string())).await
    }

    pub(crate) fn response(&self, status: u16, json: &Value) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Response {
            head: ResponseHead { status: StatusCode::from_u16(status).unwrap(), version: Version::HTTP_11, headers },
            body: Body::from(Bytes::from(json.to_string())),
            complete: true,
            ended_at: self.ground.clock.now(),
        }
    }

    pub(crate) fn answer(&self, receipt: Receipt, status: u16, json: &Value) {
        self.capture.outcome(receipt, Answer::Response(self.response(status, json)));
    }

    /// A read of the usual device with its response.
    pub(crate) fn read(&self, target: &str, json: &Value) {
        self.read_of(DEVICE, ADVISOR, target, json);
    }

    pub(crate) fn read_of(&self, device: u128, advisor: u128, target: &str, json: &Value) {
        let mut exchange = self.exchange_of(device, advisor, Method::GET, target, "");
        exchange.response = Some(self.response(200, json));
        self.capture.observe(exchange);
    }

    pub(crate) async fn message(&self, direction: Direction, text: &str) -> Result<(), Refusal> {
        let exchange = self.exchange(Method::GET, "/channel", "");
        let message = Message {
            exchange: exchange.id,
            number: 0,
            direction,
            opcode: Opcode::Text,
            event: None,
            data: MessageData(Bytes::from(text.to_owned())),
            seen_at: exchange.seen_at,
        };
        self.capture.message(&exchange.connection, &exchange.request.head, message).await
    }

    pub(crate) fn entries(&self, entry_type: EntryType) -> Vec<Entry> {
        self.ground.ledger.entries_of(entry_type)
    }

    pub(crate) fn text(&self, entry: &Entry, field: &str) -> String {
        self.ground.ledger.text(entry, field).unwrap_or_else(|| panic!("no field {field}"))
    }

    /// Every sealed byte of the ledger, opened: inline fields and blobs.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let store = BlobStore::open(self.ground.blobs.path()).unwrap();
        let mut all = Vec::new();
        for entry in self.ground.ledger.entries() {
            all.extend_from_slice(entry.bytes());
            let Some(record) = entry.record() else { continue };
            for field in self.ground.ledger.sealed(entry.id()) {
                let key = self.ground.ledger.key(record).unwrap().sealing_key(entry.id(), &field.name);
                let mut opened = Vec::new();
                match &field.ciphertext {
                    Stored::Inline(bytes) => unseal_stream(&key, &mut &**bytes, &mut opened).unwrap(),
                    Stored::Blob { digest, .. } => {
                        unseal_stream(&key, &mut store.read(*digest).unwrap(), &mut opened).unwrap()
                    }
                };
                all.extend_from_slice(&opened);
            }
        }
        all
    }

    /// Waits until something is on record.
    pub(crate) async fn until(&self, what: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(25), async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if waited.await.is_err() {
            let said: Vec<_> = self
                .ground
                .ledger
                .entries()
                .iter()
                .map(|entry| format!("{} {}", entry.entry_type(), json!(entry.detail())))
                .collect();
            panic!("it never came to be; on record is:\n{}", said.join("\n"));
        }
    }

    pub(crate) async fn until_count(&self, entry_type: EntryType, count: usize) {
        self.until(|world| world.entries(entry_type).len() >= count).await;
    }

    /// Ends it in order: what was noted is on record or in the spool afterwards.
    pub(crate) async fn end(self) -> Ground {
        self.capture.shut_down(Duration::from_secs(5)).await;
        self.ground
    }
}

/// Detail of an entry as text.
pub(crate) fn said(entry: &Entry, key: &str) -> String {
    match entry.detail().get(key) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

pub(crate) fn header(exchange: &mut Exchange, name: &'static str, value: &str) {
    exchange.request.head.headers.append(HeaderName::from_static(name), value.parse().unwrap());
}
