//! The access log: who looked.

pub(in crate::api) mod list;
