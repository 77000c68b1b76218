//! What a webhook shall be: the members of a body, each checked and named where it cannot be meant.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::api::v1::events::event::NAMES;
use crate::archive::ArchiveError;
use crate::record::AdvisorId;

/// A webhook to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewWebhook {
    /// Where to: an HTTPS address. It stands in lists and, sealed, in the ledger: put no secret into it
    #[schema(example = "https://hooks.firm.example/muniment", max_length = 2000)]
    pub(super) url: String,
    /// Which events, of `record`, `outcome`, `attribution`, `gap`, `alarm`; all when it is left out
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["record", "gap"]))]
    pub(super) events: Option<Vec<String>>,
    /// Only those of this advisor; alarms are nobody's
    #[serde(default)]
    pub(super) advisor: Option<Uuid>,
    /// Only those on this network, by the name of its rules
    #[serde(default)]
    #[schema(example = "mastodon", max_length = 100)]
    pub(super) network: Option<String>,
    /// What it is for
    #[serde(default)]
    #[schema(example = "review queue of the compliance desk", max_length = 200)]
    pub(super) description: Option<String>,
    /// Go on after this entry index; from the first entry on with 0. Without it: what comes from now on
    #[serde(default)]
    pub(super) after: Option<u64>,
}

/// What of a webhook shall change. What is left out stays as it is; `null` takes a limit or a description away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct WebhookChanges {
    /// `enabled` or `disabled`
    #[serde(default)]
    #[schema(example = "disabled")]
    pub(super) state: Option<String>,
    /// Where to
    #[serde(default)]
    #[schema(example = "https://hooks.firm.example/muniment", max_length = 2000)]
    pub(super) url: Option<String>,
    /// Which events
    #[serde(default)]
    #[schema(example = json!(["record", "gap"]))]
    pub(super) events: Option<Vec<String>>,
    /// Only those of this advisor
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Uuid>)]
    pub(super) advisor: Option<Option<Uuid>>,
    /// Only those on this network
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "mastodon", max_length = 100)]
    pub(super) network: Option<Option<String>>,
    /// What it is for
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "review queue of the compliance desk", max_length = 200)]
    pub(super) description: Option<Option<String>>,
}

/// Tells `null` from what is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Where to.
pub(super) fn url(api: &Api, text: &str) -> Result<String, Problem> {
    api.webhooks.target(text).map(|_target| text.to_owned()).map_err(|wrong| Problem::parameter("url", wrong))
}

/// Which events: each once, in an order of ours.
pub(super) fn events(given: Option<&[String]>) -> Result<Vec<String>, Problem> {
    let Some(given) = given else { return Ok(NAMES.map(str::to_owned).to_vec()) };
    let known = || Problem::parameter("events", format!("write some of {}", NAMES.join(", ")));
    let wanted: BTreeSet<&str> = given.iter().map(String::as_str).collect();
    if wanted.is_empty() || wanted.iter().any(|name| !NAMES.contains(name)) {
        return Err(known());
    }
    Ok(NAMES.iter().filter(|name| wanted.contains(**name)).map(|name| (*name).to_owned()).collect())
}

/// A short text; empty is none.
pub(super) fn text(name: &'static str, given: Option<&str>, most: usize) -> Result<Option<String>, Problem> {
    let Some(text) = given.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().nth(most).is_some() || text.chars().any(char::is_control) {
        return Err(Problem::parameter(name, format!("write at most {most} characters, on one line")));
    }
    Ok(Some(text.to_owned()))
}

/// Which advisor: one there is.
pub(super) async fn advisor(api: &Api, given: Option<Uuid>) -> Result<Option<AdvisorId>, Problem> {
    let Some(advisor) = given.map(AdvisorId::new) else { return Ok(None) };
    match api.archive.check_advisor(advisor).await {
        Ok(()) => Ok(Some(advisor)),
        Err(ArchiveError::UnknownAdvisor(_)) => Err(Problem::parameter("advisor", "there is no such advisor")),
        Err(error) => Err(error.into()),
    }
}
