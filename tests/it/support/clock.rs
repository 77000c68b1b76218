//! A clock that runs and can be made to step, and ids from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use muniment::record::{Clock, Ids, Timestamp};
use uuid::Uuid;

/// The system's clock, set wrong by a chosen amount.
#[derive(Debug, Default)]
pub(crate) struct SteppingClock {
    offset_us: AtomicI64,
}

impl SteppingClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn step_forward(&self, by: Duration) {
        self.offset_us.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn step_back(&self, by: Duration) {
        self.offset_us.fetch_sub(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SteppingClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the tests' clock reads the system's")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::new(time::OffsetDateTime::now_utc());
        Timestamp::from_unix_micros(now.unix_micros() + self.offset_us.load(Ordering::Relaxed)).unwrap()
    }
}

/// UUIDv7 values that are unique across the processes of a test run.
#[derive(Debug)]
pub(crate) struct TestIds {
    count: AtomicU64,
    process: [u8; 4],
}

impl TestIds {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), process: std::process::id().to_be_bytes() })
    }
}

impl Ids for TestIds {
    #[expect(clippy::disallowed_methods, reason = "this is where the tests' ids read the system's clock")]
    fn fresh(&self) -> Uuid {
        let millis = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let mut random = [0; 10];
        random[..4].copy_from_slice(&self.process);
        random[4..].copy_from_slice(&self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes()[2..]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap(), &random).into_uuid()
    }
}
