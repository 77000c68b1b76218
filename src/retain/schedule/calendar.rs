//! Lengths of time by the calendar, and ends of fiscal years.
//!
//! Invariant: where the calendar leaves a choice, the later moment is taken. All of it in UTC; a fiscal year is one of local days, so it begins with
//! the first place on earth and ends with the last.

use std::fmt;
use std::str::FromStr;

use time::{Date, Duration, Month, OffsetDateTime};

use crate::record::Timestamp;

/// No rule asks for more.
const LONGEST_YEARS: u16 = 200;
/// Clocks are ahead of UTC by so much at most, and behind it by so much.
const AHEAD: Duration = Duration::hours(14);
const BEHIND: Duration = Duration::hours(12);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Years,
    Months,
    Days,
}

/// A length such as `6 years`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    number: u16,
    unit: Unit,
}

/// Not a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a length from one day to 200 years, such as \"6 years\", \"18 months\" or \"90 days\"")]
pub struct LengthError;

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let (number, unit) = text.split_once(' ').ok_or(LengthError)?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number: u16 =
            if digits { number.parse().map_err(|_source| LengthError)? } else { return Err(LengthError) };
        let (unit, most) = match unit {
            "year" | "years" => (Unit::Years, LONGEST_YEARS),
            "month" | "months" => (Unit::Months, LONGEST_YEARS * 12),
            "day" | "days" => (Unit::Days, u16::MAX),
            _ => return Err(LengthError),
        };
        if number <= most { Ok(Self { number, unit }) } else { Err(LengthError) }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match (self.unit, self.number) {
            (Unit::Years, 1) => "year",
            (Unit::Years, _) => "years",
            (Unit::Months, 1) => "month",
            (Unit::Months, _) => "months",
            (Unit::Days, 1) => "day",
            (Unit::Days, _) => "days",
        };
        write!(f, "{} {unit}", self.number)
    }
}

impl Length {
    /// The moment that is so much later. A day that its month does not have is the first of the next; what lies beyond the calendar is its end.
    #[must_use]
    pub fn after(self, from: Timestamp) -> Timestamp {
        let (from, number) = (from.date_time(), i64::from(self.number));
        let later = match self.unit {
            Unit::Years => shifted(from, number * 12),
            Unit::Months => shifted(from, number),
            Unit::Days => from.checked_add(Duration::days(number)),
        };
        later.filter(|later| later.year() <= 9999).map_or_else(end_of_time, Timestamp::new)
    }

    /// As months and days.
    #[must_use]
    pub fn parts(self) -> (u32, u32) {
        let number = u32::from(self.number);
        match self.unit {
            Unit::Years => (number * 12, 0),
            Unit::Months => (number, 0),
            Unit::Days => (0, number),
        }
    }

    /// A moment from which so much has passed by then, and from all before it too: never too early, and late by a day at most.
    #[must_use]
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        let (now, number) = (now.date_time(), i64::from(self.number));
        let earlier = match self.unit {
            Unit::Years => shifted(now, -number * 12),
            Unit::Months => shifted(now, -number),
            Unit::Days => now.checked_sub(Duration::days(number)),
        };
        let earlier = earlier.and_then(|earlier| earlier.checked_add(Duration::DAY));
        earlier.filter(|earlier| earlier.year() >= 0).map_or(Timestamp::EPOCH, Timestamp::new)
    }
}

fn end_of_time() -> Timestamp {
    let last = Date::from_calendar_date(9999, Month::December, 31);
    last.map_or(Timestamp::EPOCH, |last| Timestamp::new(last.midnight().assume_utc()))
}

/// So many months on, or back; on a day that is not there, the first of the month after.
fn shifted(from: OffsetDateTime, months: i64) -> Option<OffsetDateTime> {
    let all = i64::from(from.year()) * 12 + i64::from(u8::from(from.month())) - 1 + months;
    let (year, month) = (i32::try_from(all.div_euclid(12)).ok()?, u8::try_from(all.rem_euclid(12)).ok()? + 1);
    let date = match Date::from_calendar_date(year, Month::try_from(month).ok()?, from.day()) {
        Ok(date) => date,
        Err(_not_there) => {
            let next = all.checked_add(1)?;
            let month = u8::try_from(next.rem_euclid(12)).ok()? + 1;
            Date::from_calendar_date(i32::try_from(next.div_euclid(12)).ok()?, Month::try_from(month).ok()?, 1).ok()?
        }
    };
    Some(date.with_time(from.time()).assume_utc())
}

/// The last day of the fiscal year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YearEnd {
    month: Month,
    day: u8,
}

/// Not a day of the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write month and day, such as \"12-31\"; \"02-29\" is the last of february")]
pub struct YearEndError;

impl FromStr for YearEnd {
    type Err = YearEndError;

    fn from_str(text: &str) -> Result<Self, YearEndError> {
        let two = |text: &str| {
            let sound = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            if sound { text.parse::<u8>().ok() } else { None }
        };
        let (month, day) = text.split_once('-').ok_or(YearEndError)?;
        let (month, day) = (two(month).ok_or(YearEndError)?, two(day).ok_or(YearEndError)?);
        let month = Month::try_from(month).map_err(|_source| YearEndError)?;
        // 2024 has a 29th of February.
        Date::from_calendar_date(2024, month, day).map_err(|_source| YearEndError)?;
        Ok(Self { month, day })
    }
}

impl fmt::Display for YearEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", u8::from(self.month), self.day)
    }
}

impl YearEnd {
    /// When the fiscal year in which a moment lies has ended, wherever on earth.
    #[must_use]
    pub fn of(self, at: Timestamp) -> Timestamp {
        let Some(local) = at.date_time().checked_add(AHEAD) else { return end_of_time() };
        let this_year = self.in_year(local.year());
        let last = match this_year {
            Some(last) if last >= local.date() => Some(last),
            _ => self.in_year(local.year().saturating_add(1)),
        };
        let over = last.and_then(Date::next_day).and_then(|next| next.midnight().assume_utc().checked_add(BEHIND));
        over.filter(|over| over.year() <= 9999).map_or_else(end_of_time, Timestamp::new)
    }

    fn in_year(self, year: i32) -> Option<Date> {
        let day = self.day.min(self.month.length(year));
        Date::from_calendar_date(year, self.month, day).ok()
    }
}
