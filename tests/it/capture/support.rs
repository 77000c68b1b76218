//! A scripted clock and counted random bytes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use muniment::capture::{Entropy, EntropyError};
use muniment::record::{Clock, Timestamp};

/// Starts at 2026-11-21T20:00:00Z and does not move.
pub(crate) struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_795_291_200_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Bytes that never repeat, and are not random.
#[derive(Default)]
pub(crate) struct CountedEntropy(AtomicU64);

impl Entropy for CountedEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&count[..chunk.len()]);
        }
        Ok(())
    }
}
