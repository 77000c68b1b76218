//! What benches of the archive share: the system's clock, and ids that count.

use std::sync::atomic::{AtomicU64, Ordering};

use muniment::record::{Clock, Ids, Timestamp};
use uuid::Uuid;

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the bench's clock is the system's")]
    fn now(&self) -> Timestamp {
        Timestamp::new(time::OffsetDateTime::now_utc())
    }
}

/// Ids that count, in the form of UUIDv7.
#[derive(Default)]
pub(crate) struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn fresh(&self) -> Uuid {
        let millis = u64::try_from(SystemClock.now().unix_micros() / 1_000).unwrap();
        let mut random = [1; 10];
        random[2..].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
