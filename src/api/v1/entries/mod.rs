//! Entries as they are hashed.

pub(in crate::api) mod get;
