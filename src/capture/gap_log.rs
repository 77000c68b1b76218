//! Gaps on record: each kind at once when it is first met, repeats counted within the minute.
//!
//! Invariant: a gap that was noted stays noted until its entry is durable, in the archive or in the spool.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Gap;
use super::core::Core;
use super::gaps::Counted;
use super::seal::SealingError;
use crate::archive::Submission;
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::record::{EntryId, FieldName, Word};

/// When neither archive nor spool took a gap.
const RETRY: Duration = Duration::from_secs(5);

impl Core {
    /// Notes a gap. Never blocks.
    pub(crate) fn gap(&self, gap: Gap) {
        self.metrics.gap(gap.cause.as_str());
        let is_new = self.gaps.lock().note(gap, self.now(), Instant::now());
        if is_new {
            self.gap_noted.notify_one();
        }
    }

    /// The entry of counted gaps; where the host is known it is sealed beside it.
    pub(crate) fn gap_entry(&self, counted: &Counted) -> Result<Submission, SealingError> {
        let Counted { gap, from, until } = counted;
        let mut detail = Map::new();
        let mut put = |name: &str, value: Value| detail.insert(name.to_owned(), value);
        put("cause", gap.cause.as_str().into());
        put("count", gap.count.into());
        put("from", from.to_string().into());
        put("until", until.to_string().into());
        let ids = [
            ("capture", gap.capture.map(|id| id.to_string())),
            ("device", gap.device.map(|id| id.to_string())),
            ("exchange", gap.exchange.map(|id| id.to_string())),
            ("network", gap.network.as_deref().map(str::to_owned)),
        ];
        for (name, value) in ids {
            value.map(|value| put(name, value.into()));
        }
        gap.size.map(|size| put("size", size.into()));
        let draft = |id, commitments| Draft {
            id,
            entry_type: EntryType::Gap,
            actor: gap.device.map_or(Actor::Service(Word::CAPTURE), Actor::Device),
            captured_at: self.now(),
            record: None,
            streams: gap.advisor.into_iter().collect(),
            commitments,
            detail,
        };
        let Some(host) = &gap.host else {
            return Ok(Submission::plain(draft(EntryId::new(self.ids.fresh()), Commitments::new())));
        };
        let (secret, key) = self.sealer.record()?;
        let mut envelope = self.sealer.envelope(&secret);
        envelope.put(FieldName::HOST, host.as_bytes())?;
        Ok(envelope.close().submit(Some(key), draft))
    }

    /// Writes gaps as they become due, until told to stop; then everything that is left.
    pub(crate) async fn write_gaps(&self, stop: CancellationToken) {
        loop {
            let next = self.gaps.lock().next_due();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.gap_noted.notified() => {}
                () = stop.cancelled() => break,
            }
            let due = self.gaps.lock().due(Instant::now());
            if !self.write_counted(due).await {
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = stop.cancelled() => break,
                }
            }
        }
        let left = self.gaps.lock().all();
        for counted in left {
            match self.gap_entry(&counted) {
                Ok(submission) => drop(self.keep_at_last(submission).await),
                Err(error) => tracing::error!(%error, cause = %counted.gap.cause, "a gap could not be put on record"),
            }
        }
    }

    /// False when some could not be written; they stay due.
    async fn write_counted(&self, due: Vec<Counted>) -> bool {
        let mut all_written = true;
        for counted in due {
            let kept = match self.gap_entry(&counted) {
                Ok(submission) => self.spool.keep(submission).await.map(drop).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = kept {
                tracing::warn!(%error, cause = %counted.gap.cause, "a gap waits to be put on record");
                self.gaps.lock().put_back(counted, Instant::now());
                all_written = false;
            }
        }
        all_written
    }
}
