//! When a token ends, as an operator types it.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::record::Timestamp;
use crate::settings::Span;

/// When it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long after now.
    After(Span),
    /// At this time.
    At(Timestamp),
    /// Not by itself.
    Never,
}

/// The text says no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a length such as 14d or 12h, a date such as 2026-12-31, a time such as 2026-12-31T17:00:00Z, or never")]
pub struct ExpiryError;

impl FromStr for Expiry {
    type Err = ExpiryError;

    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self::At(Timestamp::new(date.midnight().assume_utc())));
        }
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            let utc = time.checked_to_offset(UtcOffset::UTC).filter(|utc| utc.year() >= 0).ok_or(ExpiryError)?;
            return Ok(Self::At(Timestamp::new(utc)));
        }
        text.parse().map(Self::After).map_err(|_source| ExpiryError)
    }
}

impl Expiry {
    /// The time meant; none for never, and where it lies beyond all years that can be written.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::At(time) => Some(time),
            Self::After(span) => {
                let end = now.date_time().checked_add(time::Duration::try_from(span.0).ok()?)?;
                Some(end).filter(|end| end.year() <= 9999).map(Timestamp::new)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_length_a_date_a_time_or_never() {
        let now: Timestamp = "2026-11-21T20:00:00.000000Z".parse().unwrap();
        for (text, end) in [
            ("never", None),
            ("14d", Some("2026-12-05T20:00:00.000000Z")),
            ("90m", Some("2026-11-21T21:30:00.000000Z")),
            ("2026-12-31", Some("2026-12-31T00:00:00.000000Z")),
            ("2026-12-31T17:00:00+01:00", Some("2026-12-31T16:00:00.000000Z")),
            ("99999999999d", None),
        ] {
            let meant = text.parse::<Expiry>().unwrap().from(now);
            assert_eq!(meant.map(|time| time.to_string()).as_deref(), end, "{text}");
        }
        for bad in ["", "tomorrow", "14", "2026-13-01", "-1d"] {
            assert_eq!(bad.parse::<Expiry>(), Err(ExpiryError), "{bad}");
        }
    }
}
