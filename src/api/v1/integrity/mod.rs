//! Whether what is there holds.

pub(in crate::api) mod get;
