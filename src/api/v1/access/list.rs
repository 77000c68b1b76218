//! Who looked at what, when and why.
//!
//! A look at this list is itself a look. What officers searched for may repeat what people wrote, so it is shown to those who may read
//! content; that somebody searched, and why, to everybody who may read the list.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::{Operation, Permission, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::moment::Moment;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::{LookFilter, LookRow};
use crate::record::{AccountId, AdvisorId, DeviceId, OfficerId, RecordId, Timestamp};

/// One look.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Look {
    /// Index of its entry.
    index: u64,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    at: Timestamp,
    /// Who; none for a command on the firm's own machine.
    officer: Option<Uuid>,
    /// What was done, as in `x-muniment-access`.
    #[schema(example = "records.get")]
    operation: String,
    /// Whether it was shown; otherwise it was refused.
    allowed: bool,
    /// How many items were shown.
    count: u64,
    /// Why, in the officer's own words; none where nobody said, or once it was disposed of.
    purpose: Option<String>,
    /// What was asked for, in the officer's own words; none where nothing was, once it was disposed of, and for who may not read
    /// content.
    query: Option<String>,
    /// The records shown, or asked for; at most 512.
    records: Vec<Uuid>,
    /// Whose records they are, and whom the officer asked for.
    advisors: Vec<Uuid>,
    /// Advisors, devices, accounts and officers whose registration was shown; at most 512.
    subjects: Vec<Uuid>,
}

/// A page of looks.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Looks {
    /// In ledger order.
    looks: Vec<Look>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Which looks. Everything that is given must hold.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct LooksQuery {
    /// By this officer
    #[param(value_type = Option<Uuid>)]
    officer: Option<OfficerId>,
    /// Of this operation
    #[param(value_type = Option<String>, example = "records.get")]
    operation: Option<OperationWord>,
    /// At this advisor, or at anything of theirs
    #[param(value_type = Option<Uuid>)]
    advisor: Option<AdvisorId>,
    /// At this account (ours, see /v1/accounts), or at records in which it acted
    #[param(value_type = Option<Uuid>)]
    account: Option<AccountId>,
    /// At this device's registration
    #[param(value_type = Option<Uuid>)]
    device: Option<DeviceId>,
    /// At this record
    #[param(value_type = Option<Uuid>)]
    record: Option<RecordId>,
    /// `true` for what was shown, `false` for what was refused
    #[param(value_type = Option<bool>)]
    allowed: Option<bool>,
    /// At or after this time: RFC 3339, or a date (its first moment, UTC)
    #[param(value_type = Option<String>, example = "2026-11-21")]
    since: Option<Moment>,
    /// Before this time
    #[param(value_type = Option<String>, example = "2026-11-22")]
    until: Option<Moment>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for LooksQuery {
    const NAMES: &'static [&'static str] = &[
        "officer",
        "operation",
        "advisor",
        "account",
        "device",
        "record",
        "allowed",
        "since",
        "until",
        "limit",
        "after",
        "order",
    ];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let [since, until] = Moment::take_span(parameters, ["since", "until"])?;
        Ok(Self {
            officer: parameters.take("officer")?,
            operation: parameters.take("operation")?,
            advisor: parameters.take("advisor")?,
            account: parameters.take("account")?,
            device: parameters.take("device")?,
            record: parameters.take("record")?,
            allowed: parameters.take_as("allowed", "true or false")?,
            since,
            until,
            page: Page::take(parameters)?,
        })
    }
}

/// An operation as `access` entries name it.
#[derive(Debug, Clone, Copy)]
struct OperationWord(Operation);

impl FromStr for OperationWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Operation::ALL.iter().find(|operation| operation.as_str() == text);
        found.map(|operation| Self(*operation)).ok_or_else(|| {
            let all: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
            format!("write one of {}", all.join(", "))
        })
    }
}

impl From<&LooksQuery> for LookFilter {
    fn from(query: &LooksQuery) -> Self {
        Self {
            officer: query.officer,
            operation: query.operation.map(|word| word.0.as_str()),
            advisor: query.advisor,
            account: query.account,
            device: query.device,
            record: query.record,
            allowed: query.allowed,
            since: query.since.map(|moment| moment.0),
            until: query.until.map(|moment| moment.0),
        }
    }
}

impl Look {
    fn of(row: LookRow, with_query: bool) -> Self {
        Self {
            index: row.index,
            at: row.at,
            officer: row.officer.map(OfficerId::uuid),
            operation: row.operation,
            allowed: row.allowed,
            count: row.count,
            purpose: row.purpose,
            query: row.query.filter(|_| with_query),
            records: row.records.into_iter().map(RecordId::uuid).collect(),
            advisors: row.advisors.into_iter().map(AdvisorId::uuid).collect(),
            subjects: row.subjects,
        }
    }
}

/// List looks: who saw what, when and why
///
/// Answers "who looked at this record" and "who looked at this person". Refused looks are here too. Looking here is itself on record.
#[utoipa::path(get, path = "/v1/access", tag = "access", security(("token" = [])), params(LooksQuery, PageQuery),
    responses((status = 200, body = Looks)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<LooksQuery>,
    RawQuery(typed): RawQuery,
) -> Result<Json<Looks>, Problem> {
    let filter = LookFilter::from(&query);
    let subjects = [query.account.map(AccountId::uuid), query.device.map(DeviceId::uuid)];
    let mut seen = Seen {
        records: filter.record.into_iter().collect(),
        advisor: filter.advisor,
        subjects: subjects.into_iter().flatten().collect(),
        query: typed,
        ..Seen::default()
    };
    let admission = caller.admit(&api, Operation::AccessList, &seen).await?;
    let rows = api.archive.looks(&filter, query.page.into()).await?;
    seen.count = rows.len();
    let next = query.page.next(&rows, |row| row.index);
    let with_query = caller.has(Permission::ReadContent);
    let looks = rows.into_iter().map(|row| Look::of(row, with_query)).collect();
    Ok(Json(api.show(admission, &seen, Withheld::new(Looks { looks, next })).await?))
}
