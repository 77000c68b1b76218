//! How long to wait before a message is tried again. Pure: chance is an argument.

use std::time::Duration;

/// Each pause is so many times the one before.
const FACTOR: u32 = 4;

/// The pause after this many failed attempts (from 1): `first`, then four times as long each time, never longer than `longest`; between half of
/// that and all of it, as `chance` has it, so that receivers that come back are not met by everybody at once.
pub(super) fn pause(failed: u32, first: Duration, longest: Duration, chance: u32) -> Duration {
    let factor = FACTOR.checked_pow(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = first.saturating_mul(factor).min(longest);
    let half = whole / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pause_lies_between_half_and_all_of_what_is_meant_and_is_never_longer_than_the_longest(
            failed in 0_u32..200, first in 1_u64..60_000, longest in 1_u64..10_000_000, chance: u32,
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let meant = first.as_secs_f64() * 4_f64.powi(i32::try_from(failed.saturating_sub(1)).unwrap());
            let meant = meant.min(longest.as_secs_f64());
            let paused = pause(failed, first, longest, chance);
            prop_assert!(paused <= longest);
            prop_assert!(paused.as_secs_f64() <= meant * 1.000_001 && paused.as_secs_f64() >= meant * 0.499_999);
            prop_assert!(pause(failed, first, longest, 0) <= paused && paused <= pause(failed, first, longest, u32::MAX));
        }

        #[test]
        fn pauses_never_grow_shorter(failed in 1_u32..200, first in 1_u64..60_000, longest in 1_u64..10_000_000, chance: u32) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            prop_assert!(pause(failed, first, longest, chance) <= pause(failed + 1, first, longest, chance));
        }
    }

    #[test]
    fn the_pauses_of_the_defaults_are_those_of_the_document() {
        let longest = |failed| pause(failed, Duration::from_secs(5), Duration::from_secs(3_600), u32::MAX).as_secs();
        assert_eq!((1..=7).map(longest).collect::<Vec<_>>(), [5, 20, 80, 320, 1_280, 3_600, 3_600]);
    }
}
