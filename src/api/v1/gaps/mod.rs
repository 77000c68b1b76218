//! What was seen and could not be kept or read.

pub(in crate::api) mod list;
