//! The origin's answer: accepted, refused or unknown, with the item's id and permalink.
//!
//! Invariant: a capture that left has at most one writer of its outcome in this process ([`Core::open`]), and none is
//! forgotten: what finds no room here is closed as unknown by [`super::closing`].

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::accounts::{self, Joined};
use super::core::Core;
use super::facts::in_json;
use super::recognizer::Purpose;
use super::seal::{SealingError, Secret};
use super::{Answer, Gap, GapCause, NoAnswer, Unfinished};
use crate::archive::Submission;
use crate::exchange::{Body, Exchange, Response, Scrubbed};
use crate::ledger::{Actor, Draft, EntryType};
use crate::recognize::{Keep, Outcome, Recognition, Verdict};
use crate::record::{AdvisorId, EntryId, FieldName, Part, Timestamp, Word};

/// A durable capture whose answer is awaited.
pub(crate) struct Open {
    pub(crate) capture: EntryId,
    pub(crate) secret: Secret,
    pub(crate) streams: Vec<AdvisorId>,
    /// The request, to read its answer by; none when there was no room to keep it so long.
    pub(crate) exchange: Option<Exchange>,
    pub(crate) network: Option<Arc<str>>,
    /// What it says of who is in a conversation, if the origin takes it.
    pub(crate) joined: Vec<Joined>,
    /// How much of it is kept.
    pub(crate) keep: Keep,
}

/// What the entry says in the clear.
struct Said {
    state: &'static str,
    cause: Option<&'static str>,
    status: Option<u16>,
    size: Option<u64>,
}

impl Core {
    /// Takes an answer. Never blocks.
    pub(crate) fn close(&self, open: Open, answer: Answer) {
        let weight = match &answer {
            Answer::Response(response) => in_memory(&response.body),
            Answer::None(_) => 0,
        };
        let request = open.exchange.as_ref().map_or(0, |exchange| in_memory(&exchange.request.body));
        let Err((open, answer)) = self.answers.push((open, answer), weight + request + 4096) else { return };
        let capture = open.capture;
        let gap = open.exchange.as_ref().map_or_else(
            || Gap::new(GapCause::AnswerDropped),
            |exchange| Gap::on(GapCause::AnswerDropped, &exchange.connection).exchange(exchange.id),
        );
        self.gap(gap.capture(capture));
        let answer = match answer {
            Answer::Response(response) => Answer::Response(Response { body: Body::Empty, complete: false, ..response }),
            none @ Answer::None(_) => none,
        };
        if self.late_answers.push((Open { exchange: None, ..open }, answer), 1).is_err() {
            // Nobody here will write it: it is closed as unknown with those of earlier runs.
            self.open.lock().remove(&capture);
        }
    }

    /// Writes the outcome.
    pub(crate) async fn answer(self: &Arc<Self>, open: Open, answer: Answer) {
        let capture = open.capture;
        match self.outcome_entry(open, answer).await {
            Ok(submission) => {
                self.keep_at_last(submission).await;
            }
            Err(error) => tracing::error!(%error, entry.id = %capture, "an outcome could not be sealed"),
        }
        self.open.lock().remove(&capture);
    }

    async fn outcome_entry(self: &Arc<Self>, mut open: Open, answer: Answer) -> Result<Submission, SealingError> {
        let mut response = match answer {
            Answer::None(why) => {
                let said = Said { state: state_of(why), cause: Some(why.as_str()), status: None, size: None };
                return self.seal_outcome(&open, None, &Recognition::default(), &said);
            }
            Answer::Response(response) => response,
        };
        let status = response.head.status.as_u16();
        let size = response.body.size();
        if open.keep == Keep::Head {
            response.body = Body::Empty;
        }
        let cut = (!response.complete).then_some("incomplete");
        // With no time left, HTTP's own word has to do.
        let Some(exchange) = open.exchange.take().filter(|_| !self.hurry.is_cancelled()) else {
            let said = Said { state: state_by_status(status), cause: cut, status: Some(status), size: None };
            return self.seal_outcome(&open, None, &Recognition::default(), &said);
        };
        let exchange = Exchange { response: Some(response), ..exchange };
        let joined = std::mem::take(&mut open.joined);
        let (scrubbed, recognition) = self.read_answer(&exchange, open.network.as_ref(), joined).await;
        let state = match recognition.outcome.as_ref().map(|outcome| outcome.verdict) {
            Some(Verdict::Accepted) => "accepted",
            Some(Verdict::Refused) => "refused",
            Some(Verdict::Unknown) => "unknown",
            None => state_by_status(status),
        };
        let said = Said { state, cause: cut, status: Some(status), size: Some(size) };
        self.seal(size, move |core| core.seal_outcome(&open, scrubbed.as_ref(), &recognition, &said)).await
    }

    async fn read_answer(
        self: &Arc<Self>,
        exchange: &Exchange,
        network: Option<&Arc<str>>,
        joined: Vec<Joined>,
    ) -> (Option<Scrubbed>, Recognition) {
        let rules = self.rules();
        let connection = &exchange.connection;
        let scrubbed = match self.scrub(&rules, exchange).await {
            Ok(scrubbed) => scrubbed,
            Err(error) => {
                tracing::error!(%error, exchange.id = %exchange.id, "an answer could not be read back");
                self.gap(Gap::on(GapCause::AnswerDropped, connection).exchange(exchange.id));
                return (None, Recognition::default());
            }
        };
        if scrubbed.response.as_ref().is_some_and(|response| response.body.lost.is_some()) {
            let gap = Gap::on(GapCause::UnreadableCoding, connection).exchange(exchange.id);
            self.gap(gap.network(network.cloned()));
        }
        let actor =
            accounts::Actor { device: connection.device, advisor: connection.advisor, session: scrubbed.session };
        let known = network.map(|network| self.accounts.acting(actor, network, self.now())).unwrap_or_default();
        let json = scrubbed.json(&known, &self.limits);
        let (recognition, _failed) = self.recognize(Purpose::Answer, &rules, connection, json, false).await;
        let outcome = recognition.outcome.as_ref();
        // An account that the device only claims to be is not its own, nor is it in a conversation because it says so: the origin has to
        // have taken it.
        if outcome.is_some_and(|outcome| outcome.verdict == Verdict::Accepted) {
            self.learn(actor, network, recognition.account.as_ref());
            if let Some(network) = network {
                self.accounts.join(network, joined, self.now());
            }
        }
        if let (Some(network), Some(outcome)) = (network, outcome) {
            // Before the entry is written: the device may read its own item back at any moment.
            let items = outcome.items.iter().filter_map(|item| item.item.as_deref());
            self.seen.captured(network, items, self.now());
        }
        (Some(scrubbed), recognition)
    }

    fn seal_outcome(
        &self,
        open: &Open,
        scrubbed: Option<&Scrubbed>,
        recognition: &Recognition,
        said: &Said,
    ) -> Result<Submission, SealingError> {
        let mut envelope = self.sealer.envelope(&open.secret);
        if let Some(response) = scrubbed.and_then(|scrubbed| scrubbed.response.as_ref()) {
            envelope.put(FieldName::RESPONSE_HEAD, &response.head_bytes())?;
            if response.body.kept.size() > 0 {
                envelope.put_body(FieldName::RESPONSE_BODY, &response.body.kept)?;
            }
        }
        if let Some(redactions) = scrubbed.map(|scrubbed| &scrubbed.redactions).filter(|list| !list.is_empty()) {
            envelope.put(FieldName::REDACTIONS, &in_json(redactions))?;
        }
        let outcome = recognition.outcome.as_ref();
        let items = put_items(&mut envelope, outcome)?;
        let mut detail = Map::new();
        let mut put = |name: &str, value: Value| detail.insert(name.to_owned(), value);
        put("capture", open.capture.to_string().into());
        said.cause.map(|cause| put("cause", cause.into()));
        (items > 0).then(|| put("items", items.into()));
        said.size.map(|size| put("size", size.into()));
        put("state", said.state.into());
        said.status.map(|status| put("status", status.into()));
        Ok(envelope.close().submit(None, |id, commitments| Draft {
            id,
            entry_type: EntryType::Outcome,
            actor: Actor::Service(Word::CAPTURE),
            captured_at: self.now(),
            record: None,
            streams: open.streams.clone(),
            commitments,
            detail,
        }))
    }

    /// Closes a capture that has no answer, or none that anybody knows any more.
    pub(crate) fn outcome_without_answer(&self, unfinished: &Unfinished, why: NoAnswer) -> Submission {
        unanswered(unfinished, why, EntryId::new(self.ids.fresh()), self.now())
    }
}

/// What closes a capture that has no answer.
pub(crate) fn unanswered(unfinished: &Unfinished, why: NoAnswer, id: EntryId, now: Timestamp) -> Submission {
    let mut detail = Map::new();
    let mut put = |name: &str, value: String| detail.insert(name.to_owned(), value.into());
    put("capture", unfinished.capture.to_string());
    put("cause", why.to_string());
    put("state", state_of(why).to_owned());
    Submission::plain(Draft {
        id,
        entry_type: EntryType::Outcome,
        actor: Actor::Service(Word::CAPTURE),
        captured_at: now,
        record: Some(unfinished.record),
        streams: unfinished.streams.clone(),
        commitments: crate::ledger::Commitments::new(),
        detail,
    })
}

/// Seals what the answer says of each communication; answers with how many got an id.
fn put_items(envelope: &mut super::seal::Envelope<'_>, outcome: Option<&Outcome>) -> Result<u64, SealingError> {
    let Some(outcome) = outcome else { return Ok(0) };
    if let Some(reason) = &outcome.reason {
        envelope.put(FieldName::REASON, reason.as_bytes())?;
    }
    let mut with_id = BTreeSet::new();
    for item in &outcome.items {
        let Ok(number) = u16::try_from(item.number) else { continue };
        let values =
            [(Part::Item, &item.item), (Part::Permalink, &item.permalink), (Part::OccurredAt, &item.occurred_at)];
        for (part, value) in values {
            if let Some(value) = value {
                envelope.put(FieldName::part(number, part), value.as_bytes())?;
            }
        }
        if item.item.is_some() {
            with_id.insert(number);
        }
    }
    Ok(with_id.len() as u64)
}

/// What was never sent was not taken by the origin either; of anything else nobody can tell.
const fn state_of(why: NoAnswer) -> &'static str {
    match why {
        NoAnswer::NotSent => "refused",
        _ => "unknown",
    }
}

/// Without a rule, HTTP's own word: RFC 9110 §15.
const fn state_by_status(status: u16) -> &'static str {
    match status {
        200..=399 => "accepted",
        400..=599 => "refused",
        _ => "unknown",
    }
}

/// Bytes that a body takes in memory.
pub(crate) fn in_memory(body: &Body) -> u64 {
    match body {
        Body::Memory(bytes) => bytes.len() as u64,
        Body::Empty | Body::Held(_) => 0,
    }
}
