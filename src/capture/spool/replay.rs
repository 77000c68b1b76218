//! Replay: what the spool holds goes into the archive, in order, and is removed only after it is durable there.
//!
//! Invariant: a segment is removed after every submission in it has a place in the archive, or stands in a gap entry that
//! has. Doing any part of this twice is harmless: the archive knows each entry by its id. So a crash at any point costs
//! nothing but the work, and there is no cursor to keep durable. The order is the journal's; only where the archive fails in the
//! middle of a window may entries of different records change places.

use std::collections::HashSet;
use std::iter::Peekable;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::codec;
use super::keep::{KeepError, Outage, Reaction, Spool, reaction};
use super::{Backlog, Reading, SegmentNumber};
use crate::archive::Submission;
use crate::capture::GapCause;
use crate::record::{EntryId, Timestamp};

/// Submissions handed to the archive at once, so that they share its commits.
const WINDOW: usize = 64;
/// With this little left, newer submissions wait until it is replayed, so that replay comes to an end under load. Where they come as fast
/// as the archive takes the old ones, they wait before that, too.
const LAST: u64 = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A segment that cannot be read so often is set aside: what is behind it must not wait for ever.
const READ_ATTEMPTS: u32 = 5;

/// Where replay is in the oldest segment, and how reading it went. Memory only: after a restart it begins again.
#[derive(Debug, Default)]
struct Progress {
    segment: Option<SegmentNumber>,
    done: usize,
    rejected: u64,
    read_failures: u32,
    /// Of the gap entries that are said of it, once they were: what is tried again, because an answer or the disk failed, is
    /// said again under the same id, which the archive knows.
    rejection: Option<EntryId>,
    damage: Option<EntryId>,
    /// The same of segments that were taken away.
    lost: Option<EntryId>,
}

impl Spool {
    /// Replays whenever there is something to replay, until told to stop; what is then left is replayed at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let mut progress = Progress::default();
        let mut pause = FIRST_PAUSE;
        loop {
            if !self.is_away() {
                pause = FIRST_PAUSE;
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = stop.cancelled() => return,
                }
            }
            let replayed = tokio::select! {
                replayed = self.replay(&mut progress) => replayed,
                () = stop.cancelled() => return,
            };
            self.measure();
            if let Err(error) = replayed {
                tracing::debug!(%error, "the spool cannot be replayed yet");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    async fn replay(&self, progress: &mut Progress) -> Result<(), KeepError> {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(count = lost, "segments of the spool were taken away");
            self.say(&mut progress.lost, GapCause::SpoolDamaged, lost, self.now()).await?;
            self.lost.store(0, Ordering::Relaxed);
        }
        // At least once before the gate: nobody waits there for an archive that is still away.
        self.replay_oldest(progress).await?;
        let mut outrun = false;
        loop {
            let before = self.backlog().frames;
            if before <= LAST {
                break;
            }
            // Those who come meanwhile get through between two segments, and wait for one.
            let gate = if outrun { Some(self.gate.write().await) } else { None };
            self.replay_oldest(progress).await?;
            drop(gate);
            outrun |= self.backlog().frames >= before;
        }
        if self.backlog() == Backlog::default() {
            self.end_outage().await?;
        }
        // From here on nothing new goes in. What waits at the gate waits for this little rest only, or for one timeout.
        let _gate = self.gate.write().await;
        while self.backlog() != Backlog::default() {
            self.replay_oldest(progress).await?;
        }
        self.end_outage().await?;
        let spooled = self.outage.lock().take().map_or(0, |outage| outage.spooled);
        tracing::info!(count = spooled, "the archive is back, the spool is replayed");
        self.away.store(false, Ordering::Release);
        Ok(())
    }

    /// Puts the outage on record with its period and how much was spooled. Asked twice it says so once: the id is the same.
    async fn end_outage(&self) -> Result<(), KeepError> {
        let outage = *self.outage.lock();
        let Some(Outage { from, spooled, ended }) = outage else { return Ok(()) };
        self.to_archive(self.gap(ended, GapCause::ArchiveUnavailable, spooled, from)).await
    }

    /// Replays and removes one segment.
    async fn replay_oldest(&self, progress: &mut Progress) -> Result<(), KeepError> {
        let Some(number) = self.journal.oldest().await? else { return Ok(()) };
        if progress.segment != Some(number) {
            *progress = Progress { segment: Some(number), lost: progress.lost, ..Progress::default() };
        }
        let Some(reading) = self.read(number, progress).await? else {
            return self.give_up(number, progress, 1).await;
        };
        let (missing, damaged) = (reading.missing, reading.is_damaged());
        let opened_at = reading.opened_at;
        let mut rest = reading.payloads.into_iter().skip(progress.done).map(codec::decode).peekable();
        loop {
            let window = window(&mut rest);
            if window.is_empty() {
                break;
            }
            let mut results = stream::iter(window.into_iter().map(|decoded| self.replay_one(decoded))).buffered(WINDOW);
            while let Some(result) = results.next().await {
                match result {
                    Ok(()) => {}
                    Err(Reaction::Give(error)) => {
                        tracing::error!(%error, "the archive does not take what the spool holds");
                        progress.rejected += 1;
                    }
                    Err(Reaction::Wait(error)) => return Err(error),
                    Err(Reaction::Spool) => return Err(KeepError::Unavailable),
                }
                progress.done += 1;
            }
        }
        if progress.rejected > 0 {
            self.say(&mut progress.rejection, GapCause::SpoolRejected, progress.rejected, opened_at).await?;
        }
        if damaged {
            return self.give_up(number, progress, missing.max(1)).await;
        }
        if progress.rejected > 0 {
            self.journal.set_aside(number).await?
        } else {
            self.journal.remove(number).await?
        }
        Ok(())
    }

    /// None when it cannot be opened at all.
    async fn read(&self, number: SegmentNumber, progress: &mut Progress) -> Result<Option<Reading>, KeepError> {
        match self.journal.read(number).await {
            Ok(Ok(reading)) => Ok(Some(reading)),
            Ok(Err(_)) => Ok(None),
            Err(error) => {
                progress.read_failures += 1;
                if progress.read_failures < READ_ATTEMPTS { Err(error.into()) } else { Ok(None) }
            }
        }
    }

    /// Puts the damage on record, then the segment aside for whoever looks into it.
    async fn give_up(&self, number: SegmentNumber, progress: &mut Progress, count: u64) -> Result<(), KeepError> {
        if progress.damage.is_none() {
            tracing::error!(count, "a spool segment is damaged; the file is set aside");
        }
        self.say(&mut progress.damage, GapCause::SpoolDamaged, count, self.now()).await?;
        Ok(self.journal.set_aside(number).await?)
    }

    /// Puts a gap on record, once however often it is asked to.
    async fn say(
        &self,
        said: &mut Option<EntryId>,
        cause: GapCause,
        count: u64,
        from: Timestamp,
    ) -> Result<(), KeepError> {
        if said.is_none() {
            self.metrics.gap(cause.as_str());
        }
        let id = *said.get_or_insert_with(|| self.fresh_id());
        self.to_archive(self.gap(id, cause, count, from)).await
    }

    async fn replay_one(&self, decoded: Decoded) -> Result<(), Reaction> {
        let submission = decoded.map_err(|error| Reaction::Give(error.into()))?;
        self.append(submission).await.map(drop).map_err(reaction)
    }

    async fn to_archive(&self, submission: Submission) -> Result<(), KeepError> {
        match self.append(submission).await.map_err(reaction) {
            Ok(_) => Ok(()),
            Err(Reaction::Spool) => Err(KeepError::Unavailable),
            Err(Reaction::Wait(error) | Reaction::Give(error)) => Err(error),
        }
    }
}

type Decoded = Result<Submission, codec::CodecError>;

/// The next submissions, as long as they belong to different records: if the archive fails for some of a window and not for
/// others, those that succeeded stand first, and an outcome must never stand before its capture.
fn window(rest: &mut Peekable<impl Iterator<Item = Decoded>>) -> Vec<Decoded> {
    let mut records = HashSet::new();
    let mut window = Vec::new();
    while window.len() < WINDOW {
        let repeats = |next: &Decoded| match next {
            Ok(submission) => submission.draft.record.is_some_and(|record| !records.insert(record)),
            Err(_) => false,
        };
        match rest.peek().map(repeats) {
            Some(false) => window.extend(rest.next()),
            Some(true) | None => break,
        }
    }
    window
}
