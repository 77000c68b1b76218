//! Reads: what a response or message shows of the firm's own, of answers to it and of its conversations.
//!
//! Invariant: every version of an item is kept once, and what could not be looked at is a gap. An own item that no capture
//! accounts for was made outside the proxy: it is flagged `off_channel`, after a while in which its capture may still arrive.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::accounts;
use super::attribution::Earlier;
use super::core::Core;
use super::facts::{Facts, Flag, Transport, connection_json, put_communication, to_value};
use super::outcome::in_memory;
use super::recognizer::Purpose;
use super::seal::SealingError;
use super::seen::{Claim, Held, VersionKey};
use super::spool::Kept;
use super::{Gap, GapCause, KnownItem};
use crate::archive::Submission;
use crate::exchange::{Connection, Exchange, Message, RequestHead};
use crate::ledger::{Actor, Draft, EntryType};
use crate::recognize::{Channel, Communication, Party, Plan, Recognition};
use crate::record::{AdvisorId, Digest, Direction, EntryId, ExchangeId, FieldName, Timestamp};

/// Bytes of an item that share one place among those that wait.
const SHARE: usize = 16 << 10;

/// Something seen that waits to be looked at.
pub(crate) enum Sighting {
    /// A read with its response.
    Read(Box<Exchange>),
    /// An inbound message.
    Message(Arc<Connection>, Box<RequestHead>, Message),
}

impl Sighting {
    /// The gap that it leaves when nobody looks at it.
    fn dropped(&self) -> Gap {
        match self {
            Self::Read(exchange) => Gap::on(GapCause::ReadDropped, &exchange.connection).exchange(exchange.id),
            Self::Message(connection, _, message) => {
                Gap::on(GapCause::MessageDropped, connection).exchange(message.exchange)
            }
        }
    }
}

/// One item as it was seen.
#[derive(Clone)]
struct Sight {
    one: Communication,
    item: String,
    version: Digest,
    key: VersionKey,
    streams: BTreeSet<AdvisorId>,
}

/// What an own item takes of the room in which such items wait: one share, and more if it is large.
fn shares(one: &Communication) -> u32 {
    let bytes = one.fragment.as_ref().map_or(0, String::len) + one.text.as_ref().map_or(0, String::len);
    u32::try_from(bytes / SHARE).unwrap_or(u32::MAX).saturating_add(1)
}

/// Where communications were seen.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) connection: Arc<Connection>,
    pub(crate) exchange: ExchangeId,
    /// The scrubbed head of the request that fetched it, or that opened the channel.
    pub(crate) head: Bytes,
    pub(crate) transport: Transport,
    pub(crate) seen_at: Timestamp,
    pub(crate) incomplete: bool,
    pub(crate) network: Arc<str>,
    pub(crate) rule: Option<Arc<str>>,
    pub(crate) rules: Digest,
    pub(crate) acting: Option<Party>,
}

impl Core {
    /// Takes a read. Never blocks.
    pub(crate) fn see(&self, sighting: Sighting) {
        let weight = match &sighting {
            Sighting::Read(exchange) => {
                in_memory(&exchange.request.body)
                    + exchange.response.as_ref().map_or(0, |response| in_memory(&response.body))
            }
            Sighting::Message(_, _, message) => message.data.0.len() as u64,
        };
        let Err(dropped) = self.reads.push(sighting, weight + 4096) else { return };
        self.gap(dropped.dropped());
    }

    /// Looks at it, unless there is no time left.
    pub(crate) async fn look(self: &Arc<Self>, sighting: Sighting) {
        if self.hurry.is_cancelled() {
            return self.gap(sighting.dropped());
        }
        match sighting {
            Sighting::Read(exchange) => self.look_at_read(*exchange).await,
            Sighting::Message(connection, head, message) => self.look_at_message(connection, &head, message).await,
        }
    }

    async fn look_at_read(self: &Arc<Self>, exchange: Exchange) {
        let rules = self.rules();
        let connection = Arc::clone(&exchange.connection);
        let network = match rules.set.plan(&exchange.request.head, &rules.listed) {
            Plan::Tee(tee) | Plan::Messages(Channel { read: Some(tee), .. }) => tee.network,
            _ => return,
        };
        let incomplete = exchange.response.as_ref().is_some_and(|response| !response.complete);
        let scrubbed = match self.scrub(&rules, &exchange).await {
            Ok(scrubbed) => scrubbed,
            Err(error) => {
                tracing::warn!(%error, exchange.id = %exchange.id, "a read could not be read back");
                return self.gap(Gap::on(GapCause::ReadDropped, &connection).exchange(exchange.id));
            }
        };
        if scrubbed.response.as_ref().is_some_and(|response| response.body.lost.is_some()) {
            let gap = Gap::on(GapCause::UnreadableCoding, &connection).exchange(exchange.id);
            return self.gap(gap.network(Some(network)));
        }
        let actor =
            accounts::Actor { device: connection.device, advisor: connection.advisor, session: scrubbed.session };
        let known = self.accounts.acting(actor, &network, self.now());
        let json = scrubbed.json(&known, &self.limits);
        let (recognition, failed) = self.recognize(Purpose::Read, &rules, &connection, json, false).await;
        self.learn(actor, Some(&network), recognition.account.as_ref());
        if failed && recognition.rule.is_none() {
            return;
        }
        let scene = Scene {
            exchange: exchange.id,
            head: scrubbed.request.head_bytes(),
            transport: Transport::Http,
            seen_at: exchange.seen_at,
            incomplete,
            network,
            rule: recognition.rule.as_deref().map(Arc::from),
            rules: recognition.rule_set.unwrap_or_else(|| rules.set.digest()),
            acting: recognition.account.clone(),
            connection,
        };
        self.sighted(scene, recognition).await;
    }

    /// Keeps what was recognised, one record each.
    pub(crate) async fn sighted(self: &Arc<Self>, scene: Scene, recognition: Recognition) {
        for one in recognition.communications {
            let Some(sight) = self.claim(&scene, one).await else { continue };
            let is_own = sight.one.direction == Direction::Outbound && sight.one.item.is_some();
            if !is_own {
                self.keep_sight(&scene, sight, false).await;
            } else if let Ok(waiting) = Arc::clone(&self.own_items).try_acquire_many_owned(shares(&sight.one)) {
                let (core, scene) = (Arc::clone(self), scene.clone());
                self.appends.spawn(async move {
                    let captured = core.is_captured(&scene, &sight.item).await;
                    core.keep_sight(&scene, sight, !captured).await;
                    drop(waiting);
                });
            } else {
                let captured = self.seen.is_captured(&scene.network, &sight.item, self.now());
                self.keep_sight(&scene, sight, !captured).await;
            }
        }
    }

    /// None when this version of the item is kept already, or somebody is about to keep it.
    async fn claim(self: &Arc<Self>, scene: &Scene, one: Communication) -> Option<Sight> {
        let content = one.fragment.as_deref().or(one.text.as_deref()).unwrap_or_default();
        let version = one.version.unwrap_or_else(|| Digest::of(&[content.as_bytes()]));
        let item = one.item.clone().unwrap_or_else(|| version.to_string());
        let advisor = scene.connection.advisor;
        let network = Some(&scene.network);
        // What was read is the origin's word.
        let now = self.now();
        let belonging = self.accounts.belonging(advisor, network, std::slice::from_ref(&one), now, |_author| true);
        self.accounts.join(&scene.network, belonging.joined, now);
        let streams = belonging.streams;
        let key = VersionKey::of(&scene.network, &item, &version);
        let sight = Sight { one, item, version, key, streams };
        match self.seen.claim(key, &sight.streams, self.now()) {
            Claim::Yours => Some(sight),
            Claim::Taken => None,
            Claim::Held(held) => {
                self.attribute(scene, &sight, held, &sight.streams).await;
                None
            }
        }
    }

    /// Whether a capture accounts for an own item; its outcome may be on its way.
    async fn is_captured(&self, scene: &Scene, item: &str) -> bool {
        let begun = Instant::now();
        loop {
            if self.seen.is_captured(&scene.network, item, self.now()) {
                return true;
            }
            let waited = begun.elapsed();
            if waited >= self.pace.own_item_grace * 3
                || (waited >= self.pace.own_item_grace && self.open.lock().is_empty())
                || self.hurry.is_cancelled()
            {
                return false;
            }
            sleep(self.pace.own_item_grace / 20).await;
        }
    }

    /// Keeps a claimed item unless the archive has this version of it.
    async fn keep_sight(self: &Arc<Self>, scene: &Scene, sight: Sight, maybe_off_channel: bool) {
        let known = match self.recall.item(&scene.network, &sight.item, &sight.version).await {
            Ok(known) => known,
            Err(error) => {
                tracing::debug!(%error, "an item is kept without asking the archive for earlier copies");
                KnownItem::default()
            }
        };
        let wanted = sight.streams.clone();
        let held = if let Some(place) = known.this_version {
            let (record, index) = (Some(place.record), Some(place.index));
            Some(Held { entry: place.entry, record, index, streams: place.streams.into_iter().collect() })
        } else {
            let off_channel = maybe_off_channel && !known.captured;
            match self.observation(scene, &sight, off_channel, known.newest).await {
                Ok(submission) => self.append_sighting(submission, wanted.clone()).await,
                Err(error) => {
                    tracing::error!(%error, "an item that was seen could not be sealed");
                    None
                }
            }
        };
        let Some(held) = held else {
            self.seen.let_go(sight.key);
            return self.gap(Gap::on(GapCause::ReadDropped, &scene.connection).exchange(scene.exchange));
        };
        let wanted_meanwhile = self.seen.hold(sight.key, held.clone(), self.now());
        self.attribute(scene, &sight, held, &(&wanted | &wanted_meanwhile)).await;
    }

    /// None when it cannot be kept at all.
    async fn append_sighting(&self, submission: Submission, streams: BTreeSet<AdvisorId>) -> Option<Held> {
        let (entry, record) = (submission.draft.id, submission.draft.record);
        let index = match self.spool.keep(&submission).await {
            Ok(Kept::Archived(appended)) => Some(appended.index),
            Ok(Kept::Spooled) => None,
            Err(error) => {
                tracing::warn!(%error, "an item that was seen waits");
                if !self.keep_at_last(submission).await {
                    return None;
                }
                None
            }
        };
        Some(Held { entry, record, index, streams })
    }

    async fn observation(
        self: &Arc<Self>,
        scene: &Scene,
        sight: &Sight,
        off_channel: bool,
        newest: Option<EntryId>,
    ) -> Result<Submission, SealingError> {
        let size = sight.one.fragment.as_ref().map_or(0, String::len) as u64;
        let (scene, Sight { one, item, streams, .. }) = (scene.clone(), sight.clone());
        self.seal(size, move |core| {
            let (secret, key) = core.sealer.record()?;
            let mut envelope = core.sealer.envelope(&secret);
            let attachments: Vec<_> = one.attachments.iter().map(to_value).collect();
            put_communication(&mut envelope, 0, &one, scene.acting.as_ref(), &attachments)?;
            envelope.put(FieldName::REQUEST_HEAD, &scene.head)?;
            envelope.put(FieldName::CONNECTION, &connection_json(&scene.connection))?;
            let flags = [(Flag::OffChannel, off_channel), (Flag::Incomplete, scene.incomplete)];
            let facts = Facts {
                exchange: scene.exchange,
                communications: std::slice::from_ref(&one),
                network: Some(&scene.network),
                rule: scene.rule.as_deref(),
                rules: scene.rules,
                size,
                transport: scene.transport,
                flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
            };
            let mut detail = facts.detail();
            Ok(envelope.close().submit(Some(key), |id, commitments| {
                if let Some(previous) = core.seen.newest(&scene.network, &item, id, core.now()).or(newest) {
                    detail.insert("previous_version".to_owned(), previous.to_string().into());
                }
                Draft {
                    id,
                    entry_type: EntryType::Observation,
                    actor: Actor::Device(scene.connection.device),
                    captured_at: scene.seen_at,
                    record: None,
                    streams: streams.into_iter().collect(),
                    commitments,
                    detail,
                }
            }))
        })
        .await
    }

    /// Puts a kept item into the streams of advisors that it turned out to belong to as well.
    async fn attribute(&self, scene: &Scene, sight: &Sight, held: Held, streams: &BTreeSet<AdvisorId>) {
        if streams.is_subset(&held.streams) {
            return;
        }
        // One that went through the spool has got its index meanwhile; while it has none, the next sighting makes up for it.
        let index = match held.index {
            Some(index) => Some(index),
            None => self.recall.item(&scene.network, &sight.item, &sight.version).await.ok().and_then(|known| {
                known.this_version.filter(|place| place.entry == held.entry).map(|place| place.index)
            }),
        };
        let Some(index) = index else { return };
        let missing = self.seen.join(sight.key, streams, self.now());
        let (entry, record) = (held.entry, held.record);
        self.attribute_to(Earlier { entry, index, record, cause: "seen_again", account: None }, missing).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;

    #[test]
    fn an_own_item_takes_as_much_of_the_room_to_wait_as_it_holds() {
        for (bytes, expected) in [(0, 1), (SHARE - 1, 1), (SHARE, 2), (1 << 20, 65), (1 << 30, 65_537)] {
            let (text, fragment) = (Some("t".repeat(bytes / 2)), Some("f".repeat(bytes - bytes / 2)));
            let one = Communication { text, fragment, ..Communication::bare(Kind::Post, Direction::Outbound) };
            assert_eq!(shares(&one), expected, "{bytes}");
        }
    }
}
