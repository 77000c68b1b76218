//! What runs beside the appends: publishing, projecting, sweeping, verifying on a schedule.
//!
//! Invariant: whoever starts it owns it, and [`Background::stop`] returns only when nothing of it runs any more. None of it is
//! needed for an append to be durable; when one part fails it says so and tries again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::open::{Archive, service_word};
use super::submission::{Append as _, Submission};
use super::turn::Duty;
use super::verify::{Finding, Verification};
use super::{ArchiveError, Followed, Follower, Inconsistency};
use crate::ledger::{Actor, EntryType};

/// Files of disposed records are looked for this often.
const SWEEP: Duration = Duration::from_secs(60);
/// A part that failed rests this long.
const REST: Duration = Duration::from_secs(2);

/// While another process verifies, it is looked after so often: it may die.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(300);

/// How often.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// A checkpoint, where there is something new.
    pub checkpoint: Duration,
    /// Everything verified again.
    pub verify: Duration,
}

/// What nobody may miss.
#[derive(Debug, Clone)]
pub enum Alarm {
    /// Verification found something. Told for the first finding of a cycle, as it is found.
    Finding(Finding),
    /// The ledger is not what was signed or appended before: nothing is signed.
    Inconsistent(Inconsistency),
}

/// Told every alarm, at once.
pub type OnAlarm = Arc<dyn Fn(Alarm) + Send + Sync>;

/// The running parts. Dropping it stops them without waiting.
pub struct Background {
    stopping: CancellationToken,
    tasks: JoinSet<()>,
    followed: watch::Receiver<Followed>,
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("tasks", &self.tasks.len()).finish()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Background {
    /// Starts all parts.
    #[must_use]
    pub fn start(archive: &Archive, schedule: Schedule, alarm: OnAlarm) -> Self {
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(publish(archive.clone(), schedule.checkpoint, Arc::clone(&alarm), stopping.clone()));
        let follower = Follower::start(archive);
        let followed = follower.followed();
        tasks.spawn(project(follower, stopping.clone()));
        tasks.spawn(sweep(archive.clone(), stopping.clone()));
        tasks.spawn(verify(archive.clone(), schedule.verify, alarm, stopping.clone()));
        Self { stopping, tasks, followed }
    }

    /// How far the projections are; changes as they follow.
    #[must_use]
    pub fn followed(&self) -> watch::Receiver<Followed> {
        self.followed.clone()
    }

    /// Runs until told to stop, then waits for all parts.
    pub async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.stop().await;
    }

    /// Stops all parts and waits for them. What was under way is given up where it can be taken up again.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        while let Some(_ended) = self.tasks.join_next().await {}
    }
}

async fn rest(stopping: &CancellationToken, pause: Duration) {
    tokio::select! { () = stopping.cancelled() => {}, () = tokio::time::sleep(pause) => {} }
}

/// Signs what is new, as often as wanted. The last checkpoint is published when everything else has ended.
async fn publish(archive: Archive, every: Duration, alarm: OnAlarm, stopping: CancellationToken) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alarmed = None;
    loop {
        tokio::select! { () = stopping.cancelled() => {}, _ = tick.tick() => {} }
        match archive.publish(false).await {
            Ok(_published) => alarmed = None,
            Err(ArchiveError::Inconsistent(inconsistency)) => {
                // Once for each inconsistency: it does not go away by itself.
                if alarmed.replace(inconsistency) != Some(inconsistency) {
                    tracing::error!(reason = %inconsistency, "no checkpoint is signed");
                    alarm(Alarm::Inconsistent(inconsistency));
                }
                rest(&stopping, REST).await;
            }
            Err(error) => {
                tracing::warn!(%error, "no checkpoint could be published");
                rest(&stopping, REST).await;
            }
        }
        if stopping.is_cancelled() {
            return;
        }
    }
}

/// Keeps the projections up with the ledger.
async fn project(follower: Follower, stopping: CancellationToken) {
    stopping.cancelled().await;
    follower.stop().await;
}

async fn sweep(archive: Archive, stopping: CancellationToken) {
    loop {
        if let Err(error) = archive.sweep().await {
            tracing::warn!(%error, "files of disposed records could not be deleted");
        }
        rest(&stopping, SWEEP).await;
        if stopping.is_cancelled() {
            return;
        }
    }
}

/// Verifies everything, again and again, and puts each result on record. Begins one period after the start, so that a service
/// that is started often is not busy with itself. Of several processes one does it; the others look whether it was done.
async fn verify(archive: Archive, every: Duration, alarm: OnAlarm, stopping: CancellationToken) {
    let mut next = Instant::now() + every;
    loop {
        tokio::select! { () = stopping.cancelled() => return, () = tokio::time::sleep_until(next) => {} }
        let begun = Instant::now();
        let cycle = archive.verify_in_turn(every, Arc::clone(&alarm));
        next = tokio::select! {
            () = stopping.cancelled() => return,
            done = cycle => match done {
                Ok(Turned::Done) => begun + every,
                Ok(Turned::DoneBefore(ago)) => begun + every.saturating_sub(ago),
                Ok(Turned::Busy) => begun + (every / 8).clamp(SOONEST, LATEST),
                Err(error) => {
                    tracing::error!(%error, "the archive could not be verified");
                    Instant::now() + (every / 8).clamp(SOONEST, LATEST)
                }
            },
        };
    }
}

/// What became of a turn at verifying.
enum Turned {
    /// Everything was verified.
    Done,
    /// Another process did so, that long ago.
    DoneBefore(Duration),
    /// Another process is at it.
    Busy,
}

impl Archive {
    /// Verifies everything, unless another process does, or did so within half of this time.
    async fn verify_in_turn(&self, every: Duration, alarm: OnAlarm) -> Result<Turned, ArchiveError> {
        let Some(mut turn) = self.turn(Duty::Verify).await? else { return Ok(Turned::Busy) };
        if let Some(ago) = self.verified_ago().await?.filter(|ago| *ago < every / 2) {
            return Ok(Turned::DoneBefore(ago));
        }
        tokio::select! {
            done = self.verify_and_record(alarm) => done.map(|_verification| Turned::Done),
            error = turn.lost() => Err(error),
        }
    }

    /// When everything was verified last.
    async fn verified_ago(&self) -> Result<Option<Duration>, ArchiveError> {
        // What was appended in the turn before this one counts. Where projecting stands still, verifying does not.
        if let Err(error) = self.catch_up().await {
            tracing::warn!(%error, "when everything was verified last may not be known yet");
        }
        let last = self.verifications().await?.into_iter().find(|verification| verification.scope == "all");
        let now = self.parts.options.clock.now().unix_micros();
        Ok(last.map(|last| Duration::from_micros(u64::try_from(now - last.at.unix_micros()).unwrap_or(0))))
    }

    /// Verifies everything without pressing, raises the alarm at the first finding, and appends the result.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn verify_and_record(&self, alarm: OnAlarm) -> Result<Verification, ArchiveError> {
        let mut raised = false;
        let sink = move |finding: Finding| {
            if !std::mem::replace(&mut raised, true) {
                tracing::error!(entry.index = finding.from, reason = finding.check, "the archive is not sound");
                alarm(Alarm::Finding(finding));
            }
        };
        let verification = self.verifier().gentle().run(sink, |_progress| ()).await?;
        self.parts.options.metrics.verified(verification.sound, self.parts.options.clock.now());
        self.append(Submission::plain(self.draft(
            EntryType::Verification,
            Actor::Service(service_word()?),
            detail(&verification),
        )))
        .await?;
        Ok(verification)
    }
}

fn detail(verification: &Verification) -> Map<String, Value> {
    let failures: u64 = verification.failed.values().sum();
    let mut detail: Map<String, Value> = [
        ("contents", Value::from(verification.fields)),
        ("entries", Value::from(verification.history.entries)),
        ("failures", Value::from(failures)),
        ("from", Value::from(0)),
        ("result", Value::from(if verification.sound { "verified" } else { "failed" })),
        ("scope", Value::from("all")),
        ("until", Value::from(verification.history.entries)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    if let Some(first) = verification.first {
        detail.insert("first_failure".to_owned(), first.into());
    }
    detail
}
