//! A hold is placed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::shown::Hold;
use crate::access::{Operation, Seen, Withheld};
use crate::api::body::Given;
use crate::api::caller::Caller;
use crate::api::moment::Moment;
use crate::api::once::{Doing, Done, Once};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::query::{NoParameters, Query};
use crate::api::state::Api;
use crate::api::v1::matters::wanted::{NAME, TEXT, must, text};
use crate::ledger::Actor;
use crate::record::{AdvisorId, HoldId, MatterId, OfficerId, RecordId, Timestamp};
use crate::retain::{self, Selection, SelectionError, What};

/// Records or advisors that one hold names when it is placed, at most.
const MOST: usize = 300;

/// A hold to be. Of `records`, `custodians`, `everything` and `query`, just one is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewHold {
    /// The matter it is for: an open one
    #[serde(default)]
    matter: Option<Uuid>,
    /// What it is called
    #[serde(default)]
    #[schema(example = "bond offering", max_length = 200)]
    name: Option<String>,
    /// Why
    #[schema(example = "subpoena of 2026-11-20", max_length = 4000)]
    reason: String,
    /// These records; at most 300
    #[serde(default)]
    #[schema(max_items = 300)]
    records: Option<Vec<Uuid>>,
    /// Everything of these advisors, now and later; at most 300
    #[serde(default)]
    #[schema(max_items = 300)]
    custodians: Option<Vec<Uuid>>,
    /// Everything there is, and comes
    #[serde(default)]
    everything: Option<bool>,
    /// What these filters of `/v1/records` find, now and later: all but `outcome`, `gap`, `content` and `as_of`, each as a string
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"conversation": "conv-77", "from": "2026-01-01"}))]
    query: Option<Map<String, Value>>,
    /// Of custodians or everything: only records with an entry at or after it…
    #[serde(default)]
    #[schema(example = "2026-01-01")]
    from: Option<String>,
    /// … and before it
    #[serde(default)]
    #[schema(example = "2026-07-01")]
    to: Option<String>,
}

fn moment(name: &'static str, given: Option<&String>) -> Result<Option<Timestamp>, Problem> {
    let moment = given.map(|text| text.parse::<Moment>()).transpose();
    moment.map(|moment| moment.map(|Moment(time)| time)).map_err(|write| Problem::parameter(name, write))
}

fn few<T>(name: &'static str, ids: &[Uuid], of: fn(Uuid) -> T) -> Result<Vec<T>, Problem> {
    let ids: std::collections::BTreeSet<Uuid> = ids.iter().copied().collect();
    if ids.is_empty() || ids.len() > MOST {
        return Err(Problem::parameter(name, format!("name 1 to {MOST}")));
    }
    Ok(ids.into_iter().map(of).collect())
}

fn check(given: &NewHold) -> Result<retain::NewHold, Problem> {
    let (since, until) = (moment("from", given.from.as_ref())?, moment("to", given.to.as_ref())?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Problem::parameter("to", "must be later than `from`"));
    }
    let everything = given.everything.unwrap_or(false);
    let dated = since.is_some() || until.is_some();
    let what = match (&given.records, &given.custodians, everything, &given.query) {
        (Some(_), None, false, None) | (None, None, false, Some(_)) if dated => {
            let detail = "is for custodians and everything; a query has `from` and `to` of its own";
            return Err(Problem::parameter(if since.is_some() { "from" } else { "to" }, detail));
        }
        (Some(records), None, false, None) => What::Records(few("records", records, RecordId::new)?),
        (None, Some(advisors), false, None) => What::Custodians(few("custodians", advisors, AdvisorId::new)?),
        (None, None, true, None) => What::Everything,
        (None, None, false, Some(conditions)) => {
            let refused = |error: SelectionError| Problem::parameter(error.condition, error.problem);
            let selection = Selection::from_conditions(conditions.clone()).map_err(refused)?;
            // A date is kept as the moment that it means.
            let written = |name, text: &Option<String>| {
                Ok::<_, Problem>(moment(name, text.as_ref())?.map(|time| time.to_string()))
            };
            let (from, to) = (written("from", &selection.from)?, written("to", &selection.to)?);
            let selection = Selection { from, to, ..selection };
            selection.filter().map_err(refused)?;
            What::Selected(Box::new(selection))
        }
        _ => {
            return Err(Problem::parameter("body", "give just one of records, custodians, everything and query"));
        }
    };
    Ok(retain::NewHold {
        matter: given.matter.map(MatterId::new),
        name: text("name", given.name.as_deref(), NAME)?,
        reason: must("reason", &given.reason, TEXT)?,
        what,
        since,
        until,
    })
}

fn seen(new: &retain::NewHold) -> Seen {
    let mut seen = Seen::default();
    match &new.what {
        What::Records(records) => seen.records.clone_from(records),
        What::Custodians(advisors) => seen.advisor = advisors.first().copied().filter(|_first| advisors.len() == 1),
        What::Everything => seen.query = Some("everything".to_owned()),
        What::Selected(selection) => seen.query = Some(selection.to_json()),
    }
    seen
}

/// Place a hold: what it covers cannot be disposed of, from before this answer on
///
/// Also what comes later and belongs to it is held. One with a `query` keeps everything from disposal until what it selects was looked for, which
/// goes on by itself: `evaluated` says how far that is. A record once named stays held, also where the query would not find it any more.
#[utoipa::path(post, path = "/v1/holds", tag = "holds", security(("token" = [])),
    request_body(content = NewHold, example = json!({"reason": "subpoena of 2026-11-20", "everything": true, "from": "2026-01-01"})),
    responses((status = 201, body = Hold), (status = 404, description = "`not-found`"), (status = 409, description = "`matter-closed`"),
        (status = 413, description = "`body-too-large`"), (status = 415, description = "`unsupported-media-type`"),
        (status = 500, description = "`unreadable`")))]
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(NoParameters): Query<NoParameters>,
    once: Once,
    Given { bytes, value }: Given<NewHold>,
) -> Result<Response, Problem> {
    let new = check(&value)?;
    let seen = seen(&new);
    let admission = caller.admit(&api, Operation::HoldsCreate, &seen).await?;
    api.show(admission, &seen, Withheld::new(())).await?;
    let by = caller.officer();
    api.once(by, Operation::HoldsCreate, &once, &bytes, move |api, doing| place(api, doing, by, new)).await
}

async fn place(api: Arc<Api>, doing: Doing, by: OfficerId, new: retain::NewHold) -> Result<Done, Problem> {
    if let Some(entry) = api.done_before(doing).await? {
        let record = entry.record().ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        return api.hold_done(201, HoldId::new(record.uuid())).await;
    }
    let hold = api.retain.place(doing.entry, Actor::Officer(by), new).await?;
    api.hold_done(201, hold).await
}
