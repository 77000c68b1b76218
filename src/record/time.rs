//! Times as the ledger writes them: RFC 3339, UTC, exactly six fraction digits, `Z`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// What a time looks like; `0` stands for a digit.
const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// The text was not a time of the form `2026-11-21T20:00:00.000000Z`, or lies outside years 0–9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written like 2026-11-21T20:00:00.000000Z (RFC 3339, UTC, six fraction digits)")]
pub struct TimestampError;

/// A moment in UTC, to the microsecond (finer digits are cut off, never rounded up).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// 1970-01-01T00:00:00.000000Z.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Converts to UTC and cuts to microseconds. A moment that has no place in years 0–9999 (no clock shows one) becomes
    /// [`Timestamp::EPOCH`].
    #[must_use]
    pub fn new(time: OffsetDateTime) -> Self {
        let utc =
            time.checked_to_offset(UtcOffset::UTC).filter(|utc| utc.year() >= 0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Self(utc.replace_microsecond(utc.microsecond()).unwrap_or(utc))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// When the moment lies outside years 0–9999.
    pub fn from_unix_micros(micros: i64) -> Result<Self, TimestampError> {
        let time =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_source| TimestampError)?;
        if (0..=9999).contains(&time.year()) { Ok(Self(time)) } else { Err(TimestampError) }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        i64::try_from(self.0.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    /// As the ledger writes it.
    #[must_use]
    pub fn text(self) -> [u8; 27] {
        let t = self.0;
        // Years 0 to 9999: every way to make a timestamp sees to it.
        let year = u32::from(t.year().unsigned_abs() as u16);
        let parts = [
            (0, 4, year),
            (5, 2, u32::from(u8::from(t.month()))),
            (8, 2, u32::from(t.day())),
            (11, 2, u32::from(t.hour())),
            (14, 2, u32::from(t.minute())),
            (17, 2, u32::from(t.second())),
            (20, 6, t.microsecond()),
        ];
        let mut text = *SHAPE;
        for (from, digits, mut value) in parts {
            for digit in text.iter_mut().skip(from).take(digits).rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        text
    }

    /// As the `time` crate has it.
    #[must_use]
    pub const fn date_time(self) -> OffsetDateTime {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_source| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let text = <&[u8; 27]>::try_from(text.as_bytes()).map_err(|_source| TimestampError)?;
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        if !text.iter().zip(SHAPE).all(fits) {
            return Err(TimestampError);
        }
        let number = |from: usize, digits: usize| {
            let digits = text.iter().skip(from).take(digits);
            digits.fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
        };
        let byte = |from| u8::try_from(number(from, 2)).unwrap_or(u8::MAX);
        let month = Month::try_from(byte(5)).map_err(|_source| TimestampError)?;
        let year = i32::try_from(number(0, 4)).map_err(|_source| TimestampError)?;
        let date = Date::from_calendar_date(year, month, byte(8)).map_err(|_source| TimestampError)?;
        let time = Time::from_hms_micro(byte(11), byte(14), byte(17), number(20, 6));
        Ok(Self(date.with_time(time.map_err(|_source| TimestampError)?).assume_utc()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let text = "2026-11-21T20:00:00.000001Z";
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        for other in ["2026-11-21T20:00:60.000000Z", "2026-02-29T20:00:00.000000Z", "2026-13-01T20:00:00.000000Z"] {
            assert_eq!(other.parse::<Timestamp>(), Err(TimestampError), "{other}");
        }
        for good in ["0000-02-29T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(good.parse::<Timestamp>().unwrap().to_string(), good);
        }
        for other in ["2026-11-21T20:00:00Z", "2026-11-21T20:00:00.000001+00:00", "2026-11-21 20:00:00.000001Z", ""] {
            assert_eq!(other.parse::<Timestamp>(), Err(TimestampError), "{other}");
        }
    }
}
