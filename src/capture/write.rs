//! A write: scrubbed, recognised, sealed, durable. Only then a receipt.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::accounts::{self, Belonging};
use super::attachments::described;
use super::core::{Core, Rules};
use super::facts::{Facts, Flag, Transport, connection_json, in_json, method_word, put_communication};
use super::outcome::Open;
use super::recognizer::Purpose;
use super::retry::Sameness;
use super::seal::SealingError;
use super::spool::KeepError;
use super::{Answer, Gap, NoAnswer, Receipt, Refusal, RefusalReason, Unfinished};
use crate::archive::{AppendError, Submission};
use crate::exchange::{Body, Exchange, Scrubbed};
use crate::ledger::{Actor, Draft, EntryType};
use crate::recognize::{Keep, Party, Plan, Recognition};
use crate::record::{Digest, FieldName, SealError, Timestamp};

/// A write that is understood and waits to be sealed.
struct Understood {
    exchange: Exchange,
    keep: Keep,
    scrubbed: Scrubbed,
    recognition: Recognition,
    failed: bool,
    acting: Option<Party>,
    /// The request alone says so.
    claimed: bool,
    network: Option<Arc<str>>,
    belonging: Belonging,
    rules: Digest,
    now: Timestamp,
}

/// A write that is sealed and waits to be appended.
struct Ready {
    submission: Submission,
    same: Sameness,
    /// What it is once it is appended.
    open: Open,
}

impl Core {
    pub(crate) async fn write(self: &Arc<Self>, exchange: Exchange) -> Result<Receipt, Refusal> {
        let connection = Arc::clone(&exchange.connection);
        let id = exchange.id;
        let rules = self.rules();
        let (network, keep) = plan(&rules, &exchange);
        let written = self.write_as(&rules, exchange, network.clone(), keep).await;
        if let Err(refusal) = &written {
            tracing::warn!(exchange.id = %id, reason = %refusal.reason(), error = %refusal, "a write is refused");
            self.gap(Gap::on(refusal.gap(), &connection).exchange(id).network(network));
        }
        written
    }

    async fn write_as(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        mut exchange: Exchange,
        network: Option<Arc<str>>,
        keep: Keep,
    ) -> Result<Receipt, Refusal> {
        if keep == Keep::Head {
            // The proxy has dropped it already; what looks like a login is not kept whatever comes.
            exchange.request.body = Body::Empty;
            exchange.request.trailers = None;
        }
        let scrubbed = self.scrub(rules, &exchange).await;
        let scrubbed = scrubbed.map_err(|error| Refusal::of(RefusalReason::BodyUnreadable, &error))?;
        if let Some(why) = scrubbed.request.body.lost {
            // P1: what cannot be kept may not leave.
            return Err(Refusal::of_lost(why));
        }
        let connection = &exchange.connection;
        let actor =
            accounts::Actor { device: connection.device, advisor: connection.advisor, session: scrubbed.session };
        let known = network.as_deref().map(|network| self.accounts.acting(actor, network, self.now()));
        let known = known.unwrap_or_default();
        let json = scrubbed.json(&known, &self.limits);
        // Rules see what is kept; the origin sees what was sent.
        let doubtful = rules.set.is_doubtful(&exchange.request.head, &scrubbed.request.head, &rules.listed)
            || scrubbed.request.body.repeats;
        let (recognition, failed) = self.recognize(Purpose::Write, rules, connection, json, doubtful).await;
        if recognition.ignored {
            return Ok(Receipt::nothing());
        }
        let is_known = |party: &Party| known.iter().any(|known| accounts::is_same(known, party));
        let claimed = recognition.account.as_ref().is_some_and(|account| !is_known(account));
        let now = self.now();
        let said = &recognition.communications;
        let belonging = self.accounts.belonging(connection.advisor, network.as_ref(), said, now, is_known);
        let acting = recognition.account.clone().or(if known.len() == 1 { known.into_iter().next() } else { None });
        let rules = recognition.rule_set.unwrap_or_else(|| rules.set.digest());
        // Handed from one to the next, which is a pointer's worth and not all of this.
        let understood = Box::new(Understood {
            exchange,
            keep,
            scrubbed,
            recognition,
            failed,
            acting,
            claimed,
            network,
            belonging,
            rules,
            now,
        });
        self.keep_write(understood).await
    }

    fn seal_write(&self, understood: Box<Understood>) -> Result<Ready, SealingError> {
        let Understood {
            exchange,
            keep,
            scrubbed,
            recognition,
            failed,
            acting,
            claimed,
            network,
            belonging,
            rules,
            now,
        } = *understood;
        let request = &scrubbed.request;
        let (secret, key) = self.sealer.record()?;
        let mut envelope = self.sealer.envelope(&secret);
        for (number, one) in (0_u16..).zip(&recognition.communications) {
            let attachments = described(&one.attachments, &request.body, &exchange.request.body)?;
            put_communication(&mut envelope, number, one, acting.as_ref(), &attachments)?;
        }
        envelope.put(FieldName::REQUEST_HEAD, &request.head_bytes())?;
        envelope.put(FieldName::CONNECTION, &connection_json(&exchange.connection))?;
        if let Some(trailers) = &request.trailers {
            envelope.put(FieldName::REQUEST_TRAILERS, &lines(trailers))?;
        }
        if !scrubbed.redactions.is_empty() {
            envelope.put(FieldName::REDACTIONS, &in_json(&scrubbed.redactions))?;
        }
        if request.body.kept.size() > 0 {
            envelope.put_body(FieldName::REQUEST_BODY, &request.body.kept)?;
        }
        let flags = [
            (Flag::Redacted, !scrubbed.redactions.is_empty()),
            (Flag::Decoded, request.body.decoded),
            (Flag::HeadOnly, keep == Keep::Head),
            (Flag::RecognitionFailed, failed),
            (Flag::AccountClaimed, claimed),
        ];
        let facts = Facts {
            exchange: exchange.id,
            communications: &recognition.communications,
            network: recognition.network.as_deref(),
            rule: recognition.rule.as_deref(),
            rules,
            size: exchange.request.body.size(),
            transport: Transport::Http,
            flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
        };
        let mut detail = facts.detail();
        detail.insert("method".to_owned(), method_word(&exchange.request.head.method).into());
        // Of what is kept, so that it can be had from the record again.
        let body = digest(&request.body.kept)?;
        let same = Sameness::of(exchange.connection.device, &request.head, &body);
        // The last thing before it is appended: a retry may name this entry from now on.
        if let Some(first) = self.retries.link(&same, envelope.id(), now) {
            detail.insert("retry_of".to_owned(), first.to_string().into());
        }
        let submission = envelope.close().submit(Some(key), |id, commitments| Draft {
            id,
            entry_type: EntryType::Capture,
            actor: Actor::Device(exchange.connection.device),
            captured_at: exchange.seen_at,
            record: None,
            streams: belonging.streams.into_iter().collect(),
            commitments,
            detail,
        });
        let open = Open {
            capture: submission.draft.id,
            secret,
            streams: submission.draft.streams.clone(),
            exchange: Some(exchange),
            network,
            joined: belonging.joined,
            keep,
        };
        Ok(Ready { submission, same, open })
    }

    /// Sealing and appending go on, as one, even when the proxy stops waiting (the device left): the capture is then closed as not
    /// sent, and no retry names one that never came to be.
    async fn keep_write(self: &Arc<Self>, understood: Box<Understood>) -> Result<Receipt, Refusal> {
        let core = Arc::clone(self);
        let (tell, told) = tokio::sync::oneshot::channel();
        // A task is moved several times before it runs, and once more when it has: only a pointer to it is.
        self.appends.spawn(Box::pin(async move {
            if let Err(Ok(receipt)) = tell.send(core.seal_and_append(understood).await) {
                receipt.close(Answer::None(NoAnswer::NotSent));
            }
        }));
        told.await.unwrap_or_else(|_gone| Err(Refusal::new(RefusalReason::Stopping, "the service is stopping")))
    }

    async fn seal_and_append(self: &Arc<Self>, understood: Box<Understood>) -> Result<Receipt, Refusal> {
        let size = understood.exchange.request.body.size();
        let ready = self.seal(size, move |core| core.seal_write(understood)).await;
        let Ready { submission, same, open } = ready.map_err(|error| sealing_refusal(&error))?;
        let (record, capture) = (open.secret.record, open.capture);
        self.open.lock().insert(capture);
        if let Err(error) = self.spool.keep(&submission).await {
            self.retries.forget(&same, capture, self.now());
            return Err(self.not_kept(&open, &error));
        }
        let closing = Arc::clone(self);
        Ok(Receipt::new(record, move |answer| closing.close(open, answer)))
    }
}

impl Core {
    /// A capture is not known to be durable, so the write is refused.
    pub(super) fn not_kept(&self, open: &Open, error: &KeepError) -> Refusal {
        if matches!(error, KeepError::InDoubt(_)) {
            self.doubt(Unfinished { capture: open.capture, record: open.secret.record, streams: open.streams.clone() });
        } else {
            self.open.lock().remove(&open.capture);
        }
        refusal(error)
    }
}

/// The network whose rule takes this request, and how much of it is kept.
fn plan(rules: &Rules, exchange: &Exchange) -> (Option<Arc<str>>, Keep) {
    match rules.set.plan(&exchange.request.head, &rules.listed) {
        Plan::Hold(hold) => (hold.network, hold.keep),
        Plan::Tee(tee) => (Some(tee.network), Keep::Whole),
        Plan::Messages(channel) => (channel.network, Keep::Whole),
        Plan::Forward => (None, Keep::Whole),
        Plan::Credential => (None, Keep::Head),
    }
}

pub(super) fn sealing_refusal(error: &SealingError) -> Refusal {
    let reason = match error {
        SealingError::Seal(SealError::Io(_)) => RefusalReason::StorageUnavailable,
        SealingError::Entropy(_) | SealingError::Wrap(_) | SealingError::Seal(_) => RefusalReason::SealingFailed,
    };
    Refusal::of(reason, error)
}

fn refusal(error: &KeepError) -> Refusal {
    let reason = match error {
        KeepError::InDoubt(why) => return refusal(why),
        KeepError::Unavailable => RefusalReason::ArchiveUnavailable,
        KeepError::Journal(_) | KeepError::Disk => RefusalReason::SpoolUnavailable,
        KeepError::Pushback => RefusalReason::Overloaded,
        KeepError::Halted(AppendError::Closed) => RefusalReason::Stopping,
        KeepError::Halted(_) => RefusalReason::ArchiveUnavailable,
        KeepError::Rejected(_) | KeepError::Codec(_) => RefusalReason::Rejected,
    };
    Refusal::of(reason, error)
}

fn digest(body: &Body) -> Result<Digest, SealingError> {
    let mut hasher = Sha256::new();
    match body {
        Body::Empty => {}
        Body::Memory(bytes) => hasher.update(bytes),
        Body::Held(source) => drop(std::io::copy(&mut source.reader()?, &mut Hashing(&mut hasher))?),
    }
    Ok(Digest(hasher.finalize().into()))
}

struct Hashing<'a>(&'a mut Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines(headers: &http::HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
