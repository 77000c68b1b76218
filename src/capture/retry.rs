//! Linking of retries: the same request from the same device within a window names the capture it repeats.
//!
//! A link says that the request is the same, not why it was sent again: a device whose answer got lost and an advisor who says
//! the same thing twice look alike. Both are captured whole. What is remembered is a digest, so that no credential or text
//! stays in memory, and nothing of it is stored.

use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::recent::Recent;
use crate::exchange::RequestHead;
use crate::record::{DeviceId, Digest, EntryId, Timestamp};

const CAPACITY: usize = 8192;
/// Longer than any client waits before it tries again on its own.
const WINDOW: Duration = Duration::from_secs(600);

/// Remembers the last captures.
#[derive(Debug)]
pub(crate) struct Retries(Mutex<Recent<Digest, EntryId>>);

/// What makes two requests the same one.
#[derive(Debug, Clone)]
pub(crate) struct Sameness {
    request: Digest,
    idempotency: Option<Digest>,
}

impl Default for Retries {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY, WINDOW)))
    }
}

impl Sameness {
    /// `body` is the SHA-256 of the body as sent.
    pub(crate) fn of(device: DeviceId, head: &RequestHead, body: &Digest) -> Self {
        let place = [head.method.as_str().as_bytes(), head.authority.host().as_bytes(), head.target.as_bytes()];
        let request = digest(b"request", device, head, &[&place[..], &[body.as_bytes()]].concat());
        // A key says "same" even where a client builds the body anew (another boundary, another timestamp).
        let idempotency = head.headers.get("idempotency-key").map(|key| {
            digest(
                b"key",
                device,
                head,
                &[head.method.as_str().as_bytes(), head.authority.host().as_bytes(), key.as_bytes()],
            )
        });
        Self { request, idempotency }
    }
}

impl Retries {
    /// The capture that this one repeats, if any; and remembers this one.
    ///
    /// Called before the append, so that two copies in flight at once are linked as well.
    pub(crate) fn link(&self, same: &Sameness, entry: EntryId, now: Timestamp) -> Option<EntryId> {
        let mut recent = self.0.lock();
        let keys = || std::iter::once(&same.request).chain(&same.idempotency);
        let first = keys().find_map(|key| recent.get(key, now).copied());
        // A chain of retries names its first member each time.
        for key in keys() {
            recent.put(*key, first.unwrap_or(entry), now);
        }
        first
    }

    /// Takes back what [`Retries::link`] remembered for a capture that was not kept after all: nothing may name it.
    pub(crate) fn forget(&self, same: &Sameness, entry: EntryId, now: Timestamp) {
        let mut recent = self.0.lock();
        for key in std::iter::once(&same.request).chain(&same.idempotency) {
            if recent.get(key, now) == Some(&entry) {
                recent.remove(key);
            }
        }
    }
}

/// Length before value: no two lists of parts run into the same bytes.
fn digest(sort: &[u8], device: DeviceId, head: &RequestHead, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new_with_prefix(sort);
    hasher.update(device.uuid().as_bytes());
    hasher.update(head.authority.port().to_be_bytes());
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Version};
    use uuid::Uuid;

    use super::*;
    use crate::exchange::{Authority, Scheme};

    fn head(target: &str, key: Option<&'static str>) -> RequestHead {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert("idempotency-key", HeaderValue::from_static(key));
        }
        RequestHead {
            method: Method::POST,
            scheme: Scheme::Https,
            authority: Authority::new("social.example", 443).unwrap(),
            target: target.to_owned(),
            version: Version::HTTP_11,
            headers,
        }
    }

    fn same(device: u128, head: &RequestHead, body: &[u8]) -> Sameness {
        Sameness::of(DeviceId::new(Uuid::from_u128(device)), head, &Digest::of(&[body]))
    }

    fn entry(number: u128) -> EntryId {
        EntryId::new(Uuid::from_u128(number))
    }

    #[test]
    fn the_same_request_is_linked_to_its_first_capture() {
        let (retries, now) = (Retries::default(), Timestamp::EPOCH);
        let post = same(1, &head("/post", None), b"words");
        assert_eq!(retries.link(&post, entry(1), now), None);
        assert_eq!(retries.link(&post, entry(2), now), Some(entry(1)));
        assert_eq!(retries.link(&post, entry(3), now), Some(entry(1)));
    }

    #[test]
    fn another_device_target_or_body_is_another_request() {
        let (retries, now) = (Retries::default(), Timestamp::EPOCH);
        assert_eq!(retries.link(&same(1, &head("/post", None), b"words"), entry(1), now), None);
        for other in [
            same(2, &head("/post", None), b"words"),
            same(1, &head("/pos", None), b"twords"),
            same(1, &head("/post", None), b"word"),
        ] {
            assert_eq!(retries.link(&other, entry(2), now), None);
        }
    }

    #[test]
    fn an_idempotency_key_links_bodies_that_differ() {
        let (retries, now) = (Retries::default(), Timestamp::EPOCH);
        retries.link(&same(1, &head("/post", Some("k1")), b"boundary a"), entry(1), now);
        assert_eq!(retries.link(&same(1, &head("/post", Some("k1")), b"boundary b"), entry(2), now), Some(entry(1)));
        assert_eq!(retries.link(&same(1, &head("/post", Some("k2")), b"boundary c"), entry(3), now), None);
    }

    #[test]
    fn a_capture_that_was_not_kept_is_never_named() {
        let (retries, now) = (Retries::default(), Timestamp::EPOCH);
        let post = same(1, &head("/post", None), b"words");
        retries.link(&post, entry(1), now);
        retries.forget(&post, entry(1), now);
        assert_eq!(retries.link(&post, entry(2), now), None);
    }

    #[test]
    fn after_the_window_the_same_words_are_said_anew() {
        let retries = Retries::default();
        let post = same(1, &head("/post", None), b"words");
        retries.link(&post, entry(1), Timestamp::EPOCH);
        let later = Timestamp::from_unix_micros(601_000_000).unwrap();
        assert_eq!(retries.link(&post, entry(2), later), None);
    }
}
