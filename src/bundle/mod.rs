//! What leaves the building: bundles and disclosures (records taken out with their proofs), and the offline checks over them and over a whole archive.
//!
//! Invariant: nothing here needs the archive, its keys or our word: bytes, public formats and a verifier key are enough. The
//! same [`History`] serves the dump a stranger makes with `psql` and the archive's own verification. Formats are fixed in
//! `docs/FORMAT.md`.

mod bag;
mod cell;
mod circumstance;
mod disclosure;
mod dump;
mod examine;
#[cfg(all(feature = "service", any(test, fuzzing)))]
pub(crate) mod fuzz;
mod held;
mod history;
mod paths;
mod query;
mod range;
mod renditions;
mod report;
mod shown;
mod statement;
mod unique;
mod write;

pub use bag::{BagError, BagWriteError, Source};
pub use cell::csv_cell;
pub use circumstance::Circumstance;
pub use disclosure::{
    DISCLOSURE_MAX, Disclosed, Disclosure, DisclosureError, DisclosureReport, DisposalProof, DisposalReport,
    EntryReport, Proved, ShownField, Withheld, verify_disclosure, verify_disclosure_under, verify_disposal,
};
pub use dump::{DumpError, DumpOptions, OutsideCheckpoint, verify_dump};
pub use examine::{BundleReport, RangeReport, Trust, verify_bundle, verify_bundle_with};
pub use held::{CheckpointRow, Place};
pub use history::{CheckedRow, History, Row};
pub use query::BundleQuery;
pub use renditions::{Rendition, RenditionError};
pub use report::{Check, Failure, HistoryReport, Interval, Verdict};
pub use shown::{REASON_MAX, Reasons};
pub use write::{BundleHead, BundleWriteError, BundleWriter, EarlierCheckpoint, Scratch, Written};
