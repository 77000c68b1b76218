//! The worker of one webhook: holds its place, makes messages out of what happened, sends them one after the other.
//!
//! Invariants: it does nothing while another process holds the place; a message is queued only after the look is on record, and sent only while its
//! owner may look; the next is tried once this one was taken or given up. Whatever kills it, whoever comes next goes on where it was: a message
//! that may have arrived is sent again under the same id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::attempt::Signed;
use super::message::Made;
use super::pause::pause;
use super::{LOOK, message, signature};
use crate::access::{Ended, Officer, Operation, Seen, Withheld};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::api::v1::events::event::filter;
use crate::api::v1::events::portion::Portion;
use crate::archive::{EventFilter, NewMessage, Outcome, Sort, Waiting, WebhookChange, WebhookSettings, WebhookState};
use crate::ledger::Actor;
use crate::record::{EntryId, OfficerId, WebhookId, Word};

/// Events of one message.
const RUN: u32 = 100;
/// What happens at once is sent at once.
const GATHER: Duration = Duration::from_millis(20);
/// A position that lags this much behind is moved, though nothing was delivered.
const LAG: u64 = 1_000;
/// A place is held this much longer than an attempt may take.
const SPARE: Duration = Duration::from_secs(30);
/// Dead letters of one webhook at most: then it is disabled, and more are not made.
const DEAD: u64 = 1_000;
/// After an error of ours.
const REST: Duration = Duration::from_secs(5);

/// What to do next.
enum Step {
    /// Go on.
    Again,
    /// Wait, or be woken.
    Wait(Duration),
    /// Wait until the projections are beyond this place.
    Until(u64),
    /// It is not enabled any more.
    End,
}

/// See the module.
pub(super) struct Worker {
    api: Arc<Api>,
    webhook: WebhookId,
    /// Looked through, though the position need not say so.
    looked: u64,
    /// When the next message may be made: what arrives meanwhile goes with it.
    ready: Instant,
}

impl Worker {
    pub(super) fn new(api: Arc<Api>, webhook: WebhookId) -> Self {
        Self { api, webhook, looked: 0, ready: Instant::now() }
    }

    /// Names this process to others: by its data directory, so that one that is started again goes on at once.
    fn holder(&self) -> Uuid {
        self.api.archive.source().uuid()
    }

    /// For how long a place is held, and a step may take.
    fn hold(&self) -> Duration {
        self.api.webhooks.settings.timeout.saturating_add(SPARE)
    }

    /// Until the webhook is not enabled any more.
    pub(super) async fn run(mut self) {
        loop {
            // A place that was held for so long is held no more, and what is waited for may never come.
            let step = match timeout(self.hold(), self.step()).await {
                Ok(step) => step.map_err(|problem| problem.kind().name()),
                Err(_elapsed) => Err("timeout"),
            };
            let step = step.unwrap_or_else(|reason| {
                tracing::warn!(webhook.id = %self.webhook, reason, "a webhook does not go on");
                Step::Wait(REST)
            });
            match step {
                Step::Again => {}
                Step::End => return,
                Step::Wait(most) => {
                    // Nothing but time passes: that it was woken, or not, is all the same.
                    let _woken = timeout(most, self.api.webhooks.wake.notified()).await;
                }
                Step::Until(place) => self.until(place).await,
            }
        }
    }

    async fn until(&self, place: u64) {
        let mut followed = self.api.streams.followed.clone();
        let moved = async {
            let moved = followed.wait_for(|followed| followed.projected > place).await.is_ok();
            // Where nobody tells any more, it is looked for now and then.
            sleep(if moved { GATHER } else { LOOK }).await;
        };
        tokio::select! {
            () = moved => {}
            () = self.api.webhooks.wake.notified() => {}
            () = sleep(LOOK) => {}
        }
    }

    async fn step(&mut self) -> Result<Step, Problem> {
        let Some(webhook) = self.api.archive.webhook(self.webhook).await? else { return Ok(Step::End) };
        // What cannot be read leads nowhere. It may be read again: nothing is written.
        let Some(settings) = webhook.settings else { return Ok(Step::Wait(REST)) };
        if settings.state != WebhookState::Enabled {
            return Ok(Step::End);
        }
        let (hold, holder) = (self.hold(), self.holder());
        let held = self.api.archive.hold_webhook(self.webhook, holder, settings.from, hold).await?;
        let Some(position) = held else { return Ok(Step::Wait(LOOK)) };
        let owner = match self.api.owner(settings.owner).await? {
            Ok(owner) => owner,
            Err(cause) => return self.disable(webhook.index, cause).await,
        };
        match self.api.archive.next_delivery(self.webhook).await? {
            Some(waiting) if waiting.wait.is_zero() => self.send(webhook.index, &settings, waiting).await,
            Some(waiting) => Ok(Step::Wait(waiting.wait.min(LOOK))),
            None => self.gather(webhook.index, &settings, position, &owner).await,
        }
    }

    /// Makes the next message, if something happened.
    async fn gather(
        &mut self,
        index: u64,
        settings: &WebhookSettings,
        position: u64,
        owner: &Officer,
    ) -> Result<Step, Problem> {
        let early = self.ready.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            return Ok(Step::Wait(early));
        }
        let from = position.max(self.looked);
        let filter = filter(&settings.events.join(",")).map(|known| EventFilter {
            advisor: settings.advisor,
            network: settings.network.clone(),
            ..known
        });
        // Words of a newer program: it knows what they mean.
        let Some(filter) = filter else { return Ok(Step::Wait(REST)) };
        let page = self.api.archive.events(&filter, from, RUN).await?;
        let (reached, projected) = (page.next, page.projected);
        if page.events.is_empty() {
            self.looked = reached;
            if reached.saturating_sub(position) >= LAG {
                self.advance(position, reached, None).await?;
            }
            return Ok(if reached < projected { Step::Again } else { Step::Until(reached) });
        }
        let made = message::events(self.webhook, page, self.api.clock.now(), &*self.api.ids)?;
        let Some(Made { message, portion }) = made else { return Ok(Step::Again) };
        let Portion { range: (first, last), count, records, next } = portion;
        let delivery = message::id(message.message);
        let said = format!("webhook={}&delivery={delivery}&first={first}&last={last}", self.webhook);
        let seen = Seen { records, count, advisor: settings.advisor, query: Some(said), ..Seen::default() };
        let message = match self.look(owner, &seen, message).await {
            Ok(message) => message,
            Err(problem) if matches!(problem.kind(), ProblemKind::RoleMissing | ProblemKind::OutOfScope) => {
                return self.disable(index, "owner_may_not").await;
            }
            Err(problem) => return Err(problem),
        };
        self.advance(position, next, Some(&message)).await?;
        let pace = if next < projected { Duration::ZERO } else { self.api.streams.bounds.pace };
        (self.looked, self.ready) = (next, Instant::now() + pace);
        Ok(Step::Again)
    }

    /// Writes down that the owner is about to be shown this.
    async fn look<T>(&self, owner: &Officer, seen: &Seen, shown: T) -> Result<T, Problem> {
        let admission = self.api.desk.admit(owner, Operation::WebhooksDeliver, None, seen).await?;
        self.api.show(admission, seen, Withheld::new(shown)).await
    }

    async fn advance(&self, from: u64, next: u64, message: Option<&NewMessage>) -> Result<(), Problem> {
        let holder = self.holder();
        // Whoever has lost the place finds out at the next step.
        let _moved = self.api.archive.advance_webhook(self.webhook, holder, from, next, message).await?;
        Ok(())
    }

    /// One attempt at a message.
    async fn send(&self, index: u64, settings: &WebhookSettings, waiting: Waiting) -> Result<Step, Problem> {
        let (api, now) = (&self.api, self.api.clock.now());
        let counting = settings.secrets.iter().filter(|secret| secret.until.is_none_or(|until| until > now));
        let wanted: Vec<_> = counting.map(|secret| secret.secret).collect();
        let secrets = api.archive.webhook_secrets(&wanted).await?;
        let (id, timestamp) = (message::id(waiting.message), now.date_time().unix_timestamp());
        let keys = secrets.iter().map(crate::archive::WebhookSecret::as_bytes);
        let Some(signature) = signature::sign(keys, &id, timestamp, &waiting.body) else {
            return self.disable(index, "secret_missing").await;
        };
        let said = match api.webhooks.target(&settings.url) {
            Ok(target) => {
                let body = Bytes::from(waiting.body);
                api.webhooks.attempt(&target, Signed { id: &id, timestamp, signature: &signature, body }).await
            }
            // Settings allowed it once.
            Err(_what) => Err("forbidden_address"),
        };
        let cause = said.map_or_else(Some, |said| said.cause());
        let Some(cause) = cause else {
            let outcome = Outcome::Taken { status: said.map_or(200, |said| said.status.as_u16()) };
            api.metrics.webhook_delivery("delivered");
            api.archive.settle_delivery(self.webhook, self.holder(), waiting.message, outcome).await?;
            return Ok(Step::Again);
        };
        let bounds = &api.webhooks.settings;
        let failed = waiting.attempts.saturating_add(1);
        let wanted = said.ok().and_then(|said| said.after).unwrap_or_default();
        let paused = pause(failed, bounds.first_pause, bounds.longest_pause, chance());
        let paused = paused.max(wanted).min(bounds.longest_pause);
        let is_last = failed >= bounds.attempts || cause == "gone" || waiting.sort == Sort::Ping;
        let status = said.ok().map(|said| said.status.as_u16());
        let outcome = Outcome::Failed { status, cause, again: (!is_last).then_some(paused) };
        let settled = api.archive.settle_delivery(self.webhook, self.holder(), waiting.message, outcome).await?;
        api.metrics.webhook_delivery(if is_last { "dead" } else { "failed" });
        tracing::info!(webhook.id = %self.webhook, reason = cause, attempts = failed, "a webhook was not taken");
        let Some(settled) = settled else { return Ok(Step::Again) };
        if cause == "gone" {
            return self.disable(index, "gone").await;
        }
        if settled.failing >= bounds.disable_after {
            return self.disable(index, "failing").await;
        }
        if settled.dead >= DEAD {
            return self.disable(index, "dead_letters").await;
        }
        Ok(Step::Again)
    }

    /// Writes down that it delivers nothing any more, and why; unless somebody changed it meanwhile.
    async fn disable(&self, index: u64, cause: &'static str) -> Result<Step, Problem> {
        let api = &self.api;
        let _turn = api.archive.webhook_turn().await?;
        let webhook = api.archive.webhook(self.webhook).await?.filter(|webhook| webhook.index == index);
        let Some(settings) = webhook.and_then(|webhook| webhook.settings) else { return Ok(Step::Again) };
        let settings = WebhookSettings { state: WebhookState::Disabled, cause: Some(cause.to_owned()), ..settings };
        let by = Actor::Service(Word::try_from("webhooks").map_err(|error| Problem::internal(&error))?);
        let entry = EntryId::new(api.ids.fresh());
        api.archive.set_webhook(by, WebhookChange::Stopped, entry, &settings).await?;
        api.metrics.webhook_disabled(cause);
        tracing::error!(webhook.id = %self.webhook, reason = cause, "a webhook was disabled");
        Ok(Step::End)
    }
}

/// For pauses: nothing worse than everybody at once comes of a source that gives none.
fn chance() -> u32 {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).map_or(u32::MAX / 2, |()| u32::from_be_bytes(bytes))
}

impl Api {
    /// The officer on whose behalf something leaves, as a token of theirs would be let in now; otherwise why not, as a word.
    async fn owner(&self, owner: OfficerId) -> Result<Result<Officer, &'static str>, Problem> {
        let Some(row) = self.archive.officer_by_id(owner).await? else { return Ok(Err("owner_unknown")) };
        Ok(match Officer::of(row, self.clock.now()) {
            Ok(officer) if officer.may(Operation::WebhooksDeliver) => Ok(officer),
            Ok(_officer) => Err("owner_may_not"),
            Err(Ended::Revoked) => Err("owner_revoked"),
            Err(Ended::Expired(_end)) => Err("owner_expired"),
        })
    }
}
