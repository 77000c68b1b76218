//! The real clock and the real source of ids: the only place that asks the machine for either.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::record::{Clock, Ids, Timestamp};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are handed")]
    fn now(&self) -> Timestamp {
        Timestamp::new(OffsetDateTime::now_utc())
    }
}

/// UUIDv7 from the machine's clock and random bytes; rising within a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the source of ids that the others are handed")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}
