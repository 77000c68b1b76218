//! The log's side: each new checkpoint goes to the witnesses, and what they answer is checked and kept.
//!
//! Invariant: publishing never waits for a witness, and no witness waits for another. A line is kept only when it is this witness's, over this
//! checkpoint, and about now. What a witness says that contradicts us is loud: it may be the first sign that the log was forked or put back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::client::{Ask, Client};
use super::quorum::{Asked, Quorum};
use crate::archive::{Archive, ArchiveError, Published, Witnessed};
use crate::ledger::{ADD_CHECKPOINT_MAX, AddCheckpoint, Note, NoteSignature, parse_signature_lines};
use crate::proxy::TrustError;
use crate::record::Clock;
use crate::settings::Upstream;
use crate::telemetry::Metrics;

/// How far a witness's clock may be from ours.
const CLOCKS: u64 = 600;
/// Requests to one witness over one checkpoint: the second knows what the first was told.
const TRIES: usize = 2;
/// How often an export looks whether somebody else has what it waits for.
const LOOK: Duration = Duration::from_millis(500);
/// After a failure a witness is asked again no sooner than this; twice as late after each further one, up to the longest.
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Why a checkpoint is not cosigned, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// No answer, or one that says that something is out of order there.
    Away(&'static str),
    /// It does not take us for the log: its settings or ours are wrong.
    Refused(&'static str),
    /// It cosigned more than we have, or sees that we do not continue it; or it forgot what it cosigned.
    Alarm(&'static str),
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::Away(word) | Self::Refused(word) | Self::Alarm(word) => word,
        }
    }
}

/// What is known of one witness.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// It cosigned so many entries.
    size: u64,
    /// It is not asked before this.
    rests_until: Option<Instant>,
    rest: Duration,
    /// What was said of it last, so that it is said once.
    said: Option<Why>,
}

/// Feeds the witnesses.
pub struct Feed {
    archive: Archive,
    quorum: Arc<Quorum>,
    client: Client,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    known: Mutex<BTreeMap<String, Known>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("witnesses", &self.quorum.witnesses.len()).finish_non_exhaustive()
    }
}

impl Feed {
    /// Reaches witnesses as origins are reached.
    ///
    /// # Errors
    /// When no roots are trusted.
    pub fn new(
        archive: Archive,
        quorum: Arc<Quorum>,
        upstream: &Upstream,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, TrustError> {
        Ok(Self { archive, quorum, client: Client::new(upstream)?, clock, metrics, known: Mutex::default() })
    }

    /// Whose word is asked for.
    #[must_use]
    pub fn quorum(&self) -> &Arc<Quorum> {
        &self.quorum
    }

    /// Asks until `stop`. Of several processes one has the turn; the others look whether it still has.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            self.remember().await;
            loop {
                match self.archive.witness_turn().await {
                    Ok(Some(mut turn)) => {
                        tokio::select! {
                            error = turn.lost() => tracing::warn!(%error, "another process asks the witnesses from here on"),
                            () = self.rounds() => {}
                        }
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "whose turn it is at asking the witnesses cannot be seen"),
                }
                sleep(REST).await;
            }
        };
        tokio::select! { () = stop.cancelled() => {}, () = work => {} }
    }

    /// Round after round, as long as it is our turn.
    async fn rounds(&self) {
        if let Err(error) = self.archive.anchor_cosigned().await {
            tracing::warn!(%error, "what was cosigned last is not anchored yet");
        }
        let mut tick = interval(self.quorum.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.newest().await {
                tracing::warn!(%error, "cosignatures could not be kept");
            }
        }
    }

    /// What was kept by earlier processes.
    async fn remember(&self) {
        match self.archive.cosigned_by().await {
            Ok(sizes) => {
                let mut known = self.known.lock();
                for witness in &self.quorum.witnesses {
                    let by = (witness.key.name().to_owned(), witness.key.id().to_string());
                    if let Some(size) = sizes.get(&by) {
                        known.entry(witness.key.to_string()).or_default().size = *size;
                    }
                }
            }
            // The witnesses say it themselves when they are asked.
            Err(error) => tracing::warn!(%error, "how far the witnesses are is not known yet"),
        }
    }

    async fn newest(&self) -> Result<(), ArchiveError> {
        let newest = self.archive.checkpoint(None).await?;
        if let Some(published) = newest {
            self.round(&published, true).await?;
            if let Ok(Some(witnessed)) = self.archive.witnessed(&self.quorum.policy, 0).await {
                self.metrics.witnessed(witnessed.published.checkpoint.size);
            }
        }
        Ok(())
    }

    /// Asks every witness that has not cosigned this checkpoint, all at once, and keeps what they answer.
    async fn round(&self, published: &Published, resting_counts: bool) -> Result<Published, ArchiveError> {
        let size = published.checkpoint.size;
        let cosigned = self.archive.cosigned(published).await?;
        let note = Note::parse(cosigned.note.as_bytes());
        let note = note.map_err(|source| ArchiveError::Checkpoint(source.into()))?;
        let has = |witness: &Asked| {
            note.signatures().iter().any(|line| line.name == witness.key.name() && line.id == witness.key.id())
        };
        let now = Instant::now();
        let rests = |witness: &Asked| {
            let known = self.known.lock().get(&witness.key.to_string()).copied().unwrap_or_default();
            resting_counts && known.rests_until.is_some_and(|until| now < until)
        };
        let asked: Vec<_> = self.quorum.witnesses.iter().filter(|witness| !has(witness) && !rests(witness)).collect();
        let answers = join_all(asked.iter().map(|witness| self.ask(witness, published))).await;
        let mut lines = Vec::new();
        for (witness, answer) in asked.into_iter().zip(answers) {
            let answer = answer?;
            self.note(witness, size, answer.as_ref().err().copied());
            lines.extend(answer);
        }
        let kept = if lines.is_empty() { cosigned } else { self.archive.keep_cosignatures(published, &lines).await? };
        for witness in &self.quorum.witnesses {
            let known = self.known.lock().get(&witness.key.to_string()).copied().unwrap_or_default();
            self.metrics.witness_behind(&witness.key.id().to_string(), size.saturating_sub(known.size));
        }
        Ok(kept)
    }

    /// One witness, one checkpoint.
    async fn ask(&self, witness: &Asked, published: &Published) -> Result<Result<NoteSignature, Why>, ArchiveError> {
        let size = published.checkpoint.size;
        let Ok(note) = Note::parse(published.note.as_bytes()) else { return Ok(Err(Why::Refused("no_checkpoint"))) };
        // The log's own signature is all that a witness needs.
        let note = note.with_only(|line| line.name == published.checkpoint.origin);
        let mut old = self.known.lock().get(&witness.key.to_string()).map_or(0, |known| known.size).min(size);
        for _try in 0..TRIES {
            let Some(consistency) = self.archive.consistency(old, size).await? else {
                return Ok(Err(Why::Away("no_proof")));
            };
            let request = AddCheckpoint { old, proof: consistency.hashes, note: note.clone() };
            let ask = Ask {
                method: Method::POST,
                path: "/add-checkpoint",
                token: None,
                body: Bytes::from(request.to_string()),
                most: ADD_CHECKPOINT_MAX,
            };
            let said = match self.client.ask(&witness.target, witness.timeout, ask).await {
                Ok(said) => said,
                Err(why) => return Ok(Err(Why::Away(why))),
            };
            match said.status {
                StatusCode::OK => return Ok(self.line(witness, &note, &said.body)),
                StatusCode::CONFLICT => match self.conflict(witness, old, size, &said.body).await? {
                    Ok(known) => old = known,
                    Err(why) => return Ok(Err(why)),
                },
                StatusCode::UNPROCESSABLE_ENTITY => return Ok(Err(Why::Alarm("inconsistent"))),
                StatusCode::NOT_FOUND => return Ok(Err(Why::Refused("unknown_log"))),
                StatusCode::FORBIDDEN => return Ok(Err(Why::Refused("not_signed"))),
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    return Ok(Err(Why::Away("witness_failed")));
                }
                _ => return Ok(Err(Why::Refused("wrong_answer"))),
            }
        }
        Ok(Err(Why::Away("moved_meanwhile")))
    }

    /// The witness's line over this checkpoint, by this key and about now; others are nothing to us.
    fn line(&self, witness: &Asked, note: &Note, body: &[u8]) -> Result<NoteSignature, Why> {
        let lines = parse_signature_lines(body).map_err(|_source| Why::Refused("wrong_answer"))?;
        let is_ours = |line: &NoteSignature| line.name == witness.key.name() && line.id == witness.key.id();
        let line = lines.into_iter().find(is_ours).ok_or(Why::Refused("other_key"))?;
        let mut alone = note.with_only(|_line| false);
        alone.add(line.clone());
        let vouched =
            alone.verify(std::slice::from_ref(&witness.key)).map_err(|_source| Why::Refused("wrong_signature"))?;
        let time = vouched.first().and_then(|by| by.time).unwrap_or(0);
        let now = u64::try_from(self.clock.now().unix_micros() / 1_000_000).unwrap_or(0);
        if time.abs_diff(now) > CLOCKS {
            return Err(Why::Refused("wrong_time"));
        }
        Ok(line)
    }

    /// It knows another size than we thought. Larger than all we have: either somebody else has published meanwhile, or our history was put
    /// back to an earlier state.
    async fn conflict(
        &self,
        witness: &Asked,
        old: u64,
        size: u64,
        body: &[u8],
    ) -> Result<Result<u64, Why>, ArchiveError> {
        let said =
            std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n')).and_then(|text| text.parse().ok());
        let Some(said): Option<u64> = said else { return Ok(Err(Why::Refused("wrong_answer"))) };
        if said > size {
            let newest = self.archive.checkpoint(None).await?.map_or(0, |newest| newest.checkpoint.size);
            return Ok(Err(if said > newest { Why::Alarm("ahead_of_us") } else { Why::Away("moved_meanwhile") }));
        }
        let known = self.known.lock().get(&witness.key.to_string()).map_or(0, |known| known.size);
        if said < known {
            // Its cosignatures still say what they say; but whoever forgets can be led to cosign a fork.
            self.alarm(witness, "forgot");
        }
        if said == old { Ok(Err(Why::Refused("wrong_answer"))) } else { Ok(Ok(said)) }
    }

    fn alarm(&self, witness: &Asked, cause: &'static str) {
        tracing::error!(witness.key = %witness.key.id(), reason = cause, "a witness contradicts this log: compare it with a checkpoint kept elsewhere");
        self.metrics.witness_alarm(cause);
    }

    /// Notes how it went, says what is new, and lets a witness rest that cannot be asked.
    fn note(&self, witness: &Asked, size: u64, why: Option<Why>) {
        let mut all = self.known.lock();
        let known = all.entry(witness.key.to_string()).or_default();
        self.metrics.witness_asked(why.map_or("cosigned", Why::word));
        let Some(why) = why else {
            if known.said.take().is_some() {
                tracing::info!(witness.key = %witness.key.id(), "a witness cosigns again");
            }
            *known = Known { size: known.size.max(size), ..Known::default() };
            return;
        };
        known.rest = known.rest.saturating_mul(2).clamp(REST, LONGEST_REST);
        known.rests_until = Some(Instant::now() + known.rest);
        let is_new = known.said.replace(why) != Some(why);
        drop(all);
        match why {
            Why::Alarm(cause) => self.alarm(witness, cause),
            Why::Refused(reason) if is_new => {
                tracing::error!(witness.key = %witness.key.id(), reason, "a witness does not cosign: compare its settings with ours");
            }
            Why::Away(reason) if is_new => {
                tracing::warn!(witness.key = %witness.key.id(), reason, "a witness cannot be asked");
            }
            Why::Refused(_) | Why::Away(_) => {}
        }
    }

    /// A checkpoint that meets the policy and covers so many entries: asks for it now, and waits as long as the settings say. None where the
    /// witnesses do not come forward by then.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn vouched(&self, covering: u64) -> Result<Option<Witnessed>, ArchiveError> {
        let deadline = Instant::now() + self.quorum.wait;
        let mut pause = LOOK;
        self.remember().await;
        let work = async {
            loop {
                if let Some(published) = self.archive.checkpoint(Some(covering)).await? {
                    self.round(&published, false).await?;
                }
                let witnessed = self.archive.witnessed(&self.quorum.policy, covering).await?;
                if let Some(witnessed) = witnessed {
                    return Ok(Some(witnessed));
                }
                sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
        };
        tokio::time::timeout_at(deadline, work).await.unwrap_or(Ok(None))
    }
}
