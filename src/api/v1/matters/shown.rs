//! A matter as it is shown.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Seen;
use crate::api::once::Done;
use crate::api::path::id;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::api::v1::holds::shown::HoldSummary;
use crate::archive::{CustodianRow, MatterEntryRow, MatterRow, NoticeRow, Slice};
use crate::record::{AdvisorId, MatterId, NoticeId, Timestamp};
use crate::retain::RetainError;

/// Changes, and holds, told with a matter at most.
const MOST: u32 = 500;

/// A matter.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MatterSummary {
    /// Which.
    id: Uuid,
    /// `open` or `closed`.
    #[schema(example = "open")]
    state: &'static str,
    /// What it is called; none once that was disposed of.
    #[schema(example = "Smith ./. Example Securities")]
    name: Option<String>,
    /// What it is about.
    description: Option<String>,
    /// What others call it, such as a court's docket number.
    #[schema(example = "2:26-cv-01234")]
    external: Option<String>,
    /// Index of its newest entry.
    index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    changed_at: Timestamp,
    /// Index of the entry that opened it.
    opened_index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    opened_at: Timestamp,
}

/// A custodian of a matter.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Custodian {
    /// Which advisor.
    advisor: Uuid,
    /// Since when, the last time.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    since: Timestamp,
    /// Until when; none while it lasts.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T20:00:00.000000Z")]
    until: Option<Timestamp>,
}

/// What a custodian was told.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Notice {
    /// Which.
    notice: Uuid,
    /// To whom.
    advisor: Option<Uuid>,
    /// Index of the entry that says so.
    index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    issued_at: Timestamp,
    /// When it was acknowledged.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T20:00:00.000000Z")]
    acknowledged_at: Option<Timestamp>,
    /// What it says; none once that was disposed of.
    text: Option<String>,
}

/// One entry of a matter.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MatterEntry {
    /// Its place in the ledger.
    index: u64,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// `opened`, `changed`, `closed`, `reopened`, `custodian_added`, `custodian_removed`, `notice_issued` or `notice_acknowledged`.
    #[schema(example = "custodian_added")]
    change: String,
    /// Who did it.
    #[schema(example = "officer:0198c0de-0000-7000-8000-000000000000")]
    by: String,
    /// The custodian concerned.
    advisor: Option<Uuid>,
    /// The notice concerned.
    notice: Option<Uuid>,
    /// What it is called from then on, where that is said.
    name: Option<String>,
    /// What it is about, likewise.
    description: Option<String>,
    /// What others call it, likewise.
    external: Option<String>,
    /// Why.
    reason: Option<String>,
    /// What a notice says.
    text: Option<String>,
}

/// A matter, whole.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Matter {
    #[serde(flatten)]
    summary: MatterSummary,
    /// Who is, or was, its custodian.
    custodians: Vec<Custodian>,
    /// What they were told, oldest first.
    notices: Vec<Notice>,
    /// The holds placed for it, oldest first; at most 500.
    holds: Vec<HoldSummary>,
    /// What became of it, oldest first: the newest 500 entries.
    history: Vec<MatterEntry>,
}

impl From<MatterRow> for MatterSummary {
    fn from(row: MatterRow) -> Self {
        Self {
            id: row.matter.uuid(),
            state: row.state.as_str(),
            name: row.name,
            description: row.description,
            external: row.external,
            index: row.index,
            changed_at: row.changed_at,
            opened_index: row.added_index,
            opened_at: row.added_at,
        }
    }
}

impl From<CustodianRow> for Custodian {
    fn from(row: CustodianRow) -> Self {
        Self { advisor: row.advisor.uuid(), since: row.since, until: row.until }
    }
}

impl From<NoticeRow> for Notice {
    fn from(row: NoticeRow) -> Self {
        Self {
            notice: row.notice.uuid(),
            advisor: row.advisor.map(AdvisorId::uuid),
            index: row.index,
            issued_at: row.issued_at,
            acknowledged_at: row.acknowledged_at,
            text: row.text,
        }
    }
}

impl From<MatterEntryRow> for MatterEntry {
    fn from(row: MatterEntryRow) -> Self {
        Self {
            index: row.index,
            at: row.at,
            change: row.change,
            by: row.by,
            advisor: row.advisor.map(AdvisorId::uuid),
            notice: row.notice.map(NoticeId::uuid),
            name: row.name,
            description: row.description,
            external: row.external,
            reason: row.reason,
            text: row.text,
        }
    }
}

/// Reads a matter's id.
pub(super) fn matter_id(text: &str) -> Result<MatterId, Problem> {
    id(text, "a matter's id")
}

/// What a look at a matter concerns.
pub(super) fn seen(id: MatterId, advisor: Option<AdvisorId>) -> Seen {
    Seen { count: 1, advisor, query: Some(format!("matter={id}")), ..Seen::default() }
}

impl Api {
    /// A matter, whole; or the problem that there is none.
    pub(super) async fn whole_matter(&self, id: MatterId) -> Result<Matter, Problem> {
        let row = self.archive.matter(id).await?.ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
        let oldest = Slice { after: None, newest_first: false, limit: MOST };
        let mut history = self.archive.matter_entries(id, MOST).await?;
        history.reverse();
        Ok(Matter {
            summary: row.into(),
            custodians: self.archive.matter_custodians(id).await?.into_iter().map(Into::into).collect(),
            notices: self.archive.matter_notices(id).await?.into_iter().map(Into::into).collect(),
            holds: self.archive.holds(oldest, Some(id)).await?.into_iter().map(Into::into).collect(),
            history: history.into_iter().map(Into::into).collect(),
        })
    }

    /// Whether there is such a matter; the problem is on record before it is told.
    pub(super) async fn is_matter(&self, id: MatterId) -> Result<Result<(), Problem>, Problem> {
        // Another process may have opened it a moment ago.
        self.archive.catch_up().await?;
        let row = self.archive.matter(id).await?;
        Ok(row.map(|_row| ()).ok_or_else(|| RetainError::NoSuchMatter.into()))
    }

    /// The answer to what was done to it.
    pub(super) async fn matter_done(&self, status: u16, id: MatterId) -> Result<Done, Problem> {
        // Whoever did it may have been killed before it was projected.
        self.archive.catch_up().await?;
        let shown = self.whole_matter(id).await?;
        let body = serde_json::to_value(shown).map_err(|error| Problem::internal(&error))?;
        let location = (status == 201).then(|| format!("/v1/matters/{id}"));
        Ok(Done { status, location, etag: None, body: Some(body) })
    }
}
