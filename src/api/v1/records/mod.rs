//! What was kept: list and filter, one record with content and proof, its fields and attachments.

pub(in crate::api) mod attachment;
mod bytes;
mod communication;
mod explain;
pub(in crate::api) mod facets;
pub(in crate::api) mod field;
pub(in crate::api) mod filter;
pub(in crate::api) mod get;
pub(in crate::api) mod list;
mod range;
mod summary;
