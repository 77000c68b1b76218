//! Sends an export: page after page, each a short read of its own, and no more in memory than one page.
//!
//! Invariant: what is sent is whole lines in ledger order, and the last line of JSON Lines is there only if nothing is missing before
//! it. However it ends, an entry says how far it came.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::csv;
use super::export::{Cursor, Format};
use super::said::Said;
use super::summary::RecordSummary;
use crate::access::{Begun, NAMED, Seen};
use crate::api::problem::{Problem, ProblemKind};
use crate::api::state::Api;
use crate::archive::{RecordFilter, RecordRow};
use crate::record::RecordId;

/// Records read at once.
const PAGE: u32 = 200;
/// Bytes of text read at once; a record with more comes alone.
const PAGE_BYTES: u64 = 2 << 20;
/// Bytes of a piece on the way to the officer, and pieces at once.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;
/// How long an officer may take none of them.
const STALL: Duration = Duration::from_secs(30);
/// Places of the ledger that one statement looks through: few where it is slow, many where there is little to find.
const WINDOW: u64 = 20_000;
const WINDOW_LEAST: u64 = 500;
const WINDOW_MOST: u64 = 1 << 40;
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(5);

/// An export that may begin.
pub(super) struct Asked {
    pub(super) filter: RecordFilter,
    pub(super) as_of: u64,
    pub(super) format: Format,
    pub(super) after: Option<Cursor>,
    pub(super) seen: Seen,
    pub(super) begun: Begun,
}

/// Why it ended before its end.
enum Cut {
    /// Whoever asked took nothing any more.
    Left,
    /// Nothing could be read, or the service ends.
    Failed,
}

/// How far it is.
struct Export {
    api: Arc<Api>,
    asked: Asked,
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: String,
    sent: u64,
    first: Option<u64>,
    last: Option<u64>,
    records: Vec<RecordId>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    cursor: String,
    #[serde(flatten)]
    record: &'a RecordSummary,
    communications: &'a [Said],
}

/// The last line.
#[derive(Serialize)]
struct End {
    complete: bool,
    /// Records of this answer.
    count: u64,
    /// Places of the first and the last of them.
    from: Option<u64>,
    to: Option<u64>,
    /// The size of the ledger that was exported.
    as_of: u64,
    /// Where this answer went on.
    after: Option<String>,
}

/// The body of the answer.
pub(super) fn body(api: Arc<Api>, asked: Asked) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let records = Vec::new();
    let export = Export { api, asked, sender, piece: String::new(), sent: 0, first: None, last: None, records };
    // Ends when everything is sent, when the officer goes away and the channel closes, or takes nothing for long.
    tokio::spawn(export.run());
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece: io::Result<Bytes>| (piece, receiver))
    }))
}

impl Export {
    async fn run(mut self) {
        let ended = match self.all().await {
            Ok(()) => self.end().await,
            Err(cut) => Err(cut),
        };
        if matches!(ended, Err(Cut::Failed)) {
            // Cuts the answer off, so that what was sent is not taken for the whole.
            let broken = self.sender.send(Err(io::ErrorKind::BrokenPipe.into()));
            let _gone = tokio::time::timeout(STALL, broken).await;
        }
        // Closes the answer before the entry is made: nobody waits for that.
        let Self { api, asked, sent, last, records, sender, .. } = self;
        drop(sender);
        let reached = last.map(|index| Cursor { index, as_of: asked.as_of }.to_string());
        let how = match ended {
            Ok(()) => "complete",
            Err(Cut::Left) => "the officer left",
            Err(Cut::Failed) => "broken off",
        };
        let asked_for = asked.seen.query.unwrap_or_default();
        let query = Some(format!("{asked_for}; {how}; as_of={}; last={}", asked.as_of, reached.unwrap_or_default()));
        let count = usize::try_from(sent).unwrap_or(usize::MAX);
        let seen = Seen { records, count, advisor: asked.seen.advisor, query, ..Seen::default() };
        if let Err(error) = api.desk.end(asked.begun, &seen).await {
            tracing::error!(%error, "how far an export came could not be written down");
        }
    }

    async fn all(&mut self) -> Result<(), Cut> {
        if self.asked.format == Format::Csv && self.asked.after.is_none() {
            csv::header(&mut self.piece);
        }
        let mut next = self.asked.after.map_or(0, |cursor| cursor.index.saturating_add(1));
        let mut window = WINDOW;
        while next < self.asked.as_of {
            if self.api.draining.is_cancelled() {
                return Err(Cut::Failed);
            }
            let until = next.saturating_add(window).min(self.asked.as_of);
            let begun = Instant::now();
            let rows = match self.api.archive.records_within(&self.asked.filter, next..until, PAGE).await {
                Ok(rows) => rows,
                Err(error) => {
                    let problem = Problem::from(error);
                    if problem.kind() == ProblemKind::TimedOut && window > WINDOW_LEAST {
                        window = (window / 16).max(WINDOW_LEAST);
                        continue;
                    }
                    return Err(Cut::Failed);
                }
            };
            let took = begun.elapsed();
            // A full page may not have seen all of its window.
            let full = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
            next = rows.last().filter(|_row| full).map_or(until, |last| last.index.saturating_add(1));
            window = match took {
                _ if took < QUICK && !full => window.saturating_mul(4).min(WINDOW_MOST),
                _ if took > SLOW => (window / 4).max(WINDOW_LEAST),
                _ => window,
            };
            self.page(rows).await?;
        }
        Ok(())
    }

    /// Sends a page, in groups whose texts fit into memory.
    async fn page(&mut self, rows: Vec<RecordRow>) -> Result<(), Cut> {
        let ids: Vec<RecordId> = rows.iter().map(|row| row.record).collect();
        let sizes = self.api.archive.text_sizes(&ids).await.map_err(|error| failed(error.into()))?;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let (mut group, mut bytes) = (Vec::new(), 0_u64);
            while let Some(row) = rows.peek() {
                bytes = bytes.saturating_add(sizes.get(&row.record).copied().unwrap_or_default());
                if !group.is_empty() && bytes > PAGE_BYTES {
                    break;
                }
                group.extend(rows.next());
            }
            self.group(group).await?;
        }
        // What was found is on its way, also where the next is far.
        self.flush().await
    }

    async fn group(&mut self, rows: Vec<RecordRow>) -> Result<(), Cut> {
        let (ids, as_of) = (rows.iter().map(|row| row.record).collect::<Vec<_>>(), self.asked.as_of);
        let said = self.api.archive.communications_as_of(&ids, Some(as_of)).await;
        let mut said = said.map_err(|error| failed(error.into()))?.into_iter().peekable();
        for row in rows {
            let (id, index) = (row.record, row.index);
            let mut of_record: Vec<Said> = Vec::new();
            while let Some(communication) = said.next_if(|communication| communication.record == id) {
                of_record.push(communication.into());
            }
            let cursor = Cursor { index, as_of }.to_string();
            let record = RecordSummary::from(row);
            match self.asked.format {
                Format::Csv => csv::record(&cursor, &record, &of_record, &mut self.piece),
                Format::Jsonl => self.line(&Line { cursor, record: &record, communications: &of_record })?,
            }
            self.sent = self.sent.saturating_add(1);
            self.first = self.first.or(Some(index));
            self.last = Some(index);
            if self.records.len() < NAMED {
                self.records.push(id);
            }
            if self.piece.len() >= PIECE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), Cut> {
        let text = serde_json::to_string(line).map_err(|error| failed(Problem::internal(&error)))?;
        self.piece.push_str(&text);
        self.piece.push('\n');
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Cut> {
        if self.asked.format == Format::Jsonl {
            let after = self.asked.after.map(|cursor| cursor.to_string());
            let (count, from, to, as_of) = (self.sent, self.first, self.last, self.asked.as_of);
            self.line(&End { complete: true, count, from, to, as_of, after })?;
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Cut> {
        let mut bytes = Bytes::from(std::mem::take(&mut self.piece));
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.sender.send_timeout(Ok(piece), STALL).await.map_err(|_left| Cut::Left)?;
        }
        Ok(())
    }
}

/// The cause is in the log by now.
fn failed(_problem: Problem) -> Cut {
    Cut::Failed
}
