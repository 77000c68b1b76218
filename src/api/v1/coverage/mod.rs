//! What was covered, and what was not.

pub(in crate::api) mod list;
