//! Where a question about records begins: with the newest of them, or with the few that hold its words.
//!
//! The database knows the frequent words of a sample, and takes every other one for half as frequent as the last of those: where twenty
//! of a million records hold a word, it expects thousands, and walks through all records until a page is full, which it never is.
//! So the index of words is looked into first, and where it names few places, the question is about those. Where the database takes the
//! words for frequent, the newest records are walked through first.
//!
//! Invariant: where a question begins does not change its answer. The places are those of every record that may be found, and each
//! condition is asked again of each of them. Bounds: [`FEW`] places, [`PATIENCE`], and [`WINDOW`] entries for each record of the page;
//! past these the question is asked as if nobody had looked.

use std::ops::Range;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{Connection as _, QueryBuilder, Row as _};

use super::as_of::Question;
use super::filter::{Acting, RecordFilter};
use super::lists::{MOST, Slice};
use crate::archive::ArchiveError;
use crate::archive::open::Archive;
use crate::archive::project::addressed;
use crate::archive::row::{clean, count, number};

/// Communications that are few: reading so many costs about as much as walking does where one more holds the words.
const FEW: i64 = 8_192;
/// The words are frequent where one communication in so many holds them: then a page is full within its window.
const FREQUENT: f64 = 80.0;
/// Entries that are walked through for each record of a page, where the words are frequent.
const WINDOW: u64 = 160;
/// How long the index may be looked into. Nothing else than the index is of use.
const PATIENCE: &str = "set local enable_seqscan = off; set local statement_timeout = '3s'";
/// What Postgres calls a statement that took too long.
const CANCELLED: &str = "57014";

/// A run of records that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// In these places.
    pub(super) places: Range<u64>,
    pub(super) newest_first: bool,
    pub(super) limit: u32,
}

impl Run {
    /// What is asked for by a slice of a list, as of a size.
    pub(super) fn of(slice: &Slice, as_of: Option<u64>) -> Self {
        let (after, before) = match (slice.after, slice.newest_first) {
            (None, _) => (0, u64::MAX),
            (Some(after), true) => (0, after),
            (Some(after), false) => (after.saturating_add(1), u64::MAX),
        };
        let places = after..as_of.map_or(before, |size| before.min(size));
        Self { places, newest_first: slice.newest_first, limit: slice.limit.min(MOST) }
    }

    /// The beginning of it; none where that is all. `end` is behind the newest place there is.
    fn window(&self, end: u64) -> Option<Self> {
        let (start, end) = (self.places.start, self.places.end.min(end));
        let length = WINDOW.saturating_mul(u64::from(self.limit));
        let places = match self.newest_first {
            true => end.saturating_sub(length).max(start)..self.places.end,
            false => start..start.saturating_add(length).min(self.places.end),
        };
        let is_all = places.start <= start && places.end >= end;
        (!is_all).then(|| Self { places, ..self.clone() })
    }
}

/// Which places a question is about: these, in order; or all.
pub(super) type Named = Option<Vec<i64>>;

/// What the database knows without looking.
struct Guess {
    /// The words are frequent.
    frequent: bool,
    /// Behind the newest entry that is projected.
    end: u64,
}

impl RecordFilter {
    /// Whether something is asked whose frequency the database guesses, and that is worth looking for.
    const fn is_guessed(&self) -> bool {
        self.words.is_some() || self.recipient.is_some() && (self.account.is_some() || !self.is_narrow())
    }

    /// Whether something else is asked that finds the few records that it holds of by itself.
    const fn is_narrow(&self) -> bool {
        self.advisor.is_some()
            || self.device.is_some()
            || self.account.is_some()
            || self.author.is_some()
            || self.conversation.is_some()
            || self.item.is_some()
            || self.text.is_some()
            || self.gap.is_some()
    }

    /// The communications that may fit.
    fn push_named(&self, query: &mut Question, acting: Option<&Acting>) {
        query.push(" from projection.communications c where true");
        if let Some(id) = acting.and_then(Acting::id) {
            query.push(" and c.account_id = ").push_bind(id.to_owned());
        }
        if let Some(words) = &self.words {
            query.push(" and c.words @@ ").push_bind(words.to_tsquery()).push("::tsquery");
        }
        if let Some(recipient) = &self.recipient {
            query.push(" and c.addressed && ").push_bind(addressed(&clean(recipient)));
        }
    }

    async fn guess(&self, acting: Option<&Acting>, connection: &mut PgConnection) -> Result<Guess, ArchiveError> {
        let mut query = QueryBuilder::new("explain (format json) select");
        self.push_named(&mut query, acting);
        let row = query.build().persistent(false).fetch_one(&mut *connection).await?;
        let Json(plan): Json<serde_json::Value> = row.try_get(0)?;
        // A plan that says nothing is a reason to look.
        let expected = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or_default();
        let row = sqlx::query(
            "select coalesce((select next_index from projection.progress), 0) as until,
                    coalesce((select reltuples::float8 from pg_class where oid = 'projection.communications'::regclass), 0) as size",
        )
        .fetch_one(connection)
        .await?;
        // Where nothing was counted yet, it is less than nothing.
        let size: f64 = row.try_get("size")?;
        Ok(Guess { frequent: size > 0.0 && expected * FREQUENT > size, end: count(row.try_get("until")?) })
    }

    /// The places that the index names, where they are few.
    async fn look(&self, acting: Option<&Acting>, connection: &mut PgConnection) -> Result<Named, ArchiveError> {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(PATIENCE).execute(&mut *transaction).await?;
        let mut query = QueryBuilder::new("select c.entry_index");
        self.push_named(&mut query, acting);
        query.push(" limit ").push_bind(FEW + 1);
        let rows = match query.build().persistent(false).fetch_all(&mut *transaction).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(CANCELLED) => {
                transaction.rollback().await?;
                return Ok(None);
            }
            rows => rows?,
        };
        transaction.commit().await?;
        if number(rows.len() as u64) > FEW {
            return Ok(None);
        }
        let mut places: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        places.sort_unstable();
        places.dedup();
        Ok(Some(places))
    }
}

impl Archive {
    /// What the database knows of a question without looking; none where nothing is guessed.
    async fn guess(&self, filter: &RecordFilter, acting: Option<&Acting>) -> Result<Option<Guess>, ArchiveError> {
        if !filter.is_guessed() {
            return Ok(None);
        }
        let mut connection = self.parts.reader.acquire().await?;
        Ok(Some(filter.guess(acting, &mut connection).await?))
    }

    /// The places that the index names, where they are few.
    async fn look_for(&self, filter: &RecordFilter, acting: Option<&Acting>) -> Result<Named, ArchiveError> {
        let mut connection = self.parts.reader.acquire().await?;
        filter.look(acting, &mut connection).await
    }

    /// The places that a question is about which wants all that it finds.
    pub(super) async fn places_named(
        &self,
        filter: &RecordFilter,
        acting: Option<&Acting>,
    ) -> Result<Named, ArchiveError> {
        match self.guess(filter, acting).await? {
            Some(Guess { frequent: false, .. }) => self.look_for(filter, acting).await,
            Some(_) | None => Ok(None),
        }
    }

    /// Rows of a run.
    pub(super) async fn run(&self, filter: &RecordFilter, run: &Run) -> Result<Vec<PgRow>, ArchiveError> {
        let acting = self.acting(filter).await?;
        let acting = acting.as_ref();
        let ask = async |run: &Run, places: Named| {
            // Planned for these values each time: which index is good depends on them.
            let mut query = filter.query(run, places, acting);
            query.build().persistent(false).fetch_all(&self.parts.reader).await
        };
        let Some(guess) = self.guess(filter, acting).await? else { return Ok(ask(run, None).await?) };
        if guess.frequent {
            let window = run.window(guess.end).filter(|_part| !filter.is_narrow() && !filter.by_relevance);
            let Some(window) = window else { return Ok(ask(run, None).await?) };
            let rows = ask(&window, None).await?;
            if rows.len() as u64 >= u64::from(run.limit) {
                return Ok(rows);
            }
        }
        let mut places = self.look_for(filter, acting).await?;
        if let Some(places) = &mut places {
            places.retain(|place| run.places.contains(&count(*place)));
        }
        Ok(ask(run, places).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(after: Option<u64>, newest_first: bool, end: u64) -> Option<Range<u64>> {
        let run = Run::of(&Slice { after, newest_first, limit: 50 }, None);
        run.window(end).map(|run| run.places)
    }

    #[test]
    fn a_window_is_the_beginning_of_a_run_and_none_where_it_would_be_all_of_it() {
        assert_eq!(window(None, true, 100_000), Some(92_000..u64::MAX));
        assert_eq!(window(Some(50_000), true, 100_000), Some(42_000..50_000));
        assert_eq!(window(Some(8_001), true, 100_000), Some(1..8_001));
        assert_eq!(window(Some(8_000), true, 100_000), None);
        assert_eq!(window(None, true, 8_000), None);
        assert_eq!(window(None, false, 100_000), Some(0..8_000));
        assert_eq!(window(Some(49_999), false, 100_000), Some(50_000..58_000));
        assert_eq!(window(Some(95_000), false, 100_000), None);
        assert_eq!(window(Some(u64::MAX), false, 100_000), None);
    }

    #[test]
    fn a_run_is_what_its_slice_is_below_the_size_asked_about() {
        let of = |after, newest_first, as_of| Run::of(&Slice { after, newest_first, limit: 5_000 }, as_of);
        assert_eq!(of(None, true, Some(7)).places, 0..7);
        assert_eq!(of(Some(9), true, Some(7)).places, 0..7);
        assert_eq!(of(Some(3), true, Some(7)).places, 0..3);
        assert_eq!(of(Some(3), false, None).places, 4..u64::MAX);
        assert_eq!(of(None, true, None).limit, MOST);
    }
}
