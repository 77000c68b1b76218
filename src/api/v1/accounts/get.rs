//! One account.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::path::{Path, id};
use crate::api::problem::Problem;
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::api::v1::history::{Change, nobody};
use crate::record::{AccountId, AdvisorId, Timestamp};

/// One account on a network, with effective dates.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct AccountDetail {
    /// Ours.
    id: Uuid,
    /// Whose it is, as far as is known.
    advisor: Option<Uuid>,
    /// The network.
    network: Option<String>,
    /// Its id there.
    network_id: Option<String>,
    /// Its handle there.
    handle: Option<String>,
    /// Its display name there.
    name: Option<String>,
    /// Since when it is known as the advisor's.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    from: Timestamp,
    /// Until when; none while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Index of the entry that first named it.
    index: u64,
    /// Its first record; none when there is none yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    first_seen_at: Option<Timestamp>,
    /// Its newest record.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    /// What changed when, oldest first.
    history: Vec<Change>,
}

/// One account, with effective dates and what changed when
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "people", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The account's id, as /v1/accounts has it")),
    responses((status = 200, body = AccountDetail), (status = 404, description = "`not-found`")))]
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(text): Path<String>,
    Query(NoParameters): Query<NoParameters>,
) -> Result<Json<AccountDetail>, Problem> {
    let account: AccountId = id(&text, "an account's id")?;
    let row = api.archive.account(account).await?;
    // Whose it is decides whether the token reaches it.
    let advisor = row.as_ref().and_then(|row| row.advisor);
    let subjects = advisor.map(AdvisorId::uuid).into_iter().chain([account.uuid()]).collect();
    let seen = Seen { count: 1, advisor, subjects, ..Seen::default() };
    let admission = caller.admit(&api, Operation::AccountsGet, &seen).await?;
    let found = match row {
        None => Err(nobody()),
        Some(row) => {
            let history = api.history(account.uuid()).await?;
            Ok(AccountDetail {
                id: account.uuid(),
                advisor: row.advisor.map(AdvisorId::uuid),
                network: row.network,
                network_id: row.network_id,
                handle: row.handle,
                name: row.name,
                from: row.added_at,
                until: history.until,
                index: row.index,
                first_seen_at: row.first_seen_at,
                last_seen_at: row.last_seen_at,
                history: history.changes,
            })
        }
    };
    Ok(Json(api.show_found(admission, &seen, found).await?))
}
