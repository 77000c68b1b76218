//! Holds: what may not be disposed of.

pub(in crate::api) mod create;
pub(in crate::api) mod get;
pub(in crate::api) mod list;
pub(in crate::api) mod release;
pub(in crate::api) mod shown;
