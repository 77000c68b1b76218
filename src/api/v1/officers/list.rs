//! The officers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Ended, Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::archive::OfficerRow;
use crate::record::{AdvisorId, Timestamp};

/// One officer. Tokens are shown to nobody.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Officer {
    /// Who.
    id: Uuid,
    /// Name; none once it was disposed of.
    name: Option<String>,
    /// What they are to the archive.
    #[schema(example = json!(["compliance"]))]
    roles: Vec<String>,
    /// `active`, `expired` or `revoked`.
    #[schema(example = "active")]
    state: &'static str,
    /// Since when the token is taken.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// From when on it is refused by itself; none where it was given without an end.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Operations and permissions that it reaches; all that the roles allow where this is empty.
    operations: Vec<String>,
    /// Whose records it reaches; everybody's where this is empty.
    advisors: Vec<Uuid>,
    /// Index of the entry that registered them.
    index: u64,
    /// Index of the entry that revoked them.
    revoked_index: Option<u64>,
}

/// A page of officers.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Officers {
    /// In ledger order.
    officers: Vec<Officer>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

impl Officer {
    fn of(row: OfficerRow, now: Timestamp) -> Self {
        let state = match Ended::of(&row, now) {
            Some(Ended::Revoked) => "revoked",
            Some(Ended::Expired(_end)) => "expired",
            None => "active",
        };
        Self {
            id: row.officer.uuid(),
            name: row.name,
            roles: row.roles,
            state,
            from: row.added_at,
            expires_at: row.limits.expires_at,
            operations: row.limits.operations,
            advisors: row.limits.advisors.into_iter().map(AdvisorId::uuid).collect(),
            index: row.index,
            revoked_index: row.revoked_index,
        }
    }
}

/// List officers: who may look, in which roles, until when and how far
#[utoipa::path(get, path = "/v1/officers", tag = "people", security(("token" = [])), params(PageQuery),
    responses((status = 200, body = Officers)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Officers>, Problem> {
    let mut seen = Seen::default();
    let admission = caller.admit(&api, Operation::OfficersList, &seen).await?;
    let rows = api.archive.officers(page.into()).await?;
    seen.count = rows.len();
    seen.subjects = rows.iter().map(|row| row.officer.uuid()).collect();
    let next = page.next(&rows, |row| row.index);
    let now = api.clock.now();
    let officers = rows.into_iter().map(|row| Officer::of(row, now)).collect();
    Ok(Json(api.show(admission, &seen, Withheld::new(Officers { officers, next })).await?))
}
