//! Notices when the wall clock steps: a record's times are evidence, so a step is a gap on record.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::ledger::{Actor, Commitments, Draft, EntryType};
use crate::record::{EntryId, Timestamp, Word};

/// Smaller differences are what network time does all day.
const STEP: Duration = Duration::from_secs(5);

/// Compares the wall clock with the time that has passed.
#[derive(Debug, Default)]
pub(super) struct StepWatch {
    last: Option<(Timestamp, Instant)>,
}

/// The wall clock read `from` when it should have read about the same as `until`, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// What the clock would have read.
    expected: Timestamp,
    /// What it reads.
    now: Timestamp,
}

impl StepWatch {
    /// Takes a reading of both clocks. The first is compared with the time of the ledger's last entry: a clock that is behind
    /// it has stepped back, here or by being another machine's.
    pub(super) fn read(&mut self, now: Timestamp, instant: Instant, ledger: Timestamp) -> Option<Step> {
        let expected = match self.last {
            Some((wall, then)) => {
                let passed = i64::try_from(instant.saturating_duration_since(then).as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_unix_micros(wall.unix_micros().saturating_add(passed)).unwrap_or(wall)
            }
            None => now.max(ledger),
        };
        self.last = Some((now, instant));
        let step = Step { expected, now };
        (step.size() > STEP).then_some(step)
    }
}

impl Step {
    fn size(&self) -> Duration {
        Duration::from_micros(self.now.unix_micros().abs_diff(self.expected.unix_micros()))
    }

    /// The gap entry that says so.
    pub(super) fn draft(&self, id: EntryId, actor: Word, cause: &Word) -> Draft {
        let forward = self.now > self.expected;
        let detail: Map<String, Value> = [
            ("cause", Value::from(cause.as_str())),
            ("count", Value::from(1)),
            ("from", Value::from(self.expected.min(self.now).to_string())),
            ("until", Value::from(self.expected.max(self.now).to_string())),
            ("step", Value::from(if forward { "forward" } else { "backward" })),
            ("step_us", Value::from(u64::try_from(self.size().as_micros()).unwrap_or(0))),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        Draft {
            id,
            entry_type: EntryType::Gap,
            actor: Actor::Service(actor),
            captured_at: self.now,
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn a_step_is_the_wall_clock_against_the_time_that_passed() {
        let start = Instant::now();
        let mut watch = StepWatch::default();
        assert_eq!(watch.read(at(1_000), start, at(900)), None);
        assert_eq!(watch.read(at(1_010), start + Duration::from_secs(10), at(1_000)), None, "time passed");
        assert_eq!(watch.read(at(1_015), start + Duration::from_secs(10), at(1_010)), None, "5 s are no step");
        let forward = watch.read(at(1_025), start + Duration::from_secs(11), at(1_015)).unwrap();
        assert_eq!(forward.size(), Duration::from_secs(9));
        let backward = watch.read(at(500), start + Duration::from_secs(11), at(1_025)).unwrap();
        assert_eq!(backward.size(), Duration::from_secs(525));
    }

    #[test]
    fn a_clock_behind_the_ledger_has_stepped_back() {
        let mut watch = StepWatch::default();
        assert!(watch.read(at(100), Instant::now(), at(106)).is_some());
        assert!(watch.read(at(100), Instant::now(), at(106)).is_none(), "said once");
    }
}
