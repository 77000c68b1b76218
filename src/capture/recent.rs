//! A map that remembers the newest few, for a while: bounded in number and in time.
//!
//! Invariant: never more than `capacity` keys, and none older than `window` is ever given back. Forgetting is always safe for
//! its users: a forgotten key costs a lookup in the archive or a link that is not made, never a record.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::record::Timestamp;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    capacity: usize,
    window_micros: i64,
    entries: HashMap<K, Held<V>>,
    /// Oldest first; a key that was put in again stands here twice, and the older place is stale.
    order: VecDeque<(K, u64)>,
    puts: u64,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    at: Timestamp,
    put: u64,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize, window: Duration) -> Self {
        Self {
            capacity,
            window_micros: i64::try_from(window.as_micros()).unwrap_or(i64::MAX),
            entries: HashMap::new(),
            order: VecDeque::new(),
            puts: 0,
        }
    }

    /// The value, unless it is too old. A clock that stepped back makes nothing older.
    pub(crate) fn get<Q>(&self, key: &Q, now: Timestamp) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let held = self.entries.get(key)?;
        let age = now.unix_micros().saturating_sub(held.at.unix_micros());
        (age <= self.window_micros).then_some(&held.value)
    }

    /// Puts a value in; answers with the one it replaces. The oldest makes room.
    pub(crate) fn put(&mut self, key: K, value: V, now: Timestamp) -> Option<V> {
        self.puts += 1;
        self.order.push_back((key.clone(), self.puts));
        let old = self.entries.insert(key, Held { value, at: now, put: self.puts });
        // Stale places are skipped; that they cannot pile up is what the second condition is for.
        while self.entries.len() > self.capacity || self.order.len() > self.capacity.saturating_mul(2) {
            let Some((oldest, put)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|held| held.put == put) {
                self.entries.remove(&oldest);
            }
        }
        old.map(|held| held.value)
    }

    /// Forgets a key.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.remove(key).map(|held| held.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn what_is_too_old_or_too_many_is_forgotten() {
        let mut recent = Recent::new(2, Duration::from_secs(10));
        recent.put("a", 1, at(0));
        assert_eq!((recent.get("a", at(10)), recent.get("a", at(11))), (Some(&1), None));
        recent.put("b", 2, at(1));
        assert_eq!(recent.put("a", 3, at(2)), Some(1));
        recent.put("c", 4, at(3));
        assert_eq!(
            (recent.get("a", at(3)), recent.get("b", at(3)), recent.get("c", at(3))),
            (Some(&3), None, Some(&4))
        );
    }

    #[test]
    fn a_key_put_in_again_and_again_takes_no_more_room() {
        let mut recent = Recent::new(3, Duration::from_secs(10));
        for round in 0..1000 {
            recent.put("same", round, at(0));
        }
        assert!(recent.order.len() <= 6 && recent.entries.len() == 1);
        assert_eq!(recent.get("same", at(0)), Some(&999));
    }
}
