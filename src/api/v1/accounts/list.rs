//! The accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Operation, Seen, Withheld};
use crate::api::caller::Caller;
use crate::api::page::{Page, PageQuery};
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::archive::AccountRow;
use crate::record::AdvisorId;

/// One account on a network.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Account {
    /// Ours.
    id: uuid::Uuid,
    /// Whose it is, as far as is known.
    advisor: Option<uuid::Uuid>,
    /// The network.
    network: Option<String>,
    /// Its id there.
    network_id: Option<String>,
    /// Its handle there.
    handle: Option<String>,
    /// Its display name there.
    name: Option<String>,
    /// Index of the entry that first named it.
    index: u64,
    /// When that was.
    #[schema(value_type = String, example = "2026-11-21T20:00:00.000000Z")]
    added_at: crate::record::Timestamp,
    /// Its first record; none when there is none yet.
    #[schema(value_type = Option<String>)]
    first_seen_at: Option<crate::record::Timestamp>,
    /// Its newest record.
    #[schema(value_type = Option<String>)]
    last_seen_at: Option<crate::record::Timestamp>,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Accounts {
    /// In ledger order.
    accounts: Vec<Account>,
    /// Pass it as `after` for the next page; none on the last.
    next: Option<u64>,
}

/// Which accounts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct AccountsQuery {
    /// Only this advisor's
    #[param(value_type = Option<uuid::Uuid>)]
    advisor: Option<AdvisorId>,
    #[param(ignore)]
    page: Page,
}

impl FromParameters for AccountsQuery {
    const NAMES: &'static [&'static str] = &["advisor", "limit", "after", "order"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { advisor: parameters.take("advisor")?, page: Page::take(parameters)? })
    }
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.account.uuid(),
            advisor: row.advisor.map(AdvisorId::uuid),
            network: row.network,
            network_id: row.network_id,
            handle: row.handle,
            name: row.name,
            index: row.index,
            added_at: row.added_at,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
        }
    }
}

/// List accounts
#[utoipa::path(get, path = "/v1/accounts", tag = "people", security(("token" = [])), params(AccountsQuery, PageQuery),
    responses((status = 200, body = Accounts)))]
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<AccountsQuery>,
) -> Result<Json<Accounts>, Problem> {
    let mut seen = Seen { advisor: query.advisor, ..Seen::default() };
    let admission = caller.admit(&api, Operation::AccountsList, &seen).await?;
    let rows = api.archive.accounts(query.page.into(), query.advisor).await?;
    seen.count = rows.len();
    // Whose they are as well: a device by its name, an account by its handle, say something of their advisor.
    let owners = rows.iter().filter_map(|row| row.advisor).map(AdvisorId::uuid);
    seen.subjects = owners.chain(rows.iter().map(|row| row.account.uuid())).collect();
    let next = query.page.next(&rows, |row| row.index);
    let answer = Withheld::new(Accounts { accounts: rows.into_iter().map(Into::into).collect(), next });
    Ok(Json(api.show(admission, &seen, answer).await?))
}
