//! What capture asks of the archive besides appending: what is on record already.
//!
//! Answers come from projections (but where said otherwise), which may lag a little behind the ledger; what this process itself did in the meantime,
//! capture remembers. So a wrong "no" costs a second copy or a link that is not made, never a record.

use std::collections::HashSet;

use futures_util::future::BoxFuture;

use super::accounts::KnownAccount;
use crate::record::{AdvisorId, DeviceId, Digest, EntryId, RecordId, Timestamp};

/// The archive could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the archive could not be asked: {0}")]
pub struct RecallError(pub String);

/// A capture without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its entry.
    pub capture: EntryId,
    /// Its record.
    pub record: RecordId,
    /// The streams it belongs to.
    pub streams: Vec<AdvisorId>,
}

/// An entry that holds a certain item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The entry.
    pub entry: EntryId,
    /// Its record.
    pub record: RecordId,
    /// Its index.
    pub index: u64,
    /// The streams that hold it, late attributions included.
    pub streams: Vec<AdvisorId>,
}

/// What is on record about an item of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownItem {
    /// It came about by a write that was captured.
    pub captured: bool,
    /// The observation of exactly this version.
    pub this_version: Option<Place>,
    /// The newest observation of any version.
    pub newest: Option<EntryId>,
}

/// A capture that a request may repeat: what is kept of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeatable {
    /// The capture that a repetition names: this one, or the one that it repeats itself.
    pub first: EntryId,
    /// When it was kept.
    pub at: Timestamp,
    /// The device that sent it.
    pub device: DeviceId,
    /// The field `connection`.
    pub connection: Vec<u8>,
    /// The field `request.head`.
    pub head: Vec<u8>,
    /// SHA-256 of the field `request.body`; none where it is too large to be at hand.
    pub body: Option<Digest>,
}

/// See the module.
pub trait Recall: Send + Sync {
    /// Captures of this source, captured before `before`, that have no outcome, oldest first, at most `limit`.
    fn unfinished(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Unfinished>, RecallError>>;

    /// Which of these entries are in the ledger itself.
    fn on_record<'a>(&'a self, entries: &'a [EntryId]) -> BoxFuture<'a, Result<HashSet<EntryId>, RecallError>>;

    /// Captures of requests since then, by any device, newest first, at most `limit`.
    fn repeatable(&self, since: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Repeatable>, RecallError>>;

    /// Every account that is known to be an advisor's.
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<KnownAccount>, RecallError>>;

    /// The same account of the same advisor, by whichever id it got on record first: perhaps another proxy on this archive learned of it before.
    fn same_account<'a>(
        &'a self,
        account: &'a KnownAccount,
    ) -> BoxFuture<'a, Result<Option<KnownAccount>, RecallError>> {
        Box::pin(async move { Ok(self.accounts().await?.into_iter().find(|known| known.is_same_as(account))) })
    }

    /// Records of a network that this party wrote, that are not in the advisor's stream yet and stand behind the index `after`:
    /// in order, at most `limit`.
    fn written_by<'a>(
        &'a self,
        account: &'a KnownAccount,
        after: Option<u64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Place>, RecallError>>;

    /// What is on record about an item.
    fn item<'a>(
        &'a self,
        network: &'a str,
        item: &'a str,
        version: &'a Digest,
    ) -> BoxFuture<'a, Result<KnownItem, RecallError>>;
}
