//! As much of a page of events as is shown at once.

use super::event::Event;
use crate::api::problem::Problem;
use crate::archive::EventPage;
use crate::record::RecordId;

/// What is to be said of it before it is shown, and where to go on after it.
pub(in crate::api) struct Portion {
    /// The first event and the last.
    pub(in crate::api) range: (u64, u64),
    /// How many.
    pub(in crate::api) count: usize,
    /// The records in it, each once.
    pub(in crate::api) records: Vec<RecordId>,
    /// The next place to look at.
    pub(in crate::api) next: u64,
}

impl Portion {
    /// As much of a page as fits: `put` takes the next event and answers with how many bytes all of them have by then; the event that
    /// makes them more than `most` is the last. None where nothing happened.
    pub(in crate::api) fn of(
        page: EventPage,
        most: usize,
        mut put: impl FnMut(Event) -> serde_json::Result<usize>,
    ) -> Result<Option<Self>, Problem> {
        let (mut records, mut count, mut range) = (Vec::new(), 0_usize, None);
        let mut left = page.events.into_iter();
        for row in left.by_ref() {
            let index = row.index;
            records.extend(row.record);
            range = Some((range.map_or(index, |(first, _)| first), index));
            count = count.saturating_add(1);
            if put(Event::from(row)).map_err(|error| Problem::internal(&error))? > most {
                break;
            }
        }
        let Some(range) = range else { return Ok(None) };
        let next = if left.len() == 0 { page.next } else { range.1.saturating_add(1) };
        records.sort_unstable();
        records.dedup();
        Ok(Some(Self { range, count, records, next }))
    }
}
