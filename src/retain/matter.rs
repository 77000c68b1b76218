//! Matters opened, changed and closed; their custodians and notices.

use super::{Retain, RetainError};
use crate::archive::{MatterChange, MatterRow, MatterState, MatterWords, NewMatterEntry};
use crate::ledger::Actor;
use crate::record::{AdvisorId, EntryId, MatterId, NoticeId};

/// A matter to be.
#[derive(Debug, Clone)]
pub struct NewMatter {
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// What others call it.
    pub external: Option<String>,
}

/// What shall become of a matter. What is none stays as it is; what is empty is taken away.
#[derive(Debug, Clone, Default)]
pub struct MatterChanges {
    /// Whether it goes on.
    pub state: Option<MatterState>,
    /// What it is called.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What others call it.
    pub external: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Retain {
    /// Opens a matter.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn open(&self, entry: EntryId, by: Actor, new: NewMatter) -> Result<MatterId, RetainError> {
        let matter = MatterId::new(self.ids.fresh());
        let NewMatter { name, description, external } = new;
        let words = MatterWords { name: Some(name), description, external, ..MatterWords::default() };
        let change = MatterChange::Opened;
        let new = NewMatterEntry { entry, by, matter, change, advisor: None, notice: None, words };
        self.archive.note_matter(new).await?;
        Ok(matter)
    }

    /// Changes, closes or reopens a matter. One with holds in force is not closed: they would be in force for nothing.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn change(
        &self,
        entry: EntryId,
        by: Actor,
        matter: MatterId,
        changes: MatterChanges,
    ) -> Result<(), RetainError> {
        let _turn = self.archive.matter_turn().await?;
        let row = self.archive.matter(matter).await?.ok_or(RetainError::NoSuchMatter)?;
        let MatterChanges { state, name, description, external, reason } = changes;
        let change = match (row.state, state.unwrap_or(row.state)) {
            (MatterState::Closed, MatterState::Closed) => return Err(RetainError::MatterClosed),
            (MatterState::Closed, MatterState::Open) => MatterChange::Reopened,
            (MatterState::Open, MatterState::Closed) => MatterChange::Closed,
            (MatterState::Open, MatterState::Open) => MatterChange::Changed,
        };
        if change == MatterChange::Closed {
            let count = self.archive.count_holds_in_force(matter).await?;
            if count > 0 {
                return Err(RetainError::HoldsInForce { count });
            }
        }
        let other = |said: Option<String>, now: &Option<String>| {
            said.filter(|said| said.as_str() != now.as_deref().unwrap_or_default())
        };
        let words = MatterWords {
            name: other(name, &row.name),
            description: other(description, &row.description),
            external: other(external, &row.external),
            reason: None,
            text: None,
        };
        if change == MatterChange::Changed && words.is_empty() {
            return Ok(());
        }
        let words = MatterWords { reason, ..words };
        let new = NewMatterEntry { entry, by, matter, change, advisor: None, notice: None, words };
        self.archive.note_matter(new).await?;
        Ok(())
    }

    /// Makes an advisor a custodian of a matter, or lets them go. Who is one already, or is none, stays as they are.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn custodian(
        &self,
        entry: EntryId,
        by: Actor,
        matter: MatterId,
        advisor: AdvisorId,
        shall_be: bool,
    ) -> Result<(), RetainError> {
        let _turn = self.archive.matter_turn().await?;
        self.open_matter(matter).await?;
        if shall_be {
            self.check_advisor(advisor).await?;
        }
        if self.is_custodian(matter, advisor).await? == shall_be {
            return Ok(());
        }
        let change = if shall_be { MatterChange::CustodianAdded } else { MatterChange::CustodianRemoved };
        let words = MatterWords::default();
        let new = NewMatterEntry { entry, by, matter, change, advisor: Some(advisor), notice: None, words };
        self.archive.note_matter(new).await?;
        Ok(())
    }

    /// Puts on record that a custodian was told to keep what they have.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn issue_notice(
        &self,
        entry: EntryId,
        by: Actor,
        matter: MatterId,
        advisor: AdvisorId,
        text: String,
    ) -> Result<NoticeId, RetainError> {
        let _turn = self.archive.matter_turn().await?;
        self.open_matter(matter).await?;
        if !self.is_custodian(matter, advisor).await? {
            return Err(RetainError::NoCustodian(advisor));
        }
        let notice = NoticeId::new(self.ids.fresh());
        let words = MatterWords { text: Some(text), ..MatterWords::default() };
        let (change, advisor) = (MatterChange::NoticeIssued, Some(advisor));
        let new = NewMatterEntry { entry, by, matter, change, advisor, notice: Some(notice), words };
        self.archive.note_matter(new).await?;
        Ok(notice)
    }

    /// Puts on record that a custodian has acknowledged a notice. Once is enough.
    ///
    /// # Errors
    /// See [`RetainError`].
    pub async fn acknowledge(
        &self,
        entry: EntryId,
        by: Actor,
        matter: MatterId,
        notice: NoticeId,
    ) -> Result<(), RetainError> {
        let _turn = self.archive.matter_turn().await?;
        self.archive.matter(matter).await?.ok_or(RetainError::NoSuchMatter)?;
        let notices = self.archive.matter_notices(matter).await?;
        let issued = notices.into_iter().find(|row| row.notice == notice).ok_or(RetainError::NoSuchNotice)?;
        if issued.acknowledged_at.is_some() {
            return Ok(());
        }
        let (change, words) = (MatterChange::NoticeAcknowledged, MatterWords::default());
        let new = NewMatterEntry { entry, by, matter, change, advisor: issued.advisor, notice: Some(notice), words };
        self.archive.note_matter(new).await?;
        Ok(())
    }

    pub(super) async fn open_matter(&self, matter: MatterId) -> Result<MatterRow, RetainError> {
        let row = self.archive.matter(matter).await?.ok_or(RetainError::NoSuchMatter)?;
        if row.state == MatterState::Closed { Err(RetainError::MatterClosed) } else { Ok(row) }
    }

    pub(super) async fn check_advisor(&self, advisor: AdvisorId) -> Result<(), RetainError> {
        let is_known = self.archive.has_advisor(advisor).await?;
        if is_known { Ok(()) } else { Err(RetainError::NoSuchAdvisor(advisor)) }
    }

    async fn is_custodian(&self, matter: MatterId, advisor: AdvisorId) -> Result<bool, RetainError> {
        let custodians = self.archive.matter_custodians(matter).await?;
        Ok(custodians.iter().any(|row| row.advisor == advisor && row.until.is_none()))
    }
}
