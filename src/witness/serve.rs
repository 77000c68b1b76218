//! The witness's two calls: a checkpoint in and a cosignature out, and what was cosigned last for whoever monitors.
//!
//! Invariant: deciding, remembering and signing happen under one lock, in this order: sign, make durable, answer. A crash between the last two
//! leaves a cosignature that nobody has, over what continues everything that somebody has.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

use super::judge::{Evidence, Refused, judge};
use super::state::State;
use super::{Refusal, WitnessError, WitnessSettings, evidence};
use crate::ledger::{ADD_CHECKPOINT_MAX, AddCheckpoint, Checkpoint, CosigningKey, Note};
use crate::record::{Clock, Digest};

/// Time without a byte of a request's body.
const BODY: Duration = Duration::from_secs(10);
/// Time for a whole request: who sends a byte now and then holds a place no longer than this.
const REQUEST: Duration = Duration::from_secs(20);
/// Seconds for which a repeated request is answered with the same cosignature.
const SAME_AGAIN: u64 = 30;

/// A witness at work.
pub struct Witness {
    settings: WitnessSettings,
    key: CosigningKey,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is answered when nothing is cosigned.
enum Answer {
    Refused(Refused),
    /// The clock runs behind what was signed last.
    Clock,
    /// The state cannot be written.
    Failed(WitnessError),
}

impl From<Refusal> for Answer {
    fn from(why: Refusal) -> Self {
        Self::Refused(why.into())
    }
}

impl From<WitnessError> for Answer {
    fn from(error: WitnessError) -> Self {
        Self::Failed(error)
    }
}

impl Witness {
    /// Takes the state's lock and reads it.
    ///
    /// # Errors
    /// See [`WitnessError`].
    pub fn open(settings: WitnessSettings, key: CosigningKey, clock: Arc<dyn Clock>) -> Result<Self, WitnessError> {
        let state = State::open(&settings.state, &key)?;
        Ok(Self { settings, key, clock, state: Mutex::new(state) })
    }

    /// Decides on a request; a cosignature is durable on return.
    fn add_checkpoint(&self, body: &[u8]) -> Result<String, Answer> {
        let request = AddCheckpoint::parse(body).map_err(|_source| Refusal::Malformed("no add-checkpoint request"))?;
        // One at a time: what is checked is what is replaced.
        let mut state = self.state.lock();
        let last = |origin: &str| state.head(origin).map(|head| (head.size, head.root));
        let (checkpoint, keys) = judge(&self.settings.logs, last, &request).map_err(|refused| {
            if let Some(of) = refused.evidence {
                let head = Checkpoint::parse(request.note.text()).ok().and_then(|said| state.head(&said.origin));
                let kept = evidence::keep(&self.settings.state, &request, head.map(|head| head.note.as_str()), of);
                match of {
                    Evidence::Fork => tracing::error!(
                        is_kept = kept.is_some(),
                        "a log signed two roots of one size; nothing is cosigned"
                    ),
                    Evidence::Unproved => tracing::warn!(
                        is_kept = kept.is_some(),
                        "a checkpoint came without a proof that it continues what was cosigned last; nothing is cosigned"
                    ),
                }
            }
            Answer::Refused(refused)
        })?;
        let now = u64::try_from(self.clock.now().unix_micros() / 1_000_000).unwrap_or(0);
        if state.head(&checkpoint.origin).is_some_and(|head| now < head.time) {
            return Err(Answer::Clock);
        }
        // Whoever repeats what was cosigned just now gets the same again: it costs no write.
        if let Some(line) = self.cosigned_just_now(&state, &checkpoint, now) {
            return Ok(line);
        }
        let is_logs =
            |line: &crate::ledger::NoteSignature| keys.iter().any(|key| key.name() == line.name && key.id() == line.id);
        let mut note = request.note.with_only(is_logs);
        let cosignature = self.key.cosign(note.text(), now).map_err(WitnessError::from)?;
        note.try_add(cosignature.clone()).map_err(WitnessError::from)?;
        state.remember(&note)?;
        Ok(cosignature.to_string())
    }

    /// Our line under this very checkpoint, if it is the last and was made a moment ago.
    fn cosigned_just_now(&self, state: &State, checkpoint: &Checkpoint, now: u64) -> Option<String> {
        let is_same = |size: u64, root: Digest| (size, root) == (checkpoint.size, checkpoint.root);
        let head = state.head(&checkpoint.origin).filter(|head| is_same(head.size, head.root))?;
        let is_fresh = now.saturating_sub(head.time) < SAME_AGAIN;
        let note = Note::parse(head.note.as_bytes()).ok().filter(|_note| is_fresh)?;
        let key = self.key.verifying_key();
        let ours = note.signatures().iter().find(|line| line.name == key.name() && line.id == key.id())?;
        Some(ours.to_string())
    }
}

/// The calls of a witness.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(checkpoint))
        .route("/health", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(ADD_CHECKPOINT_MAX))
        .layer(RequestBodyTimeoutLayer::new(BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST))
        .with_state(witness)
}

async fn add_checkpoint(Shared(witness): Shared<Arc<Witness>>, body: Bytes) -> Response {
    // Waits for the disk.
    let done = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    let answer = done.unwrap_or(Err(Answer::Failed(WitnessError::BrokenOff)));
    match answer {
        Ok(cosignature) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], cosignature).into_response(),
        Err(answer) => answer.into_response(),
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Refused(refused) => refused.why,
            Self::Clock => {
                tracing::error!(
                    "the clock runs behind the last cosignature; nothing is cosigned until it has caught up"
                );
                let later = [(header::RETRY_AFTER, "5")];
                return (StatusCode::SERVICE_UNAVAILABLE, later, "the clock of the witness is wrong\n").into_response();
            }
            Self::Failed(error) => {
                tracing::error!(%error, "nothing can be cosigned");
                return (StatusCode::SERVICE_UNAVAILABLE, "the witness cannot remember\n").into_response();
            }
        };
        match why {
            Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
            Refusal::UnknownLog => (StatusCode::NOT_FOUND, "this log is not watched here\n").into_response(),
            Refusal::NotSigned => (StatusCode::FORBIDDEN, "no sound signature by a key of the log\n").into_response(),
            Refusal::Conflict(size) => {
                let kind = [(header::CONTENT_TYPE, "text/x.tlog.size")];
                (StatusCode::CONFLICT, kind, format!("{size}\n")).into_response()
            }
            Refusal::Inconsistent => {
                (StatusCode::UNPROCESSABLE_ENTITY, "does not continue what was cosigned last\n").into_response()
            }
        }
    }
}

/// What was cosigned last of the log whose origin has this SHA-256.
async fn checkpoint(Shared(witness): Shared<Arc<Witness>>, Path(wanted): Path<String>) -> Response {
    let note = tokio::task::spawn_blocking(move || {
        let origin = |origin: &&String| Digest::of(&[origin.as_bytes()]).to_string() == wanted;
        let origin = witness.settings.logs.keys().find(origin)?;
        // Whoever remembers waits for the disk meanwhile.
        witness.state.lock().head(origin).map(|head| head.note.clone())
    });
    match note.await {
        Ok(Some(note)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "nothing was cosigned of such a log\n").into_response(),
        Err(_join) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
