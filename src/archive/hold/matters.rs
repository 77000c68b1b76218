//! Matters: their entries written down, and what they come to.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::read::{Ordered, Slice, ordered};
use crate::archive::row::count;
use crate::archive::submission::{Append as _, Appended, Submission};
use crate::ledger::{Actor, EntryType};
use crate::record::{AdvisorId, EntryId, FieldName, MatterId, NoticeId, RecordId, Timestamp, words};

words! {
    /// What an entry of a matter changes.
    MatterChange {
        /// It is new, and open.
        Opened = "opened",
        /// What it is called.
        Changed = "changed",
        /// It is over.
        Closed = "closed",
        /// It is open again.
        Reopened = "reopened",
        /// An advisor is its custodian.
        CustodianAdded = "custodian_added",
        /// An advisor is its custodian no more.
        CustodianRemoved = "custodian_removed",
        /// A custodian was told.
        NoticeIssued = "notice_issued",
        /// And has said so.
        NoticeAcknowledged = "notice_acknowledged",
    }
}

words! {
    /// Whether it goes on.
    MatterState {
        /// It goes on.
        Open = "open",
        /// It is over.
        Closed = "closed",
    }
}

/// What somebody wrote. What is none stays as it was; what is empty is taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatterWords {
    /// What it is called.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What others call it, such as a court's docket number.
    pub external: Option<String>,
    /// Why this was done.
    pub reason: Option<String>,
    /// What a notice says.
    pub text: Option<String>,
}

impl MatterWords {
    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fields(&self) -> Vec<(FieldName, &[u8])> {
        let said = [
            (FieldName::DESCRIPTION, &self.description),
            (FieldName::EXTERNAL, &self.external),
            (FieldName::NAME, &self.name),
            (FieldName::REASON, &self.reason),
            (FieldName::TEXT, &self.text),
        ];
        said.into_iter().filter_map(|(name, said)| Some((name, said.as_ref()?.as_bytes()))).collect()
    }
}

/// An entry of a matter, to be written down.
#[derive(Debug, Clone)]
pub struct NewMatterEntry {
    /// Its id.
    pub entry: EntryId,
    /// Who does it.
    pub by: Actor,
    /// Of which.
    pub matter: MatterId,
    /// What changes.
    pub change: MatterChange,
    /// The custodian concerned.
    pub advisor: Option<AdvisorId>,
    /// The notice concerned.
    pub notice: Option<NoticeId>,
    /// What is said.
    pub words: MatterWords,
}

/// A matter as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatterRow {
    /// Which.
    pub matter: MatterId,
    /// Whether it goes on.
    pub state: MatterState,
    /// What it is called; none once its words were disposed of.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What others call it.
    pub external: Option<String>,
    /// Its newest entry.
    pub index: u64,
    /// When that was.
    pub changed_at: Timestamp,
    /// Its first entry.
    pub added_index: u64,
    /// When that was.
    pub added_at: Timestamp,
}

/// A custodian of a matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodianRow {
    /// Who.
    pub advisor: AdvisorId,
    /// Since when, the last time.
    pub since: Timestamp,
    /// Until when; none while it lasts.
    pub until: Option<Timestamp>,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Which.
    pub notice: NoticeId,
    /// To whom.
    pub advisor: Option<AdvisorId>,
    /// The entry that says so.
    pub index: u64,
    /// When that was.
    pub issued_at: Timestamp,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Timestamp>,
    /// What it says.
    pub text: Option<String>,
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp, ArchiveError> {
    Ok(Timestamp::new(row.try_get(column)?))
}

pub(super) fn some_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, ArchiveError> {
    let time: Option<sqlx::types::time::OffsetDateTime> = row.try_get(column)?;
    Ok(time.map(Timestamp::new))
}

fn matter(row: &PgRow) -> Result<MatterRow, ArchiveError> {
    let state: &str = row.try_get("state")?;
    Ok(MatterRow {
        matter: MatterId::new(row.try_get("matter")?),
        state: if state == MatterState::Closed.as_str() { MatterState::Closed } else { MatterState::Open },
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        external: row.try_get("external")?,
        index: count(row.try_get("entry_index")?),
        changed_at: time(row, "changed_at")?,
        added_index: count(row.try_get("added_index")?),
        added_at: time(row, "added_at")?,
    })
}

impl Archive {
    /// Writes down what becomes of a matter; durable and projected on return.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn note_matter(&self, new: NewMatterEntry) -> Result<Appended, ArchiveError> {
        let NewMatterEntry { entry, by, matter, change, advisor, notice, words } = new;
        let record = RecordId::new(matter.uuid());
        let mut detail = serde_json::Map::new();
        detail.insert("change".to_owned(), change.as_str().into());
        detail.insert("matter".to_owned(), matter.to_string().into());
        detail.extend(advisor.map(|advisor| ("advisor".to_owned(), advisor.to_string().into())));
        detail.extend(notice.map(|notice| ("notice".to_owned(), notice.to_string().into())));
        let mut draft = self.draft(EntryType::Matter, by, detail);
        (draft.id, draft.record, draft.streams) = (entry, Some(record), advisor.into_iter().collect());
        let mut submission = Submission::plain(draft);
        let key = match change {
            MatterChange::Opened => Some(self.fresh_key(&mut submission, record)?),
            _ if words.is_empty() => None,
            // Disposed of: that something changed can still be said.
            _ => self.record_key(record).await?,
        };
        if let Some(key) = key {
            self.seal_under(&mut submission, &key, words.fields())?;
        }
        let appended = self.append(submission).await?;
        self.project(appended.index.saturating_add(1)).await?;
        Ok(appended)
    }

    /// Matters, in the order in which they were opened.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matters(&self, slice: Slice) -> Result<Vec<MatterRow>, ArchiveError> {
        const LIST: Ordered = ordered!("
            select * from projection.matters where added_index > $1 and added_index < $2 and $4::uuid is null"
            by "added_index");
        self.list(&LIST, slice, None, matter).await
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter(&self, id: MatterId) -> Result<Option<MatterRow>, ArchiveError> {
        let row = sqlx::query("select * from projection.matters where matter = $1").bind(id.uuid());
        row.fetch_optional(&self.parts.reader).await?.as_ref().map(matter).transpose()
    }

    /// Who is, or was, a custodian of a matter; at most 1,000.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter_custodians(&self, id: MatterId) -> Result<Vec<CustodianRow>, ArchiveError> {
        let rows = sqlx::query(
            "select advisor, max(at) filter (where change = 'custodian_added') as since,
                    max(at) filter (where change = 'custodian_removed') as until,
                    (array_agg(change order by entry_index desc))[1] = 'custodian_added' as is_one
               from projection.matter_entries
              where matter = $1 and advisor is not null and change in ('custodian_added', 'custodian_removed')
              group by advisor
             having bool_or(change = 'custodian_added') order by min(entry_index) limit 1000",
        )
        .bind(id.uuid())
        .fetch_all(&self.parts.reader)
        .await?;
        let read = |row: &PgRow| {
            let until = if row.try_get("is_one")? { None } else { some_time(row, "until")? };
            Ok(CustodianRow { advisor: AdvisorId::new(row.try_get("advisor")?), since: time(row, "since")?, until })
        };
        rows.iter().map(read).collect()
    }

    /// The notices of a matter, oldest first; at most the newest 1,000.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn matter_notices(&self, id: MatterId) -> Result<Vec<NoticeRow>, ArchiveError> {
        let rows = sqlx::query(
            "select n.notice, n.advisor, n.entry_index, n.at, n.text,
                    (select min(a.at) from projection.matter_entries a
                      where a.matter = n.matter and a.notice = n.notice and a.change = 'notice_acknowledged') as acknowledged
               from projection.matter_entries n
              where n.matter = $1 and n.notice is not null and n.change = 'notice_issued'
              order by n.entry_index desc limit 1000",
        )
        .bind(id.uuid())
        .fetch_all(&self.parts.reader)
        .await?;
        let read = |row: &PgRow| {
            Ok(NoticeRow {
                notice: NoticeId::new(row.try_get("notice")?),
                advisor: row.try_get::<Option<Uuid>, _>("advisor")?.map(AdvisorId::new),
                index: count(row.try_get("entry_index")?),
                issued_at: time(row, "at")?,
                acknowledged_at: some_time(row, "acknowledged")?,
                text: row.try_get("text")?,
            })
        };
        rows.iter().rev().map(read).collect()
    }
}
