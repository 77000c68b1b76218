//! How long it stays: the retention schedule and disposal by it; matters, custodians, notices, and the holds that keep records from it.
//!
//! Invariants: a hold is in force before whoever places it is answered, also one whose query has not been evaluated yet: until it has,
//! it covers everything that it has not looked at. What blocks a disposal is decided in the database, from the ledger; here is decided
//! who may do what when. The keeper goes on looking for what holds select as the ledger grows.

mod dispose;
mod error;
mod evaluate;
mod hold;
mod keeper;
mod matter;
pub mod schedule;
mod selection;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::archive::Archive;
use crate::record::Ids;
use schedule::Schedule;

pub use dispose::{Of, Order, Retention, Survey};
pub use error::RetainError;
pub use evaluate::Round;
pub use hold::{NewHold, What};
pub use matter::{MatterChanges, NewMatter};
pub use selection::{Selection, SelectionError};

/// Matters and holds of one archive. Cheap to clone; all clones wake the same keeper.
#[derive(Clone)]
pub struct Retain {
    archive: Archive,
    ids: Arc<dyn Ids>,
    woken: Arc<Notify>,
    schedule: Option<Arc<Schedule>>,
}

impl std::fmt::Debug for Retain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retain").field("archive", &self.archive).finish_non_exhaustive()
    }
}

impl Retain {
    /// Of this archive, without a schedule: nothing ever comes due.
    #[must_use]
    pub fn new(archive: Archive, ids: Arc<dyn Ids>) -> Self {
        Self { archive, ids, woken: Arc::new(Notify::new()), schedule: None }
    }

    /// By this schedule.
    #[must_use]
    pub fn with_schedule(self, schedule: Arc<Schedule>) -> Self {
        Self { schedule: Some(schedule), ..self }
    }
}
