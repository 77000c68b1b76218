//! Late attribution: a record that turns out to belong to one more advisor.
//!
//! Invariant: the entry stands in the new stream and names the old entry and its index, so that both streams stay contiguous and
//! a hold on the new custodian covers the record. Two things bring it about: an item seen again on another advisor's device, and
//! an account learned to be an advisor's after records of it were kept.

use std::sync::Arc;

use super::core::Core;
use super::{KnownAccount, Place};
use crate::archive::Submission;
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::record::{AccountId, AdvisorId, EntryId, RecordId, Word};

/// Records looked up at once.
const PAGE: u32 = 256;

/// The earlier entry, and why it is attributed.
pub(crate) struct Earlier {
    pub(crate) entry: EntryId,
    pub(crate) index: u64,
    pub(crate) record: Option<RecordId>,
    pub(crate) cause: &'static str,
    pub(crate) account: Option<AccountId>,
}

impl Core {
    /// Puts a kept record into more streams.
    pub(crate) async fn attribute_to(&self, earlier: Earlier, streams: Vec<AdvisorId>) {
        let (entry, now) = (earlier.entry, self.now());
        let streams: Vec<AdvisorId> =
            streams.into_iter().filter(|advisor| self.seen.is_first_attribution(entry, *advisor, now)).collect();
        if streams.is_empty() {
            return;
        }
        let mut detail = serde_json::Map::new();
        if let Some(account) = earlier.account {
            detail.insert("account".to_owned(), account.to_string().into());
        }
        detail.insert("cause".to_owned(), earlier.cause.into());
        detail.insert("entry".to_owned(), entry.to_string().into());
        detail.insert("index".to_owned(), earlier.index.into());
        let attribution = Submission::plain(Draft {
            id: EntryId::new(self.ids.fresh()),
            entry_type: EntryType::Attribution,
            actor: Actor::Service(Word::CAPTURE),
            captured_at: now,
            record: earlier.record,
            streams,
            commitments: Commitments::new(),
            detail,
        });
        self.keep_at_last(attribution).await;
    }

    /// What an account wrote before it was known whose it is. The archive's projections say so; what they did not have yet
    /// is attributed when it is seen again.
    pub(crate) async fn attribute_earlier(self: Arc<Self>, account: Arc<KnownAccount>) {
        let mut after = None;
        while !self.hurry.is_cancelled() {
            let places = match self.recall.written_by(&account, after, PAGE).await {
                Ok(places) => places,
                Err(error) => {
                    tracing::warn!(%error, "earlier records of an account are not attributed until they are seen again");
                    return;
                }
            };
            let Some(last) = places.last() else { return };
            after = Some(last.index);
            for Place { entry, record, index, streams: _ } in places {
                let (record, cause, known) = (Some(record), "account_learned", Some(account.id));
                let earlier = Earlier { entry, index, record, cause, account: known };
                self.attribute_to(earlier, vec![account.advisor]).await;
            }
        }
    }
}
