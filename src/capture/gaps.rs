//! Counting gaps: repeats of one cause on one host and device become one entry with a count.
//!
//! Invariant: the first of its kind is due at once and every later one within the window, nothing noted is ever lost to
//! make room, and the table is bounded: beyond the bound, hosts are no longer told apart, but counts still are. Pure: what is
//! due is written by [`super::gap_log`].

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::capture::{Gap, GapCause};
use crate::record::{DeviceId, Timestamp};

const MAX_KINDS: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sort {
    cause: GapCause,
    host: Option<String>,
    device: Option<DeviceId>,
}

#[derive(Debug)]
struct Tally {
    /// None: what was counted has been written; kept for the rest of the window, so that the next repeat waits.
    counted: Option<Counted>,
    /// When it has to be written. Monotonic: a wall clock that steps back must not put a gap off.
    due: Instant,
}

/// Gaps of one sort, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) gap: Gap,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Gaps {
    tallies: HashMap<Sort, Tally>,
    /// Repeats within it are counted together.
    window: Duration,
}

impl Gaps {
    pub(crate) fn new(window: Duration) -> Self {
        Self { tallies: HashMap::new(), window }
    }

    /// Notes a gap. True when something becomes due that was not before: whoever waits has to look again.
    pub(crate) fn note(&mut self, gap: Gap, wall: Timestamp, now: Instant) -> bool {
        let from = gap.from.unwrap_or(wall).min(wall);
        self.add(Counted { gap, from, until: wall }, now)
    }

    /// Puts back what could not be written: it stays due.
    pub(crate) fn put_back(&mut self, counted: Counted, now: Instant) {
        let sort = Sort::of(&counted.gap);
        self.add(counted, now);
        if let Some(tally) = self.tallies.get_mut(&sort) {
            tally.due = tally.due.min(now);
        }
    }

    /// Takes what is due.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Counted> {
        let mut due = Vec::new();
        let window = self.window;
        self.tallies.retain(|_sort, tally| {
            if tally.due > now {
                return true;
            }
            tally.due = now + window;
            let counted = tally.counted.take();
            let busy = counted.is_some();
            due.extend(counted);
            busy
        });
        due
    }

    /// Takes everything, due or not.
    pub(crate) fn all(&mut self) -> Vec<Counted> {
        self.tallies.drain().filter_map(|(_sort, tally)| tally.counted).collect()
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.tallies.values().filter(|tally| tally.counted.is_some()).map(|tally| tally.due).min()
    }

    fn add(&mut self, mut counted: Counted, now: Instant) -> bool {
        let mut sort = Sort::of(&counted.gap);
        if self.tallies.len() >= MAX_KINDS && !self.tallies.contains_key(&sort) {
            counted.gap = Gap { count: counted.gap.count, size: counted.gap.size, ..Gap::new(counted.gap.cause) };
            sort = Sort::of(&counted.gap);
        }
        let tally = self.tallies.entry(sort).or_insert(Tally { counted: None, due: now });
        let is_first = tally.counted.is_none();
        tally.counted = Some(match tally.counted.take() {
            None => counted,
            Some(earlier) => earlier.and(counted),
        });
        is_first
    }
}

impl Sort {
    fn of(gap: &Gap) -> Self {
        Self { cause: gap.cause, host: gap.host.clone(), device: gap.device }
    }
}

impl Counted {
    /// Both as one: what they do not share is left out.
    fn and(self, other: Self) -> Self {
        fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
            if one == other { one } else { None }
        }
        let (one, two) = (self.gap, other.gap);
        let gap = Gap {
            cause: one.cause,
            host: one.host,
            device: one.device,
            advisor: same(one.advisor, two.advisor),
            network: same(one.network, two.network),
            exchange: same(one.exchange, two.exchange),
            capture: same(one.capture, two.capture),
            size: match (one.size, two.size) {
                (None, None) => None,
                (one, two) => Some(one.unwrap_or(0).saturating_add(two.unwrap_or(0))),
            },
            count: one.count.saturating_add(two.count),
            from: None,
        };
        Self { gap, from: self.from.min(other.from), until: self.until.max(other.until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    /// One moment on both clocks.
    struct Moments(Instant);

    impl Moments {
        fn note(&self, gaps: &mut Gaps, gap: Gap, second: i64) {
            gaps.note(gap, at(second), self.tick(second));
        }

        fn tick(&self, second: i64) -> Instant {
            self.0 + Duration::from_secs(second.try_into().unwrap())
        }
    }

    fn gap(host: &str) -> Gap {
        Gap { host: Some(host.to_owned()), ..Gap::new(GapCause::LeafRefused) }
    }

    #[test]
    fn the_first_is_due_at_once_and_repeats_are_counted_until_the_window_ends() {
        let (mut gaps, time) = (Gaps::new(Duration::from_secs(30)), Moments(Instant::now()));
        time.note(&mut gaps, gap("a"), 0);
        let first = gaps.due(time.tick(0));
        assert_eq!((first.len(), first[0].gap.count), (1, 1));
        for second in 1..20 {
            time.note(&mut gaps, gap("a"), second);
        }
        assert!(gaps.due(time.tick(29)).is_empty());
        assert_eq!(gaps.next_due(), Some(time.tick(30)));
        let rest = gaps.due(time.tick(30));
        assert_eq!((rest[0].gap.count, rest[0].from, rest[0].until), (19, at(1), at(19)));
        assert!(gaps.due(time.tick(60)).is_empty() && gaps.next_due().is_none() && gaps.tallies.is_empty());
    }

    #[test]
    fn another_host_device_or_cause_is_another_entry() {
        let (mut gaps, time) = (Gaps::new(Duration::from_secs(30)), Moments(Instant::now()));
        time.note(&mut gaps, gap("a"), 0);
        time.note(&mut gaps, gap("b"), 0);
        time.note(&mut gaps, Gap { device: Some(DeviceId::new(uuid::Uuid::nil())), ..gap("a") }, 0);
        time.note(&mut gaps, Gap { cause: GapCause::UnknownProtocol, ..gap("a") }, 0);
        assert_eq!(gaps.due(time.tick(0)).len(), 4);
    }

    #[test]
    fn ever_new_hosts_take_no_more_room_and_no_count_is_lost() {
        let (mut gaps, time) = (Gaps::new(Duration::from_secs(30)), Moments(Instant::now()));
        for number in 0..20_000 {
            time.note(&mut gaps, gap(&format!("host-{number}")), 0);
        }
        assert!(gaps.tallies.len() <= MAX_KINDS + 1);
        assert_eq!(gaps.due(time.tick(0)).iter().map(|counted| counted.gap.count).sum::<u64>(), 20_000);
    }

    #[test]
    fn what_could_not_be_written_stays_due_with_its_count() {
        let (mut gaps, time) = (Gaps::new(Duration::from_secs(30)), Moments(Instant::now()));
        time.note(&mut gaps, gap("a"), 0);
        let first = gaps.due(time.tick(0)).remove(0);
        time.note(&mut gaps, gap("a"), 1);
        gaps.put_back(first, time.tick(2));
        let again = gaps.due(time.tick(2));
        assert_eq!((again.len(), again[0].gap.count, again[0].from, again[0].until), (1, 2, at(0), at(1)));
    }
}
