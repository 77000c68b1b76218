//! One stream: reads the ledger's events beyond its cursor, writes down that they are looked at, sends them, waits.
//!
//! Invariant (P5): before any event is sent, an `access` entry that names its record and its range is durable; so the last one says how
//! far the reader can have seen, also when the process is killed. The first entry says that somebody listens, the last that and why it
//! ended. The cursor moves over what was sent, or did not fit the filter, and over nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::portion::Portion;
use crate::access::{Admission, Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::api::streams::{Place, StreamBounds};
use crate::archive::{EventFilter, EventPage, Followed};

/// Runs of events on the way to the reader.
pub(super) const QUEUE: usize = 2;
/// Events of one run.
const RUN: u32 = 250;
/// And their bytes: a run that is longer is cut after the event that makes it so.
const RUN_BYTES: usize = 256 * 1024;
/// How often to look whether somebody's rights have changed.
const LOOK: Duration = Duration::from_millis(500);
/// What happens at once is sent at once.
const GATHER: Duration = Duration::from_millis(10);
/// How long a reader may take to be told that it has ended.
const LAST: Duration = Duration::from_secs(1);
/// When a reader whose stream ended shall come again.
const RETRY: &str = "retry: 2000\n";

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything that was asked for was sent.
    Complete,
    /// The reader has left.
    Left,
    /// The reader takes nothing.
    Stalled,
    /// The service stops.
    Stopping,
    /// The token, or what it allows, has ended.
    Refused,
    /// The archive does not answer, or nothing can be written down.
    Unavailable,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Left => "left",
            Self::Stalled => "stalled",
            Self::Stopping => "stopping",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }

    fn of(problem: &Problem) -> Self {
        use ProblemKind::{NotAuthenticated, OutOfScope, RoleMissing, TokenExpired, TokenRevoked};
        match problem.kind() {
            NotAuthenticated | OutOfScope | RoleMissing | TokenExpired | TokenRevoked => Self::Refused,
            _ => Self::Unavailable,
        }
    }
}

/// See the module.
pub(super) struct Follow {
    api: Arc<Api>,
    caller: Caller,
    filter: EventFilter,
    /// As typed.
    query: Option<String>,
    /// What its entries have in common.
    id: Uuid,
    began: u64,
    /// The next place to look at.
    next: u64,
    /// Where to end; none to go on for ever.
    until: Option<u64>,
    /// How many events were shown, and the first and last of them.
    count: usize,
    shown: Option<(u64, u64)>,
    sender: mpsc::Sender<Bytes>,
    followed: watch::Receiver<Followed>,
    people: u64,
    asked: Instant,
    sent: Instant,
    _place: Arc<Place>,
}

impl Follow {
    #[expect(clippy::too_many_arguments, reason = "what one stream is made of, in one place")]
    pub(super) fn new(
        api: Arc<Api>,
        caller: Caller,
        filter: EventFilter,
        query: Option<String>,
        from: u64,
        until: Option<u64>,
        sender: mpsc::Sender<Bytes>,
        place: Arc<Place>,
    ) -> Self {
        let (id, followed) = (api.ids.fresh(), api.streams.followed.clone());
        let (now, people) = (Instant::now(), followed.borrow().people);
        Self {
            api,
            caller,
            filter,
            query,
            id,
            began: from,
            next: from,
            until,
            count: 0,
            shown: None,
            sender,
            followed,
            people,
            asked: now,
            sent: now,
            _place: place,
        }
    }

    /// Writes down that somebody listens.
    pub(super) async fn begin(self, admission: Admission) -> Result<Self, Problem> {
        let typed = self.query.as_ref().map(|typed| format!("&{typed}")).unwrap_or_default();
        let said = format!("stream={}&part=begun&from={}{typed}", self.id, self.began);
        let seen = Seen { advisor: self.filter.advisor, query: Some(said), ..Seen::default() };
        self.api.show(admission, &seen, Withheld::new(())).await?;
        Ok(self)
    }

    /// Until the reader leaves, or may no longer read.
    pub(super) async fn run(mut self) {
        let (draining, sender) = (self.api.draining.clone(), self.sender.clone());
        // Whatever is under way is given up: what is being written down is written all the same, and counts as seen.
        let end = tokio::select! {
            biased;
            () = draining.cancelled() => End::Stopping,
            () = sender.closed() => End::Left,
            end = self.follow() => end,
        };
        let (first, last) = self.shown.unzip();
        let shown = first.zip(last).map(|(first, last)| format!("&first={first}&last={last}")).unwrap_or_default();
        let said = format!(
            "stream={}&part=ended&why={}&from={}&until={}{shown}",
            self.id,
            end.as_str(),
            self.began,
            self.next
        );
        let seen = Seen { advisor: self.filter.advisor, count: self.count, query: Some(said), ..Seen::default() };
        // What was shown is on record whether this can be written or not.
        if let Err(problem) = self.note(&seen, ()).await {
            tracing::warn!(reason = problem.kind().name(), "the end of an event stream is not on record");
        }
        // Where nobody takes it, nobody is told; whoever is a moment behind is waited for.
        let told = self.sender.send(Bytes::from(format!(": ended, {}\n\n", end.as_str())));
        let _told = timeout(LAST.min(self.bounds().stall), told).await;
    }

    async fn note<T>(&self, seen: &Seen, shown: T) -> Result<T, Problem> {
        let admission = self.caller.admit(&self.api, Operation::EventsFollow, seen).await?;
        self.api.show(admission, seen, Withheld::new(shown)).await
    }

    async fn follow(&mut self) -> End {
        let Err(end) = self.go_on().await;
        end
    }

    async fn go_on(&mut self) -> Result<Infallible, End> {
        self.send(format!("{RETRY}{}", self.cursor())).await?;
        let mut ready = Instant::now();
        loop {
            self.ask_again().await?;
            let page = self.api.archive.events(&self.filter, self.next, RUN).await;
            let page = page.map_err(|error| End::of(&Problem::from(error)))?;
            let projected = page.projected;
            if page.events.is_empty() {
                self.next = page.next;
            } else {
                self.show(page).await?;
                ready = Instant::now() + self.bounds().pace;
            }
            if self.until.is_some_and(|until| self.next >= until) {
                self.send(self.cursor()).await?;
                return Err(End::Complete);
            }
            if self.next >= projected {
                self.wait().await?;
                // What arrives meanwhile is shown with it.
                self.meanwhile(sleep_until(ready)).await?;
            }
        }
    }

    /// Writes down what is about to be seen, then sends it.
    async fn show(&mut self, page: EventPage) -> Result<(), End> {
        let mut text = String::new();
        let portion = Portion::of(page, RUN_BYTES, |event| event.write(&mut text).map(|()| text.len()));
        let Some(portion) = portion.map_err(|problem| End::of(&problem))? else { return Ok(()) };
        let Portion { range: (first, last), count, records, next } = portion;
        let said = format!("stream={}&part=shown&first={first}&last={last}", self.id);
        let seen = Seen { records, count, advisor: self.filter.advisor, query: Some(said), ..Seen::default() };
        let text = self.note(&seen, text).await.map_err(|problem| End::of(&problem))?;
        self.count = self.count.saturating_add(count);
        self.shown = Some((self.shown.map_or(first, |(first, _)| first), last));
        self.next = next;
        self.send(text).await
    }

    /// Until there may be something new.
    async fn wait(&mut self) -> Result<(), End> {
        loop {
            let mut followed = self.followed.clone();
            let next = self.next;
            let silent = self.sent + self.bounds().keep_alive;
            let is_new = async move {
                // The projections are made again from the first entry when they are behind us.
                followed
                    .wait_for(|followed| followed.projected > next)
                    .await
                    .map(|_followed| ())
                    .map_err(|_ended| End::Stopping)
            };
            match self.meanwhile(tokio::time::timeout_at(silent, is_new)).await? {
                Ok(is_new) => {
                    sleep(GATHER).await;
                    return is_new;
                }
                Err(_silent) => self.send(format!(":\n{}", self.cursor())).await?,
            }
        }
    }

    /// Waits for something, as long as the reader may read.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, End> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                biased;
                got = &mut awaited => return Ok(got),
                () = sleep(self.bounds().ask_again.min(LOOK)) => self.ask_again().await?,
            }
        }
    }

    /// Asks whether the token still lets its officer in: when somebody's rights have changed, and from time to time.
    async fn ask_again(&mut self) -> Result<(), End> {
        let people = self.followed.borrow().people;
        if people == self.people && self.asked.elapsed() < self.bounds().ask_again {
            return Ok(());
        }
        self.caller.ask_again(&self.api, Operation::EventsFollow).await.map_err(|problem| End::of(&problem))?;
        (self.people, self.asked) = (people, Instant::now());
        Ok(())
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        let sender = self.sender.clone();
        let (stall, bytes) = (self.bounds().stall, Bytes::from(text));
        let sent = self.meanwhile(timeout(stall, async move { sender.send(bytes).await })).await?;
        sent.map_err(|_stalled| End::Stalled)?.map_err(|_closed| End::Left)?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Where a reader who comes again goes on: an `id` alone moves its cursor and is no event.
    fn cursor(&self) -> String {
        self.next.checked_sub(1).map_or_else(|| "\n".to_owned(), |last| format!("id: {last}\n\n"))
    }

    fn bounds(&self) -> StreamBounds {
        self.api.streams.bounds
    }
}
