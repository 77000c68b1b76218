//! Rows in bulk, worked on by several threads, followed in order.
//!
//! The reader deals batches out in turn, the follower collects them in the same turn: order needs no numbers, and only a few
//! batches are in memory at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::content::{BlobRows, Checked, Opener};
use super::copy;
use super::disposals;
use super::finding::Findings;
use super::follow::{Done, Follower};
use super::orders::{self, Orders};
use super::side::{self, Side};
use super::{Progress, Verifier, beyond};
use crate::archive::ArchiveError;
use crate::archive::connect::Role;
use crate::bundle::{CheckedRow, CheckpointRow, HistoryReport};

/// Entries read by one statement.
const RUN: u64 = 16_384;
/// Rows worked on together.
const BATCH: usize = 256;
/// Batches waiting before and behind each thread.
const WAITING: usize = 4;

enum Work {
    Side(Box<Side>),
    Rows(Vec<Bytes>, Arc<BlobRows>),
    End,
}

/// Deals work out in turn.
struct Dealer {
    workers: Vec<Sender<Work>>,
    turn: usize,
}

impl Dealer {
    /// An error means that the follower is gone; why is in its answer.
    async fn deal(&mut self, work: Work) -> Result<(), ArchiveError> {
        let worker = self.workers.get(self.turn).ok_or_else(gone)?;
        worker.send(work).await.map_err(|_source| gone())?;
        self.turn = (self.turn + 1) % self.workers.len().max(1);
        Ok(())
    }
}

const fn gone() -> ArchiveError {
    ArchiveError::Row { table: "ledger.entries", problem: "verification stopped half-way" }
}

pub(super) async fn run(
    verifier: &Verifier,
    connection: &mut PgConnection,
    size: u64,
    published: u64,
    outside: Vec<CheckpointRow>,
    findings: &Findings,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(HistoryReport, u64), ArchiveError> {
    let opener =
        verifier.scope.content.then(|| Opener { master: verifier.master.clone(), blobs: verifier.blobs.clone() });
    let (mut dealer, results) = (Dealer { workers: Vec::new(), turn: 0 }, start_workers(verifier, opener, findings));
    let (mut receivers, mut senders) = (Vec::new(), Vec::new());
    for (sender, receiver) in results {
        senders.push(sender);
        receivers.push(receiver);
    }
    dealer.workers = senders;
    let orders = Orders::new(disposals::records(connection).await?, findings.clone());
    let (scratch, has_keys) = (&verifier.scratch, !verifier.keys.is_empty());
    let follower = Follower::new(scratch, has_keys, outside, published, orders, findings.clone());
    let (content, mut about) = mpsc::unbounded_channel();
    let follower = tokio::task::spawn_blocking(move || follow(follower, receivers, &content));

    let mut rows = verifier.connect(Role::Append).await?;
    let dealt = deal_all(verifier, connection, &mut rows, size, &mut dealer, &mut about, findings, progress).await;
    drop(dealer);
    let follower = joined(follower).await?;
    dealt?;
    while let Some(checked) = about.recv().await {
        disposals::check(connection, &checked, findings).await?;
    }
    let fields = follower.fields;
    let rest = beyond(connection, size, &verifier.keys).await?;
    let scratch = verifier.scratch.clone();
    let finished = tokio::task::spawn_blocking(move || follower.finish(rest).map_err(ArchiveError::io(scratch)));
    Ok((joined(finished).await?, fields))
}

async fn joined<T>(task: JoinHandle<Result<T, ArchiveError>>) -> Result<T, ArchiveError> {
    task.await.unwrap_or_else(|_panicked| Err(gone()))
}

#[expect(clippy::too_many_arguments, reason = "one loop over all that a run of entries takes")]
async fn deal_all(
    verifier: &Verifier,
    connection: &mut PgConnection,
    rows: &mut PgConnection,
    size: u64,
    dealer: &mut Dealer,
    about: &mut mpsc::UnboundedReceiver<Checked>,
    findings: &Findings,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), ArchiveError> {
    let mut from = 0;
    let mut beside = beside(verifier, connection, from, size).await?;
    // Also for an empty ledger: what stands in the tables beside it belongs to nothing.
    loop {
        let began = Instant::now();
        let (until, last) = end_of_run(from, size);
        let (side, blobs) = beside;
        dealer.deal(Work::Side(Box::new(side))).await?;
        // What stands beside the next run is read while the rows of this one come.
        let next = async {
            match last {
                true => Ok(None),
                false => self::beside(verifier, connection, until, size).await.map(Some),
            }
        };
        let ((), next) = tokio::try_join!(deal_rows(verifier, rows, from, until, &blobs, dealer), next)?;
        dealer.deal(Work::End).await?;
        while let Ok(checked) = about.try_recv() {
            disposals::check(connection, &checked, findings).await?;
        }
        progress(Progress { phase: "entries", done: until, of: size });
        let Some(next) = next else { return Ok(()) };
        beside = next;
        if verifier.gentle {
            tokio::time::sleep(began.elapsed().min(Duration::from_secs(10))).await;
        }
        from = until;
    }
}

/// Where a run ends, and whether it is the last.
const fn end_of_run(from: u64, size: u64) -> (u64, bool) {
    if from + RUN >= size { (size, true) } else { (from + RUN, false) }
}

/// The tables beside a run of entries.
async fn beside(
    verifier: &Verifier,
    connection: &mut PgConnection,
    from: u64,
    size: u64,
) -> Result<(Side, Arc<BlobRows>), ArchiveError> {
    let (until, _last) = end_of_run(from, size);
    let side = side::read(connection, from, until, &verifier.keys, verifier.scope.content).await?;
    let blobs = match verifier.scope.content {
        true => Arc::new(side::blobs(connection, from, until).await?),
        false => Arc::default(),
    };
    Ok((side, blobs))
}

async fn deal_rows(
    verifier: &Verifier,
    connection: &mut PgConnection,
    from: u64,
    until: u64,
    blobs: &Arc<BlobRows>,
    dealer: &mut Dealer,
) -> Result<(), ArchiveError> {
    let statement = copy::statement(from, until, verifier.scope.content);
    let mut stream = connection.copy_out_raw(&statement).await?;
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(message) = stream.try_next().await? {
        let Some(row) = copy::row_of(message) else { continue };
        batch.push(row);
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            dealer.deal(Work::Rows(full, Arc::clone(blobs))).await?;
        }
    }
    dealer.deal(Work::Rows(batch, Arc::clone(blobs))).await
}

fn start_workers(
    verifier: &Verifier,
    opener: Option<Opener>,
    findings: &Findings,
) -> Vec<(Sender<Work>, Receiver<Done>)> {
    let mut workers = Vec::new();
    for _worker in 0..verifier.threads.get() {
        let (sender, mut work) = mpsc::channel(WAITING);
        let (done, receiver) = mpsc::channel(WAITING);
        let (opener, findings) = (opener.clone(), findings.clone());
        tokio::task::spawn_blocking(move || {
            while let Some(work) = work.blocking_recv() {
                let result = match work {
                    Work::Side(side) => Done::Side(side),
                    Work::End => Done::End,
                    Work::Rows(rows, blobs) => check(&rows, &blobs, opener.as_ref(), &findings),
                };
                // The follower is gone: nothing is wanted any more.
                if done.blocking_send(result).is_err() {
                    return;
                }
            }
        });
        workers.push((sender, receiver));
    }
    workers
}

/// Everything that needs no other row.
fn check(rows: &[Bytes], blobs: &BlobRows, opener: Option<&Opener>, findings: &Findings) -> Done {
    let mut checked = Checked::default();
    let rows = rows.iter().map(|row| {
        let stored = copy::parse(row)?;
        orders::note(&stored.row, &mut checked);
        let Some(opener) = opener else { return Some(CheckedRow::of(&stored.row)) };
        let (row, entry) = CheckedRow::with_entry(&stored.row);
        // Bytes that are no entry are named by their row; nothing can be held against them.
        if let Some(entry) = entry {
            let blobs = blobs.get(&stored.row.index).map_or(&[][..], Vec::as_slice);
            opener.check(&entry, &stored, blobs, findings, &mut checked);
        }
        Some(row)
    });
    let rows = rows.collect();
    Done::Rows(rows, checked)
}

/// Collects in turn, until the workers have nothing left.
fn follow(
    mut follower: Follower,
    mut workers: Vec<Receiver<Done>>,
    content: &UnboundedSender<Checked>,
) -> Result<Follower, ArchiveError> {
    let count = workers.len().max(1);
    let mut turn = 0;
    while let Some(done) = workers.get_mut(turn).and_then(Receiver::blocking_recv) {
        let checked = follower.take(done).map_err(ArchiveError::io("scratch"))?;
        if let Some(checked) = checked.filter(Checked::is_worth_a_look) {
            // The reader is gone: then nobody asks any more.
            let _gone = content.send(checked);
        }
        turn = (turn + 1) % count;
    }
    Ok(follower)
}
