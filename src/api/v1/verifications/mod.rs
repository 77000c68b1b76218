//! What verifying found.

pub(in crate::api) mod list;
