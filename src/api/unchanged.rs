//! Conditional requests (RFC 9110, section 13): whoever has an answer already is told that it is still the same.
//!
//! The tag is a digest of the answer, so it changes exactly when the answer does, whichever process gives it. It is weak, because the answer may
//! travel compressed. What was looked at was looked at: the entry is written before the tags are compared. Answers that are sent as they
//! are read have no tag, or one of their own.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::{Problem, ProblemKind};
use crate::record::Digest;

/// Largest answer that is given a tag.
const MOST: u64 = 1 << 20;

/// The tags a request names, as sent.
pub(super) fn known(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()
}

/// Gives the answer its tag, or says that it is one of those known.
pub(super) async fn tagged(response: Response, known: &[HeaderValue]) -> Response {
    let size = response.body().size_hint().exact();
    let whole = size.is_some_and(|size| size <= MOST);
    if response.status() != StatusCode::OK || !whole || response.headers().contains_key(header::ETAG) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // Made in memory by the handler: nothing is waited for.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::new(ProblemKind::Internal).into_response();
    };
    let digest = Digest::of(&[&bytes]).to_string();
    let tag = format!("\"{}\"", digest.get(..32).unwrap_or(&digest));
    let same = known.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut same = same.map(str::trim).map(|value| value.strip_prefix("W/").unwrap_or(value));
    let is_known = same.any(|value| value == "*" || value == tag);
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
        head.headers.insert(header::ETAG, tag);
    }
    if !is_known {
        return Response::from_parts(head, Body::from(bytes));
    }
    let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
    unchanged.headers_mut().extend(head.headers.remove(header::ETAG).map(|tag| (header::ETAG, tag)));
    unchanged
}
