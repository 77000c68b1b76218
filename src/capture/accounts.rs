//! Who acts: accounts on networks, learned from requests and reads, bound to sessions and advisors.
//!
//! Invariant: an account belongs to an advisor once a session of one of the advisor's devices has shown it as its own, and the
//! origin took that session's credential: what a device only claims moves nothing into anybody's stream. It may belong to several
//! (a shared company page); then what concerns it belongs to all of them. Bounded: sessions and
//! conversations are remembered for a while only, accounts as many as a firm can have.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::recent::Recent;
use crate::exchange::SessionKey;
use crate::recognize::{Communication, Party};
use crate::record::{AccountId, AdvisorId, DeviceId, Timestamp};

const SESSIONS: usize = 65_536;
const SESSION_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);
const CONVERSATIONS: usize = 65_536;
const CONVERSATION_WINDOW: Duration = Duration::from_secs(365 * 24 * 3600);
const ACCOUNTS: usize = 1 << 20;
/// An entry belongs to at most 128 streams; beyond it, nobody looks at them one by one either.
const STREAMS: usize = 128;
/// Conversations of one exchange that are learned from it.
const JOINED: usize = 64;

/// An account that is known to be an advisor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAccount {
    /// Ours.
    pub id: AccountId,
    /// The network, by the name of its rule file.
    pub network: Arc<str>,
    /// As the network names it.
    pub party: Party,
    /// Whose it is.
    pub advisor: AdvisorId,
}

impl KnownAccount {
    /// Whether the other is the same account of the same advisor, by whatever id.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.advisor == other.advisor && self.network == other.network && is_same(&self.party, &other.party)
    }
}

/// What learning about an account came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Nothing new.
    Known,
    /// An account of this advisor that nobody knew of: it must go on record.
    New,
}

/// All that is known; shared by every part of capture.
pub(crate) struct Accounts(Mutex<Inner>);

struct Inner {
    sessions: Recent<(DeviceId, SessionKey), Arc<KnownAccount>>,
    of_advisor: HashMap<AdvisorId, Vec<Arc<KnownAccount>>>,
    /// By network and id, and by network and handle.
    by_name: HashMap<(Arc<str>, String), BTreeSet<AdvisorId>>,
    conversations: Recent<(Arc<str>, String), BTreeSet<AdvisorId>>,
    count: usize,
}

impl Default for Accounts {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            sessions: Recent::new(SESSIONS, SESSION_WINDOW),
            of_advisor: HashMap::new(),
            by_name: HashMap::new(),
            conversations: Recent::new(CONVERSATIONS, CONVERSATION_WINDOW),
            count: 0,
        }))
    }
}

/// Where a communication belongs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belonging {
    /// The advisors in whose streams it is.
    pub(crate) streams: BTreeSet<AdvisorId>,
    /// What it says that is new of who is in a conversation.
    pub(crate) joined: Vec<Joined>,
}

/// These advisors are in this conversation.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    conversation: String,
    advisors: BTreeSet<AdvisorId>,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    pub(crate) device: DeviceId,
    pub(crate) advisor: AdvisorId,
    pub(crate) session: Option<SessionKey>,
}

impl Accounts {
    /// Takes over what is on record.
    pub(crate) fn restore(&self, known: impl IntoIterator<Item = KnownAccount>) {
        let mut inner = self.0.lock();
        known.into_iter().for_each(|account| inner.add(Arc::new(account)));
    }

    /// The account that was thought to be new is on record under another id already.
    pub(crate) fn replace(&self, new: &KnownAccount, on_record: KnownAccount) {
        let mut inner = self.0.lock();
        let known = inner.of_advisor.get_mut(&new.advisor);
        if let Some(place) = known.into_iter().flatten().find(|account| account.id == new.id) {
            *place = Arc::new(on_record);
        }
    }

    /// The account could not be put on record: the next exchange that shows it finds it new. A session that showed it acts as it all the
    /// same, since that is the origin's word.
    pub(crate) fn forget(&self, account: &KnownAccount) {
        self.0.lock().remove(account);
    }

    /// What rules are told of the acting accounts: the session's own where it is known, else the advisor's on that network.
    pub(crate) fn acting(&self, actor: Actor, network: &str, now: Timestamp) -> Vec<Party> {
        let inner = self.0.lock();
        let of_session = actor.session.and_then(|session| inner.sessions.get(&(actor.device, session), now));
        if let Some(account) = of_session.filter(|account| &*account.network == network) {
            return vec![account.party.clone()];
        }
        let all = inner.of_advisor.get(&actor.advisor).into_iter().flatten();
        all.filter(|account| &*account.network == network).map(|account| account.party.clone()).take(64).collect()
    }

    /// A request or response showed the account that acts in this session, and the origin took its credential.
    pub(crate) fn learn(
        &self,
        actor: Actor,
        network: &Arc<str>,
        party: &Party,
        now: Timestamp,
        fresh: impl FnOnce() -> AccountId,
    ) -> Option<(Learned, Arc<KnownAccount>)> {
        names(party).next()?;
        let mut inner = self.0.lock();
        let known = inner.of_advisor.get(&actor.advisor).into_iter().flatten();
        let known =
            known.into_iter().find(|account| account.network == *network && is_same(&account.party, party)).cloned();
        let (learned, account) = match known {
            Some(account) => (Learned::Known, account),
            None => {
                let (id, network, party) = (fresh(), Arc::clone(network), party.clone());
                let account = Arc::new(KnownAccount { id, network, party, advisor: actor.advisor });
                inner.add(Arc::clone(&account));
                (Learned::New, account)
            }
        };
        if let Some(session) = actor.session {
            inner.sessions.put((actor.device, session), Arc::clone(&account), now);
        }
        Some((learned, account))
    }

    /// The advisors whose streams a communication belongs to: the one whose device it passed through, and every other whose
    /// account takes part in it or in its conversation. An author is `believed` who is the origin's word, or known as the advisor's
    /// own: anybody can send a request that names another. Nothing is learned by it: see [`Accounts::join`].
    pub(crate) fn belonging(
        &self,
        advisor: AdvisorId,
        network: Option<&Arc<str>>,
        communications: &[Communication],
        now: Timestamp,
        believed: impl Fn(&Party) -> bool,
    ) -> Belonging {
        let (mut streams, mut joined) = (BTreeSet::from([advisor]), Vec::new());
        let Some(network) = network else { return Belonging { streams, joined } };
        let inner = self.0.lock();
        for communication in communications {
            let mut part = BTreeSet::from([advisor]);
            let author = communication.author.iter().filter(|author| believed(author));
            let parties = author.chain(&communication.recipients);
            for name in parties.flat_map(names) {
                part.extend(inner.by_name.get(&(Arc::clone(network), name)).into_iter().flatten());
            }
            if let Some(conversation) = &communication.conversation {
                let key = (Arc::clone(network), conversation.clone());
                let known = inner.conversations.get(&key, now);
                part.extend(known.into_iter().flatten());
                if known != Some(&part) && joined.len() < JOINED {
                    joined.push(Joined { conversation: key.1, advisors: part.clone() });
                }
            }
            streams.extend(part);
        }
        while streams.len() > STREAMS {
            let last = streams.iter().rev().find(|id| **id != advisor).copied();
            last.map(|last| streams.remove(&last));
        }
        Belonging { streams, joined }
    }

    /// Remembers who is in a conversation: by the origin's own word, or because it took what says so.
    pub(crate) fn join(&self, network: &Arc<str>, joined: Vec<Joined>, now: Timestamp) {
        let mut inner = self.0.lock();
        for Joined { conversation, mut advisors } in joined {
            let key = (Arc::clone(network), conversation);
            advisors.extend(inner.conversations.get(&key, now).into_iter().flatten());
            inner.conversations.put(key, advisors, now);
        }
    }
}

impl Inner {
    fn add(&mut self, account: Arc<KnownAccount>) {
        if self.count >= ACCOUNTS {
            return;
        }
        let of_advisor = self.of_advisor.entry(account.advisor).or_default();
        if of_advisor.iter().any(|known| known.id == account.id) {
            return;
        }
        of_advisor.push(Arc::clone(&account));
        self.count += 1;
        for name in names(&account.party) {
            self.by_name.entry((Arc::clone(&account.network), name)).or_default().insert(account.advisor);
        }
    }

    fn remove(&mut self, account: &KnownAccount) {
        let Some(of_advisor) = self.of_advisor.get_mut(&account.advisor) else { return };
        let Some(place) = of_advisor.iter().position(|known| known.id == account.id) else { return };
        of_advisor.swap_remove(place);
        self.count -= 1;
        let others = of_advisor.iter().filter(|other| other.network == account.network);
        let still: BTreeSet<String> = others.flat_map(|other| names(&other.party)).collect();
        if of_advisor.is_empty() {
            self.of_advisor.remove(&account.advisor);
        }
        for name in names(&account.party).filter(|name| !still.contains(name)) {
            let key = (Arc::clone(&account.network), name);
            let Some(advisors) = self.by_name.get_mut(&key) else { continue };
            advisors.remove(&account.advisor);
            if advisors.is_empty() {
                self.by_name.remove(&key);
            }
        }
    }
}

/// What a party can be found by. A handle is compared without its `@` and without case.
fn names(party: &Party) -> impl Iterator<Item = String> {
    let id = Some(&party.id).filter(|id| !id.is_empty()).map(|id| format!("id:{id}"));
    let handle = party.handle.as_ref().filter(|handle| !handle.is_empty());
    let handle = handle.map(|handle| format!("handle:{}", handle.trim_start_matches('@').to_lowercase()));
    id.into_iter().chain(handle)
}

/// The stable id decides where both have one: a handle can move to another account.
pub(crate) fn is_same(one: &Party, other: &Party) -> bool {
    if !one.id.is_empty() && !other.id.is_empty() {
        return one.id == other.id;
    }
    names(one).any(|name| names(other).any(|other| name == other))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::{Digest, Direction, Kind};

    const NOW: Timestamp = Timestamp::EPOCH;

    fn actor(advisor: u128, session: Option<u8>) -> Actor {
        let session = session.map(|session| SessionKey(Digest([session; 32])));
        Actor {
            device: DeviceId::new(Uuid::from_u128(advisor)),
            advisor: AdvisorId::new(Uuid::from_u128(advisor)),
            session,
        }
    }

    fn party(id: &str, handle: &str) -> Party {
        Party { id: id.to_owned(), handle: Some(handle.to_owned()), ..Party::default() }
    }

    fn network(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    fn learn(accounts: &Accounts, actor: Actor, party: &Party) -> Option<Learned> {
        let fresh = || AccountId::new(Uuid::from_u128(7));
        accounts.learn(actor, &network("net"), party, NOW, fresh).map(|(learned, _)| learned)
    }

    #[test]
    fn an_account_is_new_once_and_found_by_id_though_its_handle_moves() {
        let accounts = Accounts::default();
        assert_eq!(learn(&accounts, actor(1, None), &party("did:1", "@a")), Some(Learned::New));
        assert_eq!(learn(&accounts, actor(1, None), &party("did:1", "@renamed")), Some(Learned::Known));
        // The old handle belongs to somebody else now.
        let other = AccountId::new(Uuid::from_u128(8));
        let learned = accounts.learn(actor(1, None), &network("net"), &party("did:2", "@a"), NOW, || other);
        assert_eq!(learned.map(|(learned, _)| learned), Some(Learned::New));
        assert_eq!(learn(&accounts, actor(1, None), &Party::default()), None);
    }

    #[test]
    fn a_session_acts_as_its_own_account_and_an_unknown_one_as_any_of_the_advisors() {
        let accounts = Accounts::default();
        learn(&accounts, actor(1, Some(1)), &party("did:1", "@a"));
        let second = AccountId::new(Uuid::from_u128(8));
        accounts.learn(actor(1, Some(2)), &network("net"), &party("did:2", "@b"), NOW, || second);
        let ids = |session| {
            accounts.acting(actor(1, session), "net", NOW).into_iter().map(|party| party.id).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(Some(1)), ids(Some(2)), ids(Some(3))),
            (vec!["did:1".into()], vec!["did:2".into()], vec!["did:1".into(), "did:2".into()])
        );
        assert!(accounts.acting(actor(1, Some(1)), "other_net", NOW).is_empty());
        assert!(accounts.acting(actor(2, Some(1)), "net", NOW).is_empty());
    }

    #[test]
    fn an_account_that_is_forgotten_is_new_again_and_takes_no_other_with_it() {
        let accounts = Accounts::default();
        let second = AccountId::new(Uuid::from_u128(8));
        let page = party("", "@page");
        let (_, kept) =
            accounts.learn(actor(1, None), &network("net"), &party("did:1", "@page"), NOW, || second).unwrap();
        let fresh = || AccountId::new(Uuid::from_u128(9));
        let (_, gone) =
            accounts.learn(actor(1, Some(1)), &network("net"), &party("did:2", "@page"), NOW, fresh).unwrap();
        assert_eq!(learn(&accounts, actor(2, None), &party("did:2", "")), Some(Learned::New));
        let to = |party: &Party| {
            let message = Communication {
                recipients: vec![party.clone()],
                ..Communication::bare(Kind::Message, Direction::Inbound)
            };
            let of = AdvisorId::new(Uuid::from_u128(3));
            let belonging = accounts.belonging(of, Some(&network("net")), &[message], NOW, |_author| true);
            belonging.streams.into_iter().map(|advisor| advisor.uuid().as_u128()).collect::<Vec<_>>()
        };
        assert_eq!((to(&gone.party), to(&page)), (vec![1, 2, 3], vec![1, 3]));
        accounts.forget(&gone);
        accounts.forget(&gone);
        assert_eq!((to(&gone.party), to(&page)), (vec![1, 2, 3], vec![1, 3]), "the other one has the handle as well");
        assert_eq!(to(&party("did:2", "")), [2, 3]);
        accounts.forget(&kept);
        assert_eq!(to(&page), [3]);
        assert_eq!(learn(&accounts, actor(1, None), &gone.party), Some(Learned::New));
        assert_eq!(learn(&accounts, actor(1, None), &kept.party), Some(Learned::New));
    }

    #[test]
    fn an_author_who_is_not_believed_moves_nothing_into_another_stream() {
        let accounts = Accounts::default();
        learn(&accounts, actor(1, None), &party("did:chief", "@chief"));
        let post = Communication {
            author: Some(party("did:chief", "@chief")),
            ..Communication::bare(Kind::Post, Direction::Outbound)
        };
        let own = AdvisorId::new(Uuid::from_u128(2));
        let streams = |believed: bool| {
            let post = std::slice::from_ref(&post);
            accounts.belonging(own, Some(&network("net")), post, NOW, |_author| believed).streams.len()
        };
        assert_eq!((streams(false), streams(true)), (1, 2));
    }

    #[test]
    fn streams_are_bounded_and_never_without_the_device_s_own_advisor() {
        let accounts = Accounts::default();
        for advisor in 0..300 {
            let fresh = || AccountId::new(Uuid::from_u128(advisor));
            let party = party(&format!("did:{advisor}"), "");
            accounts.learn(actor(advisor, None), &network("net"), &party, NOW, fresh);
        }
        let recipients = (0..300).map(|advisor| party(&format!("did:{advisor}"), "")).collect();
        let message = Communication { recipients, ..Communication::bare(Kind::Message, Direction::Outbound) };
        let own = AdvisorId::new(Uuid::from_u128(299));
        let streams = accounts.belonging(own, Some(&network("net")), &[message], NOW, |_author| true).streams;
        assert!(streams.len() == STREAMS && streams.contains(&own));
    }
}
