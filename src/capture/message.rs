//! Messages of an open channel: WebSocket messages and server-sent events.
//!
//! Invariant (P1): an outbound message that a rule calls a write, or that no rule knows, may be relayed only after its record
//! is durable. Inbound messages are looked at in the background, like reads. The channel's messages keep their order because
//! the proxy waits for each outbound one.

use std::sync::Arc;

use super::accounts;
use super::core::{Core, Rules};
use super::facts::{Facts, Flag, Transport, connection_json, in_json, put_communication, to_value};
use super::observe::{Scene, Sighting};
use super::outcome::Open;
use super::recognizer::Purpose;
use super::seal::SealingError;
use super::write::sealing_refusal;
use super::{Answer, Gap, GapCause, NoAnswer, Refusal, RefusalReason};
use crate::archive::Submission;
use crate::exchange::{Connection, Message, Opcode, RequestHead, Scrub, ScrubbedMessage};
use crate::ledger::{Actor, Draft, EntryType};
use crate::recognize::{Channel, Keep, Outbound, Plan, Recognition};
use crate::record::{AdvisorId, Direction, FieldName};

/// A message with what the rules say about it.
struct Heard {
    scrubbed: ScrubbedMessage,
    recognition: Recognition,
    failed: bool,
    network: Option<Arc<str>>,
    rules: Arc<Rules>,
}

impl Core {
    pub(crate) async fn message(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        head: &RequestHead,
        message: Message,
    ) -> Result<(), Refusal> {
        if !self.is_wanted(head, message.direction) {
            return Ok(());
        }
        if message.direction == Direction::Inbound {
            self.see(Sighting::Message(Arc::clone(connection), Box::new(head.clone()), message));
            return Ok(());
        }
        let exchange = message.exchange;
        let kept = self.keep_outbound(connection, head, message).await;
        if let Err(refusal) = &kept {
            tracing::warn!(exchange.id = %exchange, reason = %refusal.reason(), error = %refusal, "a message is refused");
            self.gap(Gap::on(GapCause::WriteRefused, connection).exchange(exchange));
        }
        kept
    }

    /// Whether the rules want messages of this direction at all; of a channel without rules they want the outbound ones.
    fn is_wanted(&self, head: &RequestHead, direction: Direction) -> bool {
        let rules = self.rules();
        match (rules.set.plan(head, &rules.listed), direction) {
            (Plan::Messages(Channel { outbound, .. }), Direction::Outbound) => outbound == Outbound::Hold,
            (Plan::Messages(Channel { inbound, .. }), Direction::Inbound) => inbound,
            // The rules changed while the channel was open: let the new ones say.
            _ => true,
        }
    }

    async fn keep_outbound(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        head: &RequestHead,
        message: Message,
    ) -> Result<(), Refusal> {
        let heard = self.hear(connection, head, &message).await;
        if heard.recognition.ignored || heard.recognition.communications.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let said = &heard.recognition.communications;
        let belonging = self.accounts.belonging(connection.advisor, heard.network.as_ref(), said, now, |_author| false);
        let streams: Vec<AdvisorId> = belonging.streams.into_iter().collect();
        let network = heard.network.clone();
        let (connection, size) = (Arc::clone(connection), message.data.0.len() as u64);
        let sealed = self.seal(size, {
            let streams = streams.clone();
            move |core| core.seal_message(&connection, &message, &heard, streams)
        });
        let (submission, secret) = sealed.await.map_err(|error| sealing_refusal(&error))?;
        // Nobody will say whether the origin took it, so it shows of nobody that they are in a conversation.
        let (capture, joined) = (submission.draft.id, Vec::new());
        let open = Open { capture, secret, streams, exchange: None, network, joined, keep: Keep::Whole };
        self.open.lock().insert(open.capture);
        let core = Arc::clone(self);
        // Goes on when the one who asked has left, like any write.
        let appended = self.appends.spawn(async move {
            match core.spool.keep(submission).await {
                Ok(_) => {
                    core.close(open, Answer::None(NoAnswer::Message));
                    Ok(())
                }
                Err(error) => Err(core.not_kept(&open, &error)),
            }
        });
        appended.await.unwrap_or_else(|_gone| Err(Refusal::new(RefusalReason::Stopping, "the service is stopping")))
    }

    /// An inbound message: what it shows is kept like what a read shows.
    pub(crate) async fn look_at_message(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        head: &RequestHead,
        message: Message,
    ) {
        let heard = self.hear(&connection, head, &message).await;
        let Some(network) = heard.network else { return };
        if heard.failed && heard.recognition.rule.is_none() {
            return;
        }
        let scene = Scene {
            connection,
            exchange: message.exchange,
            head: heard.scrubbed.head_bytes(),
            transport: transport(message.opcode),
            seen_at: message.seen_at,
            incomplete: false,
            network,
            rule: heard.recognition.rule.as_deref().map(Arc::from),
            rules: heard.recognition.rule_set.unwrap_or_else(|| heard.rules.set.digest()),
            acting: heard.recognition.account.clone(),
        };
        self.sighted(scene, heard.recognition).await;
    }

    async fn hear(self: &Arc<Self>, connection: &Connection, head: &RequestHead, message: &Message) -> Heard {
        let rules = self.rules();
        let network = match rules.set.plan(head, &rules.listed) {
            Plan::Messages(channel) => channel.network,
            Plan::Tee(tee) => Some(tee.network),
            Plan::Forward | Plan::Credential | Plan::Hold(_) => None,
        };
        let cookies: Vec<&str> = rules.set.account_cookies(head.authority.host(), &rules.listed).collect();
        let scrubbed =
            Scrub { key: &self.scrub_key, account_cookies: &cookies, limits: &self.limits }.message(head, message);
        let actor =
            accounts::Actor { device: connection.device, advisor: connection.advisor, session: scrubbed.session };
        let known = network.as_deref().map(|network| self.accounts.acting(actor, network, self.now()));
        let json = scrubbed.json(&known.unwrap_or_default(), &self.limits);
        let outbound = message.direction == Direction::Outbound;
        let purpose = if outbound { Purpose::Message } else { Purpose::Inbound };
        let doubtful = rules.set.is_doubtful(head, &scrubbed.head, &rules.listed) || (outbound && scrubbed.repeats);
        let (recognition, failed) = self.recognize(purpose, &rules, connection, json, doubtful).await;
        self.learn(actor, network.as_ref(), recognition.account.as_ref());
        Heard { scrubbed, recognition, failed, network, rules }
    }

    fn seal_message(
        &self,
        connection: &Connection,
        message: &Message,
        heard: &Heard,
        streams: Vec<AdvisorId>,
    ) -> Result<(Submission, super::seal::Secret), SealingError> {
        let Heard { scrubbed, recognition, failed, rules, .. } = heard;
        let (secret, key) = self.sealer.record()?;
        let mut envelope = self.sealer.envelope(&secret);
        for (number, one) in (0_u16..).zip(&recognition.communications) {
            let attachments: Vec<_> = one.attachments.iter().map(to_value).collect();
            put_communication(&mut envelope, number, one, recognition.account.as_ref(), &attachments)?;
        }
        envelope.put(FieldName::REQUEST_HEAD, &scrubbed.head_bytes())?;
        envelope.put(FieldName::CONNECTION, &connection_json(connection))?;
        envelope.put(FieldName::MESSAGE, &scrubbed.data)?;
        if !scrubbed.redactions.is_empty() {
            envelope.put(FieldName::REDACTIONS, &in_json(&scrubbed.redactions))?;
        }
        let flags = [(Flag::Redacted, !scrubbed.redactions.is_empty()), (Flag::RecognitionFailed, *failed)];
        let facts = Facts {
            exchange: message.exchange,
            communications: &recognition.communications,
            network: recognition.network.as_deref(),
            rule: recognition.rule.as_deref(),
            rules: recognition.rule_set.unwrap_or_else(|| rules.set.digest()),
            size: message.data.0.len() as u64,
            transport: transport(message.opcode),
            flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
        };
        let detail = facts.detail();
        let submission = envelope.close().submit(Some(key), |id, commitments| Draft {
            id,
            entry_type: EntryType::Capture,
            actor: Actor::Device(connection.device),
            captured_at: message.seen_at,
            record: None,
            streams,
            commitments,
            detail,
        });
        Ok((submission, secret))
    }
}

const fn transport(opcode: Opcode) -> Transport {
    match opcode {
        Opcode::Text | Opcode::Binary => Transport::WebSocket,
        Opcode::Event => Transport::EventStream,
    }
}
