//! JSON bodies of requests that change something. Strict: a member that is not known is refused, because a misspelt one would change nothing.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemKind};

/// Largest body.
const MOST: usize = 16 * 1024;

/// A body, as it was sent and as what it means. Nothing at all means `{}`.
pub(super) struct Given<T> {
    pub(super) bytes: Bytes,
    pub(super) value: T,
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let too_large = || Problem::new(ProblemKind::BodyTooLarge).detail(format!("at most {MOST} bytes"));
        // Whoever breaks off, or is slow, is not answered; the time for all of it is bounded outside.
        let bytes = to_bytes(body, MOST).await.map_err(|_source| too_large())?;
        let typed = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let essence = typed.map(|value| value.split(';').next().unwrap_or_default().trim());
        if !bytes.is_empty() && !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(ProblemKind::MediaType));
        }
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list of values in the order of the members would be taken for an object.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::parameter("body", "write a JSON object"));
        }
        let value = serde_json::from_slice(text).map_err(|error| Problem::parameter("body", error.to_string()))?;
        Ok(Self { bytes, value })
    }
}
