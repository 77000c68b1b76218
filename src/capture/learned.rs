//! Accounts that nobody knew of: each goes on record, and with it what it wrote before.
//!
//! Invariant: an account is known here only as long as it is on record or waits in a bounded lane to be put there. What finds no room,
//! or cannot be put on record, is forgotten again, and that is a gap: so the next exchange that shows the account makes it new once more.

use std::sync::Arc;

use serde_json::Value;

use super::accounts::{self, Learned};
use super::core::Core;
use super::seal::SealingError;
use super::{Gap, GapCause, KnownAccount};
use crate::archive::Submission;
use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::recognize::Party;
use crate::record::{AccountId, DeviceId, EntryId, FieldName, Timestamp, Word};

/// An account that is not on record yet.
pub(crate) struct NewAccount {
    account: Arc<KnownAccount>,
    /// The device that showed it, and when.
    device: DeviceId,
    at: Timestamp,
}

impl Core {
    /// Remembers the account that acts; one that nobody knew of goes on record. Never blocks.
    pub(crate) fn learn(&self, actor: accounts::Actor, network: Option<&Arc<str>>, party: Option<&Party>) {
        let (Some(network), Some(party)) = (network, party) else { return };
        let (at, fresh) = (self.now(), || AccountId::new(self.ids.fresh()));
        let Some((Learned::New, account)) = self.accounts.learn(actor, network, party, at, fresh) else { return };
        // What waits is in memory as a known account already; it is sealed when its turn comes.
        if let Err(new) = self.new_accounts.push(NewAccount { account, device: actor.device, at }, 1) {
            self.unlearn(&new);
        }
    }

    /// Puts an account on record.
    pub(crate) async fn put_on_record(self: &Arc<Self>, new: NewAccount) {
        // Another proxy may have put it on record since this one looked.
        if let Ok(Some(on_record)) = self.recall.same_account(&new.account).await {
            return self.accounts.replace(&new.account, on_record);
        }
        let kept = match self.account_entry(&new) {
            Ok(submission) => self.keep_at_last(submission).await,
            Err(error) => {
                tracing::error!(%error, "an account could not be sealed");
                false
            }
        };
        if !kept {
            return self.unlearn(&new);
        }
        // Two that learn of it within a tenth of a second both put it on record, and then both see which came first.
        if let Ok(Some(first)) = self.recall.same_account(&new.account).await
            && first.id != new.account.id
        {
            self.keep_at_last(self.taken_back(&new)).await;
            return self.accounts.replace(&new.account, first);
        }
        // On record first: an attribution names the account.
        Arc::clone(self).attribute_earlier(new.account).await;
    }

    /// Says that the account is on record under an earlier id.
    fn taken_back(&self, new: &NewAccount) -> Submission {
        let account = &new.account;
        let said = [("change", "revoked".into()), ("id", account.id.to_string().into()), ("subject", "account".into())];
        let said: [(&str, Value); 3] = said;
        Submission::plain(Draft {
            id: EntryId::new(self.ids.fresh()),
            entry_type: EntryType::Identity,
            actor: Actor::Service(Word::CAPTURE),
            captured_at: self.now(),
            record: None,
            streams: vec![account.advisor],
            commitments: Commitments::new(),
            detail: said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    fn unlearn(&self, new: &NewAccount) {
        let account = &new.account;
        self.accounts.forget(account);
        self.gap(Gap {
            device: Some(new.device),
            advisor: Some(account.advisor),
            network: Some(Arc::clone(&account.network)),
            ..Gap::new(GapCause::AccountDropped)
        });
    }

    fn account_entry(&self, new: &NewAccount) -> Result<Submission, SealingError> {
        let NewAccount { account, device, at } = new;
        let (secret, key) = self.sealer.record()?;
        let mut envelope = self.sealer.envelope(&secret);
        let party = &account.party;
        let id = Some(&party.id).filter(|id| !id.is_empty());
        for (name, value) in
            [(FieldName::ID, id), (FieldName::HANDLE, party.handle.as_ref()), (FieldName::NAME, party.name.as_ref())]
        {
            if let Some(value) = value {
                envelope.put(name, value.as_bytes())?;
            }
        }
        let mut detail = serde_json::Map::new();
        let mut put = |name: &str, value: String| detail.insert(name.to_owned(), value.into());
        put("advisor", account.advisor.to_string());
        put("change", "added".to_owned());
        put("id", account.id.to_string());
        put("network", account.network.to_string());
        put("subject", "account".to_owned());
        Ok(envelope.close().submit(Some(key), |id, commitments| Draft {
            id,
            entry_type: EntryType::Identity,
            actor: Actor::Device(*device),
            captured_at: *at,
            record: None,
            streams: vec![account.advisor],
            commitments,
            detail,
        }))
    }
}
