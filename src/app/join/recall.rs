//! What is on record already, as capture asks for it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::archive::{Archive, ArchiveError, Field, ItemPlace, OwnedAccount, RecentCapture};
use crate::capture::{KnownAccount, KnownItem, Place, Recall, RecallError, Repeatable, Unfinished};
use crate::recognize::Party;
use crate::record::{Digest, EntryId, FieldName, Timestamp};

/// See the module.
pub(in crate::app) struct ArchiveRecall(pub(in crate::app) Archive);

fn failed(error: ArchiveError) -> RecallError {
    RecallError(error.to_string())
}

impl ArchiveRecall {
    /// The archive, with everything projected that the ledger has by now.
    async fn caught_up(&self) -> Result<&Archive, RecallError> {
        self.0.catch_up().await.map_err(failed)?;
        Ok(&self.0)
    }
}

impl Recall for ArchiveRecall {
    fn unfinished(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Unfinished>, RecallError>> {
        Box::pin(async move {
            // An outcome that is not projected yet would be given twice.
            let archive = self.caught_up().await?;
            let open = archive.open_captures(archive.source(), before, limit).await.map_err(failed)?;
            let open = open.into_iter();
            Ok(open.map(|one| Unfinished { capture: one.entry, record: one.record, streams: one.advisors }).collect())
        })
    }

    fn on_record<'a>(&'a self, entries: &'a [EntryId]) -> BoxFuture<'a, Result<HashSet<EntryId>, RecallError>> {
        Box::pin(async move { self.0.which_are_there(entries).await.map_err(failed) })
    }

    fn repeatable(&self, since: Timestamp, limit: u32) -> BoxFuture<'_, Result<Vec<Repeatable>, RecallError>> {
        Box::pin(async move {
            // What was captured just before the stop is what a device sends again.
            let fields = [FieldName::CONNECTION, FieldName::REQUEST_HEAD, FieldName::REQUEST_BODY];
            self.caught_up().await?.recent_captures(since, limit, &fields, repeatable).await.map_err(failed)
        })
    }

    fn accounts(&self) -> BoxFuture<'_, Result<Vec<KnownAccount>, RecallError>> {
        Box::pin(async move {
            let owned = self.0.owned_accounts().await.map_err(failed)?;
            Ok(owned.into_iter().map(known_account).collect())
        })
    }

    fn same_account<'a>(
        &'a self,
        account: &'a KnownAccount,
    ) -> BoxFuture<'a, Result<Option<KnownAccount>, RecallError>> {
        Box::pin(async move {
            let owned = self.caught_up().await?.owned_accounts().await.map_err(failed)?;
            Ok(owned.into_iter().map(known_account).find(|known| known.is_same_as(account)))
        })
    }

    fn written_by<'a>(
        &'a self,
        account: &'a KnownAccount,
        after: Option<u64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Place>, RecallError>> {
        Box::pin(async move {
            let (party, network) = (&account.party, &*account.network);
            let id = Some(party.id.as_str()).filter(|id| !id.is_empty());
            let handle = party.handle.as_deref();
            let places = self.caught_up().await?.written_by(network, id, handle, account.advisor, after, limit).await;
            Ok(places.map_err(failed)?.into_iter().map(place).collect())
        })
    }

    fn item<'a>(
        &'a self,
        network: &'a str,
        item: &'a str,
        version: &'a Digest,
    ) -> BoxFuture<'a, Result<KnownItem, RecallError>> {
        Box::pin(async move {
            let places = self.0.item_places(network, item, version).await.map_err(failed)?;
            Ok(known_item(places))
        })
    }
}

fn repeatable(mut capture: RecentCapture) -> Option<Repeatable> {
    let mut take = |name: &FieldName| match capture.content.0.remove(name) {
        Some(Field::Value(value)) => Some(value),
        _ => None,
    };
    let (connection, head) = (take(&FieldName::CONNECTION)?, take(&FieldName::REQUEST_HEAD)?);
    let body = match capture.content.0.get(&FieldName::REQUEST_BODY) {
        Some(Field::Value(body)) => Some(Digest::of(&[body])),
        Some(Field::Blob { .. }) => None,
        None => Some(Digest::of(&[])),
    };
    let first = capture.retry_of.unwrap_or(capture.entry);
    Some(Repeatable { first, at: capture.at, device: capture.device, connection, head, body })
}

fn known_account(owned: OwnedAccount) -> KnownAccount {
    let OwnedAccount { account, advisor, network, network_id, handle, name } = owned;
    let party = Party { id: network_id, handle, name, url: None };
    KnownAccount { id: account, network: Arc::from(network), party, advisor }
}

/// The places come newest first.
fn known_item(places: Vec<ItemPlace>) -> KnownItem {
    let captured = places.iter().any(|place| place.captured);
    let newest = places.iter().find(|place| !place.captured).map(|place| place.entry);
    let this_version = places.into_iter().find(|place| !place.captured && place.same_version).map(place);
    KnownItem { captured, this_version, newest }
}

fn place(found: ItemPlace) -> Place {
    Place { entry: found.entry, record: found.record, index: found.index, streams: found.advisors }
}
