//! Holds placed and released.

use uuid::Uuid;

use super::{Retain, RetainError, Selection};
use crate::archive::{HoldScope, HoldTerms, HoldWords};
use crate::ledger::Actor;
use crate::record::{AdvisorId, EntryId, HoldId, MatterId, RecordId, Timestamp};

/// What a hold covers.
#[derive(Debug, Clone)]
pub enum What {
    /// These records.
    Records(Vec<RecordId>),
    /// These advisors, with all that is theirs.
    Custodians(Vec<AdvisorId>),
    /// Everything.
    Everything,
    /// What a query selects: now, and of what is still to come.
    Selected(Box<Selection>),
}

/// A hold to be.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// What it is for.
    pub matter: Option<MatterId>,
    /// What it is called.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
    /// What it covers.
    pub what: What,
    /// Of custodians and everything: only records with an entry at or after it.
    pub since: Option<Timestamp>,
    /// And before it.
    pub until: Option<Timestamp>,
}

impl Retain {
    /// Places a hold. It is in force when this returns: one that selects covers all that it has not looked at, and goes on by itself.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn place(&self, entry: EntryId, by: Actor, new: NewHold) -> Result<HoldId, RetainError> {
        // So that no matter is closed meanwhile.
        let _turn = self.archive.matter_turn().await?;
        if let Some(matter) = new.matter {
            self.open_matter(matter).await?;
        }
        let hold = HoldId::new(self.ids.fresh());
        let NewHold { matter, name, reason, what, since, until } = new;
        let (mut evaluated, mut query) = (None, None);
        let (scope, targets): (_, Vec<Uuid>) = match what {
            What::Records(records) => {
                if let Some(missing) = self.archive.without_key(&records).await?.first() {
                    return Err(RetainError::NoSuchRecord(*missing));
                }
                (HoldScope::Record, records.iter().map(|record| record.uuid()).collect())
            }
            What::Custodians(advisors) => {
                for advisor in &advisors {
                    self.check_advisor(*advisor).await?;
                }
                (HoldScope::Stream, advisors.iter().map(|advisor| advisor.uuid()).collect())
            }
            What::Everything => (HoldScope::All, Vec::new()),
            What::Selected(selection) => {
                (evaluated, query) = (Some(0), Some(selection.to_json()));
                (HoldScope::Record, Vec::new())
            }
        };
        let selects = evaluated.is_some();
        let terms = HoldTerms { hold, matter, scope, targets, since, until, evaluated };
        self.archive.place_hold(entry, by, &terms, &HoldWords { name, reason, query }).await?;
        if selects {
            self.woken.notify_one();
        }
        Ok(hold)
    }

    /// Releases a hold.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn release(&self, entry: EntryId, by: Actor, hold: HoldId, reason: &str) -> Result<(), RetainError> {
        let _turn = self.archive.matter_turn().await?;
        let row = self.archive.hold(hold).await?.ok_or(RetainError::NoSuchHold)?;
        if row.released_index.is_some() {
            return Err(RetainError::Released);
        }
        self.archive.release_hold(entry, by, hold, reason).await?;
        Ok(())
    }
}
