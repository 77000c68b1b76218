//! Which items were seen before: each version of an item is kept once.
//!
//! Invariant: of several sightings of one version at once, one writes it, and the others leave with it whose streams it belongs
//! to as well. Memory only; what it forgot, the archive is asked ([`super::Recall`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::recent::Recent;
use crate::record::{AdvisorId, Digest, EntryId, RecordId, Timestamp};

const VERSIONS: usize = 200_000;
const ITEMS: usize = 200_000;
const WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// One version of one item of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VersionKey(Digest);

/// An item of a network.
type Item = (Arc<str>, Digest);

/// The entry that holds a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) entry: EntryId,
    pub(crate) record: Option<RecordId>,
    /// None while it waits in the spool.
    pub(crate) index: Option<u64>,
    pub(crate) streams: BTreeSet<AdvisorId>,
}

#[derive(Debug, Clone)]
enum State {
    /// Somebody is writing it; these streams want it.
    Claimed(BTreeSet<AdvisorId>),
    Held(Held),
}

/// What a claim came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the caller's to write: [`Seen::hold`] or [`Seen::let_go`] must follow.
    Yours,
    /// Somebody else is writing it, and was told of the streams.
    Taken,
    /// It is there.
    Held(Held),
}

/// See the module.
pub(crate) struct Seen {
    versions: Mutex<Recent<VersionKey, State>>,
    captured: Mutex<Recent<Item, ()>>,
    newest: Mutex<Recent<Item, EntryId>>,
    attributed: Mutex<Recent<(EntryId, AdvisorId), ()>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            versions: Mutex::new(Recent::new(VERSIONS, WINDOW)),
            captured: Mutex::new(Recent::new(ITEMS, WINDOW)),
            newest: Mutex::new(Recent::new(ITEMS, WINDOW)),
            attributed: Mutex::new(Recent::new(ITEMS, WINDOW)),
        }
    }
}

impl VersionKey {
    pub(crate) fn of(network: &str, item: &str, version: &Digest) -> Self {
        let length = |text: &str| (text.len() as u64).to_be_bytes();
        Self(Digest::of(&[&length(network), network.as_bytes(), &length(item), item.as_bytes(), version.as_bytes()]))
    }
}

fn item_key(network: &Arc<str>, item: &str) -> Item {
    (Arc::clone(network), Digest::of(&[item.as_bytes()]))
}

impl Seen {
    pub(crate) fn claim(&self, key: VersionKey, streams: &BTreeSet<AdvisorId>, now: Timestamp) -> Claim {
        let mut versions = self.versions.lock();
        let (claim, claimed) = match versions.get(&key, now) {
            Some(State::Held(held)) => return Claim::Held(held.clone()),
            Some(State::Claimed(others)) => (Claim::Taken, others | streams),
            None => (Claim::Yours, streams.clone()),
        };
        versions.put(key, State::Claimed(claimed), now);
        claim
    }

    /// The claimed version is durable. Answers with streams that came to want it meanwhile and do not have it.
    pub(crate) fn hold(&self, key: VersionKey, held: Held, now: Timestamp) -> BTreeSet<AdvisorId> {
        let streams = held.streams.clone();
        match self.versions.lock().put(key, State::Held(held), now) {
            Some(State::Claimed(wanted)) => &wanted - &streams,
            _ => BTreeSet::new(),
        }
    }

    /// Adds streams to a held version; answers with those that were not there, for the caller to put on record.
    pub(crate) fn join(&self, key: VersionKey, streams: &BTreeSet<AdvisorId>, now: Timestamp) -> Vec<AdvisorId> {
        let mut versions = self.versions.lock();
        let Some(State::Held(held)) = versions.get(&key, now) else { return Vec::new() };
        let missing: Vec<AdvisorId> = streams.difference(&held.streams).copied().collect();
        if !missing.is_empty() {
            let mut held = held.clone();
            held.streams.extend(missing.iter().copied());
            versions.put(key, State::Held(held), now);
        }
        missing
    }

    /// False when this entry was put into the advisor's stream before.
    pub(crate) fn is_first_attribution(&self, entry: EntryId, advisor: AdvisorId, now: Timestamp) -> bool {
        self.attributed.lock().put((entry, advisor), (), now).is_none()
    }

    /// The claimed version was not written after all.
    pub(crate) fn let_go(&self, key: VersionKey) {
        self.versions.lock().remove(&key);
    }

    /// These items came about by captured writes.
    pub(crate) fn captured<'a>(&self, network: &Arc<str>, items: impl Iterator<Item = &'a str>, now: Timestamp) {
        let mut captured = self.captured.lock();
        for item in items {
            captured.put(item_key(network, item), (), now);
        }
    }

    pub(crate) fn is_captured(&self, network: &Arc<str>, item: &str, now: Timestamp) -> bool {
        self.captured.lock().get(&item_key(network, item), now).is_some()
    }

    /// This entry holds the newest version of an item; answers with the one before.
    pub(crate) fn newest(&self, network: &Arc<str>, item: &str, entry: EntryId, now: Timestamp) -> Option<EntryId> {
        self.newest.lock().put(item_key(network, item), entry, now)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn advisors(ids: &[u128]) -> BTreeSet<AdvisorId> {
        ids.iter().map(|id| AdvisorId::new(Uuid::from_u128(*id))).collect()
    }

    #[test]
    fn one_of_several_sightings_writes_a_version_and_learns_who_else_wants_it() {
        let (seen, now) = (Seen::default(), Timestamp::EPOCH);
        let key = VersionKey::of("bluesky", "at://1", &Digest::ZERO);
        assert_eq!(seen.claim(key, &advisors(&[1]), now), Claim::Yours);
        assert_eq!(seen.claim(key, &advisors(&[2]), now), Claim::Taken);
        seen.let_go(key);
        assert_eq!(seen.claim(key, &advisors(&[1]), now), Claim::Yours);
        assert_eq!(seen.claim(key, &advisors(&[1, 3]), now), Claim::Taken);
        let held = Held { entry: EntryId::new(Uuid::nil()), record: None, index: Some(1), streams: advisors(&[1]) };
        assert_eq!(seen.hold(key, held.clone(), now), advisors(&[3]));
        assert_eq!(seen.claim(key, &advisors(&[1]), now), Claim::Held(held));
        assert_eq!(seen.join(key, &advisors(&[1, 3]), now), Vec::from_iter(advisors(&[3])));
        assert_eq!(seen.join(key, &advisors(&[1, 3]), now), []);
    }

    #[test]
    fn another_version_item_or_network_is_another_key() {
        let key = VersionKey::of("bluesky", "at://1", &Digest::ZERO);
        assert_ne!(key, VersionKey::of("bluesky", "at://1", &Digest::of(&[b"edited"])));
        assert_ne!(key, VersionKey::of("bluesk", "yat://1", &Digest::ZERO));
    }
}
