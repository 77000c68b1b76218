//! Path parameters, whose refusal is a problem like any other.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::record::RecordId;

/// The parts of the path, as text.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let wrong = |_rejection| Problem::parameter("path", "is not utf-8 once its % escapes are undone");
        path.map(|axum::extract::Path(path)| Self(path)).map_err(wrong)
    }
}

/// Reads a record's id.
pub(super) fn record_id(text: &str) -> Result<RecordId, Problem> {
    id(text, "a record's id")
}

/// Reads another id; `what` says whose.
pub(super) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    let wrong =
        |_source| Problem::parameter("id", format!("write {what}, such as 0198c0de-0000-7000-8000-000000000000"));
    text.parse().map_err(wrong)
}

/// Reads a number, counted from 0; `what` says of what.
pub(super) fn number<T: std::str::FromStr>(name: &'static str, text: &str, what: &str) -> Result<T, Problem> {
    // Only digits: one number has one address.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_number| digits);
    parsed.ok_or_else(|| Problem::parameter(name, format!("write {what}, a number from 0 such as 42")))
}
