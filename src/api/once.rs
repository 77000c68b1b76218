//! Idempotency keys (IETF draft httpapi-idempotency-key-header): what was asked for with a key is done once, and answered the same for a day.
//!
//! Invariants: the work goes on when its caller leaves; its answer is kept before it is given. A refusal keeps nothing: the same request may be
//! right later. Who was killed in the middle is found out by the entry that does the work: it is in the ledger, or nothing was done.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::header::single;
use super::problem::{Problem, ProblemKind};
use super::state::Api;
use crate::access::Operation;
use crate::archive::{Claim, Claimed};
use crate::ledger::Entry;
use crate::record::{EntryId, OfficerId};

const HEADER: &str = "Idempotency-Key";
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if there is one, and what else tells requests apart.
pub(super) struct Once {
    key: Option<String>,
    line: String,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) body: Option<Value>,
}

/// Whether something may have been done all the same.
const fn is_doubtful(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::ArchiveUnavailable | ProblemKind::Internal | ProblemKind::TimedOut)
}

/// How it is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing {
    /// The entry that does it.
    pub(super) entry: EntryId,
    /// That entry is in the ledger already: only the answer is missing.
    pub(super) is_done: bool,
}

impl<S: Sync> FromRequestParts<S> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let key = single(&parts.headers, HEADER)?.map(read).transpose()?;
        Ok(Self { key, line: format!("{} {}", parts.method, parts.uri) })
    }
}

impl Once {
    /// Whether there is a key.
    pub(super) const fn has_key(&self) -> bool {
        self.key.is_some()
    }
}

/// A structured field's string, or the same without quotes.
fn read(value: &HeaderValue) -> Result<String, Problem> {
    let wrong = || {
        Problem::parameter(
            HEADER,
            "write 1 to 255 visible ascii characters, such as a uuid, with or without quotes around it",
        )
    };
    let text = value.to_str().map_err(|_source| wrong())?.trim();
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => {
            let inside = rest.strip_suffix('"').ok_or_else(wrong)?;
            let (mut key, mut escaped) = (String::new(), false);
            for c in inside.chars() {
                match (escaped, c) {
                    (false, '\\') => escaped = true,
                    (false, '"') => return Err(wrong()),
                    (true, c) if c != '"' && c != '\\' => return Err(wrong()),
                    (_, c) => {
                        key.push(c);
                        escaped = false;
                    }
                }
            }
            if escaped {
                return Err(wrong());
            }
            key
        }
    };
    let sound = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if sound { Ok(key) } else { Err(wrong()) }
}

impl Done {
    /// What was asked for is under way.
    pub(super) fn accepted(answer: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_value(answer).map_err(|error| Problem::internal(&error))?;
        Ok(Self { status: 202, location: None, etag: None, body: Some(body) })
    }

    fn answer(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = match self.body {
            Some(body) => (status, axum::Json(body)).into_response(),
            None => status.into_response(),
        };
        for (name, value) in [(header::LOCATION, self.location), (header::ETAG, self.etag)] {
            let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
            response.headers_mut().extend(value.map(|value| (name, value)));
        }
        response
    }
}

impl Api {
    /// Does it once, and answers.
    pub(super) async fn once<W, F>(
        self: &Arc<Self>,
        officer: OfficerId,
        operation: Operation,
        once: &Once,
        body: &[u8],
        work: W,
    ) -> Result<Response, Problem>
    where
        W: FnOnce(Arc<Self>, Doing) -> F + Send + 'static,
        F: Future<Output = Result<Done, Problem>> + Send + 'static,
    {
        let claim = match &once.key {
            None => None,
            Some(key) => {
                let request = [once.line.as_bytes(), body];
                match self.archive.claim(officer, operation.as_str(), key.as_bytes(), &request).await? {
                    Claimed::Go(claim) => Some(claim),
                    Claimed::Again(answer) => {
                        let done = serde_json::from_slice::<Done>(&answer);
                        let mut response = done.map_err(|error| Problem::internal(&error))?.answer();
                        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                        return Ok(response);
                    }
                    Claimed::InFlight => return Err(Problem::new(ProblemKind::KeyInFlight)),
                    Claimed::Other => return Err(Problem::new(ProblemKind::KeyReused)),
                    Claimed::TooMany => {
                        let detail = "this token has used as many idempotency keys within a day as are kept";
                        return Err(Problem::new(ProblemKind::RateLimited).detail(detail));
                    }
                }
            }
        };
        let doing = match &claim {
            Some(claim) => Doing { entry: claim.entry, is_done: claim.again },
            None => Doing { entry: EntryId::new(self.ids.fresh()), is_done: false },
        };
        let api = Arc::clone(self);
        // Whether the caller waits or not: what has begun is brought to an end, and its answer kept.
        let working = self.streams.tasks.spawn(async move {
            let done = work(Arc::clone(&api), doing).await;
            match claim {
                Some(claim) => api.settle(&claim, done).await,
                None => done,
            }
        });
        let done = working.await.map_err(|error| Problem::internal(&error))?;
        done.map(Done::answer)
    }

    /// The entry that did it before whoever was at it was killed; none where it is still to be done.
    pub(super) async fn done_before(&self, doing: Doing) -> Result<Option<Entry>, Problem> {
        if !doing.is_done {
            return Ok(None);
        }
        let entry = self.archive.entry_by_id(doing.entry).await?;
        entry.map(Some).ok_or_else(|| Problem::new(ProblemKind::Unreadable))
    }

    async fn settle(&self, claim: &Claim, done: Result<Done, Problem>) -> Result<Done, Problem> {
        let kept = match &done {
            Ok(done) => match serde_json::to_vec(done) {
                Ok(answer) => self.archive.settle_claim(claim, &answer).await,
                Err(error) => return Err(Problem::internal(&error)),
            },
            // It may have been done all the same: whoever asks again finds out.
            Err(problem) if is_doubtful(problem.kind()) => Ok(()),
            Err(_problem) => self.archive.drop_claim(claim).await,
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "an answer cannot be kept for its idempotency key");
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        let key = |text: &str| HeaderValue::from_str(text).ok().and_then(|value| read(&value).ok());
        for (text, meant) in
            [("abc", "abc"), ("\"abc\"", "abc"), ("\"a\\\"b\\\\\"", "a\"b\\"), (" abc ", "abc"), ("\"a b\"", "a b")]
        {
            assert_eq!(key(text).as_deref(), Some(meant), "{text}");
        }
        for bad in ["", "\"", "\"\"", "\"a", "\"a\"b\"", "\"a\\\"", "\"\\a\"", "hü", &"x".repeat(256)] {
            assert_eq!(key(bad), None, "{bad}");
        }
        assert!(key(&"x".repeat(255)).is_some());
    }
}
