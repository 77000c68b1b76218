//! Holds placed, extended and released: each is an entry, durable on return.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::submission::{Append as _, Appended, Submission};
use crate::ledger::{Actor, EntryType};
use crate::record::{EntryId, FieldName, HoldId, MatterId, RecordId, Timestamp, words};

words! {
    /// What a hold's targets are.
    HoldScope {
        /// These records.
        Record = "record",
        /// These advisors, with all that is theirs.
        Stream = "stream",
        /// Everything.
        All = "all",
    }
}

/// What one entry of a hold says.
#[derive(Debug, Clone)]
pub struct HoldTerms {
    /// Of which.
    pub hold: HoldId,
    /// What it is for.
    pub matter: Option<MatterId>,
    /// What it covers.
    pub scope: HoldScope,
    /// Records or advisors; at most [`super::TARGETS_MAX`].
    pub targets: Vec<Uuid>,
    /// Only records with an entry at or after it.
    pub since: Option<Timestamp>,
    /// And before it.
    pub until: Option<Timestamp>,
    /// Up to where records were looked for that the hold selects.
    pub evaluated: Option<u64>,
}

/// What somebody wrote of a hold.
#[derive(Debug, Clone, Default)]
pub struct HoldWords {
    /// What it is called.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
    /// What selects, as JSON.
    pub query: Option<String>,
}

impl HoldTerms {
    fn detail(&self) -> Map<String, Value> {
        let mut detail = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            detail.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("evaluated", self.evaluated.map(Value::from));
        put("from", self.since.map(|time| time.to_string().into()));
        put("hold", Some(self.hold.to_string().into()));
        put("matter", self.matter.map(|matter| matter.to_string().into()));
        put("scope", Some(self.scope.as_str().into()));
        put("targets", Some(self.targets.iter().map(ToString::to_string).collect()));
        put("until", self.until.map(|time| time.to_string().into()));
        detail
    }
}

impl Archive {
    /// Places a hold. When this returns it is in force: nothing that it covers, or may yet turn out to select, can be disposed of.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn place_hold(
        &self,
        entry: EntryId,
        by: Actor,
        terms: &HoldTerms,
        words: &HoldWords,
    ) -> Result<Appended, ArchiveError> {
        let record = RecordId::new(terms.hold.uuid());
        let mut submission = Submission::plain(self.draft(EntryType::Hold, by, terms.detail()));
        submission.draft.id = entry;
        let key = self.fresh_key(&mut submission, record)?;
        let optional = [(FieldName::NAME, &words.name), (FieldName::QUERY, &words.query)];
        let optional = optional.into_iter().filter_map(|(name, said)| Some((name, said.as_ref()?.as_bytes())));
        let mut fields: Vec<(FieldName, &[u8])> = optional.collect();
        fields.push((FieldName::REASON, words.reason.as_bytes()));
        self.seal_under(&mut submission, &key, fields)?;
        let appended = self.append(submission).await?;
        self.project(appended.index.saturating_add(1)).await?;
        Ok(appended)
    }

    /// Adds to what a hold covers, or says how far it has looked.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn extend_hold(&self, by: Actor, terms: &HoldTerms) -> Result<Appended, ArchiveError> {
        let mut draft = self.draft(EntryType::Hold, by, terms.detail());
        draft.record = Some(RecordId::new(terms.hold.uuid()));
        Ok(self.append(Submission::plain(draft)).await?)
    }

    /// Releases a hold; projected on return.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn release_hold(
        &self,
        entry: EntryId,
        by: Actor,
        hold: HoldId,
        reason: &str,
    ) -> Result<Appended, ArchiveError> {
        let record = RecordId::new(hold.uuid());
        let detail = Map::from_iter([("hold".to_owned(), hold.to_string().into())]);
        let mut draft = self.draft(EntryType::Release, by, detail);
        (draft.id, draft.record) = (entry, Some(record));
        let mut submission = Submission::plain(draft);
        if let Some(key) = self.record_key(record).await? {
            self.seal_under(&mut submission, &key, vec![(FieldName::REASON, reason.as_bytes())])?;
        }
        let appended = self.append(submission).await?;
        self.project(appended.index.saturating_add(1)).await?;
        Ok(appended)
    }
}
