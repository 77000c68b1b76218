//! A webhook as it is shown, and how one is found.

use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Operation, Seen};
use crate::api::caller::Caller;
use crate::api::header::single;
use crate::api::once::Done;
use crate::api::path::id;
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive;
use crate::record::{AdvisorId, OfficerId, Timestamp, WebhookId};

/// A secret that signs; what it is, is shown once.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Secret {
    /// Which.
    id: Uuid,
    /// Until when it signs too; absent of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T20:00:00.000000Z")]
    until: Option<Timestamp>,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Webhook {
    /// Which.
    id: Uuid,
    /// `enabled`, `disabled`, or `unreadable`: its settings cannot be read any more, and it delivers nothing.
    #[schema(example = "enabled")]
    state: String,
    /// Why the service disabled it: `gone` (the receiver said so), `failing` (for too long), `dead_letters` (too many),
    /// `owner_revoked`, `owner_expired`, `owner_may_not`, `owner_unknown`, `secret_missing`.
    #[schema(example = "gone")]
    cause: Option<String>,
    /// The officer on whose behalf it delivers: who set it up, or changed or enabled it last.
    owner: Option<Uuid>,
    /// Where to.
    #[schema(example = "https://hooks.firm.example/muniment")]
    url: Option<String>,
    /// Which events.
    events: Vec<String>,
    /// Only those of this advisor.
    advisor: Option<Uuid>,
    /// Only those on this network.
    #[schema(example = "mastodon")]
    network: Option<String>,
    /// What it is for.
    #[schema(example = "review queue of the compliance desk")]
    description: Option<String>,
    /// The secrets that sign, newest first.
    secrets: Vec<Secret>,
    /// Index of the entry that says all this. Its `ETag` is this number in quotes.
    index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    changed_at: Timestamp,
    /// Index of the entry that set it up.
    added_index: u64,
    /// When that was.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T20:00:00.000000Z")]
    added_at: Timestamp,
}

/// A webhook with a secret that is shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct WebhookWithSecret {
    #[serde(flatten)]
    pub(super) webhook: Webhook,
    /// The newest secret. Keep it: it is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    pub(super) secret: String,
}

impl From<archive::Webhook> for Webhook {
    fn from(row: archive::Webhook) -> Self {
        let archive::Webhook { id, index, changed_at, added_index, added_at, settings } = row;
        let (id, unreadable) = (id.uuid(), settings.is_none());
        let of = settings.as_ref();
        Self {
            id,
            state: if unreadable { "unreadable" } else { of.map_or("", |settings| settings.state.as_str()) }.to_owned(),
            cause: of.and_then(|settings| settings.cause.clone()),
            owner: of.map(|settings| settings.owner).map(OfficerId::uuid),
            advisor: of.and_then(|settings| settings.advisor).map(AdvisorId::uuid),
            network: of.and_then(|settings| settings.network.clone()),
            description: of.and_then(|settings| settings.description.clone()),
            url: of.map(|settings| settings.url.clone()),
            secrets: of
                .into_iter()
                .flat_map(|settings| &settings.secrets)
                .map(|secret| Secret { id: secret.secret, until: secret.until })
                .collect(),
            events: settings.map(|settings| settings.events).unwrap_or_default(),
            index,
            changed_at,
            added_index,
            added_at,
        }
    }
}

/// The tag of a webhook's state.
pub(super) fn tag(index: u64) -> String {
    format!("\"{index}\"")
}

/// What a webhook is in the eyes of the access log.
pub(super) fn seen(id: WebhookId, webhook: Option<&archive::Webhook>) -> Seen {
    let settings = webhook.and_then(|webhook| webhook.settings.as_ref());
    let advisor = settings.and_then(|settings| settings.advisor);
    Seen { count: usize::from(webhook.is_some()), advisor, query: Some(format!("webhook={id}")), ..Seen::default() }
}

/// Reads a webhook's id.
pub(super) fn webhook_id(text: &str) -> Result<WebhookId, Problem> {
    id(text, "a webhook's id")
}

/// For an id that none has.
pub(super) fn none() -> Problem {
    Problem::new(ProblemKind::NotFound)
}

const IF_MATCH: &str = "If-Match";

/// The state that a change is meant for.
pub(super) struct Condition(Option<String>);

impl Condition {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let given = single(headers, IF_MATCH)?.map(|value| value.to_str().map(|text| text.trim().to_owned()));
        let wrong = |_source| Problem::parameter(IF_MATCH, "write the `ETag` of the webhook, such as \"42\"");
        Ok(Self(given.transpose().map_err(wrong)?))
    }

    /// Whether it is met (RFC 9110, section 13.1.1: tags must be equal, and none of them weak).
    pub(super) fn check(&self, index: u64) -> Result<(), Problem> {
        let met = self
            .0
            .as_ref()
            .is_none_or(|given| given.split(',').map(str::trim).any(|one| one == "*" || one == tag(index)));
        if met { Ok(()) } else { Err(Problem::new(ProblemKind::PreconditionFailed)) }
    }
}

impl Api {
    /// May this caller do it with this webhook, and is it there? Either way it is on record, with what `more` says.
    pub(super) async fn admit_to_webhook(
        &self,
        caller: &Caller,
        operation: Operation,
        id: WebhookId,
        more: &str,
    ) -> Result<(), Problem> {
        let webhook = self.archive.webhook(id).await?;
        let seen = seen(id, webhook.as_ref());
        let seen = Seen { query: seen.query.map(|said| format!("{said}{more}")), ..seen };
        let admission = caller.admit(self, operation, &seen).await?;
        self.show_found(admission, &seen, webhook.map(|_webhook| ()).ok_or_else(none)).await
    }

    /// A webhook whose settings can be read.
    pub(super) async fn readable_webhook(
        &self,
        id: WebhookId,
    ) -> Result<(archive::Webhook, archive::WebhookSettings), Problem> {
        let webhook = self.archive.webhook(id).await?.ok_or_else(none)?;
        let settings = webhook.settings.clone().ok_or_else(|| Problem::new(ProblemKind::Unreadable))?;
        Ok((webhook, settings))
    }

    /// The answer that shows a webhook as the entry at this place left it, with its newest secret where that is to be shown.
    pub(super) async fn webhook_done(
        &self,
        status: u16,
        id: WebhookId,
        index: u64,
        with_secret: bool,
    ) -> Result<Done, Problem> {
        let webhook = self.archive.webhook(id).await?.ok_or_else(none)?;
        let settings =
            if webhook.index == index { webhook.settings } else { self.archive.webhook_as_of(id, index).await? };
        let at = self.archive.entry(index).await?.ok_or_else(none)?.at();
        let secret = match settings.as_ref().and_then(|settings| settings.secrets.first()) {
            Some(newest) if with_secret => self.archive.webhook_secrets(&[newest.secret]).await?.into_iter().next(),
            _ => None,
        };
        let shown = Webhook::from(archive::Webhook { index, changed_at: at, settings, ..webhook });
        let body = match secret {
            Some(secret) => {
                serde_json::to_value(WebhookWithSecret { webhook: shown, secret: secret.reveal().to_string() })
            }
            None if with_secret => return Err(Problem::new(ProblemKind::Unreadable)),
            None => serde_json::to_value(shown),
        };
        let body = body.map_err(|error| Problem::internal(&error))?;
        let location = (status == 201).then(|| format!("/v1/webhooks/{id}"));
        Ok(Done { status, location, etag: Some(tag(index)), body: Some(body) })
    }
}
