//! Records out of the building: a bundle from the archive, on record before a byte of it is written.
//!
//! Invariant (P5): the `export` entry, which says what was asked, why, by whom and how many records answer it, is durable before content is
//! opened. What is written is as of the size of the ledger that the entry states. Whether the bundle holds is known without this module
//! ([`crate::bundle::verify_bundle`]), and a bundle that does not is never handed out.

mod ask;
mod circumstances;
mod error;
mod record;
mod run;
mod select;

pub use ask::{Asked, Withhold};
pub use error::ExportError;
pub use run::{Exported, Exporter};
