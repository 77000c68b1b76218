//! What leaves the building: disclosures (one record taken out with its proof), and the offline checks over a whole archive.
//!
//! Invariant: nothing here needs the archive, its keys or our word: bytes, public formats and a verifier key are enough. The
//! same [`History`] serves the dump a stranger makes with `psql` and the archive's own verification. Formats are fixed in
//! `docs/FORMAT.md`.

mod disclosure;
mod dump;
#[cfg(all(feature = "service", any(test, fuzzing)))]
pub(crate) mod fuzz;
mod held;
mod history;
mod report;
mod unique;

pub use disclosure::{
    DISCLOSURE_MAX, Disclosed, Disclosure, DisclosureError, DisclosureReport, EntryReport, ShownField, Withheld,
    verify_disclosure,
};
pub use dump::{DumpError, DumpOptions, OutsideCheckpoint, verify_dump};
pub use held::{CheckpointRow, Place};
pub use history::{CheckedRow, History, Row};
pub use report::{Check, Failure, HistoryReport, Interval, Verdict};
