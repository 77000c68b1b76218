//! What was kept: list, count, export by filter; one record with content and proof, versions and thread, its fields and attachments.

pub(in crate::api) mod attachment;
mod bytes;
mod communication;
mod csv;
mod explain;
pub(in crate::api) mod export;
pub(in crate::api) mod facets;
pub(in crate::api) mod field;
pub(in crate::api) mod filter;
pub(in crate::api) mod get;
pub(in crate::api) mod list;
mod range;
mod said;
mod stream;
mod summary;
pub(in crate::api) mod thread;
pub(in crate::api) mod versions;
