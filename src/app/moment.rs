//! A moment as an operator types it.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::record::Timestamp;

/// A date, which is its first moment in UTC, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

/// The text was no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a date such as 2026-03-01, or a time such as 2026-03-01T09:00:00Z")]
pub struct MomentError;

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self(Timestamp::new(date.midnight().assume_utc())));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_source| MomentError)?;
        // In UTC it may lie outside the years that can be written.
        let utc = time.checked_to_offset(UtcOffset::UTC).filter(|utc| utc.year() >= 0).ok_or(MomentError)?;
        Ok(Self(Timestamp::new(utc)))
    }
}
