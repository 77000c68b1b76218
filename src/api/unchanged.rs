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
    if response.status() != StatusCode::OK || !whole {
        return response;
    }
    if let Some(tag) = response.headers().get(header::ETAG) {
        // One of its own, as exact as can be.
        return if is_known(known.iter(), tag.to_str().unwrap_or_default()) {
            unchanged(tag.clone())
        } else {
            response
        };
    }
    let (mut head, body) = response.into_parts();
    // Made in memory by the handler: nothing is waited for.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::new(ProblemKind::Internal).into_response();
    };
    let digest = Digest::of(&[&bytes]).to_string();
    let tag = format!("\"{}\"", digest.get(..32).unwrap_or(&digest));
    let is_known = is_known(known.iter(), &tag);
    let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    if is_known {
        return unchanged(tag);
    }
    head.headers.insert(header::ETAG, tag);
    Response::from_parts(head, Body::from(bytes))
}

/// Whether a tag, itself not weak and without a comma, is among those known (weak comparison: both sides count without `W/`).
pub(super) fn is_known<'a>(known: impl Iterator<Item = &'a HeaderValue>, tag: &str) -> bool {
    let mut same = known.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    same.any(|value| {
        let value = value.trim();
        value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag
    })
}

fn unchanged(tag: HeaderValue) -> Response {
    let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
    unchanged.headers_mut().insert(header::ETAG, tag);
    unchanged
}
