//! A recorder that keeps everything in memory, says what it is told to say, and can be made to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use http::Method;
use muniment::capture::{Answer, Gap, GapCause, NoAnswer, Receipt, Recorder, Refusal, RefusalReason};
use muniment::exchange::{Connection, Exchange, Message, RequestHead};
use muniment::recognize::{Channel, Hold, Keep, Outbound, Plan, Release, Tee};
use muniment::record::{Direction, RecordId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::peer::SOON;

/// What the recorder was told.
#[derive(Debug, Clone)]
pub(crate) enum Note {
    Write { exchange: Exchange, body: Vec<u8> },
    Outcome { status: Option<u16>, complete: bool, body: Vec<u8>, none: Option<NoAnswer> },
    Observe { exchange: Exchange, query: Vec<u8>, body: Vec<u8> },
    Message { message: Message },
    Gap { cause: GapCause, gap: Gap },
}

type Planner = Box<dyn Fn(&RequestHead) -> Plan + Send + Sync>;

/// The recorder.
pub(crate) struct TestRecorder {
    notes: Arc<Mutex<Vec<Note>>>,
    planner: Mutex<Planner>,
    refusal: Mutex<Option<RefusalReason>>,
    forgets: AtomicBool,
    /// Verdicts that may be given; plenty, unless a test closes it.
    gate: Semaphore,
}

/// Plans by method and path, so that a test reads as one.
pub(crate) fn plan_by_path(head: &RequestHead) -> Plan {
    let network: Arc<str> = "test".into();
    let hold = |release, keep| Plan::Hold(Hold { network: Some(network.clone()), release, keep });
    match head.path() {
        path if path.starts_with("/login") => Plan::Credential,
        path if path.starts_with("/tail") => hold(Release::Tail, Keep::Whole),
        path if path.starts_with("/head-only") => hold(Release::Whole, Keep::Head),
        path if path.starts_with("/channel") => {
            let channel = Channel { network: Some(network), outbound: Outbound::Hold, inbound: true, read: None };
            Plan::Messages(channel)
        }
        path if path.starts_with("/read") && head.asks_for_websocket() => {
            let read = Some(Tee { network });
            Plan::Messages(Channel { network: None, outbound: Outbound::Hold, inbound: false, read })
        }
        path if path.starts_with("/read") => Plan::Tee(Tee { network }),
        path if path.starts_with("/relay") => {
            let channel = Channel { network: Some(network), outbound: Outbound::Relay, inbound: false, read: None };
            Plan::Messages(channel)
        }
        path if path.starts_with("/forward") => Plan::Forward,
        _ if head.method == Method::GET || head.method == Method::HEAD => Plan::Forward,
        _ => hold(Release::Whole, Keep::Whole),
    }
}

impl TestRecorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Arc::default(),
            planner: Mutex::new(Box::new(plan_by_path)),
            refusal: Mutex::default(),
            forgets: AtomicBool::new(false),
            gate: Semaphore::new(1_000_000),
        })
    }

    /// From now on every write is refused.
    pub(crate) fn refuse(&self, reason: RefusalReason) {
        *self.refusal.lock() = Some(reason);
    }

    /// From now on bodies of writes are read to their end, and forgotten.
    pub(crate) fn forget_bodies(&self) {
        self.forgets.store(true, Ordering::Relaxed);
    }

    /// From now on no verdict is given before [`Self::open`].
    pub(crate) fn close(&self) {
        self.gate.forget_permits(1_000_000);
    }

    /// Gives so many verdicts.
    pub(crate) fn open(&self, verdicts: usize) {
        self.gate.add_permits(verdicts);
    }

    pub(crate) fn notes(&self) -> Vec<Note> {
        self.notes.lock().clone()
    }

    /// The bodies of all writes.
    pub(crate) fn writes(&self) -> Vec<(Exchange, Vec<u8>)> {
        self.notes()
            .into_iter()
            .filter_map(|note| if let Note::Write { exchange, body } = note { Some((exchange, body)) } else { None })
            .collect()
    }

    pub(crate) fn last_gap(&self) -> Option<Gap> {
        self.notes().into_iter().rev().find_map(|note| if let Note::Gap { gap, .. } = note { Some(gap) } else { None })
    }

    pub(crate) fn gaps(&self) -> Vec<GapCause> {
        self.notes()
            .into_iter()
            .filter_map(|note| if let Note::Gap { cause, .. } = note { Some(cause) } else { None })
            .collect()
    }

    pub(crate) fn messages(&self, wanted: Direction) -> Vec<String> {
        let text = |message: Message| String::from_utf8_lossy(&message.data.0).into_owned();
        let of_note = |note| if let Note::Message { message } = note { Some(message) } else { None };
        self.notes().into_iter().filter_map(of_note).filter(|message| message.direction == wanted).map(text).collect()
    }

    /// Waits until the notes satisfy a condition.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&[Note]) -> bool) {
        let began = Instant::now();
        while !holds(&self.notes.lock()) {
            assert!(began.elapsed() < SOON, "{what} never happened: {:#?}", self.notes());
            sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn until_gap(&self, wanted: GapCause) {
        self.until(wanted.as_str(), |notes| {
            notes.iter().any(|note| matches!(note, Note::Gap { cause, .. } if *cause == wanted))
        })
        .await;
    }

    async fn verdict(&self) -> Result<(), Refusal> {
        self.gate.acquire().await.unwrap().forget();
        let Some(reason) = *self.refusal.lock() else { return Ok(()) };
        // A recorder notes what it refuses.
        self.gap(Gap::new(GapCause::WriteRefused));
        Err(Refusal::new(reason, "the test says so"))
    }
}

fn read(body: &muniment::exchange::Body) -> Vec<u8> {
    body.bytes(1 << 30).unwrap().to_vec()
}

impl Recorder for TestRecorder {
    fn plan(&self, _connection: &Connection, head: &RequestHead) -> Plan {
        (self.planner.lock())(head)
    }

    fn write(&self, exchange: Exchange) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        Box::pin(async move {
            self.verdict().await?;
            let body = if self.forgets.load(Ordering::Relaxed) {
                std::io::copy(&mut exchange.request.body.reader().unwrap(), &mut std::io::sink()).unwrap();
                Vec::new()
            } else {
                read(&exchange.request.body)
            };
            let id = exchange.id.uuid();
            self.notes.lock().push(Note::Write { exchange, body });
            let notes = Arc::clone(&self.notes);
            Ok(Receipt::new(RecordId::new(id), move |answer| {
                let note = match answer {
                    Answer::Response(response) => Note::Outcome {
                        status: Some(response.head.status.as_u16()),
                        complete: response.complete,
                        body: read(&response.body),
                        none: None,
                    },
                    Answer::None(why) => {
                        Note::Outcome { status: None, complete: false, body: Vec::new(), none: Some(why) }
                    }
                };
                notes.lock().push(note);
            }))
        })
    }

    fn observe(&self, exchange: Exchange) {
        let body = exchange.response.as_ref().map(|response| read(&response.body)).unwrap_or_default();
        let query = read(&exchange.request.body);
        self.notes.lock().push(Note::Observe { exchange, query, body });
    }

    fn message<'a>(
        &'a self,
        _connection: &'a Arc<Connection>,
        _head: &'a RequestHead,
        message: Message,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            if message.direction == Direction::Outbound {
                self.verdict().await?;
            }
            self.notes.lock().push(Note::Message { message });
            Ok(())
        })
    }

    fn gap(&self, gap: Gap) {
        self.notes.lock().push(Note::Gap { cause: gap.cause, gap });
    }
}
