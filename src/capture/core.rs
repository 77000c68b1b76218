//! What every part of capture works with: one value, shared by the tasks and by the calls of the proxy.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::doubts::Doubts;
use super::facts::unclassified;
use super::gaps::Gaps;
use super::lane::Lane;
use super::learned::NewAccount;
use super::observe::Sighting;
use super::outcome::Open;
use super::recognizer::{Failure, Purpose, Question, Recognized, Recognizer};
use super::retry::Retries;
use super::seal::{Sealer, SealingError};
use super::seen::Seen;
use super::spool::{KeepError, Spool};
use super::{Answer, Gap, GapCause, Pace, Recall};
use crate::archive::Submission;
use crate::exchange::{BodyError, Connection, Exchange, Limits, Scrub, ScrubKey, Scrubbed};
use crate::recognize::{ListedHosts, ProblemKind, Recognition, RuleSet};
use crate::record::{Clock, EntryId, Ids, Timestamp};
use crate::telemetry::Metrics;

/// Bodies up to this size are scrubbed and sealed on the runtime's own thread: it takes less than moving them would.
const SMALL: u64 = 128 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The rules in force, with the hosts that settings list.
pub(crate) struct Rules {
    pub(crate) set: RuleSet,
    pub(crate) listed: ListedHosts,
}

pub(crate) struct Core {
    pub(crate) rules: RwLock<Arc<Rules>>,
    pub(crate) recognizer: Arc<dyn Recognizer>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) recall: Arc<dyn Recall>,
    pub(crate) sealer: Sealer,
    pub(crate) scrub_key: ScrubKey,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) accounts: Accounts,
    pub(crate) retries: Retries,
    pub(crate) seen: Seen,
    /// Own items that may wait for their capture at once, counted in shares; beyond it they are judged by what is known.
    pub(crate) own_items: Arc<Semaphore>,
    /// Changes of rules that may wait to be put on record at once.
    pub(crate) rule_changes: Arc<Semaphore>,
    /// Captures whose outcome this process will still write.
    pub(crate) open: Mutex<HashSet<EntryId>>,
    /// Captures that were refused and may be on record all the same.
    pub(crate) doubts: Doubts,
    pub(crate) answers: Lane<(Open, Answer)>,
    /// For answers that found no room, without their bodies.
    pub(crate) late_answers: Lane<(Open, Answer)>,
    pub(crate) reads: Lane<Sighting>,
    /// Accounts that wait to be put on record.
    pub(crate) new_accounts: Lane<NewAccount>,
    pub(crate) gaps: Mutex<Gaps>,
    pub(crate) gap_noted: Notify,
    /// Appends that go on when the one who asked has left.
    pub(crate) appends: TaskTracker,
    /// No more time: what cannot be appended now goes to the spool as it is.
    pub(crate) hurry: CancellationToken,
}

impl Core {
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes the credentials out. Large bodies are worked on off the runtime's threads.
    pub(crate) async fn scrub(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        exchange: &Exchange,
    ) -> Result<Scrubbed, BodyError> {
        let response = exchange.response.as_ref().map_or(0, |response| response.body.size());
        if exchange.request.body.size() + response <= SMALL {
            return self.scrub_here(rules, exchange);
        }
        let (core, rules, exchange) = (Arc::clone(self), Arc::clone(rules), exchange.clone());
        blocking(move || core.scrub_here(&rules, &exchange)).await.map_err(BodyError::Io)?
    }

    fn scrub_here(&self, rules: &Rules, exchange: &Exchange) -> Result<Scrubbed, BodyError> {
        let cookies: Vec<&str> =
            rules.set.account_cookies(exchange.request.head.authority.host(), &rules.listed).collect();
        Scrub { key: &self.scrub_key, account_cookies: &cookies, limits: &self.limits }.exchange(exchange)
    }

    /// Seals, off the runtime's threads where there is much to seal.
    pub(crate) async fn seal<T: Send + 'static>(
        self: &Arc<Self>,
        size: u64,
        seal: impl FnOnce(&Core) -> Result<T, SealingError> + Send + 'static,
    ) -> Result<T, SealingError> {
        if size <= SMALL {
            return seal(self);
        }
        let core = Arc::clone(self);
        blocking(move || seal(&core)).await?
    }

    /// Asks the rules. Where they fail on a write it stands as unclassified; either way the failure is on record. What is `doubtful`
    /// ([`RuleSet::is_doubtful`]) is not dropped, whatever they say.
    pub(crate) async fn recognize(
        &self,
        purpose: Purpose,
        rules: &Rules,
        connection: &Connection,
        json: Vec<u8>,
        doubtful: bool,
    ) -> (Recognition, bool) {
        let listed = rules.listed.contains(connection.authority.host());
        let question = Question { purpose, listed, doubtful, json };
        let failure = match self.recognizer.recognize(question).await {
            Recognized::Said(recognition) => {
                let failed = !recognition.problems.is_empty();
                let off = recognition.problems.iter().find(|problem| problem.what == ProblemKind::SwitchedOff);
                if let Some(off) = off {
                    // What it would have said is missing, each time.
                    self.gap(Gap::on(GapCause::RuleSwitchedOff, connection).network(network_of(&off.rule)));
                } else if failed {
                    let network = recognition.network.as_deref().map(Arc::from);
                    self.gap(Gap::on(GapCause::RecognitionFailed, connection).network(network));
                }
                return (*recognition, failed);
            }
            Recognized::Failed(failure) => failure,
        };
        let cause = match &failure {
            Failure::Stopped { rule } => {
                tracing::error!(rule = rule.as_deref().unwrap_or("unknown"), "a rule did not end and is switched off");
                if rule.is_some() { GapCause::RuleSwitchedOff } else { GapCause::RecognitionFailed }
            }
            Failure::NoWorker => GapCause::RecognitionFailed,
        };
        let network = match failure {
            Failure::Stopped { rule: Some(rule) } => network_of(&rule),
            _ => None,
        };
        self.gap(Gap::on(cause, connection).network(network));
        (unclassified(rules.set.digest()), true)
    }

    /// Keeps something that no device waits for, however long the archive takes; true when it is durable.
    pub(crate) async fn keep_at_last(&self, submission: Submission) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.spool.keep(&submission).await {
                Ok(_) => return true,
                Err(error @ (KeepError::Rejected(_) | KeepError::Codec(_))) => {
                    tracing::error!(%error, "an entry is refused for good");
                    return false;
                }
                Err(error) => tracing::warn!(%error, "an entry waits"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.hurry.cancelled() => {
                    let kept = self.spool.keep_here(&submission).await;
                    return kept.inspect_err(|error| tracing::error!(%error, "an entry could not be kept")).is_ok();
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Of a rule, as `network/rule`.
fn network_of(rule: &str) -> Option<Arc<str>> {
    rule.split('/').next().map(Arc::from)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)
}
