//! What every handler may use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::deliver::Webhooks;
use super::installed::Installed;
use super::problem::{Problem, ProblemKind};
use super::rate::RateLimits;
use super::streams::Streams;
use crate::access::{Admission, Desk, Ended, Officer, Seen, Token, Withheld};
use crate::archive::{Archive, Content};
use crate::capture::spool::Spool;
use crate::ledger::Entry;
use crate::record::{Clock, Ids, OfficerId, RecordId};
use crate::retain::Retain;
use crate::settings::Cidr;
use crate::telemetry::Metrics;
use crate::witness::Quorum;

/// The API's parts, shared by all requests.
pub struct Api {
    /// Where everything is read.
    pub archive: Archive,
    /// How much waits for the archive.
    pub spool: Arc<Spool>,
    /// Where looks are admitted and written down.
    pub desk: Desk,
    /// For request ids.
    pub ids: Arc<dyn Ids>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// Counted here, shown at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Networks, besides loopback, whose plain connections may carry a token.
    pub plain_networks: Vec<Cidr>,
    /// What stands beside the archive.
    pub installed: Installed,
    /// Time for one request.
    pub timeout: Duration,
    /// How often one token, and one address, may ask.
    pub rates: RateLimits,
    /// Requests served at once, until the last byte of the answer is on its way.
    pub slots: Arc<Semaphore>,
    /// Event streams that are open.
    pub streams: Streams,
    /// Where events are sent by themselves.
    pub webhooks: Webhooks,
    /// Matters and holds.
    pub retain: Retain,
    /// Whose cosignatures a checkpoint must have; none where nobody is asked.
    pub quorum: Option<Arc<Quorum>>,
    /// Cancelled once the service takes nothing new.
    pub draining: CancellationToken,
}

/// Filled in by whoever finds out who asks, so that the request's log line has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(pub(super) Arc<OnceLock<OfficerId>>);

impl Api {
    /// Route templates by their text, so that logs and metrics carry a template and never a path.
    pub(super) fn route(template: &str) -> &'static str {
        super::decision::Decision::path(template).unwrap_or("unknown")
    }

    /// Whose token it is.
    pub(super) async fn officer(&self, token: &Token) -> Result<Officer, Problem> {
        let row = self.archive.officer_by_token(token.digest()).await?;
        let row = row.ok_or_else(|| Problem::new(ProblemKind::NotAuthenticated))?;
        Officer::of(row, self.clock.now()).map_err(|ended| match ended {
            Ended::Revoked => Problem::new(ProblemKind::TokenRevoked),
            Ended::Expired(end) => Problem::new(ProblemKind::TokenExpired).detail(format!("the token ended at {end}")),
        })
    }

    /// Where whoever has read up to an entry goes on, and whoever names none begins: at what comes from now on.
    pub(super) async fn place_after(&self, name: &'static str, after: Option<u64>) -> Result<u64, Problem> {
        let size = self.archive.head_size().await?;
        match after {
            // Of another archive, or of this one before it was brought back from a backup: waiting would skip what comes.
            Some(after) if after >= size => {
                Err(Problem::parameter(name, format!("lies beyond the ledger, which has {size} entries")))
            }
            Some(after) => Ok(after.saturating_add(1)),
            None => Ok(size),
        }
    }

    /// A token for some advisors only reaches what is of one of them, and says so: by the advisor asked for, or by records that each are
    /// one's. Whatever names neither is refused, and that is on record.
    pub(super) async fn within_scope(&self, admission: Admission, seen: &Seen) -> Result<Admission, Problem> {
        let advisors = &admission.scope().advisors;
        if advisors.is_empty() {
            return Ok(admission);
        }
        let named = seen.advisor.map_or(!seen.records.is_empty(), |advisor| advisors.contains(&advisor));
        if named && self.archive.are_records_of(&seen.records, advisors).await? {
            return Ok(admission);
        }
        Err(self.desk.refuse(admission, seen).await?.into())
    }

    /// Writes the look down and hands out the answer.
    pub(super) async fn show<T>(&self, admission: Admission, seen: &Seen, answer: Withheld<T>) -> Result<T, Problem> {
        // Once more with what is shown: a list may hold more than was asked for.
        let admission = self.within_scope(admission, seen).await?;
        Ok(self.desk.show(admission, seen, answer).await?)
    }

    /// The same for what may not be there. That somebody asked is written down as well: an answer that there is nothing, or nothing
    /// any more, tells something too.
    pub(super) async fn show_found<T>(
        &self,
        admission: Admission,
        seen: &Seen,
        found: Result<T, Problem>,
    ) -> Result<T, Problem> {
        let problem = match found {
            Ok(found) => return self.show(admission, seen, Withheld::new(found)).await,
            Err(problem) => problem,
        };
        use ProblemKind::{Disposed, NotFound, RangeNotSatisfiable, Unreadable};
        if matches!(problem.kind(), NotFound | Disposed | Unreadable | RangeNotSatisfiable) {
            let nothing = Seen { count: 0, ..seen.clone() };
            self.show(admission, &nothing, Withheld::new(())).await?;
        }
        Err(problem)
    }

    /// The content of an entry, or the problem that it was disposed of, or cannot be read.
    pub(super) async fn opened(&self, entry: &Entry, record: RecordId) -> Result<Content, Problem> {
        if let Some(content) = self.archive.content(entry).await? {
            return Ok(content);
        }
        // The key is gone. Only a disposal destroys keys.
        let row = self.archive.record(record).await?;
        let disposed = row.and_then(|row| row.disposed);
        Err(disposed.map_or_else(|| Problem::new(ProblemKind::Unreadable), Problem::disposed))
    }
}
