//! The writer: one task that owns one connection and appends what waits, group after group.
//!
//! Invariant: a waiter is told "durable" only after the database said "committed", or after its entry was found in the ledger.
//! When the outcome of a commit is not known, nothing else is done before the writer has reconnected, taken the head lock and
//! looked. A ledger that is not the one it appended to stops the writer for good.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::StepWatch;
use super::head::Head;
use super::parcel::Parcel;
use super::write::{self, Verdict};
use crate::archive::{AppendError, Appended, ArchiveError, Inconsistency, connect};
use crate::record::{Clock, EntryId, Ids, SourceId, Word};
use crate::telemetry::Metrics;

/// Entries committed together at most, and the bytes of content that go with them.
const GROUP: usize = 512;
const GROUP_BYTES: usize = 8 << 20;
/// How long those who were just answered are waited for: this part of what their commit took, at most so long.
const LINGER: f32 = 0.06;
const LONGEST_LINGER: Duration = Duration::from_micros(300);
/// Nobody is waited for any longer when none came for this part of that time.
const QUIET: u32 = 4;
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) type Answer = Result<Appended, AppendError>;

/// One append that waits.
pub(super) struct Waiting {
    pub(super) parcel: Parcel,
    /// Everybody who asked for this id.
    pub(super) answers: Vec<oneshot::Sender<Answer>>,
    pub(super) since: Instant,
}

impl Waiting {
    /// Somebody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.answers.iter().all(oneshot::Sender::is_closed)
    }
}

/// What the writer works with.
pub(super) struct Tools {
    pub(super) login: PgConnectOptions,
    pub(super) source: SourceId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) metrics: Arc<Metrics>,
    /// How long an append may take.
    pub(super) patience: Duration,
    /// Who notes clock steps, and what they are called.
    pub(super) actor: Word,
    pub(super) clock_step: Word,
}

pub(super) struct Writer {
    pub(super) tools: Tools,
    pub(super) connection: Option<PgConnection>,
    /// What we are sure of; `None` before the first look.
    pub(super) head: Option<Head>,
    /// The outcome of the last commit is not known.
    uncertain: bool,
    /// Others append too: take the lock first instead of finding the head moved.
    pub(super) contended: bool,
    pub(super) steps: StepWatch,
    /// Gap entries of our own that go with the next group.
    pub(super) owed: Vec<Parcel>,
    stopped: watch::Sender<Option<Inconsistency>>,
    pub(super) size: watch::Sender<u64>,
}

/// How one attempt ended.
pub(super) enum Step {
    /// Something was settled, or learned; go on.
    Again,
    /// The database is away or busy with itself; go on after a pause.
    Pause,
    /// The group is refused as a whole, and nobody knows because of which.
    Split(sqlx::Error),
    /// The end.
    Fatal(Inconsistency),
}

impl Writer {
    pub(super) fn new(tools: Tools, stopped: watch::Sender<Option<Inconsistency>>, size: watch::Sender<u64>) -> Self {
        Self {
            tools,
            connection: None,
            head: None,
            uncertain: false,
            contended: false,
            steps: StepWatch::default(),
            owed: Vec::new(),
            stopped,
            size,
        }
    }

    /// Appends until the queue is closed and empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut held = None;
        // How many the last commit answered or left waiting, and how long it took.
        let (mut expected, mut took) = (0, Duration::ZERO);
        while let Some(first) = match held.take() {
            Some(waiting) => Some(waiting),
            None => queue.recv().await,
        } {
            let mut batch = Batch::of(first);
            batch.take(&mut queue, &mut held);
            batch.linger(&mut queue, &mut held, expected, took.mul_f32(LINGER).min(LONGEST_LINGER)).await;
            let answered = batch.waiting.len();
            let began = Instant::now();
            self.commit(batch.waiting).await;
            took = began.elapsed();
            expected = answered + queue.len();
        }
    }

    /// Settles every waiter of the batch, one way or the other.
    async fn commit(&mut self, mut batch: Vec<Waiting>) {
        let mut pause = PAUSE;
        loop {
            let stopped = *self.stopped.borrow();
            if let Some(inconsistency) = stopped {
                return refuse(batch, || AppendError::Stopped(inconsistency));
            }
            let patience = self.tools.patience;
            // Whoever gave up waiting, before anything of theirs was tried, is not appended behind their back.
            batch.retain(|waiting| self.uncertain || waiting.is_wanted());
            let (late, rest) = batch.into_iter().partition(|waiting| waiting.since.elapsed() >= patience);
            refuse(late, || AppendError::Unavailable);
            batch = rest;
            if batch.is_empty() {
                return;
            }
            match tokio::time::timeout(patience, self.attempt(&mut batch)).await {
                Ok(Step::Again) => {}
                Ok(Step::Pause) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Ok(Step::Split(source)) => match <[Waiting; 1]>::try_from(batch) {
                    Ok([one]) => {
                        let entry = id(&one);
                        return settle(one, Err(AppendError::Refused { entry, source }));
                    }
                    // One of them is wrong; nobody else shall suffer for it.
                    Err(many) => {
                        for one in many {
                            Box::pin(self.commit(vec![one])).await;
                        }
                        return;
                    }
                },
                Ok(Step::Fatal(inconsistency)) => {
                    tracing::error!(reason = %inconsistency, "appending has stopped for good");
                    self.stopped.send_replace(Some(inconsistency));
                }
                // The statement may still be under way on the server.
                Err(_elapsed) => self.lose_connection(),
            }
        }
    }

    fn lose_connection(&mut self) {
        self.connection = None;
        self.uncertain = true;
    }

    /// One attempt at everything that is left of the batch.
    async fn attempt(&mut self, batch: &mut Vec<Waiting>) -> Step {
        let uncertain = self.uncertain;
        if let Err(error) = self.ready().await {
            return self.failed(error);
        }
        // Before anything else: was it committed after all?
        if uncertain && let Err(error) = self.answer_known(batch).await {
            return self.failed(error);
        }
        self.uncertain = false;
        if batch.is_empty() {
            return Step::Again;
        }
        match self.append(batch).await {
            Ok(step) => step,
            Err(error) => self.failed(error),
        }
    }

    /// A connection, and a head that was checked over it.
    pub(super) async fn ready(&mut self) -> Result<(), ArchiveError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut connection = connect::writer(&self.tools.login, self.tools.patience).await?;
        sqlx::raw_sql("begin").execute(&mut connection).await?;
        let found = Head::lock(&mut connection, self.head.as_ref(), self.tools.source).await?;
        sqlx::raw_sql("commit").execute(&mut connection).await?;
        self.connection = Some(connection);
        if let Some(head) = found {
            self.size.send_replace(head.size);
            self.tools.metrics.ledger_size(head.size);
            self.head = Some(head);
        }
        Ok(())
    }

    fn failed(&mut self, error: ArchiveError) -> Step {
        match error {
            ArchiveError::Inconsistent(inconsistency) => return Step::Fatal(inconsistency),
            ArchiveError::Entry { index, .. } => return Step::Fatal(Inconsistency::Bytes { index }),
            ArchiveError::Database(error) => match write::verdict(&error) {
                Verdict::RolledBack => return Step::Pause,
                Verdict::Refused | Verdict::Duplicate => return Step::Split(error),
                Verdict::Unknown => tracing::warn!(%error, "the archive's database is away"),
            },
            error => tracing::warn!(%error, "the archive's database answers oddly"),
        }
        self.lose_connection();
        Step::Pause
    }
}

/// What is to be committed together.
struct Batch {
    waiting: Vec<Waiting>,
    /// Bytes of content in it.
    size: usize,
    places: HashMap<EntryId, usize>,
    /// A disposal goes alone.
    alone: bool,
}

impl Batch {
    fn of(first: Waiting) -> Self {
        let (size, alone) = (first.parcel.size, first.parcel.destroys);
        Self { places: HashMap::from([(id(&first), 0)]), waiting: vec![first], size, alone }
    }

    const fn is_full(&self) -> bool {
        self.alone || self.waiting.len() >= GROUP || self.size >= GROUP_BYTES
    }

    /// Takes what waits, up to a full group. A disposal that comes behind others has to wait in `held`.
    fn take(&mut self, queue: &mut mpsc::Receiver<Waiting>, held: &mut Option<Waiting>) {
        while !self.is_full() && held.is_none() {
            let Ok(waiting) = queue.try_recv() else { return };
            if waiting.parcel.destroys {
                *held = Some(waiting);
                return;
            }
            // The same id twice: one entry, two answers.
            let same = self.places.get(&id(&waiting)).copied();
            if let Some(same) = same.and_then(|place| self.waiting.get_mut(place)) {
                same.answers.extend(waiting.answers);
                continue;
            }
            self.places.insert(id(&waiting), self.waiting.len());
            self.size += waiting.parcel.size;
            self.waiting.push(waiting);
        }
    }

    /// Lets those who were just answered come back, so that they and those who came while they waited do not fall apart into two
    /// groups that take turns in waiting for each other's commit. Whoever is alone does not wait for anybody, and nobody waits on
    /// when no more come.
    async fn linger(
        &mut self,
        queue: &mut mpsc::Receiver<Waiting>,
        held: &mut Option<Waiting>,
        expected: usize,
        longest: Duration,
    ) {
        let began = Instant::now();
        let mut last = began;
        while self.waiting.len() < expected && !self.is_full() && held.is_none() {
            let before = self.waiting.len();
            tokio::task::yield_now().await;
            self.take(queue, held);
            let now = Instant::now();
            if self.waiting.len() > before {
                last = now;
            }
            if now - began >= longest || now - last >= longest / QUIET {
                return;
            }
        }
    }
}

pub(super) const fn id(waiting: &Waiting) -> EntryId {
    waiting.parcel.prepared.id()
}

/// Everybody who asked gets the answer; an error goes to the first, and the others learn that it is not known.
pub(super) fn settle(waiting: Waiting, answer: Answer) {
    let appended = answer.as_ref().ok().copied();
    let mut answer = Some(answer);
    for sender in waiting.answers {
        let answer = match appended {
            Some(appended) => Ok(appended),
            None => answer.take().unwrap_or(Err(AppendError::Unavailable)),
        };
        // Whoever has gone away can ask again with the same id.
        let _gone = sender.send(answer);
    }
}

pub(super) fn refuse(batch: Vec<Waiting>, why: impl Fn() -> AppendError) {
    for waiting in batch {
        settle(waiting, Err(why()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use sqlx::types::Uuid;

    use super::*;
    use crate::archive::submission::Submission;
    use crate::ledger::{Actor, Commitments, Draft, EntryType};
    use crate::record::Timestamp;

    fn waiting(id: u128) -> Waiting {
        const T: &str = "2026-11-21T20:00:00.000000Z";
        let draft = Draft {
            id: EntryId::new(
                uuid::Builder::from_unix_timestamp_millis(1, &id.to_be_bytes()[6..].try_into().unwrap()).into_uuid(),
            ),
            entry_type: EntryType::Gap,
            actor: Actor::Service("test".parse().unwrap()),
            captured_at: Timestamp::EPOCH,
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail: Map::from_iter([
                ("cause".to_owned(), "outage".into()),
                ("count".to_owned(), 1.into()),
                ("from".to_owned(), T.into()),
                ("until".to_owned(), T.into()),
            ]),
        };
        let parcel = Parcel::new(Submission::plain(draft), SourceId::new(Uuid::nil())).unwrap();
        Waiting { parcel, answers: Vec::new(), since: Instant::now() }
    }

    #[tokio::test]
    async fn those_who_were_just_answered_are_let_back_in_and_nobody_waits_alone() {
        let (sender, mut queue) = mpsc::channel(8);
        let (mut held, long) = (None, Duration::from_secs(60));
        let mut batch = Batch::of(waiting(1));
        // They come back when they are given their turn, which is not before the writer lets them have it.
        tokio::spawn(async move {
            for id in 2..=4 {
                sender.send(waiting(id)).await.unwrap();
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        });
        batch.take(&mut queue, &mut held);
        assert_eq!(batch.waiting.len(), 1);
        batch.linger(&mut queue, &mut held, 1, long).await;
        assert_eq!(batch.waiting.len(), 1, "one was answered, and one is here");
        batch.linger(&mut queue, &mut held, 4, long).await;
        assert_eq!(batch.waiting.len(), 4, "as many as were answered");
        batch.linger(&mut queue, &mut held, 9, Duration::from_millis(1)).await;
        assert_eq!(batch.waiting.len(), 4, "not for ever");
    }
}
