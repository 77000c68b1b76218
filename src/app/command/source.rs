//! `muniment source`: proxies that append to this archive.

use std::fmt;

use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Map, Value};

use super::visit::{operator, visit};
use crate::app::context::Context;
use crate::app::{AppError, Output, Verdict};
use crate::archive::{Append as _, Archive, SourceRow, Submission};
use crate::capture::{GapCause, NoAnswer, Unfinished, unanswered};
use crate::ledger::{Commitments, Draft, EntryType};
use crate::record::{EntryId, SourceId, Timestamp};
use crate::settings::{Settings, Span};

/// Captures closed at once.
const BATCH: u32 = 250;

#[derive(Serialize)]
struct Closed {
    source: SourceId,
    /// The entry that says so.
    index: u64,
    last_at: Timestamp,
    /// Captures whose outcome nobody knows now.
    closed: u64,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is given up, entry {}; its last entry is of {}", self.source, self.index, self.last_at)?;
        write!(
            f,
            "{} captures are closed as unknown; should its disk turn up, start it: what it knows counts",
            self.closed
        )
    }
}

/// Closes what a proxy left open that is lost with its disk. What it kept to itself is a gap. Whoever is wrong about it loses nothing: of
/// several outcomes the newest counts, and what is in its spool is appended when it is back.
pub(in crate::app) fn close(
    settings: Settings,
    source: SourceId,
    silent_for: Span,
    output: Output,
) -> Result<Verdict, AppError> {
    let closed = visit(settings, async |context, archive| {
        if archive.source() == source {
            return Err(AppError::OwnSource);
        }
        let known = archive.source_row(source).await?.ok_or(AppError::NoSuchSource(source))?;
        let silent = context.clock.now().unix_micros().saturating_sub(known.last_at.unix_micros());
        if i64::try_from(silent_for.0.as_micros()).is_ok_and(|wanted| silent < wanted) {
            return Err(AppError::SourceAppends { last_at: known.last_at, silent_for });
        }
        let index = give_up(context, archive, &known).await?;
        let closed = close_all(context, archive, source).await?;
        Ok(Closed { source, index, last_at: known.last_at, closed })
    })?;
    output.print(&closed)?;
    Ok(Verdict::Done)
}

/// Says on whose word, and since when nobody knows what it kept.
async fn give_up(context: &Context, archive: &Archive, source: &SourceRow) -> Result<u64, AppError> {
    let now = context.clock.now();
    let said = |entry_type, detail: &[(&str, Value)]| -> Result<Submission, AppError> {
        Ok(Submission::plain(Draft {
            id: EntryId::new(context.ids.fresh()),
            entry_type,
            actor: operator()?,
            captured_at: now,
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail: detail.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>(),
        }))
    };
    let detail = [("change", "revoked".into()), ("id", source.source.to_string().into()), ("subject", "source".into())];
    let revoked = said(EntryType::Identity, &detail)?;
    let gap = [
        ("cause", GapCause::SourceLost.as_str().into()),
        ("count", 1.into()),
        ("from", source.last_at.to_string().into()),
        ("until", now.max(source.last_at).to_string().into()),
    ];
    let gap = said(EntryType::Gap, &gap)?;
    let revoked = archive.append(revoked).await?;
    archive.append(gap).await?;
    Ok(revoked.index)
}

async fn close_all(context: &Context, archive: &Archive, source: SourceId) -> Result<u64, AppError> {
    let (until, mut closed, mut last) = (context.clock.now(), 0, None);
    loop {
        // An outcome that is not projected yet would be given twice.
        archive.catch_up().await?;
        let open = archive.open_captures(source, until, BATCH).await?;
        let first = open.first().map(|one| one.entry);
        // The same again: the projections do not take what was said.
        if first.is_none() || first == last {
            return Ok(closed);
        }
        last = first;
        let outcomes = open.into_iter().map(|one| {
            let unfinished = Unfinished { capture: one.entry, record: one.record, streams: one.advisors };
            let id = EntryId::new(context.ids.fresh());
            archive.append(unanswered(&unfinished, NoAnswer::SourceLost, id, context.clock.now()))
        });
        closed += try_join_all(outcomes).await?.len() as u64;
    }
}
