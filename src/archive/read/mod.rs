//! Reading: entries as they are, their content opened with the master key, and lists from the projections.

mod as_of;
mod begin;
mod content;
mod coverage;
mod entries;
mod events;
mod facets;
mod filter;
mod inventory;
mod lists;
mod looks;
mod people;
mod recall;
mod recent;
mod records;
mod thread;
mod verifications;
mod why;

pub use content::{Content, Field};
pub(super) use content::{SealedRow, check_listed, field_name, open_blob, open_fields, parse_key, unwrap};
pub use coverage::{CoverageRow, GapOf};
pub use events::{EventFilter, EventPage, EventRow, Happened};
pub use facets::{FacetCount, Facets};
pub use filter::RecordFilter;
pub use inventory::{Inventory, RulesRow, SettingsRow, SourceRow};
pub use lists::{GapRow, Slice};
pub(super) use lists::{Ordered, ordered};
pub use looks::{LookFilter, LookRow};
pub use people::{AccountRow, AdvisorRow, DeviceRow, IdentityRow, OfficerRow};
pub use recall::{ItemPlace, OpenCapture, OwnedAccount};
pub use recent::RecentCapture;
pub use records::{CommunicationRow, RecordRow};
pub use thread::{Links, Versions};
pub use verifications::VerificationRow;
pub use why::Within;
