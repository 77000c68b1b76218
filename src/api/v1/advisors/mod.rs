//! The people whose communications are kept.

pub(in crate::api) mod get;
pub(in crate::api) mod list;
