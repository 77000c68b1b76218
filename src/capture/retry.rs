//! Linking of retries: the same request from the same device within a window names the capture it repeats.
//!
//! A link says that the request is the same, not why it was sent again: a device whose answer got lost and an advisor who says
//! the same thing twice look alike. Both are captured whole. What is remembered is a digest of the request as it is kept, so that no
//! text stays in memory, and so that after a restart it can be had from what is on record: nothing is stored for it.

use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::Repeatable;
use super::recent::Recent;
use crate::exchange::{Authority, RequestHead};
use crate::record::{DeviceId, Digest, EntryId, Timestamp};

const CAPACITY: usize = 8192;
/// Longer than any client waits before it tries again on its own.
const WINDOW: Duration = Duration::from_secs(600);
/// Captures taken over at a start.
pub(super) const RESTORED: u32 = 1024;

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
    /// `head` is the scrubbed one, `body` the SHA-256 of the body as it is kept.
    pub(crate) fn of(device: DeviceId, head: &RequestHead, body: &Digest) -> Self {
        let (method, authority) = (head.method.as_str().as_bytes(), &head.authority);
        let request = request_digest(device, method, authority, head.target.as_bytes(), body);
        // A key says "same" even where a client builds the body anew (another boundary, another timestamp).
        let key = head.headers.get("idempotency-key").map(http::HeaderValue::as_bytes);
        let idempotency = key.map(|key| key_digest(device, method, authority, key));
        Self { request, idempotency }
    }

    /// What makes a request the same as one on record, as far as that is at hand.
    fn kept(one: &Repeatable) -> Option<impl Iterator<Item = Digest>> {
        #[derive(serde::Deserialize)]
        struct Kept {
            authority: String,
        }
        let authority: Authority = serde_json::from_slice::<Kept>(&one.connection).ok()?.authority.parse().ok()?;
        let mut lines = one.head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        // As `ScrubbedRequest::head_bytes` writes it: no blank is in a method or a target.
        let mut words = lines.next()?.split(|byte| *byte == b' ');
        let (method, target) = (words.next()?, words.next()?);
        let request = one.body.map(|body| request_digest(one.device, method, &authority, target, &body));
        let name = b"idempotency-key: ";
        let key = lines
            .find_map(|line| line.split_at_checked(name.len()).filter(|(start, _)| start.eq_ignore_ascii_case(name)));
        let idempotency = key.map(|(_name, key)| key_digest(one.device, method, &authority, key));
        Some(request.into_iter().chain(idempotency))
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

    /// From when on captures are of use to [`Retries::restore`].
    pub(crate) fn window(now: Timestamp) -> Timestamp {
        let micros = i64::try_from(WINDOW.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_unix_micros(now.unix_micros().saturating_sub(micros)).unwrap_or(Timestamp::EPOCH)
    }

    /// Takes over what an earlier process kept, newest first. What this one has linked already stands.
    pub(crate) fn restore(&self, kept: &[Repeatable], now: Timestamp) {
        let mut recent = self.0.lock();
        for one in kept.iter().rev() {
            for key in Sameness::kept(one).into_iter().flatten() {
                if recent.get(&key, now).is_none() {
                    recent.put(key, one.first, one.at);
                }
            }
        }
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

fn request_digest(device: DeviceId, method: &[u8], authority: &Authority, target: &[u8], body: &Digest) -> Digest {
    digest(b"request", device, authority, &[method, authority.host().as_bytes(), target, body.as_bytes()])
}

fn key_digest(device: DeviceId, method: &[u8], authority: &Authority, key: &[u8]) -> Digest {
    digest(b"key", device, authority, &[method, authority.host().as_bytes(), key])
}

/// Length before value: no two lists of parts run into the same bytes.
fn digest(sort: &[u8], device: DeviceId, authority: &Authority, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new_with_prefix(sort);
    hasher.update(device.uuid().as_bytes());
    hasher.update(authority.port().to_be_bytes());
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
    use crate::exchange::Scheme;

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
