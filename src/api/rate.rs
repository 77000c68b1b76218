//! How many requests one token, and one address, may send. Beyond that they are told when to come back, before anything is read.
//!
//! Invariant: memory is bounded. Whoever was silent long enough to have everything again is forgotten; where that is not enough, all are.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::problem::Problem;
use crate::record::OfficerId;

/// Tokens, or addresses, remembered at once.
const REMEMBERED: usize = 10_000;
/// Seconds' worth that may be sent at once.
const BURST: f64 = 5.0;

/// The limits of the API.
pub struct RateLimits {
    tokens: Limiter<OfficerId>,
    addresses: Limiter<IpAddr>,
}

impl RateLimits {
    /// Requests a second of one token and of one address; 0 for no limit.
    #[must_use]
    pub fn new(per_token: u32, per_address: u32) -> Self {
        Self { tokens: Limiter::new(per_token), addresses: Limiter::new(per_address) }
    }

    pub(super) fn token(&self, officer: OfficerId) -> Result<(), Problem> {
        self.tokens.take(officer, Instant::now()).map_err(|wait| Problem::rate_limited("token", wait))
    }

    pub(super) fn address(&self, peer: IpAddr) -> Result<(), Problem> {
        self.addresses.take(one_network(peer), Instant::now()).map_err(|wait| Problem::rate_limited("address", wait))
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn one_network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What somebody has left, and when that was so.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Token buckets.
struct Limiter<K> {
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Limiter<K> {
    fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Takes one, or says how long until there is one again.
    fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        if self.per_second == 0.0 {
            return Ok(());
        }
        let most = self.per_second * BURST;
        let left = |bucket: &Bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            passed.mul_add(self.per_second, bucket.left).min(most)
        };
        let mut buckets = self.buckets.lock();
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| left(bucket) < most);
            if buckets.len() >= REMEMBERED {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: most, at: now });
        let has = left(bucket);
        if has < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - has) / self.per_second));
        }
        *bucket = Bucket { left: has - 1.0, at: now };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_more_than_the_rate_waits_until_there_is_one_again() {
        let (limiter, now) = (Limiter::new(2), Instant::now());
        for _ in 0..10 {
            limiter.take("a", now).unwrap();
        }
        let wait = limiter.take("a", now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        limiter.take("b", now).unwrap();
        assert!(limiter.take("a", now + wait / 2).is_err());
        limiter.take("a", now + wait).unwrap();
        assert!(limiter.take("a", now + wait).is_err());
        for _ in 0..10 {
            limiter.take("a", now + Duration::from_secs(3_600)).unwrap();
        }
    }

    #[test]
    fn memory_is_bounded_and_no_limit_remembers_nobody() {
        let (limiter, now) = (Limiter::new(1), Instant::now());
        for key in 0..30_000 {
            limiter.take(key, now).unwrap();
        }
        assert!(limiter.buckets.lock().len() <= REMEMBERED);
        let none = Limiter::new(0);
        for _ in 0..1_000 {
            none.take(1, now).unwrap();
        }
        assert!(none.buckets.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| one_network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
