//! The people who may look.

pub(in crate::api) mod list;
