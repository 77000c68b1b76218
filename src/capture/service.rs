//! [`Capture`]: builds the parts, owns the background tasks, and ends them in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::core::{Core, Rules};
use super::doubts::Doubts;
use super::gaps::Gaps;
use super::lane::lane;
use super::observe::Sighting;
use super::recognizer::{Recognizer, ReloadError};
use super::retry::Retries;
use super::seal::Sealer;
use super::seen::Seen;
use super::spool::Spool;
use super::{Blobs, Entropy, Gap, Recall, Receipt, Recorder, Refusal};
use crate::archive::Submission;
use crate::exchange::{Connection, Exchange, Limits, Message, RequestHead, ScrubKey};
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::recognize::{ListedHosts, Plan, RuleSet, Source};
use crate::record::{Clock, EntryId, Ids, MasterKey, Word};
use crate::telemetry::Metrics;

/// Answers worked on at once; each waits for an append.
const ANSWERS_AT_ONCE: usize = 32;
const ANSWERS: usize = 16_384;
const ANSWER_BYTES: u32 = 128 << 20;
const LATE_ANSWERS: usize = 65_536;
/// In shares: as many items, if they are small.
const OWN_ITEMS: usize = 4096;
const NEW_ACCOUNTS: usize = 1024;
/// Each asks the archive for every account there is.
const NEW_ACCOUNTS_AT_ONCE: usize = 4;
const RULE_CHANGES: usize = 16;
const READS_AT_ONCE: usize = 8;
const READS: usize = 4096;
const READ_BYTES: u32 = 128 << 20;

/// How long things may take that no device waits for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Repeats of one gap are counted together for so long. Half of the minute within which a gap must be on record.
    pub gap_window: Duration,
    /// An own item that was read waits so long for the outcome that names it, and three times as long while captures are
    /// open: the device often reads its post back before the answer was looked at.
    pub own_item_grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { gap_window: Duration::from_secs(30), own_item_grace: Duration::from_secs(5) }
    }
}

/// What capture is made of.
pub struct CaptureParts {
    /// The rules in force.
    pub rules: RuleSet,
    /// Hosts that settings list.
    pub listed: ListedHosts,
    /// Runs the rules.
    pub recognizer: Arc<dyn Recognizer>,
    /// The archive with the spool in front of it. Capture drives its replay.
    pub spool: Arc<Spool>,
    /// What is on record already.
    pub recall: Arc<dyn Recall>,
    /// Where large content goes.
    pub blobs: Arc<dyn Blobs>,
    /// The firm's master key: wraps record keys.
    pub master: MasterKey,
    /// Digests credentials.
    pub scrub_key: ScrubKey,
    /// Bounds on hostile bodies.
    pub limits: Limits,
    /// How long to wait in the background.
    pub pace: Pace,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn Ids>,
    /// Makes record keys.
    pub entropy: Arc<dyn Entropy>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Capture in service. One value; end it with [`Capture::shut_down`].
pub struct Capture {
    core: Arc<Core>,
    /// Replay, gaps, doubts, closing: they run until told to stop.
    endless: TaskTracker,
    /// The lanes: they run until they are closed and empty.
    lanes: TaskTracker,
    /// The lane of new accounts: what the others see goes into it.
    learning: TaskTracker,
    stop_closing: CancellationToken,
    stop_gaps: CancellationToken,
    stop_replay: CancellationToken,
}

impl Capture {
    /// Starts every background task, and takes over what is on record about accounts. Where the archive is away, that is made up
    /// for when it is back.
    #[must_use]
    pub async fn start(parts: CaptureParts) -> Self {
        let (answers, answers_end) = lane(ANSWERS, ANSWER_BYTES);
        let (late_answers, late_end) = lane(LATE_ANSWERS, u32::try_from(LATE_ANSWERS).unwrap_or(u32::MAX));
        let (reads, reads_end) = lane(READS, READ_BYTES);
        let (new_accounts, accounts_end) = lane(NEW_ACCOUNTS, u32::try_from(NEW_ACCOUNTS).unwrap_or(u32::MAX));
        let core = Arc::new(Core {
            rules: RwLock::new(Arc::new(Rules { set: parts.rules, listed: parts.listed })),
            recognizer: parts.recognizer,
            spool: parts.spool,
            recall: parts.recall,
            sealer: Sealer {
                master: parts.master,
                entropy: parts.entropy,
                ids: Arc::clone(&parts.ids),
                blobs: parts.blobs,
            },
            scrub_key: parts.scrub_key,
            limits: parts.limits,
            pace: parts.pace,
            clock: parts.clock,
            ids: parts.ids,
            metrics: parts.metrics,
            accounts: Accounts::default(),
            retries: Retries::default(),
            seen: Seen::default(),
            own_items: Arc::new(Semaphore::new(OWN_ITEMS)),
            rule_changes: Arc::new(Semaphore::new(RULE_CHANGES)),
            open: Mutex::new(HashSet::new()),
            doubts: Doubts::default(),
            answers,
            late_answers,
            reads,
            new_accounts,
            gaps: Mutex::new(Gaps::new(parts.pace.gap_window)),
            gap_noted: Notify::new(),
            appends: TaskTracker::new(),
            hurry: CancellationToken::new(),
        });
        let (restored, ()) = tokio::join!(core.restore_accounts(), core.restore_retries());
        let (endless, lanes, learning) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        for end in [answers_end, late_end] {
            let core = Arc::clone(&core);
            lanes.spawn(async move {
                end.run(ANSWERS_AT_ONCE, |(open, answer)| async { core.answer(open, answer).await }).await;
            });
        }
        let looking = Arc::clone(&core);
        lanes.spawn(async move {
            reads_end.run(READS_AT_ONCE, |sighting| async { looking.look(sighting).await }).await;
        });
        let learned = Arc::clone(&core);
        learning.spawn(async move {
            accounts_end.run(NEW_ACCOUNTS_AT_ONCE, |new| async { learned.put_on_record(new).await }).await;
        });
        let (stop_closing, stop_gaps, stop_replay) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        endless.spawn({
            let (core, stop) = (Arc::clone(&core), stop_replay.clone());
            async move { core.spool.run(stop).await }
        });
        endless.spawn(Arc::clone(&core).close_unfinished(restored, stop_closing.clone()));
        endless.spawn(Arc::clone(&core).settle_doubts(stop_closing.clone()));
        endless.spawn({
            let (core, stop) = (Arc::clone(&core), stop_gaps.clone());
            async move { core.write_gaps(stop).await }
        });
        Self { core, endless, lanes, learning, stop_closing, stop_gaps, stop_replay }
    }

    /// Takes over new rules, all or nothing; that they changed goes on record. What is under way ends under the old ones.
    ///
    /// # Errors
    /// See [`ReloadError`]: the old rules stay in force.
    pub async fn reload(&self, sources: &[Source]) -> Result<(), ReloadError> {
        let set = RuleSet::load(sources)?;
        let core = &self.core;
        // No change without a record: what waits for one is bounded, and nothing changes beyond it.
        let room = Arc::clone(&core.rule_changes).try_acquire_owned().map_err(|_full| ReloadError::NotOnRecord)?;
        core.recognizer.reload(sources).await?;
        let digest = set.digest();
        {
            let mut rules = core.rules.write();
            *rules = Arc::new(Rules { set, listed: rules.listed.clone() });
        }
        tracing::info!(%digest, "rules taken over");
        let mut detail = serde_json::Map::new();
        detail.insert("change".to_owned(), "rules".into());
        detail.insert("rules".to_owned(), digest.to_string().into());
        let entry = Submission::plain(Draft {
            id: EntryId::new(core.ids.fresh()),
            entry_type: EntryType::Settings,
            actor: Actor::Service(Word::CAPTURE),
            captured_at: core.now(),
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail,
        });
        let core = Arc::clone(core);
        self.core.appends.spawn(async move {
            core.keep_at_last(entry).await;
            drop(room);
        });
        Ok(())
    }

    /// Ends: the proxy asks nothing more. What waits is worked off for as long as `patience` lasts; what is then left goes to
    /// the spool, and what cannot even go there is counted in the log.
    pub async fn shut_down(self, patience: Duration) {
        let Self { core, endless, lanes, learning, stop_closing, stop_gaps, stop_replay } = self;
        stop_closing.cancel();
        core.answers.close();
        core.late_answers.close();
        core.reads.close();
        for tracker in [&lanes, &core.appends, &learning, &endless] {
            tracker.close();
        }
        let worked_off = async || {
            tokio::join!(lanes.wait(), core.appends.wait());
            // Only now is everything seen that may show a new account.
            core.new_accounts.close();
            learning.wait().await;
        };
        if tokio::time::timeout(patience, worked_off()).await.is_err() {
            core.hurry.cancel();
            if tokio::time::timeout(patience, worked_off()).await.is_err() {
                tracing::error!("answers and reads are left behind at shutdown");
            }
        }
        // Last, so that what went wrong until here is on record.
        stop_gaps.cancel();
        core.hurry.cancel();
        stop_replay.cancel();
        if tokio::time::timeout(patience, endless.wait()).await.is_err() {
            tracing::error!("gaps are left behind at shutdown");
        }
    }
}

impl Recorder for Capture {
    fn plan(&self, _connection: &Connection, head: &RequestHead) -> Plan {
        let rules = self.core.rules();
        rules.set.plan(head, &rules.listed)
    }

    fn write(&self, exchange: Exchange) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        Box::pin(self.core.write(exchange))
    }

    fn observe(&self, exchange: Exchange) {
        self.core.see(Sighting::Read(Box::new(exchange)));
    }

    fn message<'a>(
        &'a self,
        connection: &'a Arc<Connection>,
        head: &'a RequestHead,
        message: Message,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.core.message(connection, head, message))
    }

    fn gap(&self, gap: Gap) {
        self.core.gap(gap);
    }
}
