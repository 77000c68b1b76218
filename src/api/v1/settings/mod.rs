//! The settings in force, and before.

pub(in crate::api) mod list;
