//! The tables beside the entries, read for each run of them: streams, sources, tiles, checkpoints, blobs, and rows that belong
//! to no entry.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Uuid;

use super::content::{BlobRow, BlobRows};
use super::orders::{At, Noted, Target, Terms, What};
use crate::archive::ArchiveError;
use crate::archive::row::{count, digest, number};
use crate::archive::submission::BlobDigest;
use crate::bundle::CheckpointRow;
use crate::ledger::{StreamPosition, VerifyingKey};
use crate::record::{AdvisorId, Digest, RecordId, SourceId};

/// What belongs to a run of entries.
#[derive(Debug)]
pub(super) struct Side {
    streams: Places,
    /// Entry, source, its next count.
    pub(super) sources: Vec<(u64, SourceId, u64)>,
    /// Level, index, hashes: those whose last entry lies in this run.
    pub(super) tiles: Vec<(u8, u64, Vec<Digest>)>,
    /// Checkpoints of this run's sizes, with whether their numbers go on without a gap.
    pub(super) checkpoints: Vec<CheckpointRow>,
    /// Places that have content and no entry.
    pub(super) strays: BTreeSet<u64>,
    /// Rows that were read off entries of this run, to be taken by them.
    pub(super) noted: BTreeSet<Noted>,
}

impl Side {
    /// Takes a stream position off the list; false where the table does not have it.
    pub(super) fn take_stream(&mut self, index: u64, position: &StreamPosition) -> bool {
        self.streams.take((index, position.id, position.index))
    }

    /// The stream positions that no entry took.
    pub(super) fn rest_of_streams(&mut self) -> impl Iterator<Item = Place> + use<> {
        std::mem::take(&mut self.streams).rest()
    }
}

/// Entry, stream, place in the stream.
pub(super) type Place = (u64, AdvisorId, u64);

/// The stream positions of a run, each to be taken once. Entries ask for them in order, so the next one is nearly always the
/// one that is asked for.
#[derive(Debug, Default)]
struct Places {
    sorted: Vec<Place>,
    taken: Vec<bool>,
    next: usize,
}

impl Places {
    fn new(mut places: Vec<Place>) -> Self {
        places.sort_unstable();
        Self { taken: vec![false; places.len()], sorted: places, next: 0 }
    }

    fn take(&mut self, place: Place) -> bool {
        let at = match self.sorted.get(self.next) {
            Some(next) if *next == place => self.next,
            _ => match self.sorted.binary_search(&place) {
                Ok(at) => at,
                Err(_) => return false,
            },
        };
        self.next = at + 1;
        self.taken.get_mut(at).is_some_and(|taken| !std::mem::replace(taken, true))
    }

    fn rest(self) -> impl Iterator<Item = Place> {
        self.sorted.into_iter().zip(self.taken).filter(|(_place, taken)| !taken).map(|(place, _taken)| place)
    }
}

pub(super) async fn read(
    connection: &mut PgConnection,
    from: u64,
    until: u64,
    keys: &[VerifyingKey],
    content: bool,
) -> Result<Side, ArchiveError> {
    let (first, end) = (number(from), number(until));
    let mut side = Side {
        streams: Places::default(),
        sources: Vec::new(),
        tiles: Vec::new(),
        checkpoints: Vec::new(),
        strays: BTreeSet::new(),
        noted: noted(connection, from, until, content).await?,
    };
    // As lists, here and below: a row by itself costs server and client more than what stands in it.
    let row = sqlx::query(
        "select coalesce(array_agg(entry_index), '{}'), coalesce(array_agg(stream), '{}'),
                coalesce(array_agg(stream_index), '{}')
           from ledger.stream_entries where entry_index >= $1 and entry_index < $2",
    );
    let row = row.bind(first).bind(end).fetch_one(&mut *connection).await?;
    let (entries, streams, places) = (counts(&row, 0)?, row.try_get::<Vec<Uuid>, _>(1)?, counts(&row, 2)?);
    let streams = streams.into_iter().map(AdvisorId::new);
    side.streams =
        Places::new(entries.zip(streams).zip(places).map(|((entry, stream), place)| (entry, stream, place)).collect());
    let rows = sqlx::query(
        "select source, next_index, entry_index from ledger.sources
          where entry_index >= $1 and entry_index < $2 order by entry_index",
    );
    for row in rows.bind(first).bind(end).fetch_all(&mut *connection).await? {
        let source = SourceId::new(row.try_get::<Uuid, _>("source")?);
        side.sources.push((count(row.try_get("entry_index")?), source, count(row.try_get("next_index")?)));
    }
    side.tiles = tiles(connection, from, until).await?;
    // With those that witnesses cosigned: the same checkpoint once more, which must have the same tree.
    let rows = sqlx::query(
        "select size, note from ledger.checkpoints where size > $1 and size <= $2
          union all
         select size, note from ledger.cosigned where size > $1 and size <= $2 order by size",
    );
    for row in rows.bind(first).bind(end).fetch_all(&mut *connection).await? {
        let note: String = row.try_get("note")?;
        side.checkpoints.push(CheckpointRow::of(count(row.try_get("size")?), note.as_bytes(), keys));
    }
    let strays: Vec<i64> = sqlx::query_scalar(
        "select c.entry_index
           from (select entry_index from content.sealed where entry_index >= $1 and entry_index < $2
                  union all
                 select entry_index from content.blobs where entry_index >= $1 and entry_index < $2) c
          -- Where every place has its entry, nothing has to be looked for: that is asked once and not for every row.
          where (select count(*) from ledger.entries e where e.index >= $1 and e.index < $2) < $2 - $1
            and not exists (select from ledger.entries e where e.index = c.entry_index)",
    )
    .bind(first)
    .bind(end)
    .fetch_all(connection)
    .await?;
    side.strays.extend(strays.into_iter().map(count));
    Ok(side)
}

/// Holds, releases, attributions and plain entries; keys where content is looked at.
async fn noted(
    connection: &mut PgConnection,
    from: u64,
    until: u64,
    content: bool,
) -> Result<BTreeSet<Noted>, ArchiveError> {
    let row = sqlx::query(
        "select coalesce(array_agg(entry_index), '{}'), coalesce(array_agg(sort), '{}'),
                coalesce(array_agg(a), '{}'), coalesce(array_agg(b), '{}')
           from (select entry_index, 0 as sort, hold as a, target as b from ledger.holds
                  where entry_index >= $1 and entry_index < $2 and scope = 'record'
                 union all
                 select entry_index, 1, hold, target from ledger.holds
                  where entry_index >= $1 and entry_index < $2 and scope = 'stream'
                 union all
                 select entry_index, 2, hold, hold from ledger.releases where entry_index >= $1 and entry_index < $2
                 union all
                 select entry_index, 3, record, stream from ledger.attributions
                  where entry_index >= $1 and entry_index < $2
                 union all
                 select entry_index, 4, record, record from ledger.plain_entries
                  where entry_index >= $1 and entry_index < $2
                 union all
                 select entry_index, 5, record, record from content.keys
                  where $3 and entry_index >= $1 and entry_index < $2) noted",
    );
    let row = row.bind(number(from)).bind(number(until)).bind(content).fetch_one(&mut *connection).await?;
    let (entries, sorts) = (counts(&row, 0)?, row.try_get::<Vec<i32>, _>(1)?);
    let pairs = row.try_get::<Vec<Uuid>, _>(2)?.into_iter().zip(row.try_get::<Vec<Uuid>, _>(3)?);
    let noted = entries.zip(sorts).zip(pairs).map(|((index, sort), (a, b))| Noted {
        index,
        what: match sort {
            0 => What::Hold { hold: a, target: Target::Record(b) },
            1 => What::Hold { hold: a, target: Target::Stream(b) },
            2 => What::Release { hold: a },
            3 => What::Attribution { record: a, stream: b },
            4 => What::Plain { record: a },
            _ => What::Key { record: a },
        },
    });
    let mut noted: BTreeSet<Noted> = noted.collect();
    let rows = sqlx::query(
        "select entry_index, hold, matter, scope, since, until, evaluated from ledger.hold_terms
          where entry_index >= $1 and entry_index < $2",
    );
    for row in rows.bind(number(from)).bind(number(until)).fetch_all(connection).await? {
        let at = |column| row.try_get::<Option<&str>, _>(column).map(|at| at.map(spelled));
        let terms = Terms {
            hold: row.try_get("hold")?,
            matter: row.try_get("matter")?,
            is_all: row.try_get::<&str, _>("scope")? == "all",
            since: at("since")?,
            until: at("until")?,
            evaluated: row.try_get::<Option<i64>, _>("evaluated")?.map(count),
        };
        noted.insert(Noted { index: count(row.try_get("entry_index")?), what: What::Terms(terms) });
    }
    Ok(noted)
}

/// A time as the table has it; one that is none is no entry's.
fn spelled(at: &str) -> At {
    at.as_bytes().try_into().unwrap_or([0; 27])
}

/// A list of numbers that count something.
fn counts(row: &PgRow, column: usize) -> Result<impl Iterator<Item = u64> + use<>, sqlx::Error> {
    Ok(row.try_get::<Vec<i64>, _>(column)?.into_iter().map(count))
}

/// Tiles of each level that are completed by an entry of the run.
async fn tiles(
    connection: &mut PgConnection,
    from: u64,
    until: u64,
) -> Result<Vec<(u8, u64, Vec<Digest>)>, ArchiveError> {
    let mut tiles = Vec::new();
    for level in 0..7_u8 {
        let span = 256_u64.pow(u32::from(level) + 1);
        let (first, end) = (from / span, until / span);
        let rows =
            sqlx::query("select index, hashes from ledger.tiles where level = $1 and index >= $2 and index < $3");
        for row in rows.bind(i16::from(level)).bind(number(first)).bind(number(end)).fetch_all(&mut *connection).await?
        {
            let hashes: &[u8] = row.try_get("hashes")?;
            let (hashes, _rest) = hashes.as_chunks::<32>();
            tiles.push((level, count(row.try_get("index")?), hashes.iter().map(|hash| Digest(*hash)).collect()));
        }
    }
    Ok(tiles)
}

/// Blobs of a run of entries.
pub(super) async fn blobs(connection: &mut PgConnection, from: u64, until: u64) -> Result<BlobRows, ArchiveError> {
    let rows = sqlx::query(
        "select b.entry_index, b.record, b.name, b.digest, b.size, k.wrapped
           from content.blobs b left join content.keys k on k.record = b.record
          where b.entry_index >= $1 and b.entry_index < $2",
    )
    .bind(number(from))
    .bind(number(until))
    .fetch_all(connection)
    .await?;
    let mut blobs = BlobRows::new();
    for row in rows {
        let blob = BlobRow {
            record: RecordId::new(row.try_get("record")?),
            name: row.try_get("name")?,
            digest: BlobDigest(digest(&row, "digest")?),
            size: count(row.try_get("size")?),
            wrapped: row.try_get("wrapped")?,
        };
        blobs.entry(count(row.try_get("entry_index")?)).or_default().push(blob);
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_what_nobody_takes_is_left() {
        let place = |entry: u64, stream: u128| (entry, AdvisorId::new(Uuid::from_u128(stream)), entry / 2);
        let all = [place(4, 1), place(1, 2), place(1, 1), place(2, 1), place(3, 9)];
        let mut places = Places::new(all.to_vec());
        assert!(places.take(place(1, 1)) && places.take(place(1, 2)));
        assert!(!places.take(place(1, 2)), "taken already");
        assert!(!places.take(place(2, 7)), "not in the table");
        assert!(places.take(place(3, 9)), "out of order");
        assert!(places.take(place(2, 1)));
        assert_eq!(places.rest().collect::<Vec<_>>(), [place(4, 1)]);
    }
}
