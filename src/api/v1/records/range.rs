//! Which part of a value is answered: conditional and range requests (RFC 9110, 13 and 14), one range at a time.
//!
//! Invariant: the entity tag is the digest of the whole value, so two answers with one tag are the same bytes and their parts may be
//! put together. A range that cannot be read as one is ignored, as the RFC says; one that lies outside is refused.

use std::ops::Range;

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::bytes::{self, Checked};
use crate::api::problem::Problem;
use crate::api::state::Api;
use crate::api::unchanged::is_known;
use crate::record::Digest;

/// What the request says of itself; written down with the look.
const SAID: usize = 100;

/// The conditions of a request.
pub(super) struct Asked {
    is_get: bool,
    headers: HeaderMap,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Some(Range<u64>),
    /// Nothing: the caller has it.
    Unchanged,
    /// The range begins where the value has ended.
    Outside,
}

/// An answer that was decided and is not shown yet.
pub(super) struct Decided {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<(Checked, Range<u64>)>,
}

impl Asked {
    pub(super) fn of(method: &Method, headers: HeaderMap) -> Self {
        Self { is_get: *method == Method::GET, headers }
    }

    /// The range as it was asked for, for the access entry.
    pub(super) fn range(&self) -> Option<String> {
        let range = self.headers.get(header::RANGE)?;
        Some(String::from_utf8_lossy(range.as_bytes()).escape_default().take(SAID).collect())
    }

    /// Decides what is answered; a problem where the range lies outside.
    pub(super) fn decide(&self, mut headers: HeaderMap, checked: Checked) -> Result<Decided, Problem> {
        let (size, tag) = (checked.size, tag(&checked.digest));
        bytes::put(&mut headers, header::ETAG, &tag);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let (status, part) = match self.part(&tag, size) {
            Part::Unchanged => return Ok(Decided { status: StatusCode::NOT_MODIFIED, headers, body: None }),
            Part::Outside => return Err(Problem::outside(size)),
            Part::Whole => (StatusCode::OK, 0..size),
            Part::Some(part) => {
                let last = part.end.saturating_sub(1);
                bytes::put(&mut headers, header::CONTENT_RANGE, &format!("bytes {}-{last}/{size}", part.start));
                (StatusCode::PARTIAL_CONTENT, part)
            }
        };
        let length = part.end.saturating_sub(part.start);
        bytes::put(&mut headers, header::CONTENT_LENGTH, &length.to_string());
        Ok(Decided { status, headers, body: Some((checked, part)) })
    }

    fn part(&self, tag: &str, size: u64) -> Part {
        let value = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        if is_known(self.headers.get_all(header::IF_NONE_MATCH).iter(), tag) {
            return Part::Unchanged;
        }
        let Some(range) = value(header::RANGE).filter(|_range| self.is_get) else { return Part::Whole };
        // Strong comparison; a date never matches, because no time of change is told.
        if self.headers.contains_key(header::IF_RANGE) && value(header::IF_RANGE) != Some(tag) {
            return Part::Whole;
        }
        single(range, size)
    }
}

/// A strong entity tag.
fn tag(digest: &Digest) -> String {
    format!("\"sha256-{digest}\"")
}

/// The one range that a `Range` header names.
fn single(range: &str, size: u64) -> Part {
    let Some((unit, set)) = range.split_once('=') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    // Several ranges in one answer are not served: whoever asks for them gets the whole.
    let Some((first, last)) = set.trim().split_once('-') else { return Part::Whole };
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    let part = match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first <= last => first..last.saturating_add(1).min(size),
        (Some(Some(first)), Some(None)) => first..size,
        (Some(None), Some(Some(suffix))) => size.saturating_sub(suffix)..size,
        _ => return Part::Whole,
    };
    if part.start >= part.end { Part::Outside } else { Part::Some(part) }
}

impl Decided {
    /// The answer itself, once the look is on record.
    pub(super) fn answer(self, api: &Api) -> Response {
        let headers = self.headers;
        match self.body {
            Some((checked, part)) => (self.status, headers, bytes::body(api, checked, part)).into_response(),
            None => (self.status, headers).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_what_the_rfc_says_it_is() {
        for (range, size, expected) in [
            ("bytes=0-0", 10, Part::Some(0..1)),
            ("bytes=0-99", 10, Part::Some(0..10)),
            ("bytes=9-", 10, Part::Some(9..10)),
            ("bytes=-3", 10, Part::Some(7..10)),
            ("bytes=-99", 10, Part::Some(0..10)),
            ("BYTES = 2-3", 10, Part::Some(2..4)),
            ("bytes=10-", 10, Part::Outside),
            ("bytes=10-99999999999999999999999", 10, Part::Outside),
            ("bytes=99999999999999999999999-", 10, Part::Outside),
            ("bytes=-0", 10, Part::Outside),
            ("bytes=0-", 0, Part::Outside),
            ("bytes=-5", 0, Part::Outside),
            ("bytes=3-2", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("bytes", 10, Part::Whole),
            ("lines=0-1", 10, Part::Whole),
        ] {
            assert_eq!(single(range, size), expected, "{range} of {size}");
        }
    }

    proptest! {
        #[test]
        fn no_range_leads_outside_of_the_value(range in ".{0,40}", set in "[0-9,-]{0,24}", size: u64) {
            for range in [range, format!("bytes={set}")] {
                if let Part::Some(part) = single(&range, size) {
                    prop_assert!(part.start < part.end && part.end <= size);
                }
            }
        }
    }
}
