//! Times as people write them in parameters, and the spans between two of them.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use super::problem::Problem;
use super::query::Parameters;
use crate::record::Timestamp;

/// A time as people write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl Moment {
    /// Takes the two parameters of a span: from the first on, and before the second.
    pub(super) fn take_span(
        parameters: &mut Parameters,
        [since, until]: [&'static str; 2],
    ) -> Result<[Option<Self>; 2], Problem> {
        let span: [Option<Self>; 2] = [parameters.take(since)?, parameters.take(until)?];
        match span {
            [Some(first), Some(end)] if first.0 >= end.0 => {
                Err(Problem::parameter(until, format!("must be later than `{since}`")))
            }
            span => Ok(span),
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "write a time such as 2026-11-21T20:00:00Z, or a date such as 2026-11-21";
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self(Timestamp::new(date.midnight().assume_utc())));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_source| wrong)?;
        // In UTC it may lie outside the years that can be written.
        let utc = time.checked_to_offset(UtcOffset::UTC).filter(|utc| utc.year() >= 0).ok_or(wrong)?;
        Ok(Self(Timestamp::new(utc)))
    }
}
