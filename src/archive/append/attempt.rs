//! One attempt to append a group: compose it, write it, and understand what the database said.

use std::collections::HashMap;
use std::time::Instant;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;

use super::group::{Group, Moved, compose};
use super::head::Head;
use super::parcel::Parcel;
use super::write::{self, Verdict, Written};
use super::writer::{Step, Waiting, Writer, id, refuse, settle};
use crate::archive::row::count;
use crate::archive::submission::Submission;
use crate::archive::{AppendError, Appended, ArchiveError, Inconsistency};
use crate::ledger::Entry;
use crate::record::{EntryId, Timestamp};

/// Steps of the clock remembered while the database is away.
const OWED: usize = 64;

/// What was written, or why not, and what a commit of it makes true.
type Outcome = (Written, Vec<Appended>, Moved);

impl Writer {
    /// Composes the batch behind the head and writes it; the head must have been looked at.
    ///
    /// Alone on the ledger, one statement does it all, and whether the head was where we thought shows in its answer. When
    /// others append too, the head is locked first and read anew.
    pub(super) async fn append(&mut self, batch: &mut Vec<Waiting>) -> Result<Step, ArchiveError> {
        let locked = self.contended;
        if locked {
            self.lock_head().await?;
        }
        // The head may have been waited for. What is not begun yet is not begun for those who gave up meanwhile, and were told that
        // nothing is known.
        batch.retain(Waiting::is_wanted);
        let outcome = match batch.is_empty() {
            false => self.write(batch).await.map(Some),
            true => Ok(None),
        };
        if locked {
            let committed = matches!(outcome, Ok(Some((Written::Moved, ..))));
            let lost = matches!(&outcome, Err(ArchiveError::Database(error))
                                if write::verdict(error) == Verdict::Unknown);
            if let Some(connection) = self.connection.as_mut().filter(|_| !lost) {
                sqlx::raw_sql(if committed { "commit" } else { "rollback" }).execute(connection).await?;
            }
        }
        match outcome {
            Ok(Some((written, appended, moved))) => Ok(self.written(batch, written, appended, moved)),
            Ok(None) => Ok(Step::Again),
            Err(ArchiveError::Database(error)) if write::verdict(&error) == Verdict::Duplicate => {
                self.duplicate(error, batch).await
            }
            Err(error) => Err(error),
        }
    }

    async fn lock_head(&mut self) -> Result<(), ArchiveError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        sqlx::raw_sql("begin").execute(&mut *connection).await?;
        match Head::lock(connection, self.head.as_ref(), self.tools.source).await {
            // Stay careful for as long as others append.
            Ok(Some(found)) => self.head = Some(found),
            Ok(None) => self.contended = false,
            Err(error) => {
                sqlx::raw_sql("rollback").execute(connection).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write(&mut self, batch: &[Waiting]) -> Result<Outcome, ArchiveError> {
        let now = self.tools.clock.now();
        self.watch_clock(now);
        let (Some(connection), Some(head)) = (&mut self.connection, &mut self.head) else {
            return Err(ArchiveError::Database(sqlx::Error::PoolClosed));
        };
        let disposal = batch.first().is_some_and(|waiting| waiting.parcel.destroys);
        // What we owe goes last, so that a place in the batch is a place in the group. A disposal goes alone.
        let owed = if disposal { &[] } else { self.owed.as_slice() };
        let parcels = || batch.iter().map(|waiting| &waiting.parcel).chain(owed);
        head.learn_streams(connection, parcels().flat_map(|parcel| parcel.prepared.streams().iter().copied())).await?;
        let group = compose(head, now, parcels());
        let source = self.tools.source;
        let written = match disposal {
            true => write::dispose(connection, &group, source).await?,
            false => write::append(connection, &group, source, now).await?,
        };
        if matches!(written, Written::Moved) {
            self.tools.metrics.append_group(group.types.len());
            group.types.iter().for_each(|entry_type| self.tools.metrics.captured(entry_type.as_str()));
        }
        let Group { appended, head: moved, .. } = group;
        if matches!(written, Written::Moved) && !disposal {
            self.owed.clear();
        }
        Ok((written, appended, moved))
    }

    fn watch_clock(&mut self, now: Timestamp) {
        let ledger = self.head.as_ref().map_or(now, |head| head.at);
        if let Some(step) = self.steps.read(now, Instant::now(), ledger)
            && self.owed.len() < OWED
        {
            let id = EntryId::new(self.tools.ids.fresh());
            let draft = step.draft(id, self.tools.actor.clone(), &self.tools.clock_step);
            match Parcel::new(Submission::plain(draft), self.tools.source) {
                Ok(parcel) => self.owed.push(parcel),
                Err(error) => tracing::error!(%error, "a gap entry of our own is not an entry"),
            }
        }
    }

    fn written(&mut self, batch: &mut Vec<Waiting>, written: Written, appended: Vec<Appended>, moved: Moved) -> Step {
        match written {
            Written::Moved => {
                if let Some(head) = &mut self.head {
                    let Moved { size, leaf, at, source_next, streams } = moved;
                    (head.size, head.leaf, head.at, head.source_next) = (size, leaf, at, source_next);
                    head.streams.extend(streams);
                    self.size.send_replace(size);
                    self.tools.metrics.ledger_size(size);
                }
                for (waiting, appended) in batch.drain(..).zip(appended) {
                    self.tools.metrics.append(waiting.since.elapsed());
                    settle(waiting, Ok(appended));
                }
            }
            Written::HeadElsewhere => self.contended = true,
            Written::ClockAhead(by) => refuse(std::mem::take(batch), || AppendError::ClockAhead { by }),
        }
        Step::Again
    }

    /// Something is there already: an id that was appended before (its waiter gets its place), else a row that contradicts.
    async fn duplicate(&mut self, error: sqlx::Error, batch: &mut Vec<Waiting>) -> Result<Step, ArchiveError> {
        let before = batch.len();
        self.answer_known(batch).await?;
        if batch.len() < before {
            return Ok(Step::Again);
        }
        match error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default() {
            "entries_pkey" => {
                let size = self.head.as_ref().map_or(0, |head| head.size);
                Ok(Step::Fatal(Inconsistency::Head { size }))
            }
            "stream_entries_pkey" | "sources_pkey" => Ok(Step::Fatal(Inconsistency::Counts)),
            _ => Ok(Step::Split(error)),
        }
    }

    /// Answers everybody whose entry is in the ledger already.
    pub(super) async fn answer_known(&mut self, batch: &mut Vec<Waiting>) -> Result<(), ArchiveError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let owed = self.owed.iter().map(|parcel| parcel.prepared.id());
        let ids = batch.iter().map(id).chain(owed).map(EntryId::uuid).collect();
        let found = known(connection, ids).await?;
        self.owed.retain(|parcel| !found.contains_key(&parcel.prepared.id()));
        for waiting in std::mem::take(batch) {
            match found.get(&id(&waiting)) {
                Some(appended) => settle(waiting, Ok(*appended)),
                None => batch.push(waiting),
            }
        }
        Ok(())
    }
}

/// Which of these entries are in the ledger, and where.
async fn known(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<HashMap<EntryId, Appended>, ArchiveError> {
    let rows = sqlx::query("select index, body from ledger.entries where id = any ($1)")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let index = count(row.try_get("index")?);
        let entry = Entry::parse(row.try_get("body")?).map_err(|source| ArchiveError::Entry { index, source })?;
        let appended = Appended { entry: entry.id(), index, leaf: entry.leaf(), at: entry.at() };
        found.insert(entry.id(), appended);
    }
    Ok(found)
}
