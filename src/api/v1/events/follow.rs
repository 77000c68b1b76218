//! Events as a stream: what is asked for, and the answer's head. What is sent is made in [`super::stream`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::event::{NAMES, filter};
use super::stream::{Follow, QUEUE};
use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::header::single;
use crate::api::problem::Problem;
use crate::api::query::{FromParameters, Parameters, Query};
use crate::api::state::Api;
use crate::api::streams::Streaming;
use crate::archive::EventFilter;
use crate::record::AdvisorId;

/// The header with which a reader goes on.
const LAST: &str = "Last-Event-ID";

/// Which events, and from where.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EventsQuery {
    /// Names, with commas between them, of `record`, `outcome`, `attribution`, `gap`, `alarm`; all when it is left out
    #[param(value_type = Option<String>, example = "record,gap")]
    events: EventFilter,
    /// Only of this advisor; alarms are nobody's
    #[param(value_type = Option<uuid::Uuid>)]
    advisor: Option<AdvisorId>,
    /// Only on this network, by the name of its rules; alarms are on none
    #[param(example = "mastodon", max_length = 100)]
    network: Option<String>,
    /// Go on after this entry index; from the first entry on with 0. Without it, and without `Last-Event-ID`: what comes from now on
    after: Option<u64>,
    /// `false`: end once everything that is there was sent
    #[param(value_type = Option<bool>)]
    wait: bool,
}

impl FromParameters for EventsQuery {
    const NAMES: &'static [&'static str] = &["events", "advisor", "network", "after", "wait"];

    fn from(parameters: &mut Parameters) -> Result<Self, Problem> {
        let names = parameters.take_text("events", 100, "names of events")?;
        let known = || Problem::parameter("events", format!("write some of {}, as in record,gap", NAMES.join(", ")));
        let events = filter(names.as_deref().unwrap_or(&NAMES.join(","))).ok_or_else(known)?;
        Ok(Self {
            events,
            advisor: parameters.take_as("advisor", "a uuid such as 0198c0de-0000-7000-8000-000000000000")?,
            network: parameters.take_text("network", 100, "the name of a network's rules, such as mastodon")?,
            after: parameters.take_as("after", "the `id` of the last event that was read")?,
            wait: parameters.take_as("wait", "true or false")?.unwrap_or(true),
        })
    }
}

/// Where a reader who comes again goes on.
fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(given) = single(headers, LAST)? else { return Ok(None) };
    let index = given.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Problem::parameter(LAST, "write the `id` of the last event that was read");
    index.map(Some).ok_or_else(wrong)
}

/// Follow what happens
///
/// Server-sent events, in ledger order: the `id` of each is its entry's index, and whoever comes again with it as `Last-Event-ID` (or
/// `after`) goes on exactly there, whatever was restarted meanwhile. `data` is an `Event`; it never says what was said. A comment and the
/// cursor come when nothing happens. The look is in the ledger when the stream begins, before each run of events is sent, and when it ends.
#[utoipa::path(get, path = "/v1/events", tag = "live", security(("token" = [])), params(EventsQuery,
    ("Last-Event-ID" = Option<u64>, Header, description = "Go on after this event; counts for more than `after`")),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "`data` of each event is an `Event`",
            headers(("x-accel-buffering" = String, description = "For what stands in front: pass events on as they come"))),
        (status = 429, description = "`too-many-streams`")))]
pub(in crate::api) async fn follow(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    RawQuery(typed): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (given, name) = match last_event(&headers)? {
        Some(last) => (Some(last), LAST),
        None => (query.after, "after"),
    };
    let seen = Seen { advisor: query.advisor, query: typed.clone(), ..Seen::default() };
    let admission = caller.admit(&api, Operation::EventsFollow, &seen).await?;
    let place = api.streams.place(caller.officer())?;
    let from = api.place_after(name, given).await?;
    let until = if query.wait { None } else { Some(api.archive.projected().await?) };
    let filter = EventFilter { advisor: query.advisor, network: query.network, ..query.events };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let follow = Follow::new(Arc::clone(&api), caller, filter, typed, from, until, sender, Arc::clone(&place));
    let follow = follow.begin(admission).await?;
    api.streams.tasks.spawn(follow.run());
    let body = stream::unfold((receiver, place), |(mut receiver, place)| async {
        let next = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(next), (receiver, place)))
    });
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Whatever stands in front of us passes events on as they come.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let mut response = (head, Body::from_stream(body)).into_response();
    response.extensions_mut().insert(Streaming);
    Ok(response)
}
